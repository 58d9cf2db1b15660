"""What pretraining adds to the encoder: predictor, reconstructor, and a projection head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..signals.electrodes import ELECTRODES
from .config import DAREConfig
from .layers import LAYER_NORM_EPS, RotaryEmbedding, make_blocks


class Predictor(nn.Module):
    """Temporal predictor of DARE-EEG.

    With `skip_connection`, the combined sequence holds the encoder's own output at visible patches.
    Without it (an ablation of the paper), the prediction stands everywhere.
    """

    def __init__(self, config: DAREConfig, skip_connection: bool = True) -> None:
        super().__init__()
        dim = config.embed_dim
        self.skip_connection = skip_connection
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.embed_num, dim))
        self.rotary = RotaryEmbedding(dim // config.num_heads)
        self.blocks = make_blocks(dim, config.num_heads, config.depth[1])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, encoded: Tensor, visible_patches: Tensor, n_patches: int
    ) -> tuple[Tensor, Tensor]:
        """Prediction at all patches, and the combined sequence.

        Parameters
        ----------
        encoded : Tensor, shape (n_epochs, n_visible_patches, embed_num, embed_dim)
        visible_patches : LongTensor, shape (n_visible_patches,)
        n_patches : int

        Returns
        -------
        predicted, combined : Tensor, shape (n_epochs, n_patches, embed_num, embed_dim)
        """
        n_epochs, _, embed_num, _ = encoded.shape
        tokens = self.mask_token.expand(n_epochs, n_patches, -1, -1).clone()
        tokens = tokens.index_copy(1, visible_patches, self.embed(encoded).to(tokens.dtype))
        tokens = tokens.flatten(1, 2)  # (B, N * E, D), patch-major
        patch_index = torch.arange(n_patches, device=encoded.device).repeat_interleave(embed_num)
        rotary = self.rotary(patch_index)
        for block in self.blocks:
            tokens = block(tokens, rotary)
        predicted = self.proj(self.norm(tokens)).unflatten(1, (n_patches, embed_num))
        if not self.skip_connection:
            return predicted, predicted
        return predicted, predicted.index_copy(1, visible_patches, encoded.to(predicted.dtype))


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


class ProjectionHead(nn.Module):
    """Of mask alignment: mean over patches, maps to `hidden` and `out` features, unit length."""

    def __init__(self, config: DAREConfig, hidden: int = 512, out: int = 256) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_num * config.embed_dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, encoded: Tensor) -> Tensor:
        """Unit vectors ``(n_epochs, out)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
        pooled = encoded.mean(dim=1).flatten(1)  # (B, E * D)
        return F.normalize(self.fc2(F.relu(self.fc1(pooled))), dim=-1)
