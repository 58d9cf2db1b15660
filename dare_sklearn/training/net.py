"""The skorch nets: what they share, and the one that trains a probe."""

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupShuffleSplit
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochTimer,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
)
from skorch.helper import predefined_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..modules.probe import project_max_norm
from ..pretraining.schedules import one_cycle, warmup_cosine
from ..signals.errors import tell
from .device import ADVICE, autocast, free_memory

# Peak learning rate and weight decay, if the parameters are None.
PROBE_RATES = (5e-3, 0.01)
FINETUNE_RATES = (5e-4, 0.05)
FROM_START_RATES = (1e-4, 0.05)  # to fine-tune what starts from a solution
FINETUNE_WARMUP_EPOCHS = 5
GROUP_DRAWS = 20  # until every class keeps training epochs


class Net(NeuralNet):
    """A net that AdamW trains, with only the callbacks that it is given."""

    _default_callbacks: list = []

    def initialize_optimizer(self, *args, **kwargs):
        self.optimizer_ = torch.optim.AdamW(self.groups(), lr=self.lr, fused=True)
        return self

    def initialize(self):
        with self._naming_batch_size():
            return super().initialize()

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        with self._naming_batch_size():
            return super().partial_fit(X, y, classes, **fit_params)

    @contextmanager
    def _naming_batch_size(self) -> Iterator[None]:
        """If memory runs out, raise a MemoryError that names a batch size to try."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            reason, size = free_memory(error), self.batch_size
            hint = f"try batch_size={size // 2}" if size > 1 else ADVICE
            raise MemoryError(
                f"Memory ran out in fit with batch_size={size} ({reason}): {hint}."
            ) from error

    def groups(self) -> list[dict]:
        """Parameter groups of the optimizer: no decay of biases and other 1-D parameters."""
        found: dict[tuple[bool, float], list] = {}
        for name, p in self.module_.named_parameters():
            if p.requires_grad:
                found.setdefault((p.ndim > 1, self.rate_of(name)), []).append(p)
        return [
            {"params": found[key], "weight_decay": self.weight_decay * key[0], "lr": key[1]}
            for key in sorted(found, reverse=True)
        ]

    def rate_of(self, name: str) -> float:
        """Peak of the learning rate of a parameter of this name."""
        return self.lr


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
    schedule: partial, terms: Iterable[str], verbose: int, own: Iterable, n_batches: int
) -> list[Callback | tuple[str, Callback]]:
    """Callbacks of a fit: schedule, mean of each loss term, time, progress, and the user's."""
    means = ["lr", "train_loss", *terms]
    callbacks: list[tuple[str, Callback]] = [
        ("schedule", StepSchedule(schedule)),
        ("epoch_timer", EpochTimer()),
        *((name, BatchMean(name, on_train=name != "valid_loss")) for name in means),
    ]
    if verbose:
        progress = ProgressBar(batches_per_epoch=n_batches)
        callbacks += [("progress", progress), ("print_log", PrintLog())]
    for callback in own:  # skorch refuses two of one name
        named = callback if isinstance(callback, tuple) else ("", callback)
        if len(named) != 2 or not isinstance(named[1], Callback):
            raise ValueError(
                f"callbacks must be skorch callbacks, or (name, callback) pairs; got {callback!r}."
            )
        watched = getattr(named[1], "monitor", None)
        if str(watched).startswith("valid_loss") and "valid_loss" not in means:
            raise ValueError(
                f"The callback {type(named[1]).__name__} watches {watched!r}, and no epochs are "
                "held out: set validation_fraction (of a probe), or its monitor='train_loss'."
            )
        if isinstance(named[1], LRScheduler):
            tell("the callback LRScheduler has no effect: the rate follows its own schedule.")
    return [*callbacks, *own]


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


class ProbeData(Dataset):
    """Some of the epochs with targets and weights, fetched a batch at a time.

    Weights are brought to mean 1, so that a weight means the same in every batch.
    """

    def __init__(self, x: Any, y: np.ndarray, weight: np.ndarray, index: np.ndarray) -> None:
        weight = weight / weight[index].mean() if weight[index].any() else weight
        y = y.astype(np.float32) if np.issubdtype(y.dtype, np.floating) else y
        self.x, self.index = x, index
        self.y, self.weight = torch.from_numpy(y), torch.from_numpy(weight.astype(np.float32))

    def __len__(self) -> int:
        return len(self.index)

    def __getitems__(self, numbers: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        rows = self.index[numbers]
        x = torch.from_numpy(self.x[rows])
        return {"x": x, "weight": self.weight[rows]}, self.y[rows]


class KeepBest(EarlyStopping):
    """Early stopping that restores the best weights even after an interrupt."""

    def on_train_end(self, net, **kwargs) -> None:
        if self.best_model_weights_ is not None:
            net.module_.load_state_dict(self.best_model_weights_)


class ProbeNet(Net):
    """Train a probe; inputs are dictionaries of ``x`` and per-epoch ``weight``.

    Of class numbers, the loss is cross-entropy; of numbers, the squared error. `layer_decay` is
    None if the encoder is frozen, and the network runs in the `context`, such as `autocast`.
    """

    def __init__(
        self, *args, weight_decay=0.01, layer_decay=None, label_smoothing=0.0, context, **kwargs
    ):
        self.weight_decay, self.layer_decay = weight_decay, layer_decay
        self.label_smoothing, self.context = label_smoothing, context
        super().__init__(*args, **kwargs)

    def rate_of(self, name: str) -> float:
        """For fine-tuning: each encoder layer learns more slowly than the one above."""
        if self.layer_decay is None or not name.startswith("encoder."):
            return self.lr  # adapters and head
        depth, block = len(self.module_.encoder.blocks), re.match(r"encoder\.blocks\.(\d+)\.", name)
        last = 1 if name.startswith("encoder.norm.") else depth + 1  # else: embeddings and tokens
        return self.lr * self.layer_decay ** (depth - int(block[1]) if block else last)

    def infer(self, x: dict[str, torch.Tensor], **fit_params) -> torch.Tensor:
        with self.context:
            return self.module_(x["x"].to(self.device)).float()

    def predict(self, X: Any) -> np.ndarray:
        """Class numbers, or predicted numbers: what skorch's ``EpochScoring`` scores."""
        outputs = self.predict_proba(X)
        return outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0]

    def get_loss(self, y_pred, y_true, X=None, training=False) -> torch.Tensor:
        y_true = y_true.to(self.device)
        if y_true.is_floating_point():
            losses = (y_pred[:, 0] - y_true).square()
        else:
            smoothing = {"label_smoothing": self.label_smoothing}
            losses = F.cross_entropy(y_pred, y_true, reduction="none", **smoothing)
        loss = (losses * X["weight"].to(self.device)).mean()
        check_finite(loss.item())
        return loss

    def train_step(self, batch: Any, **fit_params) -> dict[str, Any]:
        step = super().train_step(batch, **fit_params)
        project_max_norm(self.module_)
        return step


def train_probe(
    recipe: Any,
    module: nn.Module,
    data: tuple[Any, np.ndarray, np.ndarray],
    train: np.ndarray,
    valid: np.ndarray,
    seed: int,
    device: torch.device,
    from_start: bool,
) -> ProbeNet:
    """Train a probe by the parameters of its estimator, `recipe`.

    `data` are windows, targets and weights; `train` and `valid` are the epochs of each part. If
    epochs are held out, it stops early, and a probe that comes `from_start`, a solution, returns
    to that unless training has lowered their loss.
    """
    finetune = recipe.adaptation == "finetune"
    data, held_out = (ProbeData(*data, part) for part in (train, valid))
    batch_size = min(recipe.batch_size, len(data))
    n_batches = -(-len(data) // batch_size)
    course = partial(one_cycle, n_steps=recipe.max_epochs * n_batches)
    if finetune:
        n_warmup = FINETUNE_WARMUP_EPOCHS * n_batches
        course = partial(warmup_cosine, n_warmup=n_warmup, **course.keywords)
    own, means = list(recipe.callbacks or ()), []
    if len(held_out):
        # the history shows where it stopped
        own.append(KeepBest(patience=recipe.patience, load_best=True, sink=lambda message: None))
        means = ["valid_loss"]
    callbacks = make_callbacks(course, means, recipe.verbose, own, n_batches)
    lr, weight_decay = PROBE_RATES
    if finetune:
        lr, weight_decay = FROM_START_RATES if from_start else FINETUNE_RATES
    start = copy.deepcopy(module.state_dict())
    net = ProbeNet(
        module,
        criterion=nn.Identity,
        max_epochs=recipe.max_epochs,
        batch_size=batch_size,
        lr=lr if recipe.lr is None else recipe.lr,
        weight_decay=weight_decay if recipe.weight_decay is None else recipe.weight_decay,
        layer_decay=recipe.layer_decay if finetune else None,
        label_smoothing=getattr(recipe, "label_smoothing", 0.0),
        context=autocast(device, recipe.precision),
        device=str(device),
        iterator_train__shuffle=True,
        iterator_train__generator=torch.Generator().manual_seed(seed),
        # `ProbeData` returns whole batches, which need no collation
        iterator_train__collate_fn=nn.Identity(),
        iterator_valid__collate_fn=nn.Identity(),
        train_split=predefined_split(held_out) if len(held_out) else None,
        callbacks=callbacks,
        verbose=recipe.verbose,
    )
    net.fit(data, None)
    if from_start and len(held_out):
        trained = copy.deepcopy(net.module_.state_dict())
        after = _loss_of(net, held_out)
        net.module_.load_state_dict(start)
        if after < _loss_of(net, held_out):
            net.module_.load_state_dict(trained)
    check_finite_weights(net.module_)
    net.train_split = None  # it holds the validation epochs, which do not belong in a saved model
    net.set_params(device="cpu")  # a model that was fitted on a GPU loads on any machine
    net.module_.to("cpu")
    return net


def _loss_of(net: ProbeNet, data: ProbeData) -> float:
    net.module_.eval()
    steps = [net.validation_step(batch) for batch in net.get_iterator(data)]
    sizes = [len(step["y_pred"]) for step in steps]
    return float(np.average([float(step["loss"]) for step in steps], weights=sizes))


def hold_out_groups(
    groups: np.ndarray, strata: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation epochs in whole groups; every class keeps training epochs."""
    draws = GroupShuffleSplit(GROUP_DRAWS, test_size=share, random_state=seed)
    for train, valid in draws.split(groups, groups=groups):
        if strata is None or len(np.unique(strata[train])) == len(np.unique(strata)):
            return train, valid
    raise ValueError(
        "without the held-out groups, some class has no training epochs. Pass "
        "validation_fraction=0, or groups that hold several classes."
    )
