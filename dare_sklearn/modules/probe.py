"""The conv-linear probe: adapters, an encoder and a head."""

from __future__ import annotations

from collections.abc import Sequence

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
