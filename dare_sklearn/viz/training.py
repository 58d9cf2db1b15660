"""The course of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._axes import add_legend, color, get_axes, line, spelled, tidy
from ._tables import check_table

NO_LOSS = {"epoch", "lr", "seconds"}
LOG_FROM = 20.0  # ratio of the largest to the smallest value


def plot_losses(history: Any, *, ax: Axes | None = None) -> Figure:
    """Every loss term over the epochs of a training, logarithmic where they differ by 20 or more.

    Parameters
    ----------
    history : DataFrame or fitted estimator
        The table ``history_`` of a pretrainer or probe, or the estimator itself.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If there is no history, or none of its losses has a value.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_losses
    >>> history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.7, 0.5, 0.4], "lr": [1, 2, 1]})
    >>> fig = plot_losses(history)
    >>> [line.get_label() for line in fig.axes[0].lines]
    ['loss']
    """
    table = history if isinstance(history, pd.DataFrame) else getattr(history, "history_", None)
    if table is None:
        kind = type(history).__name__
        raise TypeError(
            f"plot_losses takes a history_ or a fitted estimator that has one, got a {kind}."
        )
    if table.empty:
        raise ValueError("plot_losses got a history without epochs, as of adaptation='linear'.")
    terms = [name for name in table if name not in NO_LOSS]
    if not terms:
        raise ValueError(f"plot_losses found no loss among the columns {', '.join(table)}.")
    check_table(table, ["epoch", *terms], ["epoch", *terms])
    values = table[terms].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    log = values.min() > 0 and values.max() >= LOG_FROM * values.min()
    ax = get_axes(ax, 6.4, 3.8)
    for number, name in enumerate(terms):
        main = name in ("total", "loss")  # what was minimised
        shown = {"color": "black", "linewidth": 2.2} if main else {
            "color": color(number), "linewidth": 1.5, "linestyle": line(number)
        }  # fmt: skip
        dots = "o" if len(table) < 15 else None
        ax.plot(table["epoch"], table[name], label=spelled(name), marker=dots, ms=4, **shown)
    if log:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel="loss (log scale)" if log else "loss", title="Training")
    tidy(ax)
    if len(terms) > 1:
        add_legend(ax)
    return ax.figure
