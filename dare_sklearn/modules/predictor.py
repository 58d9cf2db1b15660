"""The temporal predictor: from visible patches to all patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
