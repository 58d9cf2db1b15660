"""Pretrain an encoder on the stream, from one configuration file; resumes where it was stopped.

Run: python -m benchmarks.pretrain.run benchmarks/pretrain/configs/nano.yaml --out FOLDER
     [--recordings FOLDER] [--workers 1]

FOLDER gets run/ (checkpoints of `DAREPretrainer`), and after every epoch log.csv (the mean of every
loss term, epoch by epoch) and model/ (to embed with): a run that is stopped leaves both.
--recordings is what benchmarks.pretrain.recordings prepared, for configurations with a
`real_share`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from skorch.callbacks import Callback

from benchmarks.pretrain.corpus import CorpusConfig, Stream
from benchmarks.pretrain.recordings import RecordingStream
from dare_sklearn import DAREPretrainer
from dare_sklearn.pretraining.masks import VISIBLE_SHARE
from dare_sklearn.training.device import resolve_device
from dare_sklearn.training.net import history_frame
from dare_sklearn.training.pretrain import TERMS
from dare_sklearn.weights.load import save_model


@dataclass(frozen=True)
class RunConfig:
    """One run; everything that decides its weights."""

    corpus: CorpusConfig
    size: str = "nano"
    seed: int = 0
    steps: int = 8000
    epoch_steps: int = 250  # steps between two checkpoints and rows of the log
    restarts: tuple[int, ...] = ()  # steps at which the schedules begin anew
    lr: float = 1e-3
    weight_decay: float = 1e-6
    momentum: float = 0.996
    visible_share: tuple[float, float] = (VISIBLE_SHARE, VISIBLE_SHARE)
    hidden_target_share: float = 1.0
    precision: str = "float32"
    real_share: float = 0.0  # of the batches; the others are simulated
    objective: dict = field(default_factory=dict)  # other parameters of DAREPretrainer

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        values = read_yaml(path)
        values["corpus"] = CorpusConfig(**values["corpus"])
        for name in ("visible_share", "restarts"):
            if name in values:
                values[name] = tuple(values[name])
        config = cls(**values)
        borders = [0, *config.restarts, config.steps]
        if sorted(set(borders)) != borders or any(b % config.epoch_steps for b in borders):
            raise ValueError(
                f"restarts must rise between 0 and {config.steps} steps, all multiples of "
                f"epoch_steps={config.epoch_steps}: {borders}."
            )
        return config


def read_yaml(path: Path) -> dict:
    """A configuration, laid over the one that it ``extends``."""
    values = yaml.safe_load(path.read_text())
    if "extends" not in values:
        return values
    merged = read_yaml(path.parent / values.pop("extends"))
    for key, value in values.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def pretrainer(config: RunConfig, out: Path | None = None, **params: Any) -> DAREPretrainer:
    """The estimator that a configuration describes, with its checkpoints in a folder."""
    return DAREPretrainer(
        config.size,
        max_epochs=config.steps // config.epoch_steps,
        restarts=tuple(step // config.epoch_steps for step in config.restarts),
        lr=config.lr,
        weight_decay=config.weight_decay,
        momentum=(config.momentum, 1.0),
        visible_share=config.visible_share,
        hidden_target_share=config.hidden_target_share,
        precision=config.precision,
        checkpoint_dir=out,
        random_state=config.seed,
        **config.objective,
        **params,
    )


def pretrain(config: RunConfig, out: Path, recordings: Path | None, workers: int) -> None:
    """Train until ``config.steps``, from the last checkpoint if there is one."""
    corpus, n_real = config.corpus, round(config.real_share * config.epoch_steps)
    X: Any = Stream(corpus, config.seed, config.epoch_steps - n_real)
    if n_real:
        if recordings is None:
            raise SystemExit(f"real_share is {config.real_share:g}: pass --recordings FOLDER.")
        device = resolve_device("auto")
        real = RecordingStream(
            recordings,
            corpus.batch_size,
            corpus.n_patches,
            n_real,
            config.seed,
            # a GPU holds the corpus and makes its batches, unless other processes do
            device=str(device) if device.type == "cuda" and not workers else None,
        )
        X = [X, real] if n_real < config.epoch_steps else real
    save = SaveResult(out, config.epoch_steps)
    pretrainer(config, out / "run", n_workers=workers, verbose=1, callbacks=[save]).fit(X)


class SaveResult(Callback):
    """Write log.csv and model/ after every epoch, and where a run continues."""

    def __init__(self, out: Path, epoch_steps: int) -> None:
        self.out, self.epoch_steps = out, epoch_steps

    def on_train_begin(self, net, **kwargs) -> None:
        if len(net.history):
            self.on_epoch_end(net)

    def on_epoch_end(self, net, **kwargs) -> None:
        save_model(self.out / "model", net.module_, kind="DAREPretrainer")
        names = {term: term for term in TERMS}
        log = history_frame(net.history, {**names, "train_loss": "loss"}).drop(columns="lr")
        log.insert(0, "step", log.pop("epoch") * self.epoch_steps)
        log.round(5).to_csv(self.out / "log.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recordings", type=Path, help="folder of prepared recordings")
    parser.add_argument("--workers", type=int, default=1, help="processes that make the stream")
    args = parser.parse_args()
    pretrain(RunConfig.read(args.config), args.out, args.recordings, args.workers)


if __name__ == "__main__":
    main()
