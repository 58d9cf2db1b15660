"""Scores of pipelines side by side, and tests of their differences."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from . import _axes as style

ALPHA = 0.05
_SUMMARY = ["dataset", "pipeline", "metric", "mean", "low", "high"]
_BETTER, _WORSE = style.PALETTE[:2]


def plot_scores(
    results: pd.DataFrame,
    metric: str,
    summary: pd.DataFrame | None = None,
    *,
    chance: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Score of each fold, and the mean of each pipeline with its 95 % confidence interval.

    Parameters
    ----------
    results : DataFrame
        Of `dare_sklearn.evaluation.compare`: columns ``dataset, pipeline, fold`` and `metric`. Each
        data set gets its own axes. Labels say how many folds a pipeline lacks.
    metric : str
        Column of the score.
    summary : DataFrame or None, default=None
        Means and intervals, of `dare_sklearn.evaluation.summarize`. None draws means of folds only.
    chance : float or None, default=None
        Level of chance, a dashed line; None takes the mean ``chance_<metric>`` of each pipeline, if
        it is there.
    ax : Axes or None, default=None
        Where to draw a single data set; None makes a figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column, or `ax` is passed for several data sets.
    """
    style.check_table(results, ["dataset", "pipeline", "fold", metric], [metric])
    means = {}
    if summary is not None:
        style.check_table(summary, _SUMMARY, ["mean"])
        rows = summary[summary["metric"] == metric].itertuples()
        means = {(row.dataset, row.pipeline): row for row in rows}
    datasets = results["dataset"].unique()
    pipelines = results["pipeline"].unique().tolist()
    if ax is not None and len(datasets) > 1:
        raise ValueError(f"There are {len(datasets)} data sets and one ax: pass rows of one.")
    if ax is None:
        height = 1.0 + 0.36 * sum(1 + style.wrap(name).count("\n") for name in pipelines)
        shared = {"sharey": True, "sharex": True}
        axes = style.panels(len(datasets), 2.8, height, most=3, beside=2.4, **shared)
    else:
        axes = [style.get_axes(ax)]
    dots = {"s": 16, "color": style.PALETTE[0], "alpha": 0.5, "linewidths": 0}
    diamond = {"fmt": "D", "color": "black", "markersize": 5.5, "capsize": 3, "elinewidth": 1.6}
    for panel, dataset in zip(axes, datasets, strict=True):
        part = results[results["dataset"] == dataset]
        drawn = part.dropna(subset=[metric]).groupby("pipeline", sort=False, observed=True)
        for name, scores in drawn[metric]:
            row = pipelines.index(name)
            # above the interval, spread in the same way every time
            shift = 0.24 * ((np.arange(len(scores)) * 0.618) % 1) - 0.34
            panel.scatter(scores, row + shift, **dots)
            known = means.get((dataset, name))
            mean, arms = (scores.mean(), None) if known is None else (known.mean, _arms(known))
            panel.errorbar(mean, row + 0.14, xerr=arms, **diamond)
        given = chance is not None and not np.isnan(chance)
        levels = dict.fromkeys(pipelines, chance) if given else {}
        if chance is None and f"chance_{metric}" in part:  # of errors, each pipeline's own
            levels = drawn[f"chance_{metric}"].mean().dropna().to_dict()
        for name, level in levels.items():
            ends = pipelines.index(name) - 0.5, pipelines.index(name) + 0.5
            panel.plot([level] * 2, ends, "--", color=style.GREY, linewidth=1, zorder=1)
        if levels:
            level = levels[min(levels, key=pipelines.index)]
            panel.annotate(
                "chance", (level, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -2),
                textcoords="offset points", va="top", fontsize="x-small", color=style.GREY,
            )  # fmt: skip
        panel.set(title=style.wrap(dataset, 32), xlabel=style.spelled(metric))
        panel.tick_params(labelbottom=True)  # also above other panels
        style.tidy(panel, "x")
    fold = results.columns.intersection(["dataset", "fold", "subject"])
    n_folds = len(results[fold].drop_duplicates())
    lacking = n_folds - results.groupby("pipeline")[metric].count()
    labels = [
        style.wrap(name) + (f"\n(without {lacking[name]} of {n_folds} folds)" * bool(lacking[name]))
        for name in pipelines
    ]
    axes[0].set_yticks(range(len(pipelines)), labels)
    axes[0].set_ylim(len(pipelines) - 0.5, -0.75)  # room for the word chance
    return axes[0].figure


def plot_paired(
    scores: pd.DataFrame,
    pipeline_a: Any,
    pipeline_b: Any,
    *,
    metric: str = "score",
    unit: str = "observation",
    ax: Axes | None = None,
) -> Figure:
    """Two pipelines on the same subjects (or folds), a line for each.

    Parameters
    ----------
    scores : DataFrame, shape (n_observations, n_pipelines)
        As of `dare_sklearn.evaluation.observations`. Rows that lack one of the two are left out.
    pipeline_a, pipeline_b : str
        Left and right.
    metric, unit : str, default="score", "observation"
        What the scores are, and what a row is ("subject" or "fold").
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Thick: the mean. The title counts for how many the right pipeline scores higher.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a pipeline, or has no pairs.
    """
    if pipeline_a == pipeline_b:
        raise ValueError(f"Two pipelines are needed, got {pipeline_a!r} twice.")
    style.check_table(scores, [pipeline_a, pipeline_b], [pipeline_a, pipeline_b])
    pairs = scores[[pipeline_a, pipeline_b]].dropna().to_numpy()
    if not len(pairs):
        raise ValueError(f"There is no {unit} with a score of both pipelines.")

    ax = style.get_axes(ax, 4.2, 4.0)
    same = np.isclose(*pairs.T, rtol=1e-9, atol=1e-15)  # but for rounding
    gains = np.where(same, 0, pairs[:, 1] - pairs[:, 0])
    for (a, b), gain in zip(pairs, gains, strict=True):
        shade = _BETTER if gain > 0 else _WORSE if gain < 0 else style.GREY
        ax.plot([0, 1], [a, b], "o-", color=shade, alpha=0.6, linewidth=1.2, markersize=4)
    ax.plot([0, 1], pairs.mean(axis=0), "D-", color="black", linewidth=2.6, label="mean")
    higher = int((gains > 0).sum())
    ax.set_xticks([0, 1], [style.wrap(pipeline_a, 18), style.wrap(pipeline_b, 18)])
    ax.set_xlim(-0.25, 1.25)
    ax.set_ylabel(style.spelled(metric))
    ax.set_title(style.wrap(f"{pipeline_b} higher for {higher} of {len(pairs)} {unit}s", 40))
    style.tidy(ax)
    ax.legend(frameon=False, fontsize="small")
    return ax.figure


def plot_cost(summary: pd.DataFrame, metric: str, *, ax: Axes | None = None) -> Figure:
    """Score against the seconds that a fold takes, to fit and to predict.

    Parameters
    ----------
    summary : DataFrame
        Of `dare_sklearn.evaluation.summarize`, one data set: ``dataset, pipeline, metric, mean,
        low, high, fit_seconds`` and ``predict_seconds``.
    metric : str
        The score to draw.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        One point per pipeline with the interval of its mean; seconds on a logarithmic axis.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column or the metric, or has several data sets or times of zero.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.viz import plot_cost
    >>> summary = pd.DataFrame([{"dataset": "motor", "pipeline": "CSP", "metric": "accuracy",
    ...     "mean": 0.6, "low": 0.5, "high": 0.7, "fit_seconds": 1, "predict_seconds": 0.5}])
    >>> plot_cost(summary, "accuracy").axes[0].get_xlabel()
    'seconds per fold (fit + predict)'
    """
    seconds = ["fit_seconds", "predict_seconds"]
    style.check_table(summary, [*_SUMMARY, *seconds], ["mean", *seconds])
    if summary["dataset"].nunique() > 1:
        raise ValueError("The table holds several data sets: pass rows of one.")
    summary = summary[summary["metric"] == metric].reset_index(drop=True)
    if summary.empty:
        raise ValueError(f"The table has no rows of metric={metric!r}.")
    summary = summary.assign(cost=summary[seconds].sum(axis=1)).dropna(subset=["mean", *seconds])
    if not (summary["cost"] > 0).all():
        raise ValueError("Seconds of fit and predict must be positive in sum.")

    ax = style.get_axes(ax, 5.2, 3.6 + 0.13 * len(summary))
    for row in summary.itertuples():  # the index counts pipelines without costs too
        point = style.look(row.Index) | {"linestyle": "none", "markersize": 8, "capsize": 3}
        label = style.wrap(row.pipeline)
        ax.errorbar(row.cost, row.mean, _arms(row), elinewidth=1.2, label=label, **point)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    low, high = ax.get_xlim()
    if high / low < 100:  # less than a power of ten on each side has no labels
        middle = np.sqrt(low * high)
        ax.set_xlim(min(low, middle / 10), max(high, middle * 10))
    ax.set(xlabel="seconds per fold (fit + predict)", ylabel=style.spelled(metric), title="Cost")
    style.tidy(ax, "both")
    style.add_legend(ax, below=True)
    return ax.figure


def plot_significance(table: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Matrix of differences between pipelines, coloured where they are significant.

    Parameters
    ----------
    table : DataFrame
        Of `dare_sklearn.evaluation.pairwise`, one data set: one row per pair, with ``pipeline_a,
        pipeline_b, difference`` (a - b), and the corrected ``p_holm``.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Each cell holds the score of its row minus that of its column, and the corrected p-value;
        grey where that is 0.05 or more.

    Raises
    ------
    TypeError, ValueError
        If the table lacks a column or holds a pair twice.
    """
    numbers = ["difference", "p_holm"]
    style.check_table(table, ["pipeline_a", "pipeline_b", *numbers], numbers)
    names = list(dict.fromkeys([*table["pipeline_a"], *table["pipeline_b"]]))
    swapped = {"pipeline_a": table["pipeline_b"], "pipeline_b": table["pipeline_a"]}
    both = pd.concat([table, table.assign(**swapped, difference=-table["difference"])])
    if both.duplicated(["pipeline_a", "pipeline_b"]).any():
        what = "one row per pair of pipelines, and has a pair twice or a pipeline against itself"
        raise ValueError(f"The table must hold {what}: pass the rows of one data set.")
    both = both.pivot(index="pipeline_a", columns="pipeline_b", values=numbers)
    difference, p = (both[name].loc[names, names].to_numpy(dtype=float) for name in numbers)

    side = 0.62 * len(names)
    ax = style.get_axes(ax, 3.4 + side, 1.9 + side)
    shown = np.ma.masked_where(~(p < ALPHA), difference)
    norm = Normalize(*style.symmetric_limits(table["difference"].to_numpy(dtype=float)))
    cmap = colormaps[style.SIGNED].with_extremes(bad=style.PALE)
    image = ax.imshow(shown, cmap=cmap, norm=norm)
    for i in range(len(names)):  # a pipeline against itself
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, color="white"))
    form = "+.2f" if np.nanmax(np.abs(difference)) >= 0.05 else "+.1g"  # errors may be small
    for i, j in zip(*np.nonzero(~np.isnan(difference)), strict=True):
        strong = p[i, j] < ALPHA and abs(norm(difference[i, j]) - 0.5) > 0.3
        number = f"{difference[i, j]:{form}}".replace("-", "\N{MINUS SIGN}")
        number = number if number.strip("+\N{MINUS SIGN}0.") else number[1:]  # zero has no sign
        text = f"{number}\n{style.p_text(p[i, j])}"
        shade = "white" if strong else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize="x-small", color=shade)
    labels = [style.wrap(name, 20) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize="small")
    ax.set_yticks(range(len(names)), labels, fontsize="small")
    ax.spines[:].set_visible(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(len(names) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="both", length=0)
    ax.figure.colorbar(image, ax=ax, label="difference", shrink=0.8)
    ax.set_title(f"Row minus column, and p; coloured where p < {ALPHA:g}", fontsize="medium")
    return ax.figure


def _arms(row: Any) -> np.ndarray | None:
    """The two arms of an interval around its mean, as `errorbar` takes them."""
    arms = np.array([[row.mean - row.low], [row.high - row.mean]])
    return np.maximum(arms, 0) if np.isfinite(arms).all() else None
