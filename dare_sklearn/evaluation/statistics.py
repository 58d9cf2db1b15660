"""Statistics of a table of `compare`: observations, intervals, and paired tests.

If every row tests one of several subjects, an observation is the mean score of a **subject**;
otherwise it is the score of a **fold**.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from .cells import bounds_of, size_of
from .compare import CALIBRATION, COSTS, WHICH

TIE = 1e-9  # relative: scores are ratios of counts, equal ones differ by rounding only
_KEYS = {*WHICH, *CALIBRATION, *COSTS, "n_labels", "share"}  # columns that are not scores
# columns beside the scores: what is taken over folds, heading in a report and number of digits
BESIDE = {
    "brier": ("mean", "Brier score", 3), "calibration_error": ("mean", "calibration error", 3),
    "fit_seconds": ("median", "fit (s)", 2), "predict_seconds": ("median", "predict (s)", 2),
    "peak_memory_mb": ("max", "memory (MB)", 0),
}  # fmt: skip
WILCOXON_FROM = 20  # subjects, as in MOABB
EXACT_UP_TO = 14  # observations: 16,384 sign patterns
_PAIRS = (
    "dataset pipeline_a pipeline_b metric unit n mean_a mean_b difference effect_size test "
    "p_greater p_less p p_holm"
).split()


def summarize(
    results: pd.DataFrame,
    metrics: Sequence[str] | str | None = None,
    *,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Mean scores with 95 % confidence intervals, which stay within bounds, and costs.

    Observations are subjects, or folds with the variance enlarged as in `pairwise`.

    Parameters
    ----------
    results : DataFrame
        Of `compare`, `learning_curve` or `lost_electrodes`; `pandas.concat` stacks several.
    metrics : str, sequence of str or None, default=None
        Columns of scores; None takes all that a data set has.
    bounds : dict of str to (float, float), or None, default=None
        The least and the largest value of metrics by column (infinite if unbounded). Known by name
        are accuracies, AUC, F1, precision, recall (0 to 1), kappa and Matthews' correlation (-1 to
        1), R² (up to 1) and scikit-learn's negated errors (up to 0).

    Returns
    -------
    pandas.DataFrame
        One row per data set, pipeline and metric (and ``n_labels`` or ``share``): ``dataset,
        pipeline, metric, mean, low, high, std, n, unit`` ("subject" or "fold"), ``chance`` (mean),
        means of ``brier`` and ``calibration_error``, medians of ``fit_seconds`` and
        ``predict_seconds``, and the largest ``peak_memory_mb``. A single observation has no
        interval and no spread (NaN).

    Raises
    ------
    ValueError
        If a score is missing, or pipelines were not scored on the same folds.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from dare_sklearn.evaluation import compare, summarize
    >>> results = compare({"naive Bayes": GaussianNB()}, *load_iris(return_X_y=True))
    >>> summarize(results)[["mean", "low", "high"]].round(2).values
    array([[0.95, 0.86, 0.99]])
    """
    _check_columns(results)
    chosen = () if metrics is None else np.atleast_1d(metrics).tolist()
    along = [name for name in ("n_labels", "share") if name in results]
    keys = ["dataset", "pipeline", *along]
    rows = []
    for _, part in results.groupby(["dataset", *along], sort=False, dropna=False):
        _check_same_folds(part)
    sizes = _sizes(results, keys)
    for key, part in results.groupby(keys, sort=False, dropna=False):
        which = dict(zip(keys, key, strict=True))
        n_tested = _n_tested(part, *sizes.loc[which["dataset"]])
        for metric in chosen or score_columns(part):
            metric = score_column(results, metric)
            scores, unit, ratio = observations(part, metric)
            values = scores[which["pipeline"]].to_numpy(dtype=float)
            within = (bounds or {}).get(metric) or bounds_of(metric)
            low, high = mean_interval(values, ratio, within, n_tested)
            chance = f"chance_{metric}"
            rows.append({
                **which, "metric": metric, "mean": values.mean(), "low": low, "high": high,
                "std": values.std(ddof=1) if len(values) > 1 else np.nan, "n": len(values),
                "unit": unit,
                **{c: part[c].agg(how) for c, (how, *_) in BESIDE.items() if c in part},
                "chance": part[chance].mean(skipna=False) if chance in part else np.nan,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _sizes(results: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of each data set, the epochs of its largest fold, and the most rows (subjects) of one."""
    folds = results.groupby([*keys, "fold"], dropna=False, observed=True)
    n_epochs = folds["n_train"].max() + folds["n_test"].sum()  # with those that are trained on
    both = pd.DataFrame({"n_epochs": n_epochs, "n_rows": folds.size()})
    return both.groupby("dataset", dropna=False, observed=True).max()


def _n_tested(part: pd.DataFrame, n_epochs: int, n_rows: int) -> int:
    """Most epochs that can be behind these scores: repeated folds test the same ones again."""
    each = part.groupby("subject", dropna=False, observed=True)["n_test"].sum().clip(upper=n_epochs)
    # folds of one subject each may be within it, and then know of no other
    return each.sum() if n_rows == 1 else min(each.sum(), n_epochs)


def observations(results: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, str, float]:
    """The scores of a data set per observation: per subject, or per fold.

    Parameters
    ----------
    results : DataFrame
        Rows of one data set, from `compare`.
    metric : str
        Column of the score.

    Returns
    -------
    scores : DataFrame, shape (n_observations, n_pipelines)
        The mean over a subject's folds, or the score of a fold.
    unit : {"subject", "fold"}
    ratio : float
        Test epochs per training epoch, which enlarges the variance over folds; 0 for subjects.
    """
    _check_columns(results)
    dataset = results["dataset"].iloc[0]
    if results.duplicated(["pipeline", "fold", "subject"]).any():
        raise ValueError(f"{dataset!r} has a fold twice: give each data set its own name.")
    if not np.isfinite(results[metric].astype(float)).all():
        raise ValueError(f"{dataset!r} has missing or infinite scores of {metric!r}.")
    one_each = (results["n_subjects"] == 1).all() and results["subject"].nunique() > 1
    unit = "subject" if one_each else "fold"
    layout = {"index": unit, "columns": "pipeline", "sort": False, "observed": True}
    scores = results.pivot_table(metric, **layout)  # means
    _check_same_folds(results)
    ratio = 0.0 if unit == "subject" else results["n_test"].mean() / results["n_train"].mean()
    return scores, unit, float(ratio)


def _check_columns(results: pd.DataFrame) -> None:
    if lacking := [name for name in WHICH if name not in results]:
        raise ValueError(f"This is not a table of compare: it lacks {', '.join(lacking)}.")


def _check_same_folds(results: pd.DataFrame) -> None:
    """Refuse rows of one data set whose pipelines have different folds (one failed in some)."""
    tested = {
        name: frozenset(zip(part["fold"], part["subject"].astype(str), strict=True))
        for name, part in results.groupby("pipeline", observed=True)
    }
    most = max(tested.values(), key=len)
    if few := [name for name, folds in tested.items() if folds != most]:
        what = f"The pipelines of {results['dataset'].iloc[0]!r} were not scored on the same folds"
        hint = "leave out the pipelines or folds that lack scores"
        raise ValueError(f"{what} ({', '.join(few)} on others): {hint}.")


def mean_interval(
    values: Any, ratio: float = 0.0, bounds: tuple[float, float] = (-np.inf, np.inf),
    n_tested: float = np.inf,
) -> tuple[float, float]:  # fmt: skip
    """95 % confidence interval of the mean score, within the bounds of the metric; NaN of a single.

    With one bound or none it is Student's interval, with the variance of the mean enlarged by
    `ratio` (see `observations`), and cut at the bound. Between two bounds it is Wilson's interval
    of a share (1927, J. Am. Stat. Assoc. 22), for the number of trials that would have the observed
    variance, but at most `n_tested`, the epochs behind all scores (which may all be 1.0). Of 5 to
    20 simulated subjects it covered means of 0.5 to 0.95 in 92 to 99 % of cases, and a mean of 0.99
    in 86 to 98 % (Student's: 57 to 87 %).
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return np.nan, np.nan
    low, high = bounds
    if values.min() < low - TIE or values.max() > high + TIE:  # the name misleads
        low, high = -np.inf, np.inf
    mean = float(np.clip(values.mean(), low, high))
    variance = corrected_error(values, ratio) ** 2
    t2 = float(stats.t.ppf(0.975, len(values) - 1)) ** 2
    if np.isfinite([low, high]).all():
        width = high - low
        share = (mean - low) / width
        spread = share * (1 - share)
        # trials with this variance: no more than there were
        trials = min(spread * width**2 / variance if variance and spread else np.inf, n_tested)
        added = t2 / trials
        middle = (share + added / 2) / (1 + added)
        half = np.sqrt(added * spread + added**2 / 4) / (1 + added)
        edges = low + width * np.clip([middle - half, middle + half], 0, 1)
        return float(edges[0]), float(edges[1])
    half = np.sqrt(t2 * variance)
    return max(mean - half, low), min(mean + half, high)


def score_columns(results: pd.DataFrame) -> list[str]:
    """Columns of scores: floats that are not keys, costs or chance levels; filled ones, if any."""
    floats = results.select_dtypes("floating").columns.difference(_KEYS, sort=False)
    known = [name for name in floats if not str(name).startswith(("chance_", "p_"))]
    return [name for name in known if results[name].notna().any()] or known


def score_column(results: pd.DataFrame, metric: str | None) -> str:
    known = score_columns(results)
    if metric is None and len(known) == 1:
        return known[0]
    numbers = metric in results and pd.api.types.is_numeric_dtype(results[metric])
    if metric in _KEYS or not numbers:
        raise ValueError(f"metric must be one of {', '.join(known)}, got {metric!r}.")
    return metric


def _alike(values: np.ndarray) -> bool:
    return np.ptp(values) <= TIE * np.abs(values).max()


def corrected_error(values: np.ndarray, ratio: float) -> float:
    """Standard error of the mean over folds; the usual one for a ``ratio`` of 0."""
    if _alike(values):
        return 0.0
    return float(np.sqrt((1 / len(values) + ratio) * values.var(ddof=1)))


def corrected_ttest(differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """One-sided p-values, above zero and below, of Nadeau and Bengio's corrected t-test."""
    if len(differences) < 2:
        raise ValueError("A single fold cannot be tested: use two or more.")
    t = _in_units(differences.mean(), corrected_error(differences, ratio))
    df = len(differences) - 1
    return float(stats.t.sf(t, df)), float(stats.t.cdf(t, df))


def _in_units(mean: float, spread: float) -> float:
    """Mean over spread; infinite, or zero, where all differences are the same."""
    mean = np.round(mean, 12)  # which rounding alone keeps from zero
    return float(mean / spread if spread else mean and np.copysign(np.inf, mean))


def pairwise(results: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Compare every pair of pipelines, per data set.

    Subjects are compared by a paired permutation test of signs, from 20 subjects on by Wilcoxon's
    signed-rank test (MOABB's rule); folds by the corrected resampled t-test [2]_, whose variance of
    the mean is ``(1 / n + n_test / n_train)`` times that of the differences.

    Parameters
    ----------
    results : DataFrame
        Of `compare`; several data sets are stacked with `pandas.concat`.
    metric : str or None, default=None
        Column of the score; may be None if there is only one.

    Returns
    -------
    pandas.DataFrame
        One row per data set and pair: ``dataset, pipeline_a, pipeline_b, metric, unit`` ("subject"
        or "fold"), ``n`` (observations), ``mean_a, mean_b, difference`` (a - b), ``effect_size``
        (mean difference in units of the differences' standard deviation), ``test, p_greater``
        (one-sided, a above b), ``p_less, p`` (two-sided) and ``p_holm`` (corrected over the pairs
        of the data set [1]_).

    Raises
    ------
    ValueError
        If pipelines were not scored on the same folds, a score is missing, or there is one fold.

    Notes
    -----
    Subjects that are left out in turn share training data too; treating them as observations is the
    field's practice (MOABB). SciPy's permutation test (all sign patterns up to 14 subjects, else
    10,000 random ones) and rank test give MOABB's numbers, unless scores tie (its sign test does
    not allow for rounding) or the mean and the ranks disagree (its Wilcoxon follows the mean).

    References
    ----------
    .. [1] Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian
       Journal of Statistics 6(2).
    .. [2] Nadeau, Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from dare_sklearn.evaluation import compare, pairwise
    >>> models = {"Bayes": GaussianNB(), "dummy": DummyClassifier()}
    >>> pairwise(compare(models, *load_iris(return_X_y=True)))[["n", "test"]].values.tolist()
    [[5, 'corrected_ttest']]
    """
    metric = score_column(results, metric)
    rows = []
    for dataset, part in results.groupby("dataset", sort=False):
        scores, unit, ratio = observations(part, metric)
        test = "permutation" if len(scores) < WILCOXON_FROM else "wilcoxon"
        test = test if unit == "subject" else "corrected_ttest"
        for a, b in combinations(scores.columns, 2):
            # rounded, so that ties remain ties after the subtraction
            size = size_of(metric, scores[[a, b]].to_numpy())
            differences = np.round((scores[a] - scores[b]).to_numpy() / size, 12)
            greater, less = _test(test, differences, ratio)
            spread = 0.0 if _alike(differences) else differences.std(ddof=1)
            rows.append({
                "dataset": dataset, "pipeline_a": a, "pipeline_b": b, "metric": metric,
                "unit": unit, "n": len(scores),
                "mean_a": scores[a].mean(), "mean_b": scores[b].mean(),
                "difference": size * differences.mean(),
                "effect_size": _in_units(differences.mean(), spread),
                "test": test, "p_greater": greater, "p_less": less,
                "p": min(1.0, 2 * min(greater, less)),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=_PAIRS)
    return table.assign(p_holm=table.groupby("dataset")["p"].transform(holm))


def holm(p: Iterable[float]) -> np.ndarray:
    """p-values with Holm's step-down correction, in the given order."""
    p = np.asarray(list(p), dtype=float)
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def _sign_permutation(differences: np.ndarray, side: str) -> float:
    """One-sided p of a permutation test of signs: over all patterns, or random ones and this."""
    found = stats.permutation_test(
        (differences,),
        lambda d, axis: np.round(d.mean(axis=axis), 9),  # equal sums differ by rounding
        permutation_type="samples", alternative=side, rng=0,
        n_resamples=np.inf if len(differences) <= EXACT_UP_TO else 10_000,
    )  # fmt: skip
    return float(found.pvalue)


def _test(test: str, differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """One-sided p-values: above zero, and below."""
    if test == "corrected_ttest":
        return corrected_ttest(differences, ratio)
    if test == "permutation":
        return _sign_permutation(differences, "greater"), _sign_permutation(differences, "less")
    if not differences.any():
        return 1.0, 1.0  # no ranks to sum
    both = (stats.wilcoxon(differences, alternative=side) for side in ("greater", "less"))
    return tuple(float(found.pvalue) for found in both)
