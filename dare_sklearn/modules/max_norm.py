"""Layers whose weights have a bounded norm per output unit."""

from __future__ import annotations

import torch
from torch import nn


class MaxNormLinear(nn.Linear):
    """Linear map with rows of length at most `max_norm`, once `project_max_norm` was called."""

    def __init__(self, *args, max_norm: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.max_norm = max_norm


class MaxNormConv1d(nn.Conv1d):
    """Convolution with filters of length at most `max_norm`, once `project_max_norm` was called."""

    def __init__(self, *args, max_norm: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.max_norm = max_norm


def project_max_norm(module: nn.Module) -> None:
    """Shorten weights that have grown over their bound; called after each optimizer step."""
    for part in module.modules():
        if isinstance(part, MaxNormLinear | MaxNormConv1d):
            # .data: between two forward passes and one backward pass this is no change of the
            # weights, which are within their bounds then already
            weight = part.weight.data
            weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=part.max_norm))
