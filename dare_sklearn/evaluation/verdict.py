"""Is one pipeline better than the others? A table and one sentence.

The candidate is **better** on a data set if it beats every rival (each paired test at 0.05: an
intersection-union test, which needs no correction), and **worse** if a rival beats it (with Holm's
correction over the rivals). Otherwise the verdict is **no difference shown**. The interval is that
of the difference to the rival with the highest mean, which is chosen with the same scores: that
favours the rivals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from . import statistics

ALPHA = 0.05
BETTER, WORSE, OPEN, UNTESTED = "better", "worse", "no difference shown", "not tested"


def judge(
    results: pd.DataFrame, candidate: str | None = None, rivals: Sequence[str] | None = None
) -> pd.DataFrame:
    """Judge the candidate against its rivals, data set by data set.

    Parameters
    ----------
    results : DataFrame
        Result of `compare`; several data sets are stacked. The first metric of each counts.
    candidate : str or None, default=None
        Name of a pipeline; None takes the first.
    rivals : sequence of str or None, default=None
        Names of pipelines; None takes all others.

    Returns
    -------
    pandas.DataFrame
        One row per data set that has the candidate and a rival: ``dataset, metric, candidate,
        rival`` (the one with the highest mean), ``verdict, mean, rival_mean, difference``
        (candidate minus rival), ``low, high`` (its 95 % interval), ``p`` (of the pair, two-sided),
        ``n, unit`` and ``smallest_p``, the smallest p that is possible with so many observations.

    Raises
    ------
    ValueError
        If no data set has the candidate, or pipelines were not scored on the same folds.
    """
    candidate = results["pipeline"].iloc[0] if candidate is None else candidate
    if candidate not in set(results["pipeline"]):
        known = ", ".join(results["pipeline"].unique())
        raise ValueError(f"candidate must be one of the pipelines {known}, got {candidate!r}.")
    rows = []
    for dataset, table in results.groupby("dataset", sort=False):
        there = list(dict.fromkeys(table["pipeline"]))
        others = [n for n in there if n != candidate and (rivals is None or n in rivals)]
        if candidate in there and others:
            metric = main_metric(table)
            # tests take pairs in order of appearance
            parts = [table[table["pipeline"] == name] for name in (candidate, *others)]
            found = _judge(pd.concat(parts), metric, candidate, others)
            rows.append({"dataset": dataset, "metric": metric, "candidate": candidate, **found})
    return pd.DataFrame(rows)


def sentence(verdicts: pd.DataFrame) -> str:
    """The answer in one sentence."""
    if verdicts.empty:
        return "There is no other pipeline to compare with."
    name, total = verdicts["candidate"].iloc[0], len(verdicts)
    if total == 1:
        return _about_one(verdicts.iloc[0])
    sets = {kind: part["dataset"].tolist() for kind, part in verdicts.groupby("verdict")}
    if len(sets.get(BETTER, ())) == total:
        return f"{name} is better than every rival on all {total} data sets."
    if len(sets.get(WORSE, ())) == total:
        return f"On all {total} data sets a rival is better than {name}."
    words = {
        BETTER: "better than every rival on {}",
        WORSE: "worse than at least one rival on {}",
        OPEN: "neither shown to be better nor worse than its rivals on {}",
        UNTESTED: "not tested on {}, where there is a single score",
    }
    parts = [
        text.format(f"{len(sets[kind])} ({_join(sets[kind])})")
        for kind, text in words.items()
        if kind in sets
    ]
    return f"Of {total} data sets, {name} is {'; '.join(parts)}."


def main_metric(table: pd.DataFrame) -> str:
    """The first metric that a data set has."""
    return next(name for name in statistics.score_columns(table) if table[name].notna().any())


def _about_one(row: pd.Series) -> str:
    from ..viz._axes import spelled

    ours = f"{row.candidate} ({spelled(row.metric)} {row['mean']:.3f})"
    theirs, start = f"{row.rival} ({row.rival_mean:.3f})", f"On {row.dataset}, "
    if row.verdict == BETTER:
        return f"{start}{ours} is better than every rival; the best of them is {theirs}."
    if row.verdict == WORSE:
        return f"{start}a rival is better than {ours}; the best is {theirs}."
    if row.verdict == UNTESTED:
        return f"{start}a single {row.unit} cannot tell {ours} from its best rival, {theirs}."
    end = ""
    if row.smallest_p > ALPHA:
        end = f", and {row.n} {row.unit}s are too few to show it with this test"
    return f"{start}the scores do not show whether {ours} or {theirs} is better{end}."


def _judge(table: pd.DataFrame, metric: str, candidate: str, rivals: list[str]) -> dict:
    scores, unit, ratio = statistics.observations(table, metric)
    means, n = scores.mean(), len(scores)
    rival = max(rivals, key=lambda name: means[name])
    found = {
        "rival": rival, "verdict": UNTESTED, "mean": means[candidate], "rival_mean": means[rival],
        "difference": means[candidate] - means[rival], "low": np.nan, "high": np.nan, "p": np.nan,
        "n": n, "unit": unit, "smallest_p": 1.0,
    }  # fmt: skip
    if n < 2:
        return found
    pairs = statistics.pairwise(table, metric)
    pairs = pairs[pairs["pipeline_a"] == candidate].set_index("pipeline_b")
    corrected = pd.Series(statistics.holm(pairs["p"]), pairs.index)
    # if ranks and means point in opposite directions, nothing was shown
    lower = (pairs["difference"] < 0) & (pairs["p_less"] < pairs["p_greater"])
    higher = (pairs["difference"] > 0) & (pairs["p_greater"] < pairs["p_less"])
    found["verdict"] = OPEN
    if (lower & (corrected < ALPHA)).any():
        found["verdict"] = WORSE
    elif (higher & (pairs["p"] < ALPHA)).all():
        found["verdict"] = BETTER
    least, most = statistics.bounds_of(metric)
    edges = least - most, most - least
    differences = scores[candidate] - scores[rival]
    found["low"], found["high"] = statistics.mean_interval(differences, ratio, edges)
    exact = pairs["test"].iloc[0] == "permutation" and n <= statistics.EXACT_UP_TO
    found["p"], found["smallest_p"] = pairs.loc[rival, "p"], 2.0 * 0.5**n if exact else 0.0
    return found


def _join(names: list[str]) -> str:
    shown = ", ".join(map(str, names[:6]))
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
