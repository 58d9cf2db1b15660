"""Probes: the conv-linear one, with weights of bounded norm, and one of virtual electrodes."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..signals.grid import evoked_rate, resample
from .networks import Encoder

TINY = 1e-6  # added to variances, of which the logarithm is taken


def _bounded(layer: nn.Module, max_norm: float) -> nn.Module:
    """A layer whose rows or filters `project_max_norm` keeps at this length at most."""
    layer.max_norm = max_norm
    return layer


def project_max_norm(module: nn.Module) -> None:
    """Shorten weights that have grown over their bound; called after each optimizer step."""
    for part in module.modules():
        if (bound := vars(part).get("max_norm")) is not None:
            # .data: between a forward and a backward pass weights are within their bounds already
            part.weight.data.renorm_(p=2, dim=0, maxnorm=bound)


class SpatialAdapter(nn.Module):
    """Pointwise convolutions from the recorded channels to target electrodes.

    Hidden layers are ``min(2 * n_chans, 256)`` wide, with GELU between. A single one may start at a
    matrix `init` ``(n_targets, n_chans)``, for instance of spherical splines.
    """

    def __init__(
        self, n_chans: int, n_targets: int, n_layers: int = 1, init: Tensor | None = None
    ) -> None:
        super().__init__()
        widths = [n_chans, *[min(2 * n_chans, 256)] * (n_layers - 1), n_targets]
        self.layers = nn.ModuleList(
            _bounded(nn.Conv1d(before, after, 1, bias=False), 1.0)
            for before, after in pairwise(widths)
        )
        if init is not None:
            self.layers[0].weight.data.copy_(init[:, :, None])

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, n_targets, T)
        for number, layer in enumerate(self.layers):
            x = layer(x if number == 0 else F.gelu(x))
        return x


class TemporalAdapter(nn.Module):
    """Depthwise temporal convolution of odd length, batch norm and GELU."""

    def __init__(self, n_chans: int, kernel_size: int = 15) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"temporal_kernel must be odd or None, got {kernel_size}.")
        size = {"padding": kernel_size // 2, "groups": n_chans, "bias": False}
        self.conv = _bounded(nn.Conv1d(n_chans, n_chans, kernel_size, **size), 1.0)
        self.norm = nn.BatchNorm1d(n_chans)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, C, T)
        return F.gelu(self.norm(self.conv(x)))


class LinearHead(nn.Module):
    """Dropout, a linear map per patch (to 16 features), and one over all patches."""

    def __init__(
        self, n_patches: int, n_features: int, n_outputs: int, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.per_patch = _bounded(nn.Linear(n_features, 16), 1.0)
        self.output = _bounded(nn.Linear(n_patches * 16, n_outputs), 0.25)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores ``(n_epochs, n_outputs)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
        features = self.per_patch(self.dropout(tokens.flatten(2)))  # (B, N, 16)
        return self.output(features.flatten(1))


class ConvLinearProbe(nn.Module):
    """Conv-linear-probing of a DARE-EEG encoder, with fresh adapters and head.

    Parameters: the `encoder`, owned by the probe, and frozen in evaluation mode unless
    `train_encoder` (False); `n_chans` recorded channels; `targets`, rows of the target electrodes
    in the encoder's table; `spatial_layers` (1) convolutions, and the start of a single one,
    `spatial_start` ``(n_targets, n_chans)`` or None; the odd length `temporal_kernel` of a temporal
    one, or None; `adapter_dropout` (0.0) before the encoder, and `dropout` (0.5) in the head.
    """

    targets: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        n_chans: int,
        targets: Sequence[int],
        n_patches: int,
        n_outputs: int,
        spatial_layers: int = 1,
        spatial_start: Tensor | None = None,
        temporal_kernel: int | None = None,
        adapter_dropout: float = 0.0,
        dropout: float = 0.5,
        train_encoder: bool = False,
    ) -> None:
        super().__init__()
        n_targets, width = len(targets), encoder.config.embed_num * encoder.config.embed_dim
        self.train_encoder = train_encoder
        self.encoder = encoder.requires_grad_(train_encoder)
        self.spatial = SpatialAdapter(n_chans, n_targets, spatial_layers, spatial_start)
        self.temporal = temporal_kernel and TemporalAdapter(n_targets, temporal_kernel)
        self.dropout = nn.Dropout(adapter_dropout)
        self.head = LinearHead(n_patches, width, n_outputs, dropout=dropout)
        self.register_buffer("targets", torch.as_tensor(targets, dtype=torch.long))
        project_max_norm(self)

    def spec(self) -> dict[str, Any]:
        """Plain arguments with which a probe of the same shape is made."""
        return {
            "n_chans": self.spatial.layers[0].in_channels,
            "targets": self.targets.tolist(),
            "n_patches": self.head.output.in_features // self.head.per_patch.out_features,
            "n_outputs": self.head.output.out_features,
            "spatial_layers": len(self.spatial.layers),
            "temporal_kernel": self.temporal and self.temporal.conv.kernel_size[0],
            "adapter_dropout": self.dropout.p,
            "dropout": self.head.dropout.p,
            "train_encoder": self.train_encoder,
        }

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if not self.train_encoder:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(n_epochs, n_outputs)`` of ``(n_epochs, n_chans, n_times)`` in microvolts."""
        x = self.spatial(self.encoder.normalize(x))  # (B, n_targets, T)
        if self.temporal is not None:
            x = self.temporal(x)
        tokens = self.encoder(self.dropout(x), self.targets)  # (B, N, E, D)
        return self.head(tokens)


@cache
def _to_low_rate(patch_size: int, sfreq: float) -> np.ndarray:
    """What each sample of a patch adds to those at a low rate, ``(patch_size, n_samples)``."""
    impulses = np.eye(patch_size, dtype=np.float32)
    return resample(impulses, sfreq, evoked_rate(sfreq))


class VirtualProbe(nn.Module):
    """Spatial filters, an encoder of each virtual electrode by itself, and a linear map.

    Parameters: the `encoder`, owned by the probe, and frozen unless `train_encoder`; `n_chans`
    recorded channels; `targets`, the row of each virtual electrode in the encoder's table;
    `readings`, what the map reads: "tokens", "power" or "evoked" (each patch at a low rate) of the
    virtual electrodes from the second number up to the third.
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
        train_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(train_encoder).eval()
        self.train_encoder = train_encoder
        self.readings = [tuple(reading) for reading in readings]
        self.n_patches = n_patches
        config = encoder.config
        slow = _to_low_rate(config.patch_size, config.sfreq)
        width = {
            "tokens": n_patches * config.embed_num * config.embed_dim, "power": config.embed_dim,
            "evoked": n_patches * slow.shape[1],
        }  # fmt: skip
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
            "train_encoder": self.train_encoder,
        }

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.encoder.train(mode and self.train_encoder)
        self.norm.eval()  # its statistics are those of all training epochs
        return self

    def read(self, x: Tensor) -> list[Tensor]:
        """Features of each reading of microvolts, ``(n_epochs, n_features)``.

        Of "power" and "evoked" ``(n_epochs, n_electrodes, n_features)``: those of an electrode have
        one scale, so that what hardly varies is not raised to the size of what does.
        """
        x = self.spatial(self.encoder.normalize(x))  # (B, V, T)
        tokens = self.encoder.forward_electrodes(x, self.targets)  # (B, V, N, E, D)
        found = []
        for kind, start, stop in self.readings:
            if kind == "evoked":
                config = self.encoder.config
                patches = x[:, start:stop].unflatten(-1, (self.n_patches, config.patch_size))
                slow = torch.from_numpy(_to_low_rate(config.patch_size, config.sfreq))
                found.append((patches @ slow.to(patches)).flatten(2))
            elif kind == "power":
                found.append(self.encoder.log_power(x[:, start:stop], TINY))
            else:
                found.append(tokens[:, start:stop].flatten(1))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(n_epochs, n_outputs)`` of ``(n_epochs, n_chans, n_times)`` in microvolts."""
        return self.head(self.norm(torch.cat([part.flatten(1) for part in self.read(x)], dim=1)))

    @torch.no_grad()
    def refit_to(self, left: Sequence[int]) -> None:
        """Bring the filters to the channels `left`: the best linear guess of what they gave.

        Filters `W` become ``W C[:, left] C[left, left]^-1``, where `C` is the covariance of the
        channels in training.
        """
        index = torch.as_tensor(left)
        covariance = self.covariance.double()
        across, inside = covariance[:, index], covariance[index][:, index]
        if self.encoder.config.reference == "average":  # which is that of those left
            across = across - across.mean(dim=1, keepdim=True)
            inside = inside - inside.mean(dim=1, keepdim=True)
            inside = inside - inside.mean(dim=0)
        inside = inside + 1e-6 * inside.diagonal().mean() * torch.eye(len(index))
        weight = self.spatial.weight[:, :, 0].double() @ across
        weight = torch.linalg.solve(inside, weight.T).T
        self.spatial = nn.Conv1d(len(index), len(weight), 1, bias=False, dtype=torch.float32)
        self.spatial.weight.copy_(weight[:, :, None])
        self.covariance = covariance[index][:, index].float()
