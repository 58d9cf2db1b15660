"""What tests say about differences between pipelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ._axes import PALE, SIGNED, get_axes, p_text, spelled, symmetric_limits, wrap
from ._tables import check_table

ALPHA = 0.05


def plot_significance(
    table: pd.DataFrame, *, value: str = "difference", ax: Axes | None = None
) -> Figure:
    """Matrix of differences between pipelines, coloured where they are significant.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.evaluation.pairwise` (one data set) or `combine_datasets`: one row per
        pair, with ``pipeline_a``, ``pipeline_b``, `value`, and the corrected ``p_holm``.
    value : str, default="difference"
        Column to draw, the first pipeline minus the second; "effect_size" of `combine_datasets`.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        A cell holds the score of its row minus that of its column, and the corrected p-value; it
        is grey where that is 0.05 or more.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column or holds a pair twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_significance
    >>> table = pd.DataFrame({"pipeline_a": ["DARE"], "pipeline_b": ["CSP"], "difference": [0.1],
    ...     "p_holm": [0.01]})
    >>> plot_significance(table).axes[0].get_title()
    'Row minus column, coloured where p < 0.05'
    """
    check_table(table, ["pipeline_a", "pipeline_b", value, "p_holm"], ["p_holm"])
    names = list(dict.fromkeys([*table["pipeline_a"], *table["pipeline_b"]]))
    row = table["pipeline_a"].map(names.index).to_numpy()
    column = table["pipeline_b"].map(names.index).to_numpy()
    pairs = {frozenset(pair) for pair in zip(row.tolist(), column.tolist(), strict=True)}
    if len(pairs) < len(table) or any(len(pair) < 2 for pair in pairs):
        raise ValueError(
            "The table must hold one row per pair of pipelines, and has a pair twice or a pipeline "
            "against itself: pass the rows of one data set."
        )
    difference = np.full((len(names), len(names)), np.nan)
    p = difference.copy()
    both = np.r_[row, column], np.r_[column, row]
    values, p_values = (table[name].to_numpy(dtype=float) for name in (value, "p_holm"))
    difference[both], p[both] = np.r_[values, -values], np.r_[p_values, p_values]

    side = 0.62 * len(names)
    ax = get_axes(ax, 3.4 + side, 1.9 + side)
    shown = np.ma.masked_where(~(p < ALPHA), difference)
    finite = difference[np.isfinite(difference)]  # an effect size may be infinite
    norm = Normalize(*symmetric_limits(finite if len(finite) else np.zeros(1)))
    cmap = colormaps[SIGNED].with_extremes(bad=PALE)
    image = ax.imshow(shown, cmap=cmap, norm=norm)
    for i in range(len(names)):  # a pipeline against itself
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="white"))
    for i, j in zip(*np.nonzero(~np.isnan(difference)), strict=True):
        strong = p[i, j] < ALPHA and abs(norm(difference[i, j]) - 0.5) > 0.3
        text = f"{_signed(difference[i, j])}\n{p_text(p[i, j])}"
        shade = "white" if strong else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize="x-small", color=shade)
    labels = [wrap(name, 20) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize="small")
    ax.set_yticks(range(len(names)), labels, fontsize="small")
    ax.spines[:].set_visible(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(len(names) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="both", length=0)
    ax.figure.colorbar(image, ax=ax, label=spelled(value), shrink=0.8)
    ax.set_title(f"Row minus column, coloured where p < {ALPHA:g}", fontsize="medium")
    return ax.figure


def _signed(difference: float) -> str:
    text = f"{difference:+.2f}".replace("-", "\N{MINUS SIGN}").replace("inf", "∞")
    return "0.00" if text[1:] == "0.00" else text
