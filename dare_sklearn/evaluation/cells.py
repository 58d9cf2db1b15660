"""One cell of a comparison: one pipeline on one fold."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mne
import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import _num_samples
from threadpoolctl import threadpool_limits

from ..signals.objects import is_epochs
from ._identity import describe, digest, keeps_its_fit

TIE = 1e-12  # relative: scores that differ by rounding are equal
# The least and the largest value of a score, by a word of its name.
_BOUNDS = {
    **dict.fromkeys(
        "accuracy acc auc auroc f1 precision recall sensitivity specificity jaccard".split(), (0, 1)
    ),
    **dict.fromkeys("kappa mcc matthews".split(), (-1, 1)),
    **dict.fromkeys("r2 variance d2".split(), (-np.inf, 1)),
    "neg": (-np.inf, 0),
}
# Metrics that need different targets, and of which scikit-learn says 0 or 1 where there are none.
_OF_SEVERAL = (
    "r2_score", "explained_variance_score", "d2_absolute_error_score", "d2_pinball_score",
    "d2_tweedie_score", "matthews_corrcoef", "cohen_kappa_score", "average_precision_score",
)  # fmt: skip
_BINS = 10
_RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function")


@dataclass
class Fold:
    """What the cells of one fold share: row numbers, and the inner folds of searches."""

    number: int
    train: np.ndarray
    test: np.ndarray
    inner: list[tuple[np.ndarray, np.ndarray]] | None = None


@dataclass
class Data:
    """The signals, their targets, and who they come from."""

    X: Any
    y: np.ndarray
    groups: np.ndarray | None

    def take(self, rows: np.ndarray) -> Self:
        """These epochs, selected in one call; mne.Epochs stay mne.Epochs."""
        X, groups = self.X, None if self.groups is None else self.groups[rows]
        if is_epochs(X):
            X = X[rows]
        elif _is_epochs_list(X):
            part = np.repeat(np.arange(len(X)), [len(epochs) for epochs in X])
            within = np.concatenate([np.arange(len(epochs)) for epochs in X])
            runs = np.split(rows, np.flatnonzero(np.diff(part[rows])) + 1)
            X = [X[part[run[0]]][within[run]] for run in runs]
        else:
            X = _safe_indexing(X, rows)
        return Data(X, self.y[rows], groups)


class Answers:
    """A fitted pipeline that predicts its test epochs once, however many metrics there are."""

    def __init__(self, estimator: Any, X: Any) -> None:
        self._estimator, self._X = estimator, X
        self._known: dict[str, Any] = {}
        self.seconds: float | None = None  # of the first prediction

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._estimator, name)
        if name not in _RESPONSES:
            return value

        def answer(X: Any, *args: Any, **kwargs: Any) -> Any:
            if X is not self._X or args or kwargs:
                return value(X, *args, **kwargs)
            if name not in self._known:
                start = time.perf_counter()
                self._known[name] = value(X)
                self.seconds = self.seconds or time.perf_counter() - start
            return self._known[name]

        answer.__name__ = name  # scikit-learn's metrics read it
        return answer


# A second thread of BLAS gains little in fits of this size, and where the machine is busy the two
# wait for each other for most of the time.
@threadpool_limits.wrap(limits=1, user_api="blas")
def run_cell(
    pipeline: Any, data: Data, fold: Fold, scorers: dict[str, Callable], grid: Any,
    random_state: int | None, n_permutations: int, each_subject: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """Scores and costs of a fit on the training epochs: one row, or one for each subject."""
    train = data.take(fold.train)
    who = data.groups[fold.test] if each_subject else np.zeros(len(fold.test))
    parts = [fold.test[who == one] for one in np.unique(who)]
    tests = [data.take(part) for part in parts]
    model = seeded(clone(pipeline), random_state)
    best = None
    with mne.use_log_level("warning"):  # by default it logs every covariance and rank
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = _resident("VmRSS:")
        start = time.perf_counter()
        if grid is None:
            _fit(model, train)
        else:
            model, best = _search(model, grid, *next(iter(scorers.items())), fold.inner, train)
        fitting = time.perf_counter() - start
        start = time.perf_counter()
        answers = [Answers(model, test.X) for test in tests]
        scores = [
            {name: _score(name, scorer, said, test) for name, scorer in scorers.items()}
            for said, test in zip(answers, tests, strict=True)
        ]
        answering = sum(said.seconds or 0.0 for said in answers)
        answering = answering or time.perf_counter() - start  # metrics that predict otherwise
        grown = np.maximum(_resident("VmHWM:") - before, 0.0)
        costs = {
            "fit_seconds": fitting, "predict_seconds": answering, "peak_memory_mb": grown,
            "best_params": best, "n_train": len(fold.train),
        }  # fmt: skip
        for row, part, test, said in zip(scores, parts, tests, answers, strict=True):
            # from the test epochs, not the fold's number: equal cells get equal permutations
            content = int(digest(describe(part)), 16)
            seed = None if random_state is None else [random_state, content]
            row |= _chance(scorers, row, said, test, n_permutations, seed)
            row |= _calibration(said, test)
            people = [] if test.groups is None else np.unique(test.groups).tolist()
            subject = people[0] if len(people) == 1 else " + ".join(map(str, people)) or None
            row |= {"subject": subject, "n_subjects": len(people), "n_test": len(part), **costs}
    return scores


def _search(
    model: Any, grid: Any, name: str, scorer: Callable, inner: Any, train: Data
) -> tuple[Any, dict[str, Any]]:
    """The best of a grid, fitted on all training epochs, and its parameters."""
    # GridSearchCV would cut mne.Epochs one by one, which takes longer than the search
    scorer = getattr(scorer, "whole", scorer)  # where electrodes are lost, the metric with all
    candidates, scores = list(ParameterGrid(grid)), []
    for rows, others in inner:
        part, rest = train.take(rows), train.take(others)
        fitted = (_fit(model, part, params) for params in candidates)
        scores.append([_score(name, scorer, one, rest) for one in fitted])
    best = candidates[int(np.mean(scores, axis=0).argmax())]
    return _fit(model, train, best), best


def _fit(model: Any, train: Data, params: Mapping[str, Any] | None = None) -> Any:
    """The model, or a clone with these parameters, fitted; groups reach steps that request them."""
    if params is not None:
        model = clone(model).set_params(**clone(params, safe=False))
    routing = train.groups is not None and sklearn.get_config()["enable_metadata_routing"]
    asks = routing and get_routing_for_object(model).consumes("fit", ["groups"])
    model.fit(train.X, train.y, **({"groups": train.groups} if asks else {}))
    return model


def seeded(pipeline: Any, random_state: int | None) -> Any:
    """Set `random_state` wherever the pipeline has None, except in parts that keep their fit."""
    if random_state is None or keeps_its_fit(pipeline):
        return pipeline
    params = pipeline.get_params(deep=True)
    kept = tuple(f"{name}__" for name, value in params.items() if keeps_its_fit(value))
    free = [
        name
        for name, value in params.items()
        if value is None and name.split("__")[-1] == "random_state" and not name.startswith(kept)
    ]
    return pipeline.set_params(**dict.fromkeys(free, random_state))


def permuted(y: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Labels in another order, equally likely if the predictions are unrelated to them.

    They are permuted within each group, so that telling groups apart gains nothing. Where each
    group has a single label (a diagnosis), labels of whole groups are exchanged.
    """
    if groups is None:
        return rng.permutation(y)
    names, member = np.unique(groups, return_inverse=True)
    rows = [np.flatnonzero(member == i) for i in range(len(names))]
    if all(len(np.unique(y[r])) == 1 for r in rows):
        return rng.permutation(np.array([y[r[0]] for r in rows]))[member]
    shuffled = y.copy()
    for r in rows:
        shuffled[r] = rng.permutation(y[r])
    return shuffled


def bounds_of(metric: str) -> tuple[float, float]:
    """The least and the largest value of a metric, by its name."""
    words = re.split(r"[^a-z0-9]+", metric.lower())  # "neg", the first one, counts most
    return next((_BOUNDS[word] for word in words if word in _BOUNDS), (-np.inf, np.inf))


def size_of(metric: str, scores: np.ndarray) -> float:
    """The size of scores, a power of two, which ties are relative to.

    A metric that ends at 1 has the size 1, so that rounding of an R² of 0 is no difference. Errors,
    which may be squares of volts, have that of their median: one fit that diverged hides no other.
    """
    sizes = np.abs(scores)
    if bounds_of(metric)[1] == 1 or not sizes.any():
        return 1.0
    return float(np.ldexp(1.0, np.frexp(np.median(sizes[sizes > 0]))[1]))


def _score(name: str, scorer: Callable, fitted: Any, test: Data) -> float:
    score = scorer(fitted, test.X, test.y)
    metric = getattr(getattr(scorer, "whole", scorer), "_score_func", None)
    hidden = getattr(metric, "__name__", None) in _OF_SEVERAL and len(np.unique(test.y)) == 1
    if hidden or not np.isscalar(score) or not np.isfinite(score):
        epochs = f"{len(test.y)} test epochs (labels: {np.unique(test.y).tolist()[:6]})"
        why = (
            "a metric that needs several classes or targets needs them in every test fold, those "
            "of a search too: take larger folds (cv, inner_cv), or another metric"
        )
        said = "undefined" if hidden else score
        raise ValueError(f"the metric {name!r} is {said} on these {epochs}; {why}")
    return float(score)


def _chance(
    scorers: dict[str, Callable], scores: dict[str, float], answers: Answers, test: Data,
    n_permutations: int, seed: list[int] | None,
) -> dict[str, float]:  # fmt: skip
    """Mean score of the predictions against permuted labels, and the share that is as high."""
    if not n_permutations:
        return {}
    if len(np.unique(test.y)) == 1:  # every order of the labels is the same
        return {k: v for m in scorers for k, v in ((f"chance_{m}", np.nan), (f"p_{m}", 1.0))}
    rng, found = np.random.default_rng(seed), {}
    orders = [permuted(test.y, test.groups, rng) for _ in range(n_permutations)]
    for name, scorer in scorers.items():
        null = [_score(name, scorer, answers, Data(test.X, y, test.groups)) for y in orders]
        found[f"chance_{name}"] = float(np.mean(null))
        tie = TIE * size_of(name, np.array([*null, scores[name]]))
        as_high = int(np.sum(np.array(null) >= scores[name] - tie))
        found[f"p_{name}"] = (1 + as_high) / (1 + n_permutations)
    return found


def _calibration(answers: Answers, test: Data) -> dict[str, float]:
    """Brier score and calibration error; empty for a pipeline without probabilities."""
    if not hasattr(answers, "predict_proba"):
        return {}
    proba, hit = np.asarray(answers.predict_proba(test.X)), test.y[:, None] == answers.classes_
    brier = ((proba - hit) ** 2).sum(axis=1).mean() / (2 if len(answers.classes_) == 2 else 1)
    sure, right = proba.max(axis=1), hit[np.arange(len(hit)), proba.argmax(axis=1)]
    bins = np.minimum((_BINS * sure).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=right - sure)  # per bin: its epochs times their mean gap
    return {"brier": float(brier), "calibration_error": float(np.abs(gaps).sum() / len(hit))}


def n_rows(X: Any) -> int:
    """Number of epochs of any input."""
    return sum(map(len, X)) if _is_epochs_list(X) else _num_samples(X)


def _is_epochs_list(X: Any) -> bool:
    return isinstance(X, list) and len(X) > 0 and all(map(is_epochs, X))


def _resident(field: str) -> float:
    """Megabytes in a field of /proc/self/status; NaN where the system is not Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return np.nan
    return int(status.read_text().split(field)[1].split()[0]) * 1024 / 1e6
