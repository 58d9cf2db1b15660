"""Values over the scalp: where electrodes lie on the page, and one map of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ..signals.interpolation import info_positions, place, template_montage
from ._axes import get_axes, panels

# Polar angles are taken from this point (metres, head coordinates), which puts the lowest ring of
# the 10-20 system just inside the drawn head, as atlases have it.
_CENTRE = np.array([0.0, 0.015, 0.015])
HEAD_RADIUS = 0.095  # of the outline that mne draws
MOST_NAMED = 24  # electrodes whose names fit into one map


def own_positions(info: Any) -> dict[str, np.ndarray]:
    """Positions that an ``mne.Info`` holds, by canonical name; none for None."""
    if info is None:
        return {}
    import mne

    if not isinstance(info, mne.Info):
        raise TypeError(f"info must be an mne.Info, got a {type(info).__name__}.")
    return info_positions(info["chs"])


def place_electrodes(ch_names: Sequence[str], own: Mapping[str, np.ndarray]) -> np.ndarray:
    """Where electrodes lie on the page, in metres (x to the right, y to the nose): (n_chans, 2).

    `own` are positions of the recording, for names outside the 10-05 system.
    """
    source, _ = place(ch_names, own)
    lost = [name for name in ch_names if name not in source]
    if lost:
        raise ValueError(
            f"There is no position for {', '.join(lost)}: "
            "rename them to electrodes of the 10-05 system, or pass info= with a montage."
        )
    if len(ch_names) < 2:
        raise ValueError("A map over the scalp needs two channels or more.")
    away = np.stack([source[name] for name in ch_names]) - _CENTRE
    radius = np.hypot(away[:, 0], away[:, 1])
    polar = np.arctan2(radius, away[:, 2]) / (np.pi / 2) * HEAD_RADIUS
    return away[:, :2] * (polar / np.maximum(radius, 1e-12))[:, None]


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    return {name.upper(): name for name in template_montage().ch_names}


def spelled_electrode(name: str) -> str:
    """The usual spelling of an electrode: "FPZ" becomes "Fpz"; others as they are."""
    return _spellings().get(str(name).upper(), str(name))


def draw_map(
    ax: Axes,
    values: np.ndarray,
    places: np.ndarray,
    *,
    cmap: str,
    limits: tuple[float, float],
    names: Sequence[str] = (),
    marked: np.ndarray | None = None,
) -> PathCollection:
    """One map: mne's interpolation, and over it each electrode with its own value.

    `limits` are the values of the first and the last colour. Up to `MOST_NAMED` names are written
    beside the electrodes; `marked` ones (a mask) get a thick edge. Returns the electrodes, which a
    colour bar can belong to.
    """
    import mne

    norm = Normalize(*limits)
    # contours of the scale of colours, so that a map of small differences shows few of them
    levels = np.linspace(*limits, 7)[1:-1]
    levels = levels[(levels > values.min()) & (levels < values.max())]
    mne.viz.plot_topomap(
        values, places, axes=ax, show=False, sensors=False, extrapolate="head", cmap=cmap,
        cnorm=norm, contours=levels if len(levels) else 0,
    )  # fmt: skip
    marked = np.zeros(len(values), dtype=bool) if marked is None else marked
    electrodes = ax.scatter(
        *places.T, c=values, cmap=cmap, norm=norm, s=np.where(marked, 40, 16), zorder=5,
        linewidths=np.where(marked, 1.6, 0.5), edgecolors="black",
    )  # fmt: skip
    outline = [withStroke(linewidth=1.5, foreground="white")]  # readable on any colour
    for number, name in enumerate(names if len(names) <= MOST_NAMED else ()):
        ax.annotate(
            spelled_electrode(name), places[number], xytext=(0, 6 if marked[number] else 4),
            textcoords="offset points", ha="center", va="bottom", fontsize="x-small", zorder=6,
            path_effects=outline,
        )  # fmt: skip
    return electrodes


def one_map(ax: Any, values: np.ndarray, places: np.ndarray, label: str, **how: Any) -> Axes:
    """`draw_map` with its scale of colours, on `ax` or a new figure."""
    ax = get_axes(ax, 4.6, 3.8)
    drawn = draw_map(ax, values, places, **how)
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.8)
    return ax


def many_maps(
    maps: np.ndarray, places: np.ndarray, titles: Sequence[str], label: str, **how: Any
) -> Figure:
    """A figure of maps on a common scale of colours, four in a row."""
    axes = panels(len(maps), 1.9, 2.1, most=4)
    for ax, values, title in zip(axes, maps, titles, strict=True):
        drawn = draw_map(ax, values, places, **how)
        ax.set_title(title)
    axes[0].figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
    return axes[0].figure
