"""Topography of the importance of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._axes import SIGNED, symmetric_limits
from ._scalp import one_map, own_positions, place_electrodes

# A channel is marked where its mean importance is this many standard deviations above zero.
MARKED_FROM = 2.0


def plot_channel_relevance(
    importances: Any,
    ch_names: Sequence[str] | None = None,
    *,
    info: Any = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Map of what each channel is worth to a fitted model.

    A thick edge marks channels whose mean lies two standard deviations (over the shufflings) above
    zero. A channel may matter and still show nothing, where its neighbours carry the same signal.

    Parameters
    ----------
    importances : Bunch, or array of shape (n_chans,) or (n_chans, n_repeats)
        Of `dare_sklearn.inspection.channel_importance` or `gradient_relevance`, or numbers like
        theirs.
    ch_names : sequence of str or None, default=None
        Names of the channels; None takes those of the Bunch, or of `info`.
    info : mne.Info or None, default=None
        Positions of channels outside the 10-05 system.
    label : str or None, default=None
        What the colours mean; None takes that of the Bunch ("fall of the score" of an array).
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If names or positions are unknown, or the numbers do not fit the names.

    Examples
    --------
    >>> from dare_sklearn.viz import plot_channel_relevance
    >>> fig = plot_channel_relevance([0.0, 0.02, 0.2], ["Fz", "Cz", "C4"])
    >>> fig.axes[0].get_title()
    'Relevance of channels'
    """
    repeats = np.asarray(getattr(importances, "importances", importances), dtype=float)
    if repeats.ndim not in (1, 2) or repeats.size == 0 or not np.isfinite(repeats).all():
        shape = repeats.shape
        raise ValueError(
            f"importances must be finite numbers of shape (n_chans, ...), got {shape}."
        )
    repeats = repeats.reshape(len(repeats), -1)
    if ch_names is None:
        ch_names = getattr(importances, "ch_names", None) or getattr(info, "ch_names", None)
    if ch_names is None:
        raise ValueError("The names of the channels are unknown: pass ch_names, or info.")
    if len(ch_names) != len(repeats):
        n, n_names = len(repeats), len(ch_names)
        raise ValueError(f"There are {n} importances for {n_names} channels: name those shuffled.")
    places = place_electrodes(ch_names, own_positions(info))
    label = label or getattr(importances, "label", "fall of the score")

    mean = repeats.mean(axis=1)
    sure = None
    if repeats.shape[1] > 1:
        sure = (mean > MARKED_FROM * repeats.std(axis=1)) & (mean > 0)
    ax = one_map(
        ax, mean, places, label, cmap=SIGNED, limits=symmetric_limits(mean),
        names=ch_names, marked=sure,
    )  # fmt: skip
    ax.set_title("Relevance of channels")
    return ax.figure
