"""The skorch net that trains a probe."""

from __future__ import annotations

import re
from typing import Any

import torch
from skorch import NeuralNet
from torch import nn

from ..modules.max_norm import project_max_norm
from ..transformers._compute import autocast
from ..transformers._net import check_finite, param_groups


class ProbeNet(NeuralNet):
    """Train a `ConvLinearProbe`; inputs are dictionaries of ``x`` and per-epoch ``weight``."""

    def __init__(self, *args, weight_decay=0.01, layer_decay=None, precision="auto", **kwargs):
        self.weight_decay = weight_decay
        self.layer_decay = layer_decay  # None: the encoder is not trained
        self.precision = precision
        super().__init__(*args, **kwargs)

    @property
    def _default_callbacks(self):
        return []  # ours are all explicit

    def initialize_optimizer(self, *args, **kwargs):
        if self.layer_decay is None:
            groups = param_groups(self.module_, self.lr, self.weight_decay)
        else:
            groups = layerwise_groups(self.module_, self.lr, self.weight_decay, self.layer_decay)
        self.optimizer_ = torch.optim.AdamW(groups, lr=self.lr)
        return self

    def infer(self, x: dict[str, torch.Tensor], **fit_params) -> torch.Tensor:
        with autocast(torch.device(self.device), self.precision):
            return self.module_(x["x"].to(self.device)).float()

    def get_loss(self, y_pred, y_true, X=None, training=False) -> torch.Tensor:
        losses = self.criterion_(y_pred, y_true.to(self.device))
        loss = (losses * X["weight"].to(self.device)).mean()
        check_finite(loss, "the probe")
        return loss

    def train_step(self, batch: Any, **fit_params) -> dict[str, Any]:
        step = super().train_step(batch, **fit_params)
        project_max_norm(self.module_)
        return step


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
