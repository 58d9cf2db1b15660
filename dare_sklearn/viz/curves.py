"""Curves of a score: over labelled epochs, lost electrodes, the overlap of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, ScalarFormatter

from ._axes import GREY, add_legend, color, get_axes, line, marker, new_figure, spelled, tidy, wrap
from ._tables import check_table

MOST_TICKS = 8  # of a logarithmic axis at the numbers that were tried


def plot_curve(
    table: pd.DataFrame,
    x: str,
    y: str = "mean",
    hue: str | None = "pipeline",
    *,
    low: str = "low",
    high: str = "high",
    chance: float | None = None,
    log_x: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """A line of `y` against `x` with a band of uncertainty, one per value of `hue`.

    Parameters
    ----------
    table : DataFrame
        One row per point, such as `dare_sklearn.evaluation.summarize` makes of `learning_curve`.
    x : str
        Column of numbers; of "share" the axis is in percent.
    y : str, default="mean"
        Column of numbers.
    hue : str or None, default="pipeline"
        Column that tells lines apart.
    low, high : str, default="low", "high"
        Columns with the edges of the band. It is left out where the table lacks them.
    chance : float or None, default=None
        Level of chance, a dashed line.
    log_x : bool, default=False
        Logarithmic axis of `x`.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, or has several rows per point.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_curve
    >>> table = pd.DataFrame({"n_labels": [8, 16], "mean": [0.6, 0.8], "low": [0.5, 0.7],
    ...     "high": [0.7, 0.9]})
    >>> plot_curve(table, "n_labels", hue=None).axes[0].get_xlabel()
    'labelled training epochs'
    """
    band = [low, high] if {low, high} <= set(table) else []
    keys = [x] if hue is None else [x, hue]
    check_table(table, [*keys, y, *band], [x, y])
    table = table.dropna(subset=[x, y]).sort_values(x, kind="stable")
    if table.duplicated(keys).any():
        raise ValueError(f"The table has several rows for one point ({', '.join(keys)}): pass one.")
    if log_x and not (table[x] > 0).all():
        raise ValueError(f"The column {x} must hold positive numbers for a logarithmic axis.")
    names = [None] if hue is None else table[hue].unique()
    ax = get_axes(ax, 5.2, 3.6 + 0.13 * len(names))
    for number, name in enumerate(names):
        rows = table if name is None else table[table[hue] == name]
        shown = {"color": color(number), "linestyle": line(number), "marker": marker(number)}
        label = None if name is None else wrap(name)
        ax.plot(rows[x], rows[y], label=label, markersize=5, **shown)
        if band:
            _band(ax, rows[x], rows[low], rows[high], color(number))
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle="--", linewidth=1, label="chance", zorder=1)
    if log_x:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(ScalarFormatter())
        if table[x].nunique() <= MOST_TICKS:
            ax.set_xticks(table[x].unique())
            ax.minorticks_off()
    if x == "share":
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set(xlabel=spelled(x), ylabel=spelled(y))
    tidy(ax)
    if hue is not None or chance is not None:
        add_legend(ax, below=True)
    return ax.figure


def plot_mask_invariance(table: pd.DataFrame) -> Figure:
    """How alike two masked views of an epoch are embedded, against how much the views share.

    Left: cosine similarity of two views of one epoch (positive pairs) and of two epochs (negative
    pairs). Right: retrieval, the share of first views whose nearest second view is their own.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.inspection.mask_invariance`; those of several encoders stacked, with a
        column ``encoder``. Points are means over draws, the band is their SD.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_mask_invariance
    >>> table = pd.DataFrame({"encoder": "nano", "overlap": [0.2, 0.8], "retrieval": [0.5, 0.9],
    ...     "positive_cosine": [0.6, 0.9], "negative_cosine": [0.1, 0.2]})
    >>> fig = plot_mask_invariance(table)
    >>> [ax.get_ylabel() for ax in fig.axes]
    ['cosine similarity', 'found at once']
    """
    numbers = ["overlap", "positive_cosine", "negative_cosine", "retrieval"]
    check_table(table, numbers, numbers)
    if "encoder" not in table:
        table = table.assign(encoder="encoder")
    left, right = new_figure(8.4, 3.8).subplots(1, 2)
    for number, encoder in enumerate(table["encoder"].unique()):
        draws = table.loc[table["encoder"] == encoder, numbers].groupby("overlap")
        rows, spread = draws.mean(), draws["retrieval"].std().fillna(0.0)
        shown = {"color": color(number), "marker": marker(number), "markersize": 5}
        left.plot(rows.index, rows["positive_cosine"], "-", **shown)
        left.plot(rows.index, rows["negative_cosine"], ":", fillstyle="none", **shown)
        right.plot(rows.index, rows["retrieval"], "-", label=wrap(encoder), **shown)
        middle = rows["retrieval"]
        low, high = (np.clip(middle + sign * spread, 0, 1) for sign in (-1, 1))  # a share
        _band(right, rows.index, low, high, color(number))
    left.plot([], [], "-", color=GREY, label="same epoch")
    left.plot([], [], ":", color=GREY, label="different epochs")
    left.legend(frameon=False, fontsize="small")
    left.set(ylabel="cosine similarity", title="Pairs of masked views")
    right.set(ylabel="found at once", title="Finding the other view (± SD)", ylim=(-0.02, 1.02))
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for half in (left, right):
        half.xaxis.set_major_formatter(PercentFormatter(1.0))
        half.set_xlabel("channels seen by both views")
        tidy(half)
    add_legend(right, title="encoder")
    return left.figure


def _band(ax: Axes, x: Any, low: Any, high: Any, shade: str) -> None:
    if np.isfinite(np.asarray([low, high], dtype=float)).any():
        ax.fill_between(x, low, high, color=shade, alpha=0.18, linewidth=0)
