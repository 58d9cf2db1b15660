"""The pre-norm transformer block that all three networks are made of."""

from __future__ import annotations

import torch
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

    def forward_shared(
        self, own: Tensor, shared: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Attention where the last tokens are the same in every sequence of the batch.

        What the shared tokens say to each other is computed once for the whole batch, and joined
        to what each sequence's own tokens say to them by the sums of both softmaxes: the same
        result as over the whole sequence, with far fewer operations.

        Parameters
        ----------
        own : Tensor, shape (n_seqs, n_own, dim)
        shared : Tensor, shape (1, n_shared, dim)
        rotary : tuple of Tensor
            Of the whole sequence, own tokens first.

        Returns
        -------
        own, shared : Tensor, shape (n_seqs, n_own, dim) and (n_seqs, n_shared, dim)
        """
        n_seqs, n_own, _ = own.shape

        def project(x: Tensor, tables: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
            return rotate(q, tables), rotate(k, tables), v

        q1, k1, v1 = project(own, tuple(table[:n_own] for table in rotary))
        q2, k2, v2 = project(shared, tuple(table[n_own:] for table in rotary))
        k2_all, v2_all = (x.expand(n_seqs, -1, -1, -1) for x in (k2, v2))
        # what a sequence's own tokens attend to: everything
        out1 = F.scaled_dot_product_attention(
            q1, torch.cat((k1, k2_all), dim=2), torch.cat((v1, v2_all), dim=2)
        )
        scale = q1.shape[-1] ** -0.5
        among = (q2 * scale) @ k2.transpose(-1, -2)  # (1, heads, n_shared, n_shared)
        to_own = (q2 * scale) @ k1.transpose(-1, -2)  # (n_seqs, heads, n_shared, n_own)
        among_sum = among.logsumexp(dim=-1, keepdim=True)
        own_sum = to_own.logsumexp(dim=-1, keepdim=True)
        weight = torch.sigmoid(own_sum - among_sum)  # share of the own tokens in the softmax
        out2 = torch.lerp(
            ((among - among_sum).exp() @ v2).expand(n_seqs, -1, -1, -1),
            (to_own - own_sum).exp() @ v1,
            weight.to(v1.dtype),
        )
        return tuple(self.proj(out.transpose(1, 2).flatten(2)) for out in (out1, out2))

    def _read_last(self, x: Tensor, n_read: int) -> Tensor:
        """The same for the last `n_read` tokens only, which attend to all.

        With so few queries, keys and values of all tokens need not be computed: a query is brought
        into the space of the tokens (q K' = (q W_k) x', and the key's bias, the same for every
        token, drops out of the softmax), and the value's map is applied to the weighted mean of
        the tokens. The same result, with far fewer operations.
        """
        n_seqs, _, dim = x.shape
        heads, width = self.num_heads, dim // self.num_heads
        weight, bias = self.qkv.weight, self.qkv.bias
        w_q, w_k, w_v = weight.unflatten(0, (3, heads, width))  # each (heads, width, dim)
        q = F.linear(x[:, -n_read:], w_q.flatten(0, 1), bias[:dim]) * width**-0.5
        # one product per head: (heads, n_seqs * n_read, width) @ (heads, width, dim)
        q = q.unflatten(-1, (heads, width)).permute(2, 0, 1, 3).flatten(1, 2) @ w_k
        q = q.unflatten(1, (n_seqs, n_read)).transpose(0, 1).flatten(1, 2)
        scores = q @ x.transpose(1, 2)  # (n_seqs, heads * n_read, tokens)
        mean = scores.softmax(dim=-1) @ x  # (n_seqs, heads * n_read, dim)
        mean = mean.unflatten(1, (heads, n_read)).transpose(0, 1).flatten(1, 2)
        out = (mean @ w_v.transpose(1, 2)).unflatten(1, (n_seqs, n_read))
        return self.proj(out.permute(1, 2, 0, 3).flatten(2) + bias[2 * dim :])


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

    def forward_shared(self, own: Tensor, shared: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Next state of sequences of `own` tokens and then `shared` ones, alike in all of them."""
        attended = self.attn.forward_shared(self.norm1(own), self.norm1(shared), rotary)
        x = torch.cat((own + attended[0], shared + attended[1]), dim=1)
        return x + self.mlp(self.norm2(x))


def make_blocks(dim: int, num_heads: int, depth: int) -> nn.ModuleList:
    """A stack of `depth` blocks."""
    return nn.ModuleList(Block(dim, num_heads) for _ in range(depth))
