"""A probe that reads virtual electrodes one by one: spatial filters, tokens and power, one map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .encoder import Encoder

STRIDE = 16  # samples between the patches whose power is read
TINY = 1e-6


class VirtualProbe(nn.Module):
    """Spatial filters, a frozen encoder that sees each virtual electrode by itself, and a linear
    map.

    Parameters: the `encoder`, owned by the probe and in evaluation mode; `n_chans` recorded
    channels; `targets`, the row of each virtual electrode in the encoder's table; `readings`, what
    the map reads: "tokens" or "power" of the virtual electrodes from the second number up to the
    third.
    """

    targets: Tensor
    covariance: Tensor

    def __init__(
        self,
        encoder: Encoder,
        n_chans: int,
        targets: Sequence[int],
        readings: Sequence[tuple[str, int, int]],
        n_patches: int,
        n_outputs: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.readings = [tuple(reading) for reading in readings]
        self.n_patches = n_patches
        dim = encoder.config.embed_dim
        width = {"tokens": n_patches * encoder.config.embed_num * dim, "power": dim}
        n_features = sum(width[kind] * (stop - start) for kind, start, stop in self.readings)
        self.spatial = nn.Conv1d(n_chans, len(targets), 1, bias=False)
        self.norm = nn.BatchNorm1d(n_features, affine=False)
        self.head = nn.Linear(n_features, n_outputs)
        self.register_buffer("targets", torch.as_tensor(targets, dtype=torch.long))
        self.register_buffer("covariance", torch.eye(n_chans))  # of the channels, in training

    def spec(self) -> dict[str, Any]:
        """Plain arguments that make a probe of the same shape."""
        return {
            "n_chans": self.spatial.in_channels,
            "targets": self.targets.tolist(),
            "readings": [list(reading) for reading in self.readings],
            "n_patches": self.n_patches,
            "n_outputs": self.head.out_features,
        }

    def train(self, mode: bool = True) -> VirtualProbe:
        super().train(mode)
        self.encoder.eval()
        self.norm.eval()  # its statistics are those of all training epochs
        return self

    def read(self, x: Tensor) -> list[Tensor]:
        """Features of each reading, ``(n_epochs, n_features)``, of microvolts."""
        x = self.spatial(self.encoder.normalize(x))  # (B, V, T)
        found = []
        for kind, start, stop in self.readings:
            part = x[:, start:stop]
            if kind == "power":
                windows = self.encoder.filter_bank(part, STRIDE)  # (B, V, W, D)
                found.append(torch.log(windows.var(dim=2, correction=0) + TINY).flatten(1))
            else:
                tokens = self.encoder.forward_electrodes(part, self.targets[start:stop])
                found.append(tokens.flatten(1))  # of (B, V, N, E, D)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(n_epochs, n_outputs)`` of ``(n_epochs, n_chans, n_times)`` in microvolts."""
        return self.head(self.norm(torch.cat(self.read(x), dim=1)))

    @torch.no_grad()
    def refit_to(self, left: Sequence[int]) -> None:
        """Bring the filters to the channels `left`: the best linear guess of what they gave.

        Filters `W` become ``W C[:, left] C[left, left]^-1``, where `C` is the covariance of the
        channels in training.
        """
        index = torch.as_tensor(left)
        covariance = self.covariance.double()
        inside = covariance[index][:, index]
        inside = inside + 1e-6 * inside.diagonal().mean() * torch.eye(len(index))
        weight = self.spatial.weight[:, :, 0].double() @ covariance[:, index]
        weight = torch.linalg.solve(inside, weight.T).T
        self.spatial = nn.Conv1d(len(index), len(weight), 1, bias=False)
        self.spatial.weight.copy_(weight.float()[:, :, None])
        self.covariance = covariance[index][:, index].float()
