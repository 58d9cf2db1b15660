"""The spatial encoder: every patch on its own, channels mixed into summary tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..signals.electrodes import ELECTRODES
from .config import DAREConfig
from .layers import LAYER_NORM_EPS, make_blocks


def to_patches(x: Tensor, patch_size: int) -> Tensor:
    """Cut ``(n_epochs, n_chans, n_times)`` into ``(n_epochs, n_patches, n_chans, patch_size)``."""
    return x.unflatten(-1, (-1, patch_size)).transpose(1, 2)


class Encoder(nn.Module):
    """Spatial encoder of DARE-EEG.

    Parameters
    ----------
    config : DAREConfig
    """

    def __init__(self, config: DAREConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = nn.Linear(config.patch_size, dim)
        self.channel_embed = nn.Embedding(len(ELECTRODES), dim)
        self.summary_token = nn.Parameter(torch.zeros(1, config.embed_num, dim))
        self.blocks = make_blocks(dim, config.num_heads, config.depth[0])
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def normalize(self, x: Tensor) -> Tensor:
        """Bring microvolts to the reference and the scale that this encoder was pretrained on.

        Parameters
        ----------
        x : Tensor, shape (..., n_chans, n_times)
            Microvolts; an average reference is the mean over these channels.

        Raises
        ------
        ValueError
            If the encoder wants an average reference and there is one channel only: zeros would
            be left of it.
        """
        if self.config.reference == "average":
            if x.shape[-2] < 2:
                raise ValueError(
                    "This encoder reads signals against the average of their channels, which "
                    "leaves nothing of a single one: pass two channels or more, or load the "
                    "encoder with reference=None (see dare_sklearn.weights.convert)."
                )
            x = x - x.mean(dim=-2, keepdim=True)
        if self.config.center:
            x = x - x.mean(dim=-1, keepdim=True)
        return x / self.config.amplitude_uv

    def forward(self, x: Tensor, channels: Tensor, visible: Tensor | None = None) -> Tensor:
        """Summary tokens of the visible patches.

        Parameters
        ----------
        x : Tensor, shape (n_epochs, n_chans, n_times)
            Signals on the encoder's own scale (see `normalize`) and sampling rate.
        channels : LongTensor, shape (n_chans,)
            Row of each channel in the table of electrodes.
        visible : LongTensor, shape (n_visible_patches, n_visible_chans), optional
            Flat indices ``patch * n_chans + channel``; each row holds one patch. Default: all.

        Returns
        -------
        Tensor, shape (n_epochs, n_visible_patches, embed_num, embed_dim)
        """
        patches = to_patches(x, self.config.patch_size)  # (B, N, C, P)
        position = self.channel_embed(channels)  # (C, D)
        if visible is not None:
            patches = patches.flatten(1, 2)[:, visible]  # (B, Nv, Cv, P)
            position = position[visible % channels.shape[0]]  # (Nv, Cv, D)
        tokens = self.patch_embed(patches) + position  # (B, Nv, Cv, D)
        n_epochs, n_patches = tokens.shape[:2]
        tokens = tokens.flatten(0, 1)  # (B * Nv, Cv, D)
        summary = self.summary_token.expand(tokens.shape[0], -1, -1)
        tokens = torch.cat((tokens, summary), dim=1)  # (B * Nv, Cv + E, D)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        # only the summary tokens are read from the last block: the others are not computed there
        summary = self.norm(self.blocks[-1](tokens, n_read=self.config.embed_num))
        return summary.unflatten(0, (n_epochs, n_patches))  # (B, Nv, E, D)
