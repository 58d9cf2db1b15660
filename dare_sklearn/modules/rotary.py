"""Rotary position embedding over patches (Su et al., 2021), on half of each head."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RotaryEmbedding(nn.Module):
    """Angles by patch index, for the first R = head_dim / 2 dimensions of queries and keys.

    Parameters
    ----------
    head_dim : int
        Width of one attention head.
    theta : float, default=10000.0
        Base of the frequencies ``theta ** (-2 i / R)``, i from 0 to R/2 - 1.
    """

    freqs: Tensor

    def __init__(self, head_dim: int, theta: float = 10_000.0) -> None:
        super().__init__()
        n_rotated = head_dim // 2
        exponents = torch.arange(0, n_rotated, 2, dtype=torch.float32) / n_rotated
        self.register_buffer("freqs", theta**-exponents)  # stored with the weights

    def forward(self, patch_index: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each ``(n_tokens, R/2)``, for tokens of the given patches."""
        angles = patch_index.to(self.freqs.dtype)[:, None] / 2 * self.freqs
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first R dimensions of `x`; dimension 2i pairs with 2i + 1.

    Parameters
    ----------
    x : Tensor, shape (..., n_tokens, head_dim)
    rotary : tuple of Tensor, each of shape (n_tokens, R/2)

    Returns
    -------
    Tensor, shape (..., n_tokens, head_dim)
    """
    cos, sin = (table.to(x.dtype) for table in rotary)
    n_rotated = 2 * cos.shape[-1]
    even, odd = x[..., 0:n_rotated:2], x[..., 1:n_rotated:2]
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
    return torch.cat((turned.flatten(-2), x[..., n_rotated:]), dim=-1)
