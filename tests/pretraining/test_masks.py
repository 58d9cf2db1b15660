"""Masks: what they promise on any montage, and their statistics."""

from __future__ import annotations

import pytest
import torch

from dare_sklearn.pretraining.masks import draw_masks, n_visible_channels


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("n_chans", "expected"), [(58, 12), (62, 13), (19, 4), (4, 1), (1, 1)])
def test_share_of_visible_channels(n_chans, expected):
    assert n_visible_channels(n_chans) == expected


@pytest.mark.parametrize("n_patches", [1, 4, 16])
@pytest.mark.parametrize("n_chans", [1, 2, 3, 4, 19, 58, 62])
def test_promises(n_patches, n_chans):
    g = generator(n_patches * 100 + n_chans)
    for _ in range(30):
        masks = draw_masks(n_patches, n_chans, g)
        patches = masks.visible // n_chans
        assert masks.visible.numel() > 0
        assert masks.visible.shape == masks.second_view.shape
        assert (patches == patches[:, :1]).all()  # each row is one patch
        assert torch.equal(masks.second_view // n_chans, patches)  # the same patches in both views
        for view in (masks.visible, masks.second_view):
            assert view.unique().numel() == view.numel()
            assert view.min() >= 0 and view.max() < n_patches * n_chans
        assert not torch.isin(masks.targets, masks.visible).any()
        hidden = torch.tensor([n for n in range(n_patches) if n not in patches], dtype=torch.long)
        everything = (hidden[:, None] * n_chans + torch.arange(n_chans)).flatten()
        assert torch.isin(everything, masks.targets).all()  # hidden patches are all targets
        if n_chans > n_visible_channels(n_chans):
            assert torch.isin(masks.targets // n_chans, patches[:, 0]).any()


def test_statistics():
    g = generator()
    visible, partial, shared = [], [], []
    for _ in range(400):
        masks = draw_masks(16, 58, g)
        patches = masks.visible[:, 0] // 58
        visible.append(len(patches) / 16)
        in_visible = torch.isin(masks.targets // 58, patches).sum().item()
        partial.append(in_visible / (len(patches) * 46))
        shared.append(torch.isin(masks.second_view, masks.visible).float().mean().item())
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    assert mean(visible) == pytest.approx(0.5, abs=0.02)
    assert mean(partial) == pytest.approx(0.2, abs=0.01)
    # s = 2 rho / (1 + rho) for rho in U(0.2, 0.8) averages to 0.649
    assert mean(shared) == pytest.approx(0.649, abs=0.03)
    assert min(shared) < 0.45 and 0.8 < max(shared) <= 0.95


def test_generator_decides():
    first, again = draw_masks(16, 58, generator(3)), draw_masks(16, 58, generator(3))
    other = draw_masks(16, 58, generator(4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.visible.shape != other.visible.shape or not torch.equal(
        first.visible, other.visible
    )


def test_visible_share_down_to_one_channel():
    assert n_visible_channels(58, 0.0) == 1
    masks = draw_masks(4, 10, torch.Generator().manual_seed(0), visible_share=(0.0, 0.0))
    assert masks.visible.shape[1] == masks.second_view.shape[1] == 1
    numbers = {
        draw_masks(4, 10, torch.Generator().manual_seed(i), visible_share=(0.2, 0.6)).visible.shape[
            1
        ]
        for i in range(60)
    }
    assert numbers == {2, 3, 4, 5, 6}
