"""The reconstructor: from the combined sequence back to raw target patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..signals.electrodes import ELECTRODES
from .config import DAREConfig
from .layers import LAYER_NORM_EPS, RotaryEmbedding, make_blocks


class Reconstructor(nn.Module):
    """Reconstructor of DARE-EEG: one query for every target (patch, channel)."""

    def __init__(self, config: DAREConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.channel_embed = nn.Embedding(len(ELECTRODES), dim)
        self.rotary = RotaryEmbedding(dim // config.num_heads)
        self.blocks = make_blocks(dim, config.num_heads, config.depth[2])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.proj = nn.Linear(dim, config.patch_size)

    def forward(self, combined: Tensor, targets: Tensor, channels: Tensor) -> Tensor:
        """Reconstructed target patches.

        Parameters
        ----------
        combined : Tensor, shape (n_epochs, n_patches, embed_num, embed_dim)
        targets : LongTensor, shape (n_targets,)
            Flat indices ``patch * n_chans + channel``.
        channels : LongTensor, shape (n_chans,)
            Row of each channel in the table of electrodes.

        Returns
        -------
        Tensor, shape (n_epochs, n_targets, patch_size)
        """
        _, n_patches, embed_num, _ = combined.shape
        n_chans = channels.shape[0]
        tokens = self.embed(combined.flatten(1, 2))  # (B, N * E, D)
        queries = self.mask_token + self.channel_embed(channels[targets % n_chans])  # (1, K, D)
        patch_index = torch.arange(n_patches, device=targets.device).repeat_interleave(embed_num)
        rotary = self.rotary(torch.cat((patch_index, targets // n_chans)))
        # queries know nothing of their sample yet, so the first block computes much of them once
        tokens = self.blocks[0].forward_shared(tokens, queries.to(tokens.dtype), rotary)
        for block in self.blocks[1:]:
            tokens = block(tokens, rotary)
        return self.proj(self.norm(tokens[:, n_patches * embed_num :]))  # (B, K, P)
