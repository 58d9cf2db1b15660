"""Put a finished run into the package as a shipped encoder.

Run: python -m benchmarks.pretrain.ship RUN_FOLDER CONFIG --name nano [--evidence FOLDER]

RUN_FOLDER is what benchmarks.pretrain.run wrote from CONFIG. --evidence holds the tables of
benchmarks.evidence, which go into the model card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from pathlib import Path

import pandas as pd
import torch

from benchmarks.pretrain.card import model_card
from benchmarks.pretrain.run import RunConfig
from dare_sklearn.weights.files import CONFIG_NAME
from dare_sklearn.weights.load import SHIPPED_FOLDER, load_pretraining_model, save_pretraining_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--evidence", type=Path)
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
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    model = load_pretraining_model(args.run / "model")
    save_pretraining_model(folder, model, kind="DAREPretrainer", pretraining=history)
    written = json.loads((folder / CONFIG_NAME).read_text())
    card = model_card(args.name, written, config, log, args.evidence)
    (folder / "README.md").write_text(card, encoding="utf-8")
    print(f"Written to {folder.relative_to(SHIPPED_FOLDER.parents[2])}")


if __name__ == "__main__":
    main()
