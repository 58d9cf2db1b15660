"""Masked reconstruction of raw patches."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def reconstruction_targets(patches: Tensor, targets: Tensor, target_norm: bool = True) -> Tensor:
    """Raw target patches, layer-normed over their samples.

    Parameters
    ----------
    patches : Tensor, shape (n_epochs, n_patches, n_chans, patch_size)
    targets : LongTensor, shape (n_targets,)
        Flat indices ``patch * n_chans + channel``.
    target_norm : bool, default=True
        False is an ablation of the paper.

    Returns
    -------
    Tensor, shape (n_epochs, n_targets, patch_size)
    """
    raw = patches.flatten(1, 2)[:, targets]
    return F.layer_norm(raw, raw.shape[-1:], eps=1e-5) if target_norm else raw


def reconstruction_loss(reconstructed: Tensor, raw: Tensor) -> Tensor:
    """Mean squared error; zero where there is nothing to reconstruct.

    Parameters
    ----------
    reconstructed, raw : Tensor, shape (n_epochs, n_targets, patch_size)

    Returns
    -------
    Tensor, scalar
    """
    if raw.shape[1] == 0:  # one channel whose patches are all visible
        return reconstructed.sum()
    return F.mse_loss(reconstructed, raw)
