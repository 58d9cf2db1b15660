"""The spatial encoder: every patch on its own, channels mixed into summary tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..signals.electrodes import ELECTRODES
from .config import DAREConfig
from .layers import LAYER_NORM_EPS, make_blocks

# Tokens that a CPU computes at once: with the small sizes their hidden layer stays in its cache.
TOKENS_AT_ONCE = 4096


def to_patches(x: Tensor, patch_size: int) -> Tensor:
    """Cut ``(n_epochs, n_chans, n_times)`` into ``(n_epochs, n_patches, n_chans, patch_size)``."""
    return x.unflatten(-1, (-1, patch_size)).transpose(1, 2)


class Encoder(nn.Module):
    """Spatial encoder of DARE-EEG."""

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

    def forward(
        self,
        x: Tensor,
        channels: Tensor,
        visible: Tensor | None = None,
        layer: int | None = None,
    ) -> Tensor:
        """Summary tokens of the visible patches.

        Parameters
        ----------
        x : Tensor, shape (n_epochs, n_chans, n_times)
            Signals on the encoder's own scale (see `normalize`) and sampling rate.
        channels : LongTensor, shape (n_chans,)
            Row of each channel in the table of electrodes.
        visible : LongTensor, shape (n_visible_patches, n_visible_chans), optional
            Flat indices ``patch * n_chans + channel``; each row holds one patch. Default: all.
        layer : int, optional
            Number of the block (from 0) whose output is read, before any norm. Default: that of
            the last block, normed.

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
        summary = self._in_parts(self._summarize, tokens.flatten(0, 1), layer)  # (B * Nv, E, D)
        return summary.unflatten(0, tokens.shape[:2])  # (B, Nv, E, D)

    def forward_electrodes(self, x: Tensor, channels: Tensor, layer: int | None = None) -> Tensor:
        """Tokens of every electrode by itself, which keep where a signal was.

        What `forward` gives for `visible` rows of one electrode each, several times as fast.

        Parameters
        ----------
        x, channels, layer
            As `forward`.

        Returns
        -------
        Tensor, shape (n_epochs, n_chans, n_patches, embed_num, embed_dim)
        """
        position = self.channel_embed(channels)[:, None]  # (C, 1, D)
        tokens = self.patch_embed(x.unflatten(-1, (-1, self.config.patch_size))) + position
        seqs = tokens.flatten(0, 2)[:, None]  # (B * C * N, 1, D)
        pairs = self.config.embed_num == 1
        summary = self._in_parts(self._summarize_pairs if pairs else self._summarize, seqs, layer)
        return summary.unflatten(0, tokens.shape[:3])

    def filter_bank(self, x: Tensor, stride: int) -> Tensor:
        """The patch embedding as D learned filters of every electrode, in overlapping patches.

        Returns
        -------
        Tensor, shape (n_epochs, n_chans, n_windows, embed_dim)
        """
        return self.patch_embed(x.unfold(-1, self.config.patch_size, stride))

    def _in_parts(self, run: Callable[..., Tensor], seqs: Tensor, layer: int | None) -> Tensor:
        """What a method makes of sequences of channel tokens; on a CPU, of some at a time."""
        if seqs.device.type != "cpu" or torch.compiler.is_compiling():
            return run(seqs, layer)
        n_tokens = seqs.shape[1] + self.config.embed_num
        parts = seqs.split(max(1, TOKENS_AT_ONCE // n_tokens))
        return torch.cat([run(part, layer) for part in parts])

    def _summarize(self, tokens: Tensor, layer: int | None) -> Tensor:
        """Summary tokens ``(n_seqs, E, D)`` of sequences of channel tokens ``(n_seqs, C, D)``."""
        *before, last = self.blocks if layer is None else self.blocks[: layer + 1]
        tokens = torch.cat((tokens, self.summary_token.expand(tokens.shape[0], -1, -1)), dim=1)
        for block in before:
            tokens = block(tokens)
        # only the summary tokens are read from the last block: the others are not computed there
        summary = last(tokens, n_read=self.config.embed_num)
        return self.norm(summary) if layer is None else summary

    def _summarize_pairs(self, tokens: Tensor, layer: int | None) -> Tensor:
        """The same for sequences of one channel token and one summary token."""
        *before, last = self.blocks if layer is None else self.blocks[: layer + 1]
        tokens = tokens[:, 0]  # (n_seqs, D)
        summary = self.summary_token[0]  # (1, D): alike in all sequences until the first block
        for block in before:
            tokens, summary = block.forward_pairs(tokens, summary)
        _, summary = last.forward_pairs(tokens, summary, read_other=True)
        return (self.norm(summary) if layer is None else summary)[:, None]
