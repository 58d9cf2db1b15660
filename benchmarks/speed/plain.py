"""The plain path: the method as it is written down, with nothing left out.

Every block computes all of its tokens, each view has its own pass, and nothing is shared within the
batch. It uses the library's own layers (fused qkv, `scaled_dot_product_attention`), so that a ratio
against it shows what the savings give, not what a slow attention costs. Same weights, same results.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dare_sklearn.modules.networks import Encoder, Reconstructor, to_patches
from dare_sklearn.pretraining.losses import (
    activation_penalty,
    anchor_alignment_loss,
    mask_alignment_loss,
    reconstruction_loss,
    reconstruction_targets,
)
from dare_sklearn.pretraining.masks import Masks
from dare_sklearn.pretraining.objective import PretrainingModel


def encode(encoder: Encoder, x: Tensor, channels: Tensor, visible: Tensor | None = None) -> Tensor:
    """What `Encoder.forward` gives, from all tokens of all blocks."""
    embed_num = encoder.config.embed_num
    patches = to_patches(x, encoder.config.patch_size)
    position = encoder.channel_embed(channels)
    if visible is not None:
        patches = patches.flatten(1, 2)[:, visible]
        position = position[visible % channels.shape[0]]
    tokens = encoder.patch_embed(patches) + position
    n_epochs, n_patches = tokens.shape[:2]
    tokens = tokens.flatten(0, 1)
    tokens = torch.cat((tokens, encoder.summary_token.expand(tokens.shape[0], -1, -1)), dim=1)
    for block in encoder.blocks:
        tokens = block(tokens)
    return encoder.norm(tokens)[:, -embed_num:].unflatten(0, (n_epochs, n_patches))


def reconstruct(
    network: Reconstructor, combined: Tensor, targets: Tensor, channels: Tensor
) -> Tensor:
    """What `Reconstructor.forward` gives, with the queries repeated for every sample."""
    n_epochs, n_patches, embed_num, _ = combined.shape
    n_chans = channels.shape[0]
    queries = network.mask_token + network.channel_embed(channels[targets % n_chans])
    tokens = torch.cat(
        (network.embed(combined.flatten(1, 2)), queries.expand(n_epochs, -1, -1)), dim=1
    )
    patches = torch.arange(n_patches, device=targets.device).repeat_interleave(embed_num)
    rotary = network.rotary(torch.cat((patches, targets // n_chans)))
    for block in network.blocks:
        tokens = block(tokens, rotary)
    return network.proj(network.norm(tokens))[:, n_patches * embed_num :]


def pretraining_loss(model: PretrainingModel, x: Tensor, channels: Tensor, masks: Masks) -> Tensor:
    """What `PretrainingModel.forward` gives under "loss"."""
    x = model.encoder.normalize(x)
    patches = to_patches(x, model.config.patch_size)
    first = encode(model.encoder, x, channels, masks.visible)
    second = encode(model.encoder, x, channels, masks.second_view)
    predicted, combined = model.predictor(
        first, masks.visible[:, 0] // channels.shape[0], patches.shape[1]
    )
    with torch.no_grad():
        anchor = encode(model.target_encoder, x, channels)
    terms = {
        "activation_penalty": activation_penalty(first, second),
        "reconstruction": reconstruction_loss(
            reconstruct(model.reconstructor, combined, masks.targets, channels),
            reconstruction_targets(patches, masks.targets),
        ),
        "anchor_alignment": anchor_alignment_loss(predicted, anchor),
        "mask_alignment": mask_alignment_loss(model.projection(first), model.projection(second)),
    }
    return sum(model.weights[name] * value for name, value in terms.items())
