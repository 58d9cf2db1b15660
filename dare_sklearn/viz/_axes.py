"""What all figures share: their tables, how they are made, colours, labels, legends."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008), told apart in all common kinds of colour blindness; without their yellow,
# which is too pale for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
LINES = ("-", "--", "-.", ":")
LEGEND_LINES = 16  # in one column
GREY = "0.45"
PALE = "0.85"
_WORDS = {  # of a column, or of what it starts with
    **dict.fromkeys(["auc", "roc_auc"], "area under the ROC curve"), "f1": "F1 score",
    **dict.fromkeys(["kappa", "cohen_kappa"], "Cohen's kappa"),
    **dict.fromkeys(["mcc", "matthews_corrcoef"], "Matthews correlation"),
    "r2": "R² (share of the variance explained)", "valid_loss": "validation loss",
    "n_labels": "labelled training epochs", "share": "share of electrodes lost",
}  # fmt: skip
SIGNED, POSITIVE = "RdBu_r", "viridis"  # colour maps: with a middle, and from low to high


def check_table(table: Any, columns: Sequence[str], numbers: Sequence[str]) -> None:
    """Refuse what is not a table, is empty, or lacks a column; `numbers` hold one finite number."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"The table must be a pandas DataFrame, got a {type(table).__name__}.")
    if missing := ", ".join(name for name in columns if name not in table):
        needs, there = ", ".join(columns), ", ".join(map(str, table))
        raise ValueError(f"The table needs the columns {needs}, and lacks {missing} among {there}.")
    if table.empty:
        raise ValueError("The table has no rows: there is nothing to draw.")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"The column {name} of the table must hold numbers.")
        values = table[name].to_numpy(dtype=float)
        if np.isinf(values).any() or np.isnan(values).all():
            raise ValueError(f"The column {name} of the table has infinite or only missing values.")


class _Shown(Figure):
    """A figure that notebooks show where it is the value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches), created without pyplot, so it need not be closed."""
    return _Shown(figsize=(width, height), layout="constrained")


def panels(
    n: int, width: float, height: float, most: int, beside: float = 0.9, **shared: bool
) -> list[Axes]:
    """Axes of these inches in a new figure, at most that many in a row, with room beside them."""
    columns = min(most, n)
    rows = -(-n // columns)
    figure = new_figure(max(3.2, columns * width + beside), rows * height + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for spare in axes[n:]:
        spare.remove()
    return list(axes[:n])


def get_axes(ax: Any, width: float = 6.0, height: float = 4.0) -> Axes:
    """The axes to draw on: those that were passed, or those of a new figure."""
    if ax is None:
        return new_figure(width, height).subplots()
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be None or matplotlib axes, got a {type(ax).__name__}.")
    return ax


def look(number: int) -> dict[str, str]:
    """Colour, marker and dashing of a category; 70 can be told apart."""
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number // len(PALETTE) % len(LINES)],
    }


def spelled(name: Any) -> str:
    """A column's name as words: "roc_auc_ovr" becomes "area under the ROC curve"."""
    text = str(name)
    if text.startswith("neg_"):
        return f"{spelled(text[4:])} (negative)"
    known = (words for start, words in _WORDS.items() if f"{text}_".startswith(f"{start}_"))
    return next(known, text.replace("_", " "))


def wrap(label: Any, width: int = 26) -> str:
    """A long label on several lines, broken inside words where there is no space."""
    return textwrap.fill(str(label), width)


def add_legend(ax: Axes, title: str | None = None, *, below: bool = False) -> None:
    """A legend beside or below the axes, where the figure's layout makes room; inside elsewhere."""
    n_lines = sum(1 + label.count("\n") for label in ax.get_legend_handles_labels()[1])
    where, columns = {"loc": "best"}, -(-n_lines // LEGEND_LINES)
    room = ax.figure.get_layout_engine() is not None
    if room and below:
        where, columns = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}, 2
    elif room:
        where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    ax.legend(
        title=title, frameon=not room, edgecolor="none", fontsize="small",
        title_fontsize="small", ncols=columns, **where,
    )  # fmt: skip


def tidy(ax: Axes, grid: str | None = "y") -> None:
    """No frame above and to the right, and a faint grid along the axis that is read."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, color="0.92", zorder=0)
        ax.set_axisbelow(True)


def symmetric_limits(values: np.ndarray) -> tuple[float, float]:
    """Limits of colour around zero, also where all values are zero."""
    most = float(np.abs(values).max())
    return (-most, most) if most > 0 else (-1.0, 1.0)


def p_text(p: float) -> str:
    """A p-value as text; nothing where there is none."""
    return "" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
