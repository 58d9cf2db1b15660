"""Draws docs/_static/masks.png: one window, its patches, two masked views and the targets.

Run: python docs/figures/masks.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch

from dare_sklearn import simulate_epochs
from dare_sklearn.pretraining.masks import draw_masks

MONTAGE = "Fp1 Fp2 F3 Fz F4 C3 Cz C4 P3 Pz P4 O1".split()
PATCH, STEP_UV = 64, 60
HIDDEN, FIRST, SECOND, TARGET = "0.82", "#0072b2", "#009e73", "#d55e00"


def draw(ax, signals, shown: dict, title: str) -> None:
    """Signals, every cell (channel, patch) in the colour that `shown` gives its flat index."""
    n_chans, n_times = signals.shape
    for patch in range(n_times // PATCH):
        cut = slice(patch * PATCH, (patch + 1) * PATCH + 1)
        for channel in range(n_chans):
            colour = shown.get(patch * n_chans + channel, HIDDEN)
            times = np.arange(n_times)[cut] / 256
            ax.plot(times, signals[channel, cut] - STEP_UV * channel, color=colour, linewidth=1)
        if patch:
            ax.axvline(patch * PATCH / 256, color="0.6", linewidth=0.6, linestyle=":")
    ax.set(title=title, xlabel="time (s)", xlim=(0, n_times / 256), xticks=np.arange(0, 2.1, 0.5))
    ax.set_yticks([-STEP_UV * k for k in range(n_chans)], MONTAGE)
    ax.tick_params(left=False)
    ax.spines[["top", "right", "left"]].set_visible(False)


def main() -> None:
    epochs = simulate_epochs(
        "motor", n_subjects=1, n_epochs=2, duration=2.0, ch_names=MONTAGE, random_state=3
    )
    signals = epochs.get_data(units="uV")[1]
    signals = signals - signals.mean(axis=1, keepdims=True)
    n_patches = signals.shape[1] // PATCH
    masks = draw_masks(
        n_patches, len(MONTAGE), torch.Generator().manual_seed(4), visible_share=1 / 3
    )

    def coloured(indices, colour: str) -> dict:
        return dict.fromkeys(indices.flatten().tolist(), colour)

    everything = coloured(torch.arange(n_patches * len(MONTAGE)), "0.15")
    panels = {
        "complete signal": everything,
        "first view": coloured(masks.visible, FIRST),
        "second view": coloured(masks.second_view, SECOND),
        "to reconstruct from the first": coloured(masks.targets, TARGET),
    }
    plt.rcParams["font.size"] = 9
    figure, axes = plt.subplots(1, 4, figsize=(11, 4), sharey=True, layout="constrained")
    for ax, (title, shown) in zip(axes, panels.items(), strict=True):
        draw(ax, signals, shown, title)
    target = Path(__file__).parents[1] / "_static" / "masks.png"
    figure.savefig(target, dpi=140, facecolor="white")


if __name__ == "__main__":
    main()
