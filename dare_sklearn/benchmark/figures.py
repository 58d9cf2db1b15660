"""The figures of a report, each as one inline picture with a description."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from ..evaluation.statistics import EXACT_UP_TO
from .answer import ALPHA, BEST, Verdict, best_pairs
from .run import Results
from .text import escape

# text as paths: the same on every machine, whatever fonts it has; no date: equal runs, equal files
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "dare_sklearn", "figure.facecolor": "white"}


def picture(figure: Any, alt: str) -> str:
    """A figure as HTML that asks nothing of the network."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_SVG):
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", pad_inches=0.1, metadata={"Date": None}
        )
    svg = buffer.getvalue()
    width = round(float(svg.split(b'width="', 1)[1].split(b"pt", 1)[0]) * 4 / 3)
    content = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><div class="wide"><img style="width:{width}px" alt="{escape(alt)}" '
        f'src="data:image/svg+xml;base64,{content}"></div></figure>'
    )


def of_dataset(
    results: Results, dataset: str, table: pd.DataFrame, verdict: Verdict | None
) -> Iterator[tuple[str, str]]:
    """Titles and pictures of one data set."""
    from .. import viz
    from ..evaluation import pairwise

    metric = results.datasets[dataset]["metrics"][0]
    spelled = metric.replace("_", " ")
    yield from _draw(
        "Scores",
        lambda: viz.plot_scores(table, metric),
        f"{spelled} of each fold and mean with 95 % interval of each pipeline on {dataset}",
    )
    for a, b in _pairs(results, table, verdict):
        yield from _draw(
            "Pair by pair",
            lambda a=a, b=b: viz.plot_paired(table, metric, a, b),
            f"{spelled} of {a} and {b}, one line per person or fold, on {dataset}",
        )
    if table["pipeline"].nunique() > 1 and table.groupby("pipeline")["fold"].count().min() > 1:
        pairs = pairwise(table, metric)
        for title, body in _draw(
            "Who differs from whom",
            lambda: viz.plot_significance(pairs),
            f"Matrix of differences between pipelines with corrected p-values on {dataset}",
        ):
            yield title, body + _limit(pairs)
    curve = results.curve
    if len(curve) and dataset in set(curve["dataset"]):
        points = curve_points(curve[curve["dataset"] == dataset], metric)
        if points["n_trials"].nunique() > 1:
            yield from _draw(
                "Accuracy against training size",
                lambda: viz.plot_label_efficiency(
                    points, x="n_trials", y=metric, hue="pipeline", error="half"
                ),
                f"{spelled} against the number of labelled trials on {dataset}",
            )
    yield from _draw(
        "Cost",
        lambda: viz.plot_cost(table, metric),
        f"{spelled} against seconds per fold of each pipeline on {dataset}",
    )


def across(results: Results, verdicts: list[Verdict]) -> Iterator[tuple[str, str]]:
    """Titles and pictures of all data sets together."""
    from .. import viz

    pairs = best_pairs(results, verdicts)
    if pairs is not None:
        candidate = verdicts[0].candidate
        yield from _draw(
            "Effect in each data set",
            lambda: viz.plot_meta_analysis(pairs, candidate, BEST),
            f"Standardised difference of {candidate} and the best classical pipeline of each data "
            "set, and over all",
        )
    ranked = comparable(results)
    if ranked is not None:
        yield from _draw(
            "Mean ranks",
            lambda: viz.plot_critical_difference(ranked, "score"),
            "Mean rank of each pipeline over people or folds of all data sets, with the critical "
            "difference",
        )


def comparable(results: Results) -> pd.DataFrame | None:
    """Scores of all data sets in one column, for ranks; of pipelines that are on all of them."""
    tables = []
    for dataset, table in results.scores.groupby("dataset", sort=False):
        metric = results.datasets[dataset]["metrics"][0]
        columns = ["dataset", "pipeline", "fold", "subject", "n_subjects"]
        tables.append(table[columns].assign(score=table[metric]))
    everywhere = set.intersection(*(set(table["pipeline"]) for table in tables))
    whole = pd.concat(tables, ignore_index=True)
    whole = whole[whole["pipeline"].isin(everywhere)]
    n_units = whole.groupby("pipeline")["fold"].count().min() if len(everywhere) > 1 else 0
    return whole if n_units > 1 and len(everywhere) > 2 else None


def curve_points(curve: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means with half the width of their intervals, one row per pipeline and training size."""
    from ..evaluation import summarize

    points = []
    for (n_trials, pipeline), table in curve.groupby(["n_trials", "pipeline"], sort=False):
        row = summarize(table, metric).iloc[0]
        half = (row["high"] - row["low"]) / 2
        points.append(
            {"pipeline": pipeline, "n_trials": n_trials, metric: row["mean"], "half": half}
        )
    return pd.DataFrame(points).fillna({"half": 0.0})


def _limit(pairs: pd.DataFrame) -> str:
    """Says so where the correction for all pairs leaves no difference that could be shown."""
    n = int(pairs["n"].iloc[0])
    exact = pairs["test"].iloc[0] == "permutation" and n <= EXACT_UP_TO
    smallest = min(1.0, len(pairs) * 2 * 0.5**n) if exact else 0.0
    if smallest <= ALPHA:
        return ""
    return (
        f'<p class="muted">Corrected for {len(pairs)} pairs, no p-value of {n} people can fall '
        f"below {smallest:.3f}, so that no cell can be coloured. The answer above corrects for "
        "fewer: it asks about DARE alone.</p>"
    )


def _pairs(
    results: Results, table: pd.DataFrame, verdict: Verdict | None
) -> Iterator[tuple[str, str]]:
    """The candidate beside the best classical pipeline, and beside itself untrained."""
    if verdict is None:
        return
    yield verdict.rival, verdict.candidate
    roles = results.roles()
    for name in dict.fromkeys(table["pipeline"]):
        if roles[name] == "control":
            yield name, verdict.candidate


def _draw(title: str, draw: Callable[[], Any], alt: str) -> Iterator[tuple[str, str]]:
    """A picture; a figure that these scores do not suffice for is left out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layouts
            yield title, picture(draw(), alt)
    except (ValueError, ImportError) as error:
        yield title, f'<p class="muted">Not drawn: {escape(error)}</p>'
