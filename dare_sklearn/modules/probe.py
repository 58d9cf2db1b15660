"""The conv-linear probe: adapters, an encoder and a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .adapters import SpatialAdapter, TemporalAdapter
from .encoder import Encoder
from .heads import LinearHead
from .max_norm import project_max_norm


class ConvLinearProbe(nn.Module):
    """Conv-linear-probing of a DARE-EEG encoder.

    Parameters
    ----------
    encoder : Encoder
        Owned by the probe. Frozen and in evaluation mode, unless `train_encoder`.
    spatial : SpatialAdapter
    temporal : TemporalAdapter or None
    head : LinearHead
    targets : sequence of int
        Rows of the target electrodes in the encoder's table.
    adapter_dropout : float, default=0.0
        Dropout between adapter and encoder.
    train_encoder : bool, default=False
        Whether the encoder is fine-tuned.
    """

    targets: Tensor

    def __init__(
        self,
        encoder: Encoder,
        spatial: SpatialAdapter,
        temporal: TemporalAdapter | None,
        head: LinearHead,
        targets: Sequence[int],
        adapter_dropout: float = 0.0,
        train_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.train_encoder = train_encoder
        self.encoder = encoder.requires_grad_(train_encoder)
        self.spatial = spatial
        self.temporal = temporal
        self.dropout = nn.Dropout(adapter_dropout)
        self.head = head
        self.register_buffer("targets", torch.as_tensor(targets, dtype=torch.long))
        project_max_norm(self)

    def spec(self) -> dict[str, Any]:
        """Plain arguments with which `build_probe` makes a probe of the same shape."""
        kernel = None if self.temporal is None else self.temporal.conv.kernel_size[0]
        hidden = self.head.per_patch.out_features
        return {
            "n_chans": self.spatial.layers[0].in_channels,
            "targets": self.targets.tolist(),
            "n_patches": self.head.output.in_features // hidden,
            "n_outputs": self.head.output.out_features,
            "spatial_layers": len(self.spatial.layers),
            "temporal_kernel": kernel,
            "adapter_dropout": self.dropout.p,
            "dropout": self.head.dropout.p,
            "train_encoder": self.train_encoder,
        }

    def train(self, mode: bool = True) -> ConvLinearProbe:
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


def build_probe(
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
) -> ConvLinearProbe:
    """A probe with fresh adapters and head on `encoder`, which it owns from then on.

    Parameters
    ----------
    encoder : Encoder
    n_chans : int
        Recorded channels.
    targets : sequence of int
        Rows of the target electrodes in the encoder's table.
    n_patches, n_outputs : int
    spatial_layers : int, default=1
    spatial_start : Tensor, shape (n_targets, n_chans), optional
        Start of a single spatial layer.
    temporal_kernel : int or None, default=None
        Odd; None leaves the temporal convolution out.
    adapter_dropout, dropout : float, default=0.0, 0.5
        Between adapter and encoder, and in the head.
    train_encoder : bool, default=False
    """
    config = encoder.config
    return ConvLinearProbe(
        encoder,
        SpatialAdapter(n_chans, len(targets), spatial_layers, spatial_start),
        None if temporal_kernel is None else TemporalAdapter(len(targets), temporal_kernel),
        LinearHead(n_patches, config.embed_num * config.embed_dim, n_outputs, dropout=dropout),
        targets,
        adapter_dropout=adapter_dropout,
        train_encoder=train_encoder,
    )
