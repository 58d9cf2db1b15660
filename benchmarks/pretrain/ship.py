"""Put a finished run into the package as a shipped encoder.

Run: python -m benchmarks.pretrain.ship RUN_FOLDER CONFIG --name nano

RUN_FOLDER is what benchmarks.pretrain.run wrote from CONFIG. The encoder's config.json says how it
was made; its model card is written by hand, with the tables of benchmarks.pretrain.card.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
from pathlib import Path

import pandas as pd
import torch

from benchmarks.pretrain.run import RunConfig
from dare_sklearn.weights.load import SHIPPED_FOLDER, load_pretraining_model, save_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    config, log = RunConfig.read(args.config), pd.read_csv(args.run / "log.csv")
    if log["step"].iloc[-1] != config.steps:
        raise SystemExit(f"The run stands at step {log['step'].iloc[-1]} of {config.steps}.")
    folder = SHIPPED_FOLDER / args.name
    history = {
        "recipe": args.config.name,
        "recipe_sha256": hashlib.sha256(repr(config).encode()).hexdigest(),
        "steps": config.steps,
        "seed": config.seed,
        "hours": round(float(log["seconds"].sum()) / 3600, 2),
        "losses": log.tail(10).drop(columns=["step", "seconds"]).mean().round(3).to_dict(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    model = load_pretraining_model(args.run / "model")
    save_model(folder, model, kind="DAREPretrainer", pretraining=history)
    print(f"Written to {folder.relative_to(SHIPPED_FOLDER.parents[2])}: now write its README.md")


if __name__ == "__main__":
    main()
