"""Figures of what tests say about differences between pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from ._axes import GREY, PALE, SIGNED, color, get_axes, p_text, spelled, symmetric_limits, tidy
from ._axes import wrapped as wrap
from ._tables import check_table, choose_dataset, in_order, unit_scores


def plot_significance(
    table: pd.DataFrame,
    *,
    value: str = "difference",
    dataset: Any = None,
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Figure:
    """Matrix of differences between pipelines, coloured where they are significant.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.evaluation.pairwise` (or `combine_datasets`): one row per pair, with
        ``pipeline_a``, ``pipeline_b``, `value`, and the corrected p-value as ``p_holm`` or
        ``p_corrected``.
    value : str, default="difference"
        Column that is drawn, the first pipeline minus the second; "effect_size" for the table of
        `combine_datasets`.
    dataset : str or None, default=None
        Data set to draw; None where the table holds a single one.
    alpha : float, default=0.05
        Level of significance; differences above it stay grey.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        A cell holds the score of its row minus that of its column, and the corrected p-value.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, holds a pair twice, or `alpha` is not between 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_significance
    >>> table = pd.DataFrame({"pipeline_a": ["DARE"], "pipeline_b": ["CSP"], "difference": [0.1],
    ...     "p_holm": [0.01]})
    >>> plot_significance(table).axes[0].get_title()
    'Row minus column, coloured where p < 0.05'
    """
    owner = "plot_significance"
    _check_alpha(alpha, owner)
    check_table(table, ["pipeline_a", "pipeline_b", value], [], owner)
    corrected = next((name for name in ("p_holm", "p_corrected") if name in table), "p_holm")
    check_table(table, ["pipeline_a", "pipeline_b", value, corrected], [corrected], owner)
    table = choose_dataset(table, dataset, owner)
    names = in_order(pd.concat([table["pipeline_a"], table["pipeline_b"]], ignore_index=True))
    row = table["pipeline_a"].map(names.index).to_numpy()
    column = table["pipeline_b"].map(names.index).to_numpy()
    pairs = {frozenset(pair) for pair in zip(row.tolist(), column.tolist(), strict=True)}
    if len(pairs) < len(table) or any(len(pair) < 2 for pair in pairs):
        raise ValueError(
            f"{owner} takes one row per pair of pipelines, and got a pair twice or a pipeline "
            "against itself: pass the rows of one data set (dataset=)."
        )
    difference = np.full((len(names), len(names)), np.nan)
    p = difference.copy()
    both = np.r_[row, column], np.r_[column, row]
    values, p_values = (table[name].to_numpy(dtype=float) for name in (value, corrected))
    difference[both], p[both] = np.r_[values, -values], np.r_[p_values, p_values]

    side = 0.62 * len(names)
    ax = get_axes(ax, owner, 3.4 + side, 1.9 + side)
    shown = np.ma.masked_where(~(p < alpha), difference)
    finite = difference[np.isfinite(difference)]  # an effect size may be infinite
    norm = Normalize(*symmetric_limits(finite if len(finite) else np.zeros(1)))
    cmap = colormaps[SIGNED].with_extremes(bad=PALE)
    image = ax.imshow(shown, cmap=cmap, norm=norm)
    for i in range(len(names)):  # a pipeline against itself
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="white"))
    for i, j in zip(*np.nonzero(~np.isnan(difference)), strict=True):
        strong = p[i, j] < alpha and abs(norm(difference[i, j]) - 0.5) > 0.3
        ax.text(
            j,
            i,
            f"{_signed(difference[i, j])}\n{_short_p(p[i, j])}",
            ha="center",
            va="center",
            fontsize="x-small",
            color="white" if strong else "black",
        )
    labels = [wrap(name, 20) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize="small")
    ax.set_yticks(range(len(names)), labels, fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="minor", length=0)
    ax.figure.colorbar(image, ax=ax, label=spelled(value), shrink=0.8)
    ax.set_title(f"Row minus column, coloured where p < {alpha:g}", fontsize="medium")
    return ax.figure


def plot_critical_difference(
    results: pd.DataFrame,
    metric: str,
    *,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Mean ranks of pipelines; bars join those that the Nemenyi test does not tell apart [1]_.

    Ranks are taken within each subject (the mean of its folds) of each data set, or within each
    fold where subjects are unknown. Folds share training data, so the test is too optimistic for
    them.

    Parameters
    ----------
    results : DataFrame
        As in `plot_scores`. Subjects that lack a score of some pipeline are left out.
    metric : str
        Column of the score.
    alpha : float, default=0.05
        Level of significance.
    higher_is_better : bool, default=True
        Rank 1 is the highest score; False: the lowest (losses, errors).
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        The title tells the p-value of Friedman's test (three pipelines or more): if it is not
        significant, the bars should not be interpreted.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, or has less than two pipelines or two complete subjects.

    References
    ----------
    .. [1] Demsar (2006). Statistical comparisons of classifiers over multiple data sets. JMLR 7.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_critical_difference
    >>> results = pd.DataFrame({"dataset": "motor", "pipeline": ["CSP", "CSP", "DARE", "DARE"],
    ...     "fold": [0, 1, 0, 1], "accuracy": [0.6, 0.7, 0.7, 0.8]})
    >>> plot_critical_difference(results, "accuracy").axes[0].get_title()
    'Critical difference 1.39 (α = 0.05, 2 folds)'
    """
    owner = "plot_critical_difference"
    _check_alpha(alpha, owner)
    check_table(results, ["dataset", "pipeline", "fold", metric], [metric], owner)
    wide, kind = unit_scores(results, metric)
    wide = wide.dropna()
    n_units, n_pipelines = wide.shape
    if n_pipelines < 2 or n_units < 2:
        raise ValueError(
            f"{owner} ranks two pipelines or more on two subjects or folds or more, got "
            f"{n_pipelines} pipelines with {n_units} {kind} that all of them have scores for."
        )
    ranks = wide.rank(axis=1, ascending=not higher_is_better).mean().sort_values(kind="stable")
    critical = critical_difference(n_pipelines, n_units, alpha)
    title = f"Critical difference {critical:.2f} (α = {alpha:g}, {n_units} {kind})"
    if n_pipelines > 2:
        constant = (wide.nunique(axis=1) == 1).all()  # Friedman's statistic is 0 / 0 there
        p = 1.0 if constant else stats.friedmanchisquare(*wide.to_numpy().T).pvalue
        title += f"\nFriedman {p_text(p)}"
    cliques = find_cliques(ranks.to_numpy(), critical)

    half = -(-n_pipelines // 2)
    # the labels' rows lie below those of the bars
    bottom = 0.8 + 0.35 * len(cliques)
    ax = get_axes(ax, owner, 6.8, 1.7 + 0.3 * (half + len(cliques)))
    for number, (name, rank) in enumerate(ranks.items()):
        left = number < half
        level = bottom + 0.7 * (number if left else n_pipelines - 1 - number)
        edge = 0.8 if left else n_pipelines + 0.2
        ax.plot([rank, rank, edge], [0, level, level], color=color(0), linewidth=1.0)
        ax.plot(rank, 0, "o", color=color(0), markersize=5, zorder=3, clip_on=False)
        ax.annotate(
            wrap(f"{name} ({rank:.2f})" if left else f"({rank:.2f}) {name}", 20),
            (edge, level),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
        )
    for number, (first, last) in enumerate(cliques):
        ends = ranks.iloc[first] - 0.06, ranks.iloc[last] + 0.06
        level = 0.5 + 0.35 * number
        ax.plot(ends, [level, level], color="black", linewidth=4, solid_capstyle="butt")
    lowest = bottom + 0.7 * (half - 1)
    ax.set_xlim(0.8, n_pipelines + 0.2)
    ax.set_ylim(lowest + 0.4, 0)
    ax.set_xticks(range(1, n_pipelines + 1))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(f"mean rank by {spelled(metric)} (1 is best)")
    ax.set_yticks([])
    ax.spines[["left", "right", "bottom"]].set_visible(False)
    ax.set_title(title, fontsize="medium")
    return ax.figure


def plot_meta_analysis(
    pairs: pd.DataFrame, pipeline_a: Any, pipeline_b: Any, *, ax: Axes | None = None
) -> Figure:
    """Standardised mean difference of two pipelines in each data set, and over all of them.

    After MOABB's figure of the same name [1]_. An interval is the 95 % confidence interval of the
    mean difference (Student's t), in units of the standard deviation of the differences; p-values
    are those of the table's own tests, which may be stricter for a few subjects. The last row
    combines data sets: the mean effect, weighted with the square root of the number of subjects,
    and the p-value by Stouffer's method (`dare_sklearn.evaluation.combine_datasets`).

    Parameters
    ----------
    pairs : DataFrame
        Of `dare_sklearn.evaluation.pairwise`: ``dataset``, ``pipeline_a``, ``pipeline_b``,
        ``effect_size``, ``n``, ``test``, ``p_greater``, ``p_less`` and ``metric``; ``n_subjects``
        weighs data sets, and ``n`` without it.
    pipeline_a, pipeline_b : str
        The difference is `pipeline_a` minus `pipeline_b`.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Effects with their two-sided p-values on the right; they are not corrected for other pairs.

    Raises
    ------
    ImportError
        If there are several data sets, and MOABB is missing, which combines them.
    TypeError, ValueError
        If the table lacks a column or the pair, or holds the pair twice for a data set.

    References
    ----------
    .. [1] Jayaram, Barachant (2018). MOABB: trustworthy algorithm benchmarking for BCIs. Journal of
       Neural Engineering 15(6).

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_meta_analysis
    >>> pairs = pd.DataFrame({"dataset": ["A"], "pipeline_a": "DARE", "pipeline_b": "CSP",
    ...     "metric": "accuracy", "effect_size": 0.8, "n": 9, "test": "permutation",
    ...     "p_greater": 0.01, "p_less": 0.99})
    >>> fig = plot_meta_analysis(pairs, "DARE", "CSP")
    >>> [label.get_text() for label in fig.axes[0].get_yticklabels()]
    ['A (n = 9)']
    """
    owner = "plot_meta_analysis"
    numbers = ["n", "p_greater", "p_less"]
    columns = ["dataset", "pipeline_a", "pipeline_b", "metric", "test", "effect_size", *numbers]
    check_table(pairs, columns, numbers, owner)
    rows = _oriented(pairs, pipeline_a, pipeline_b, owner)
    effects, p = rows["effect_size"].to_numpy(dtype=float), _two_sided(rows)
    halves = np.array([_half_interval(row) for row in rows.itertuples()])
    labels = [f"{wrap(row.dataset)} (n = {row.n})" for row in rows.itertuples()]
    if len(rows) > 1:
        from ..evaluation import combine_datasets

        combined = combine_datasets(rows)
        effects = np.r_[effects, combined["effect_size"]]
        p, halves = np.r_[p, combined["p"]], np.r_[halves, np.nan]
        labels.append("all data sets")

    ax = get_axes(ax, owner, 6.0, 1.6 + 0.36 * len(labels))
    edge = 1.12 * _largest_finite(effects, halves)
    for row, (effect, half) in enumerate(zip(effects, halves, strict=True)):
        last = len(rows) > 1 and row == len(labels) - 1
        shade = "black" if last else color(0)
        symbol = "D" if np.isfinite(effect) else ">" if effect > 0 else "<"  # beyond the edge
        if np.isfinite(effect) and np.isfinite(half):
            ax.plot([effect - half, effect + half], [row, row], color=shade, linewidth=1.6)
        ax.plot(np.clip(effect, -edge, edge), row, symbol, color=shade, markersize=9 if last else 6)
        ax.annotate(
            f"{p_text(p[row])}{_stars(p[row])}",
            (1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    if len(rows) > 1:
        ax.axhline(len(rows) - 0.5, color=PALE, linewidth=1)
    ax.set_xlim(-edge, edge)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("standardised mean difference")
    ax.set_title(wrap(f"{pipeline_a} minus {pipeline_b}", 44), fontsize="medium")
    tidy(ax, "x")
    return ax.figure


def critical_difference(n_pipelines: int, n_units: int, alpha: float = 0.05) -> float:
    """Difference of mean ranks from which on the Nemenyi test tells two pipelines apart."""
    q = stats.studentized_range.ppf(1 - alpha, n_pipelines, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_pipelines * (n_pipelines + 1) / (6 * n_units)))


def find_cliques(ranks: np.ndarray, critical: float) -> list[tuple[int, int]]:
    """Longest runs (first, last) of sorted `ranks` within the critical difference of each other."""
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + critical, side="right")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _oriented(pairs: pd.DataFrame, a: Any, b: Any, owner: str) -> pd.DataFrame:
    """Rows of one pair, all of them `a` minus `b`."""
    same = (pairs["pipeline_a"] == a) & (pairs["pipeline_b"] == b)
    turned = (pairs["pipeline_a"] == b) & (pairs["pipeline_b"] == a)
    back = pairs[turned].rename(
        columns={
            "pipeline_a": "pipeline_b",
            "pipeline_b": "pipeline_a",
            "p_greater": "p_less",
            "p_less": "p_greater",
        }
    )
    back["effect_size"] = -back["effect_size"]
    rows = pd.concat([part for part in (pairs[same], back) if len(part)] or [back])
    if rows.empty:
        raise ValueError(f"{owner} found no row that compares {a!r} and {b!r}.")
    rows = rows.sort_index(kind="stable")
    if rows["dataset"].duplicated().any() or rows["metric"].nunique() > 1:
        raise ValueError(f"{owner} takes one row per data set, of one metric.")
    return rows


def _two_sided(rows: pd.DataFrame) -> np.ndarray:
    return np.minimum(1.0, 2 * rows[["p_greater", "p_less"]].to_numpy(dtype=float).min(axis=1))


def _half_interval(row: Any) -> float:
    """Half the 95 % interval of a standardised mean difference; NaN where it has none."""
    if row.n < 2 or not np.isfinite(row.effect_size):
        return np.nan
    error = 1 / np.sqrt(row.n)
    if row.test == "corrected_ttest":  # its standard error, which tells of shared training data
        t = stats.t.isf(min(row.p_greater, row.p_less), row.n - 1)
        error = abs(row.effect_size) / t if 0 < t < np.inf else np.nan
    return float(stats.t.ppf(0.975, row.n - 1) * error)


def _largest_finite(effects: np.ndarray, halves: np.ndarray) -> float:
    ends = np.abs(effects) + np.nan_to_num(halves)
    return max(0.5, *ends[np.isfinite(ends)], 0.0)


def _stars(p: float) -> str:
    return next((f" {'*' * n}" for n, level in ((3, 1e-3), (2, 1e-2), (1, 0.05)) if p < level), "")


def _check_alpha(alpha: Any, owner: str) -> None:
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        raise ValueError(f"alpha of {owner} must be a number between 0 and 1, got {alpha!r}.")


def _signed(difference: float) -> str:
    text = f"{difference:+.2f}".replace("-", "\N{MINUS SIGN}").replace("inf", "∞")
    return "0.00" if text[1:] == "0.00" else text


def _short_p(p: float) -> str:
    return p_text(p).removeprefix("p ").removeprefix("= ") if np.isfinite(p) else ""
