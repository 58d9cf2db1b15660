"""The loss terms of DARE-EEG, one pure function per file."""

from .activation import activation_penalty
from .anchor_alignment import anchor_alignment_loss
from .mask_alignment import mask_alignment_loss
from .reconstruction import equalize_bands, reconstruction_loss, reconstruction_targets

__all__ = [
    "activation_penalty",
    "anchor_alignment_loss",
    "equalize_bands",
    "mask_alignment_loss",
    "reconstruction_loss",
    "reconstruction_targets",
]
