"""What is one observation of a table of `compare`, and the interval of its mean.

**Subjects**, where every fold tests one of several: the mean score of each. **Folds** elsewhere,
which share training data, so that the variance of their mean is enlarged by that share [1]_.
`statistics` tests, and the report draws, what is defined here.

.. [1] Nadeau, Bengio (2003). Inference for the generalization error. Machine Learning 52.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from .compare import CALIBRATION, COSTS, WHICH

TIE = 1e-9  # scores are ratios of counts: equal ones differ by rounding only
_KEYS = {*WHICH, *CALIBRATION, *COSTS, "n_labels", "share"}  # columns that are not scores
_BESIDE = {
    **dict.fromkeys(CALIBRATION, "mean"),
    "fit_seconds": "median", "predict_seconds": "median", "peak_memory_mb": "max",
}  # fmt: skip
# What a score can be at least and at most, by a word of its name.
_BOUNDS = {
    **dict.fromkeys(
        "accuracy acc auc auroc f1 precision recall sensitivity specificity jaccard".split(), (0, 1)
    ),
    **dict.fromkeys("kappa mcc matthews".split(), (-1, 1)),
    **dict.fromkeys("r2 variance d2".split(), (-np.inf, 1)),
    "neg": (-np.inf, 0),
}


def summarize(
    results: pd.DataFrame,
    metrics: Sequence[str] | str | None = None,
    *,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Mean scores with 95 % confidence intervals, and costs.

    Intervals are Student's over subjects or, with the variance enlarged as in `corrected_ttest`,
    over folds, within the bounds of the metric.

    Parameters
    ----------
    results : DataFrame
        Of `compare`, `learning_curve` or `lost_electrodes`; several data sets stacked with
        `pandas.concat`.
    metrics : str, sequence of str or None, default=None
        Columns of scores; None takes all that a data set has.
    bounds : dict of str to (float, float), or None, default=None
        The least and the largest value of a metric (infinite where there is none), by its column.
        Known by name are accuracies, AUC, F1, precision, recall (0 to 1), kappa and Matthews'
        correlation (-1 to 1), R² (up to 1) and scikit-learn's negated errors (up to 0).

    Returns
    -------
    pandas.DataFrame
        One row per data set, pipeline and metric (and ``n_labels`` or ``share``): ``dataset,
        pipeline, metric, mean, low, high, std, n, unit`` ("subject" or "fold"), ``chance`` (the
        mean level, NaN where a fold has none), the means of ``brier`` and ``calibration_error``,
        the medians of ``fit_seconds`` and ``predict_seconds``, and the largest ``peak_memory_mb``.
        A single observation has no interval and no spread (NaN).

    Raises
    ------
    ValueError
        If a score is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.evaluation import summarize
    >>> columns = "dataset pipeline fold subject n_subjects n_train n_test accuracy".split()
    >>> rows = [("data", "a", i, f"s{i}", 1, 80, 20, s) for i, s in enumerate([0.6, 0.7, 0.8])]
    >>> summarize(pd.DataFrame(rows, columns=columns))[["mean", "low", "high"]].round(3).values
    array([[0.7  , 0.425, 0.88 ]])
    """
    all_metrics = metrics is None
    metrics = score_columns(results) if all_metrics else np.atleast_1d(metrics).tolist()
    along = [name for name in ("n_labels", "share") if name in results]
    keys = ["dataset", "pipeline", *along]
    rows = []
    for key, part in results.groupby(keys, sort=False, dropna=False):
        which = dict(zip(keys, key, strict=True))
        for metric in metrics:
            metric = score_column(results, metric)
            if all_metrics and part[metric].isna().all():  # of another data set
                continue
            scores, unit, ratio = observations(part, metric)
            values = scores[which["pipeline"]].to_numpy(dtype=float)
            within = (bounds or {}).get(metric) or bounds_of(metric, results)
            low, high = mean_interval(values, ratio, within, part["n_test"].sum())
            chance = f"chance_{metric}"
            rows.append(
                {
                    **which, "metric": metric, "mean": values.mean(), "low": low, "high": high,
                    "std": values.std(ddof=1) if len(values) > 1 else np.nan, "n": len(values),
                    "unit": unit,
                    **{c: part[c].agg(how) for c, how in _BESIDE.items() if c in part},
                    "chance": part[chance].mean(skipna=False) if chance in part else np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def observations(results: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str, float]:
    """What counts as one observation of a data set, and the scores of each.

    Parameters
    ----------
    results : DataFrame
        Rows of `compare` of one data set.
    metric : str
        Column of the score.

    Returns
    -------
    scores : DataFrame, shape (n_observations, n_pipelines)
        The mean over a subject's folds, or the score of a fold.
    unit : {"subject", "fold"}
    ratio : float
        Test epochs per training epoch, by which the variance of folds is enlarged; 0 for subjects.
    """
    lacking = [name for name in WHICH if name not in results]
    if lacking:
        raise ValueError(f"This is not a table of compare: it lacks {', '.join(lacking)}.")
    dataset = results["dataset"].iloc[0]
    if results.duplicated(["pipeline", "fold"]).any():
        raise ValueError(f"{dataset!r} has a fold twice: give each data set a name of its own.")
    if not np.isfinite(results[metric].astype(float)).all():
        raise ValueError(f"{dataset!r} has missing or infinite scores of {metric!r}.")
    one_each = (results["n_subjects"] == 1).all() and results["subject"].nunique() > 1
    unit = "subject" if one_each else "fold"
    scores = results.pivot_table(
        metric, index=unit, columns="pipeline", aggfunc="mean", sort=False, observed=True
    )
    counts = results.groupby("pipeline", sort=False, observed=True)["fold"].agg(frozenset)
    if scores.isna().any(axis=None) or counts.nunique() > 1:
        raise ValueError(f"The pipelines of {dataset!r} were not scored on the same folds.")
    ratio = 0.0 if unit == "subject" else results["n_test"].mean() / results["n_train"].mean()
    return scores, unit, float(ratio)


def mean_interval(
    values: Any,
    ratio: float = 0.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    n_tested: float = np.inf,
) -> tuple[float, float]:
    """95 % confidence interval of the mean score, within the bounds of the metric.

    It is Student's, with the variance of the mean enlarged by `ratio` (Nadeau and Bengio), and cut
    at a single bound. Between two bounds it is Wilson's interval of a share [1]_, with as many
    trials as the observed variance is worth, but no more than `n_tested` (scores may all be 1.0).
    In simulations of 5 to 20 subjects it covered a mean of 0.5 to 0.95 in 92 to 99 % of cases and
    one of 0.99 in 86 to 98 %, Student's in 57 to 87 %.

    `ratio` are test epochs per training epoch where observations are folds, 0 for subjects;
    `n_tested` the epochs that all scores together are computed from. A single observation has no
    interval (NaN).

    References
    ----------
    .. [1] Wilson (1927). Probable inference, the law of succession, and statistical inference.
       Journal of the American Statistical Association 22.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return np.nan, np.nan
    low, high = bounds
    if values.min() < low - TIE or values.max() > high + TIE:  # not the metric its name says
        low, high = -np.inf, np.inf
    mean = float(np.clip(values.mean(), low, high))
    variance = corrected_error(values, ratio) ** 2
    t2 = float(stats.t.ppf(0.975, len(values) - 1)) ** 2
    if np.isfinite([low, high]).all():
        width = high - low
        share = (mean - low) / width
        spread = share * (1 - share)
        # trials that the variance is worth: no more than there were
        trials = min(spread * width**2 / variance if variance and spread else np.inf, n_tested)
        added = t2 / trials
        middle = (share + added / 2) / (1 + added)
        half = np.sqrt(added * spread + added**2 / 4) / (1 + added)
        edges = low + width * np.clip([middle - half, middle + half], 0, 1)
        return float(edges[0]), float(edges[1])
    half = np.sqrt(t2 * variance)
    return max(mean - half, low), min(mean + half, high)


def bounds_of(metric: str, results: pd.DataFrame | None = None) -> tuple[float, float]:
    """The least and the largest value of a metric, as far as its name tells.

    A table straight from `compare` also knows the function behind a column.
    """
    names = {} if results is None else results.attrs.get("scores", {})
    words = re.split(r"[^a-z0-9]+", f"{names.get(metric, '')} {metric}".strip().lower())
    return _BOUNDS.get(words[0]) or next(
        (_BOUNDS[word] for word in words if word in _BOUNDS), (-np.inf, np.inf)
    )


def score_columns(results: pd.DataFrame) -> list[str]:
    """Columns of scores: floating-point numbers that are not keys, costs or chance levels."""
    return [
        name
        for name in results
        if name not in _KEYS
        and not str(name).startswith(("chance_", "p_"))
        and pd.api.types.is_float_dtype(results[name])
    ]


def score_column(results: pd.DataFrame, metric: str | None) -> str:
    known = score_columns(results)
    if metric is None and len(known) == 1:
        return known[0]
    numbers = metric in results and pd.api.types.is_numeric_dtype(results[metric])
    if metric in _KEYS or not numbers:
        raise ValueError(f"metric must be one of {', '.join(known)}, got {metric!r}.")
    return metric


def corrected_error(values: np.ndarray, ratio: float) -> float:
    """Standard error of the mean of scores of folds; ``ratio`` 0 is the usual one."""
    if np.ptp(values) <= TIE:
        return 0.0
    return float(np.sqrt((1 / len(values) + ratio) * values.var(ddof=1)))
