"""Adapters of conv-linear-probing: from any montage to the encoder's electrodes."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .max_norm import MaxNormConv1d


class SpatialAdapter(nn.Module):
    """Pointwise convolutions from the recorded channels to target electrodes.

    Parameters
    ----------
    n_chans, n_targets : int
    n_layers : int, default=1
        With two or more, hidden layers are ``min(2 * n_chans, 256)`` wide, with GELU between.
    init : Tensor of shape (n_targets, n_chans), optional
        Start of a single layer, for instance spherical-spline interpolation.
    """

    def __init__(
        self, n_chans: int, n_targets: int, n_layers: int = 1, init: Tensor | None = None
    ) -> None:
        super().__init__()
        hidden = min(2 * n_chans, 256)
        widths = [n_chans, *[hidden] * (n_layers - 1), n_targets]
        self.layers = nn.ModuleList(
            MaxNormConv1d(before, after, 1, bias=False, max_norm=1.0)
            for before, after in pairwise(widths)
        )
        if init is not None:
            if n_layers != 1:
                raise ValueError("A start from a matrix needs a single spatial layer.")
            with torch.no_grad():
                self.layers[0].weight.copy_(init[:, :, None])

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, n_targets, T)
        for number, layer in enumerate(self.layers):
            x = layer(x if number == 0 else F.gelu(x))
        return x


class TemporalAdapter(nn.Module):
    """Depthwise temporal convolution, batch norm and GELU.

    Parameters
    ----------
    n_chans : int
    kernel_size : int, default=15
        Odd.
    """

    def __init__(self, n_chans: int, kernel_size: int = 15) -> None:
        super().__init__()
        self.conv = MaxNormConv1d(
            n_chans,
            n_chans,
            kernel_size,
            padding=kernel_size // 2,
            groups=n_chans,
            bias=False,
            max_norm=1.0,
        )
        self.norm = nn.BatchNorm1d(n_chans)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, C, T)
        return F.gelu(self.norm(self.conv(x)))
