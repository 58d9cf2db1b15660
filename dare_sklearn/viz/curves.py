"""Curves of a score: over lost electrodes, over labelled trials, over the overlap of masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, ScalarFormatter

from ._axes import GREY, add_legend, color, get_axes, line, marker, new_figure, spelled, tidy
from ._axes import wrapped as wrap
from ._tables import check_table, in_order, mean_interval


def plot_curve(
    table: pd.DataFrame,
    x: str,
    y: str,
    hue: str | None = None,
    error: str | None = None,
    *,
    chance: float | None = None,
    log_x: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Mean of `y` against `x` with a band of uncertainty, one line per value of `hue`.

    Parameters
    ----------
    table : DataFrame
        Tidy: one row per observation.
    x, y : str
        Columns of numbers.
    hue : str or None, default=None
        Column that tells lines apart.
    error : str or None, default=None
        Column with half the width of the band, for a table that holds one mean per point. None
        makes the band from the table: the 95 % confidence interval (Student's t) of the mean over
        the rows of a point, which must be independent of each other.
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
        If the table lacks a column, or has several rows per point beside `error`.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_curve
    >>> table = pd.DataFrame({"n": [1, 1, 2, 2], "score": [0.5, 0.7, 0.7, 0.9]})
    >>> fig = plot_curve(table, "n", "score")
    >>> fig.axes[0].lines[0].get_ydata().round(2).tolist()
    [0.6, 0.8]
    """
    return _curve(table, x, y, hue, error, chance, log_x, ax, "plot_curve").figure


def plot_missing_electrodes(
    table: pd.DataFrame,
    *,
    x: str = "lost",
    y: str = "score",
    hue: str | None = "model",
    error: str | None = None,
    chance: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Score against the share of electrodes that were lost.

    Parameters
    ----------
    table : DataFrame
        Columns ``lost`` (share, 0 to 1), ``score`` and ``model``, or those named below.
    x, y, hue, error, chance, ax
        As `plot_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        As `plot_curve`, and if a share is outside 0 to 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_missing_electrodes
    >>> table = pd.DataFrame({"lost": [0, 0.5], "score": [0.8, 0.7], "model": "DARE"})
    >>> plot_missing_electrodes(table).axes[0].get_xlabel()
    'electrodes lost'
    """
    owner = "plot_missing_electrodes"
    check_table(table, [x], [x], owner)
    if not table[x].dropna().between(0, 1).all():
        raise ValueError(f"The column {x} of {owner} must hold shares from 0 to 1.")
    ax = _curve(table, x, y, hue, error, chance, False, ax, owner)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set(xlabel="electrodes lost", title="Missing electrodes")
    return ax.figure


def plot_label_efficiency(
    table: pd.DataFrame,
    *,
    x: str = "n_trials",
    y: str = "score",
    hue: str | None = "model",
    error: str | None = None,
    chance: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Score against the number of labelled trials, on a logarithmic axis.

    Parameters
    ----------
    table : DataFrame
        Columns ``n_trials``, ``score`` and ``model``, or those named below.
    x, y, hue, error, chance, ax
        As `plot_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        As `plot_curve`, and if a number of trials is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_label_efficiency
    >>> table = pd.DataFrame({"n_trials": [10, 100], "score": [0.6, 0.8], "model": "DARE"})
    >>> plot_label_efficiency(table).axes[0].get_xlabel()
    'labelled trials'
    """
    owner = "plot_label_efficiency"
    check_table(table, [x], [x], owner)
    if not (table[x].dropna() > 0).all():
        raise ValueError(f"The column {x} of {owner} must hold positive numbers of trials.")
    ax = _curve(table, x, y, hue, error, chance, True, ax, owner)
    ax.set(xlabel="labelled trials", title="Label efficiency")
    return ax.figure


def plot_mask_invariance(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> Figure:
    """How alike two masked views of an epoch are embedded, against how much the views share.

    Left: cosine similarity of two views of the same epoch (positive pairs) and of different epochs
    (negative pairs). Right: retrieval@1, the share of first views whose nearest second view is of
    the same epoch.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.inspection.mask_invariance`, one row per overlap and draw: columns
        ``overlap`` (share of channels that both views see, 0 to 1), ``positive_cosine``,
        ``negative_cosine`` and ``retrieval`` (share, 0 to 1); for several encoders stack their
        tables with a column ``encoder``. Points are means over draws, the band their SD.
    ax : two Axes or None, default=None
        Where to draw both halves; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, or `ax` is not a pair of axes.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_mask_invariance
    >>> table = pd.DataFrame({"encoder": "nano", "overlap": [0.2, 0.8], "retrieval": [0.5, 0.9],
    ...     "positive_cosine": [0.6, 0.9], "negative_cosine": [0.1, 0.2]})
    >>> fig = plot_mask_invariance(table)
    >>> [ax.get_ylabel() for ax in fig.axes]
    ['cosine similarity', 'retrieval@1']
    """
    owner = "plot_mask_invariance"
    numbers = ["overlap", "positive_cosine", "negative_cosine", "retrieval"]
    check_table(table, numbers, numbers, owner)
    if "encoder" not in table:
        table = table.assign(encoder="encoder")
    if ax is None:
        ax = new_figure(8.4, 3.8).subplots(1, 2)
    if len(np.ravel(ax)) != 2 or not all(isinstance(half, Axes) for half in np.ravel(ax)):
        raise TypeError(f"ax of {owner} must be None or two matplotlib axes.")
    left, right = np.ravel(ax)
    for number, encoder in enumerate(in_order(table["encoder"])):
        draws = table.loc[table["encoder"] == encoder, numbers].groupby("overlap")
        rows, spread = draws.mean(), draws["retrieval"].std().fillna(0.0)
        shown = {"color": color(number), "marker": marker(number), "markersize": 5}
        left.plot(rows.index, rows["positive_cosine"], "-", **shown)
        left.plot(rows.index, rows["negative_cosine"], ":", fillstyle="none", **shown)
        right.plot(rows.index, rows["retrieval"], "-", label=wrap(encoder), **shown)
        _band(right, rows.index, rows["retrieval"], spread, color(number))
    left.plot([], [], "-", color=GREY, label="same epoch")
    left.plot([], [], ":", color=GREY, label="different epochs")
    left.legend(frameon=False, fontsize="small")
    left.set(ylabel="cosine similarity", title="Pairs of masked views")
    right.set(ylabel="retrieval@1", title="Finding the other view (± SD)", ylim=(-0.02, 1.02))
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for half in (left, right):
        half.xaxis.set_major_formatter(PercentFormatter(1.0))
        half.set_xlabel("channels seen by both views")
        tidy(half)
    add_legend(right, title="encoder")
    return left.figure


def _curve(table, x, y, hue, error, chance, log_x, ax, owner) -> Axes:
    numbers = [name for name in (x, y, error) if name is not None]
    check_table(table, [*numbers, *([] if hue is None else [hue])], numbers, owner)
    table = table.dropna(subset=[x, y])
    lines = [(None, table)]
    if hue is not None:
        lines = [(name, table[table[hue] == name]) for name in in_order(table[hue])]
    ax = get_axes(ax, owner, 6.4 if hue is not None else 5.4, 3.8)
    for number, (name, rows) in enumerate(lines):
        places = np.sort(rows[x].unique())
        if error is None:
            points = [mean_interval(rows.loc[rows[x] == place, y]) for place in places]
            means, halves = np.array(points).T
        elif len(rows) == len(places):
            means, halves = rows.sort_values(x)[[y, error]].to_numpy(dtype=float).T
        else:
            raise ValueError(
                f"{owner} got several rows per point of {x} beside error={error!r}: pass one mean "
                "per point, or error=None, which makes the band from the rows."
            )
        ax.plot(
            places,
            means,
            label=None if name is None else wrap(name),
            color=color(number),
            linestyle=line(number),
            marker=marker(number),
            markersize=5,
        )
        _band(ax, places, means, halves, color(number))
    if chance is not None:
        ax.axhline(chance, color=GREY, linestyle="--", linewidth=1, label="chance", zorder=1)
    if log_x:
        ax.set_xscale("log")
        _label_points(ax, np.sort(table[x].unique()))
    ax.set(xlabel=spelled(x), ylabel=spelled(y))
    tidy(ax)
    if hue is not None or chance is not None:
        add_legend(ax)
    return ax


def _band(ax: Axes, x, middle, half, shade: str) -> None:
    middle, half = np.asarray(middle, dtype=float), np.asarray(half, dtype=float)
    if np.isfinite(half).any():
        ax.fill_between(x, middle - half, middle + half, color=shade, alpha=0.18, linewidth=0)


def _label_points(ax: Axes, places: np.ndarray, most: int = 8) -> None:
    """Ticks of a logarithmic axis at the numbers that were tried, where they are few."""
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    if len(places) <= most:
        ax.set_xticks(places)
        ax.minorticks_off()
