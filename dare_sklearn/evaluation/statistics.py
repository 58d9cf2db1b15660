"""Paired tests of a table of `compare`, effects, and their combination over data sets.

Paired tests over **subjects** apply as in MOABB. Scores of **folds** that share training data are
not independent, and a test that takes them so finds differences where there are none: the corrected
resampled t-test enlarges their variance.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .intervals import TIE, corrected_error, observations, score_column

WILCOXON_FROM = 20  # subjects, as in MOABB
EXACT_UP_TO = 14  # observations: 16,384 sign patterns
_PAIRS = (
    "dataset pipeline_a pipeline_b metric unit n n_subjects mean_a mean_b difference "
    "effect_size test p_greater p_less p p_holm"
).split()


class TTest(NamedTuple):
    """A corrected resampled t-test; ``p_greater`` is small where differences are positive."""

    statistic: float
    df: int
    p: float
    p_greater: float
    p_less: float


def corrected_ttest(differences: Any, n_train: float, n_test: float) -> TTest:
    """Corrected resampled t-test of Nadeau and Bengio [1]_.

    For scores of folds that share training data: (repeated) k-fold and shuffle splits. The
    variance of the mean is ``(1 / n + n_test / n_train)`` times that of the differences.

    Parameters
    ----------
    differences : array-like, shape (n_folds,)
        Of the scores of two pipelines on the same folds.
    n_train, n_test : float
        Epochs of a training and of a test set (their means where folds differ).

    Returns
    -------
    TTest
        ``statistic, df, p`` (two-sided), ``p_greater, p_less``.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or numbers that are not finite and positive.

    References
    ----------
    .. [1] Nadeau, Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from dare_sklearn.evaluation import corrected_ttest
    >>> round(corrected_ttest([0.10, 0.02, 0.06, 0.04, 0.08], n_train=80, n_test=20).p, 3)
    0.047
    """
    differences = np.asarray(differences, dtype=float)
    if differences.ndim != 1 or len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError(f"There must be two or more finite differences, got {differences!r}.")
    if not (n_train > 0 and n_test > 0):
        raise ValueError(f"n_train and n_test must be positive, got {n_train} and {n_test}.")
    error, mean = corrected_error(differences, n_test / n_train), np.round(differences.mean(), 12)
    # without error, every fold has the same difference
    t = mean / error if error else mean and np.copysign(np.inf, mean)
    df = len(differences) - 1
    greater, less = float(stats.t.sf(t, df)), float(stats.t.cdf(t, df))
    return TTest(float(t), df, min(1.0, 2 * min(greater, less)), greater, less)


def pairwise(results: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Compare every pair of pipelines, per data set.

    By a paired permutation test of signs below 20 subjects and Wilcoxon's signed-rank test from
    there on (MOABB's rule), and by the corrected resampled t-test where observations are folds.

    Parameters
    ----------
    results : DataFrame
        Of `compare`; several data sets stacked with `pandas.concat`.
    metric : str or None, default=None
        Column of the score; None where there is only one.

    Returns
    -------
    pandas.DataFrame
        One row per data set and pair: ``dataset, pipeline_a, pipeline_b, metric, unit`` ("subject"
        or "fold"), ``n`` (observations), ``n_subjects`` (1 where it is not known), ``mean_a,
        mean_b, difference`` (a - b), ``effect_size`` (mean difference in units of the differences'
        standard deviation), ``test, p_greater`` (one-sided, a above b), ``p_less, p`` (two-sided)
        and ``p_holm`` (corrected over the pairs of the data set [1]_).

    Raises
    ------
    ValueError
        If pipelines were not scored on the same folds, a score is missing, or there is one fold.

    Notes
    -----
    Subjects that are left out in turn share training data too; to take them as observations is the
    field's practice (MOABB). Permutation and rank tests are SciPy's, and give MOABB's numbers but
    where scores tie (its sign test does not allow for rounding) or where mean and ranks point in
    opposite directions (its Wilcoxon test follows the mean). All sign patterns are counted up to 14
    subjects, and 10,000 random ones beyond.

    References
    ----------
    .. [1] Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian
       Journal of Statistics 6(2).

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.evaluation import pairwise
    >>> scores = {"a": [0.8, 0.7, 0.9, 0.8, 0.6], "b": [0.6, 0.6, 0.7, 0.7, 0.5]}
    >>> rows = [("data", name, i, f"s{i}", 1, 80, 20, score)
    ...         for name, column in scores.items() for i, score in enumerate(column)]
    >>> columns = "dataset pipeline fold subject n_subjects n_train n_test accuracy".split()
    >>> table = pairwise(pd.DataFrame(rows, columns=columns))
    >>> table[["pipeline_a", "pipeline_b", "n", "test", "p"]].values.tolist()
    [['a', 'b', 5, 'permutation', 0.0625]]
    """
    metric = score_column(results, metric)
    rows = []
    for dataset, part in results.groupby("dataset", sort=False):
        scores, unit, ratio = observations(part, metric)
        test = "permutation" if len(scores) < WILCOXON_FROM else "wilcoxon"
        test = test if unit == "subject" else "corrected_ttest"
        people = _count_people(part)
        first = len(rows)
        for a, b in combinations(scores.columns, 2):
            # without the rounding of a subtraction, so that ties are ties
            differences = np.round((scores[a] - scores[b]).to_numpy(), 12)
            greater, less = _test(test, differences, ratio)
            rows.append(
                {
                    "dataset": dataset, "pipeline_a": a, "pipeline_b": b, "metric": metric,
                    "unit": unit, "n": len(scores), "n_subjects": people,
                    "mean_a": scores[a].mean(), "mean_b": scores[b].mean(),
                    "difference": differences.mean(), "effect_size": _effect(differences),
                    "test": test, "p_greater": greater, "p_less": less,
                    "p": min(1.0, 2 * min(greater, less)),
                }
            )  # fmt: skip
        for row, p in zip(rows[first:], holm([row["p"] for row in rows[first:]]), strict=True):
            row["p_holm"] = p
    return pd.DataFrame(rows, columns=_PAIRS)


def combine_datasets(pairs: pd.DataFrame) -> pd.DataFrame:
    """Combine the tests of `pairwise` across data sets.

    One-sided p-values by Stouffer's method, and effects by their mean, both weighted with the
    square root of the number of subjects: MOABB's ``combine_pvalues`` and ``combine_effects`` [1]_.

    Parameters
    ----------
    pairs : DataFrame
        Of `pairwise`, one metric, every pair in every data set. Without the column ``n_subjects``
        observations count as subjects.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``pipeline_a, pipeline_b, metric, n_datasets, n`` (observations in all),
        ``effect_size`` (NaN where infinite ones contradict each other), ``p_greater, p_less, p``
        (two-sided) and ``p_holm`` (over the pairs).

    Raises
    ------
    ValueError
        If `pairs` holds several metrics, or lacks a pair in some data set.

    References
    ----------
    .. [1] Jayaram, Barachant (2018). MOABB: trustworthy algorithm benchmarking for BCIs. Journal of
       Neural Engineering 15(6).

    Examples
    --------
    >>> import pandas as pd
    >>> from dare_sklearn.evaluation import combine_datasets, pairwise
    >>> scores = {"a": [0.8, 0.7, 0.9, 0.8, 0.6], "b": [0.6, 0.6, 0.7, 0.7, 0.5]}
    >>> rows = [(dataset, name, i, f"s{i}", 1, 80, 20, score) for dataset in ("one", "two")
    ...         for name, column in scores.items() for i, score in enumerate(column)]
    >>> columns = "dataset pipeline fold subject n_subjects n_train n_test accuracy".split()
    >>> combined = combine_datasets(pairwise(pd.DataFrame(rows, columns=columns)))
    >>> combined[["n_datasets", "n", "p"]].round(3).values.tolist()
    [[2.0, 10.0, 0.008]]
    """
    if pairs["metric"].nunique() != 1:
        raise ValueError("combine_datasets takes the pairs of one metric.")
    rows = []
    for (a, b), part in pairs.groupby(["pipeline_a", "pipeline_b"], sort=False):
        if set(part["dataset"]) != set(pairs["dataset"]) or part["dataset"].duplicated().any():
            raise ValueError(f"The pair {a!r}, {b!r} must be in every data set once.")
        n = part["n"].to_numpy(dtype=float)
        # into how many folds the trials of one person are cut says nothing of how much is known
        weights = np.sqrt(part.get("n_subjects", n))
        # 0 and 1 are infinite for Stouffer's method; n observations have at most 2^n outcomes
        finest = np.maximum(2.0**-n, np.finfo(float).eps)
        greater, less = (
            float(stats.combine_pvalues(np.clip(part[side], finest, 1 - finest), "stouffer",
                                        weights).pvalue)
            for side in ("p_greater", "p_less")
        )  # fmt: skip
        with np.errstate(invalid="ignore"):
            effect = float(np.average(part["effect_size"].to_numpy(), weights=weights))
        rows.append(
            {
                "pipeline_a": a, "pipeline_b": b, "metric": part["metric"].iloc[0],
                "n_datasets": len(part), "n": int(n.sum()), "effect_size": effect,
                "p_greater": greater, "p_less": less, "p": min(1.0, 2 * min(greater, less)),
            }
        )  # fmt: skip
    combined = pd.DataFrame(rows)
    combined["p_holm"] = holm(combined["p"])
    return combined


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's step-down correction, in the order given."""
    p = np.asarray(list(p), dtype=float)
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def _sign_permutation(differences: np.ndarray, side: str) -> float:
    """One-sided p, as signs of paired differences are exchangeable: all patterns, or random ones.

    The observed pattern is among the random ones.
    """
    found = stats.permutation_test(
        (differences,),
        lambda d, axis: np.round(d.mean(axis=axis), 9),  # equal sums differ by rounding
        permutation_type="samples", alternative=side, rng=0,
        n_resamples=np.inf if len(differences) <= EXACT_UP_TO else 10_000,
    )  # fmt: skip
    return float(found.pvalue)


def _count_people(part: pd.DataFrame) -> int:
    """People tested in a data set; folds of several are counted once, however often repeated."""
    one = part[part["pipeline"] == part["pipeline"].iloc[0]]
    if one["subject"].nunique() <= 1:
        return max(1, int(one["n_subjects"].max()))
    if (one["n_subjects"] == 1).all():
        return int(one["subject"].nunique())
    repeats = one["n_test"].sum() / (one["n_train"] + one["n_test"]).mean()
    return max(1, round(one["n_subjects"].sum() / max(1.0, repeats)))


def _test(test: str, differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """One-sided p-values: above zero, and below."""
    if test == "corrected_ttest":
        if len(differences) < 2:
            raise ValueError("One fold alone cannot be tested: use two or more.")
        result = corrected_ttest(differences, 1.0, ratio)
        return result.p_greater, result.p_less
    if test == "permutation":
        return _sign_permutation(differences, "greater"), _sign_permutation(differences, "less")
    if not differences.any():
        return 1.0, 1.0  # no ranks to sum
    both = (stats.wilcoxon(differences, alternative=side) for side in ("greater", "less"))
    return tuple(float(found.pvalue) for found in both)


def _effect(differences: np.ndarray) -> float:
    """Mean in units of the standard deviation, as MOABB's ``compute_effect``."""
    mean = differences.mean()
    if np.ptp(differences) <= TIE:
        return 0.0 if abs(mean) <= TIE else float(np.copysign(np.inf, mean))
    return float(mean / differences.std(ddof=1))
