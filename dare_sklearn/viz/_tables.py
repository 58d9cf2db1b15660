"""Tables of results: what they must hold, and what is computed from them for a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


def check_table(table: Any, columns: Sequence[str], numbers: Sequence[str], owner: str) -> None:
    """Refuse what is no table with these columns.

    Parameters
    ----------
    table : DataFrame
    columns : sequence of str
        Columns that it needs.
    numbers : sequence of str
        Those of them that must hold numbers (missing ones may be NaN).
    owner : str
        Who asks, for messages.

    Raises
    ------
    TypeError, ValueError
        If it is no DataFrame, is empty, lacks a column, or holds something else than numbers.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{owner} takes a pandas DataFrame, got a {type(table).__name__}.")
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(
            f"{owner} needs the columns {', '.join(columns)}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing among {', '.join(map(str, table))}."
        )
    if table.empty:
        raise ValueError(f"{owner} got a table without rows: there is nothing to draw.")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"The column {name} of {owner} must hold numbers.")
        if np.isinf(table[name].to_numpy(dtype=float)).any():
            raise ValueError(f"The column {name} of {owner} holds infinite values.")
        if table[name].isna().all():
            raise ValueError(f"The column {name} of {owner} holds nothing but missing values.")


def in_order(values: pd.Series) -> list:
    """Different values in order of appearance."""
    return list(dict.fromkeys(values))


def mean_interval(values: Any, ratio: float = 0.0) -> tuple[float, float]:
    """Mean, and half the width of its 95 % confidence interval (Student's t; NaN for one value).

    `ratio` is the number of test epochs over that of training epochs where values are those of
    folds: the correction of Nadeau and Bengio for folds that share training data.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return float(values.mean()), np.nan
    return float(values.mean()), float(
        stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + ratio)
    )


def fold_ratio(results: pd.DataFrame, kind: str) -> float:
    """The `ratio` of `mean_interval` for one data set; 0 for subjects, or where it is unknown."""
    if kind == "subjects" or not {"n_train", "n_test"} <= set(results):
        return 0.0
    return float(results["n_test"].mean() / results["n_train"].mean())


def choose_dataset(results: pd.DataFrame, dataset: Any, owner: str) -> pd.DataFrame:
    """Rows of one dataset, or all of them for None.

    Raises
    ------
    ValueError
        If the table has no such dataset.
    """
    if dataset is None:
        return results
    rows = results[results["dataset"] == dataset]
    if rows.empty:
        raise ValueError(
            f"{owner} has no results of dataset={dataset!r}, only of "
            f"{', '.join(map(str, in_order(results['dataset'])))}."
        )
    return rows


def check_pipelines(results: pd.DataFrame, names: Sequence[Any], owner: str) -> None:
    """Refuse names of pipelines that the table does not hold."""
    there = in_order(results["pipeline"])
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(
            f"{owner} has no results of the pipeline {unknown[0]!r}, only of "
            f"{', '.join(map(str, there))}."
        )


def units(results: pd.DataFrame) -> tuple[pd.Series, str]:
    """What counts as one observation, as in `dare_sklearn.evaluation.statistics`.

    Subjects, in data sets of several where every fold tests one of them; folds elsewhere.

    Returns
    -------
    unit : Series
        One value per row of `results`.
    kind : str
        "subjects", "folds", or both.
    """
    if "subject" not in results:
        return results["fold"], "folds"
    known = results["subject"].notna()
    if "n_subjects" in results:
        known &= results["n_subjects"] == 1
    several = results.groupby("dataset")["subject"].transform("nunique") > 1
    known = known.groupby(results["dataset"]).transform("all") & several
    unit = results["subject"].astype(object).where(known, results["fold"])
    return unit, "subjects" if known.all() else "subjects or folds" if known.any() else "folds"


def unit_scores(results: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str]:
    """Scores per subject (or fold, see `units`): the mean over a subject's folds.

    Parameters
    ----------
    results : DataFrame
        Columns dataset, pipeline, fold, `metric`, and subject where known.
    metric : str

    Returns
    -------
    scores : DataFrame
        One row per dataset and unit, one column per pipeline in order of appearance; NaN where a
        pipeline has no score.
    kind : str
        What the units are.
    """
    unit, kind = units(results)
    wide = results.assign(unit=unit).pivot_table(
        index=["dataset", "unit"],
        columns="pipeline",
        values=metric,
        aggfunc="mean",
        sort=False,
        observed=True,
    )
    return wide.reindex(columns=in_order(results["pipeline"])), kind
