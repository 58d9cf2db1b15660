"""The skorch net that trains a probe."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from skorch.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import Dataset

from ..modules.probe import project_max_norm
from .device import autocast
from .net import Net, check_finite

GROUP_DRAWS = 20  # until every class keeps training epochs


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


def as_batch(batch: Any) -> Any:
    """What `ProbeData` gives is a batch already."""
    return batch


class KeepBest(EarlyStopping):
    """Early stopping that goes back to the best weights wherever the training was interrupted."""

    def on_train_end(self, net, **kwargs) -> None:
        if self.best_model_weights_ is not None:
            net.module_.load_state_dict(self.best_model_weights_)


class ProbeNet(Net):
    """Train a `ConvLinearProbe`; inputs are dictionaries of ``x`` and per-epoch ``weight``."""

    def __init__(self, *args, weight_decay=0.01, layer_decay=None, precision="auto", **kwargs):
        self.weight_decay = weight_decay
        self.layer_decay = layer_decay  # None: the encoder is not trained
        self.precision = precision
        super().__init__(*args, **kwargs)

    def groups(self) -> list[dict]:
        if self.layer_decay is None:
            return super().groups()
        return layerwise_groups(self.module_, self.lr, self.weight_decay, self.layer_decay)

    def infer(self, x: dict[str, torch.Tensor], **fit_params) -> torch.Tensor:
        with autocast(torch.device(self.device), self.precision):
            return self.module_(x["x"].to(self.device)).float()

    def get_loss(self, y_pred, y_true, X=None, training=False) -> torch.Tensor:
        losses = self.criterion_(y_pred, y_true.to(self.device))
        loss = (losses * X["weight"].to(self.device)).mean()
        check_finite(loss.item())
        return loss

    def train_step(self, batch: Any, **fit_params) -> dict[str, Any]:
        step = super().train_step(batch, **fit_params)
        project_max_norm(self.module_)
        return step


def keep_if_better(net: ProbeNet, start: dict[str, Any], valid: ProbeData) -> None:
    """Go back to the weights `start` unless training has improved the loss of held-out epochs."""

    def loss() -> float:
        net.module_.eval()
        steps = [net.validation_step(batch) for batch in net.get_iterator(valid)]
        sizes = [len(step["y_pred"]) for step in steps]
        return float(np.average([float(step["loss"]) for step in steps], weights=sizes))

    moved = copy.deepcopy(net.module_.state_dict())
    after = loss()
    net.module_.load_state_dict(start)
    if after < loss():
        net.module_.load_state_dict(moved)


def hold_out_groups(
    groups: np.ndarray, strata: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation epochs in whole groups; every class keeps training epochs."""
    draws = GroupShuffleSplit(GROUP_DRAWS, test_size=share, random_state=seed)
    for train, valid in draws.split(groups, groups=groups):
        if strata is None or len(np.unique(strata[train])) == len(np.unique(strata)):
            return train, valid
    raise ValueError(
        "without the held-out groups, some class has no epochs left. Pass validation_fraction=0, "
        "or groups that hold several classes."
    )


def layerwise_groups(
    module: nn.Module, lr: float, weight_decay: float, layer_decay: float
) -> list[dict]:
    """AdamW groups of fine-tuning: each encoder layer learns slower than the one above it."""
    depth = len(module.encoder.blocks)

    def steps_below_the_top(name: str) -> int:
        if not name.startswith("encoder."):
            return 0  # adapters and head
        if name.startswith("encoder.norm."):
            return 1
        block = re.match(r"encoder\.blocks\.(\d+)\.", name)
        return depth - int(block[1]) if block else depth + 1  # else: embeddings and tokens

    return [
        {
            "params": [parameter],
            "lr": lr * layer_decay ** steps_below_the_top(name),
            "weight_decay": weight_decay if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
