"""The linear head of the probe."""

from __future__ import annotations

from torch import Tensor, nn

from .max_norm import MaxNormLinear


class LinearHead(nn.Module):
    """Dropout, a linear map per patch, and a linear map over all patches.

    Parameters
    ----------
    n_patches, n_features : int
        Patches of an epoch, and features ``embed_num * embed_dim`` of each.
    n_outputs : int
    hidden : int, default=16
        Width per patch.
    dropout : float, default=0.5
    """

    def __init__(
        self,
        n_patches: int,
        n_features: int,
        n_outputs: int,
        hidden: int = 16,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.per_patch = MaxNormLinear(n_features, hidden, max_norm=1.0)
        self.output = MaxNormLinear(n_patches * hidden, n_outputs, max_norm=0.25)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores ``(n_epochs, n_outputs)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
        features = self.per_patch(self.dropout(tokens.flatten(2)))  # (B, N, hidden)
        return self.output(features.flatten(1))
