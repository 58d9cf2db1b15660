"""The pre-norm transformer block that all three networks are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .rotary import rotate

LAYER_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head scaled dot-product attention with a fused, biased qkv projection."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None = None,
        n_read: int | None = None,
    ) -> Tensor:
        if n_read is not None:
            return self._read_last(x, n_read)
        # (batch, tokens, dim) -> three of (batch, heads, tokens, head_dim)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))  # (batch, tokens, dim)

    def _read_last(self, x: Tensor, n_read: int) -> Tensor:
        """The same for the last `n_read` tokens only, which attend to all."""
        dim = x.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(x[:, -n_read:], weight[:dim], bias[:dim])
        q = q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (batch, heads, read, head_dim)
        kv = F.linear(x, weight[dim:], bias[dim:])
        k, v = kv.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))  # (batch, n_read, dim)


class MLP(nn.Module):
    """Two linear maps around an exact GELU, four times as wide inside."""

    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, ratio * dim)
        self.fc2 = nn.Linear(ratio * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = MLP(dim)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None = None,
        n_read: int | None = None,
    ) -> Tensor:
        """Next state of all tokens; with `n_read`, of the last ones only (no rotary then)."""
        attended = self.attn(self.norm1(x), rotary, n_read)
        x = (x if n_read is None else x[:, -n_read:]) + attended
        return x + self.mlp(self.norm2(x))


def make_blocks(dim: int, num_heads: int, depth: int) -> nn.ModuleList:
    """A stack of `depth` blocks."""
    return nn.ModuleList(Block(dim, num_heads) for _ in range(depth))
