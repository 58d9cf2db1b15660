"""The projection head of mask alignment."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .config import DAREConfig


class ProjectionHead(nn.Module):
    """Mean over patches, two linear maps (to `hidden` and `out` features), unit length."""

    def __init__(self, config: DAREConfig, hidden: int = 512, out: int = 256) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_num * config.embed_dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, encoded: Tensor) -> Tensor:
        """Unit vectors ``(n_epochs, out)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
        pooled = encoded.mean(dim=1).flatten(1)  # (B, E * D)
        return F.normalize(self.fc2(F.relu(self.fc1(pooled))), dim=-1)
