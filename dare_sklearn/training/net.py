"""What the skorch nets of this library share: the course of the learning rate, and callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PassthroughScoring, PrintLog, ProgressBar
from torch import nn


class Net(NeuralNet):
    """A net that AdamW trains, with only the callbacks that it is given."""

    _default_callbacks: list = []

    def initialize_optimizer(self, *args, **kwargs):
        self.optimizer_ = torch.optim.AdamW(self.groups(), lr=self.lr, fused=True)
        return self

    def groups(self) -> list[dict]:
        """Parameter groups of the optimizer: no decay of biases and other 1-D parameters."""
        trainable = [p for p in self.module_.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return [{**group, "lr": self.lr} for group in groups if group["params"]]


class StepSchedule(Callback):
    """Set every parameter group's rate to its peak times ``factor(step)``, a pure function."""

    def __init__(self, factor: Callable[[int], float]) -> None:
        self.factor = factor

    def on_train_begin(self, net, **kwargs) -> None:
        self.step_ = getattr(net, "n_steps_done_", 0)  # not 0 if a run continues
        self.peaks_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        if training:
            factor = self.factor(self.step_)
            for group, peak in zip(net.optimizer_.param_groups, self.peaks_, strict=True):
                group["lr"] = peak * factor
            net.history.record_batch("lr", max(g["lr"] for g in net.optimizer_.param_groups))
            self.step_ += 1


class BatchMean(PassthroughScoring):
    """Mean of a value over batches; a run that continues takes its best one from the history."""

    def on_train_begin(self, net, **kwargs) -> None:
        best = [row[self.name] for row in net.history if row.get(f"{self.name}_best")]
        if best:
            self.best_score_ = best[-1]


def make_callbacks(
    schedule: partial,
    terms: Iterable[str],
    verbose: int,
    own: Iterable,
    n_batches: int,
    *,
    valid: bool = False,
) -> list[tuple[str, Callback]]:
    """Callbacks of a fit: schedule, mean of each loss term, time, progress, and the user's."""
    means = ["lr", "train_loss", *(["valid_loss"] if valid else []), *terms]
    callbacks: list[tuple[str, Callback]] = [
        ("schedule", StepSchedule(schedule)),
        ("epoch_timer", EpochTimer()),
        *((name, BatchMean(name, on_train=name != "valid_loss")) for name in means),
    ]
    if verbose:
        progress = ProgressBar(batches_per_epoch=n_batches)
        callbacks += [("progress", progress), ("print_log", PrintLog())]
    for number, callback in enumerate(own):
        named = callback if isinstance(callback, tuple) else (f"user_{number}", callback)
        if len(named) != 2 or not isinstance(named[1], Callback):
            raise ValueError(
                f"callbacks must be skorch callbacks, or (name, callback) pairs; got {callback!r}."
            )
        if named[0] in dict(callbacks):
            raise ValueError(f"The name {named[0]!r} of a callback is taken: choose another one.")
        callbacks.append(named)
    return callbacks


def history_frame(history, renames: dict[str, str]) -> pd.DataFrame:
    """One row per finished epoch: epoch, each loss term, lr, seconds."""
    columns = {"epoch": "epoch", **renames, "lr": "lr", "dur": "seconds"}
    done = [row for row in history if "dur" in row]
    # a disabled term has no column
    found = {new: [row.get(old) for row in done] for old, new in columns.items()}
    return pd.DataFrame({new: rows for new, rows in found.items() if None not in rows})


def check_finite_weights(module: nn.Module) -> None:
    """Raise if the last update made a weight non-finite (the loss cannot show it)."""
    if not all(torch.isfinite(p).all() for p in module.parameters()):
        check_finite(math.nan)


def check_finite(loss: float) -> None:
    """Raise if training has diverged."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"The loss is {loss}: training diverged. Lower lr, or look for artefacts of extreme "
            "amplitude in X."
        )
