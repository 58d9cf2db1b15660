"""Masks: which (patch, channel) pairs a view shows, and which ones are reconstructed.

Made outside the model, one set per batch, from an explicit generator.
A flat index is ``patch * n_chans + channel``.
"""

from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor

HIDDEN_PATCHES = 0.5  # probability that a patch is hidden entirely
VISIBLE_SHARE = 12 / 58  # share of channels shown in a visible patch
TARGET_SHARE = 0.2  # probability that a hidden channel of a visible patch is a target
OVERLAP = (0.2, 0.8)  # range of rho, the overlap of two views (intersection over union)
OVERLAP_JITTER = 0.05
MAX_SHARED = 0.95


class Masks(NamedTuple):
    """Index tensors of one batch, of flat indices.

    `visible` and `second_view` ``(n_visible_patches, n_visible_chans)`` hold one patch per row: the
    first view, and other channels of the same patches. `targets` ``(n_targets,)`` are
    reconstructed; none of them is visible in the first view.
    """

    visible: Tensor
    second_view: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> Self:
        return Masks(*(indices.to(device, non_blocking=True) for indices in self))


def n_visible_channels(n_chans: int, visible_share: float = VISIBLE_SHARE) -> int:
    """Channels shown in a visible patch (at least one): 12 of 58, the same share of others."""
    return max(1, round(n_chans * visible_share))


def draw_masks(
    n_patches: int,
    n_chans: int,
    generator: Generator,
    *,
    visible_share: float | tuple[float, float] = VISIBLE_SHARE,
    hidden_target_share: float = 1.0,
) -> Masks:
    """Draw both views and the targets of one batch.

    A patch is hidden entirely with probability 0.5. Otherwise a random choice of its channels is
    visible, and each other one is a target with probability 0.2. Drawn anew while nothing is
    visible or no target lies in a visible patch (of a single channel, none can).

    `visible_share` is the share of the channels that a visible patch shows, at least one; or the
    lowest and the highest share, between which each batch draws its own. `hidden_target_share` is
    the share of the channels of a wholly hidden patch that are targets; the paper takes all.
    """
    if not isinstance(visible_share, float | int):
        low, high = visible_share
        visible_share = low + (high - low) * torch.rand(1, generator=generator).item()
    n_visible = n_visible_channels(n_chans, visible_share)
    while True:
        hidden = torch.rand(n_patches, generator=generator) < HIDDEN_PATCHES
        if hidden.all():
            continue
        # a random order of the channels in every patch: the first ones are visible
        order = torch.rand(n_patches, n_chans, generator=generator).argsort(dim=1)
        unseen = order[:, n_visible:]
        drawn = torch.rand(unseen.shape, generator=generator) < TARGET_SHARE
        is_target = torch.zeros(n_patches, n_chans, dtype=torch.bool).scatter_(1, unseen, drawn)
        if n_chans == n_visible or is_target[~hidden].any():
            break
    n_targets = max(1, round(hidden_target_share * n_chans))
    is_target[hidden] = order[hidden].argsort(dim=1) < n_targets
    patches = torch.nonzero(~hidden)  # (n_visible_patches, 1)
    order = order[~hidden]
    # how many channels of a patch the second view keeps from the first
    rho, jitter = torch.rand(2, generator=generator).tolist()
    rho = OVERLAP[0] + (OVERLAP[1] - OVERLAP[0]) * rho
    # two sets of m with s * m in common have an intersection over union of s / (2 - s)
    share = 2 * rho / (1 + rho) + OVERLAP_JITTER * (2 * jitter - 1)
    n_shared = round(min(max(share, 0.0), MAX_SHARED) * n_visible)
    n_shared = max(n_shared, 2 * n_visible - n_chans)  # a small montage may lack unseen channels
    second = torch.cat((order[:, :n_shared], order[:, n_visible : 2 * n_visible - n_shared]), dim=1)
    return Masks(
        visible=patches * n_chans + order[:, :n_visible],
        second_view=patches * n_chans + second,
        targets=torch.nonzero(is_target.flatten()).flatten(),
    )
