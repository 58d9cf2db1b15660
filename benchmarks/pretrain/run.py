"""Pretrain an encoder on the stream, from one configuration file; resumes where it was stopped.

Run: python -m benchmarks.pretrain.run benchmarks/pretrain/configs/nano.yaml --out FOLDER
     [--data FOLDER] [--steps N] [--workers 1]

FOLDER gets log.csv (the mean of every loss term over the last steps), state.pt (to resume) and
model/ (to embed with). --data is where the real recordings lie, for configurations that use them.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from torch.utils.data import DataLoader

from benchmarks.pretrain.corpus import CorpusConfig, Stream
from dare_sklearn.modules.config import get_config
from dare_sklearn.pretraining.masks import VISIBLE_SHARE, draw_masks
from dare_sklearn.pretraining.objective import PretrainingModel
from dare_sklearn.pretraining.schedules import linear, one_cycle
from dare_sklearn.training.device import autocast, resolve_device
from dare_sklearn.training.net import param_groups
from dare_sklearn.weights.load import save_pretraining_model

LOG_EVERY, SAVE_EVERY = 50, 250


@dataclass(frozen=True)
class RunConfig:
    """One run; everything that decides its weights."""

    corpus: CorpusConfig
    size: str = "nano"
    seed: int = 0
    steps: int = 8000
    restarts: tuple[int, ...] = ()  # steps at which the schedules begin anew
    lr: float = 1e-3
    weight_decay: float = 1e-6
    momentum: float = 0.996
    visible_share: tuple[float, float] = (VISIBLE_SHARE, VISIBLE_SHARE)
    hidden_target_share: float = 1.0
    precision: str = "float32"
    model: dict = field(default_factory=dict)  # changes of the size's DAREConfig
    objective: dict = field(default_factory=dict)  # weights and ablations of PretrainingModel

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        values = read_yaml(path)
        values["corpus"]["recordings"] = tuple(values["corpus"].get("recordings", ()))
        values["corpus"] = CorpusConfig(**values["corpus"])
        for name in ("visible_share", "restarts"):
            if name in values:
                values[name] = tuple(values[name])
        config = cls(**values)
        borders = [0, *config.restarts, config.steps]
        if sorted(set(borders)) != borders:
            raise ValueError(f"restarts must rise between 0 and {config.steps} steps: {borders}.")
        return config

    def place_in_schedule(self, step: int) -> tuple[int, int]:
        """How far ``step`` is into its schedule, and how long that schedule is."""
        borders = (0, *self.restarts, self.steps)
        end = next(border for border in borders if step < border)
        begin = max(border for border in borders if border <= step)
        return step - begin, end - begin


def read_yaml(path: Path) -> dict:
    """A configuration, laid over the one that it ``extends``."""
    values = yaml.safe_load(path.read_text())
    if "extends" not in values:
        return values
    merged = read_yaml(path.parent / values.pop("extends"))
    for key, value in values.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def pretrain(config: RunConfig, out: Path, data: Path | None, workers: int) -> None:
    """Train until ``config.steps``, from the saved state if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    device = resolve_device("auto")
    torch.manual_seed(config.seed)
    model = PretrainingModel(get_config(config.size, **config.model), **config.objective).to(device)
    groups = param_groups(model, config.lr, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    state_file, start = out / "state.pt", 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        if state["config"] != repr(config):
            raise SystemExit(f"{out} holds a run of another configuration: {state['config']}")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    stream = Stream(config.corpus, config.seed, start, data)
    loader = iter(DataLoader(stream, batch_size=None, num_workers=workers))
    sums, began = {}, time.perf_counter()
    for step in range(start, config.steps):
        x, channels = (tensor.to(device, non_blocking=True) for tensor in next(loader))
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        low, high = config.visible_share
        masks = draw_masks(
            config.corpus.n_patches,
            x.shape[1],
            generator,
            visible_share=low + (high - low) * torch.rand(1, generator=generator).item(),
            hidden_target_share=config.hidden_target_share,
        ).to(device)
        place = config.place_in_schedule(step)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * one_cycle(*place)
        with autocast(device, config.precision):
            terms = model(x, channels, masks)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        model.update_target(linear(*place, config.momentum, 1.0))
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
        done = step + 1
        if done % LOG_EVERY == 0 or done == config.steps:
            count = done - max(start, (done - 1) // LOG_EVERY * LOG_EVERY)
            means = {name: round(float(value) / count, 5) for name, value in sorted(sums.items())}
            seconds = time.perf_counter() - began
            _log(out / "log.csv", {"step": done, **means, "seconds": round(seconds, 1)})
            sums, began = {}, time.perf_counter()
        if done % SAVE_EVERY == 0 or done == config.steps:
            state = {
                "config": repr(config),
                "step": done,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state, out / "state.tmp")
            os.replace(out / "state.tmp", state_file)
            save_pretraining_model(out / "model", model, kind="DAREPretrainer")


def _log(path: Path, row: dict) -> None:
    """One line of the log; lines that an interrupted run wrote beyond its state are cut."""
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["step"]) < row["step"]]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([*rows, row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of the real recordings")
    parser.add_argument("--workers", type=int, default=1, help="processes that make the stream")
    args = parser.parse_args()
    pretrain(RunConfig.read(args.config), args.out, args.data, args.workers)


if __name__ == "__main__":
    main()
