"""compare: every pipeline on the same folds, in a table and on disk."""

import builtins
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, ParameterGrid, StratifiedGroupKFold, check_cv
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from ..base.input import read_column, read_groups
from ..signals.errors import tell
from ..signals.objects import settle
from ..training.checkpoint import to_json
from ..weights.files import in_place_of
from . import _identity as identity
from .cells import Data, Fold, n_rows, run_cell

WHICH = ("dataset", "pipeline", "fold", "subject", "n_subjects", "n_train", "n_test")
CALIBRATION = ("brier", "calibration_error")
COSTS = ("fit_seconds", "predict_seconds", "peak_memory_mb", "best_params")
_COUNT = Interval(Integral, 0, None, closed="left")


@validate_params(
    {
        "param_grids": [Mapping, None], "inner_cv": [Integral, HasMethods("split")],
        "n_jobs": [Integral, None], "random_state": [_COUNT, None], "dataset": [str],
        "cache_dir": [str, os.PathLike, None], "n_permutations": [_COUNT],
        "on_error": [StrOptions({"raise", "warn"})], "each_subject": [bool],
    },
    prefer_skip_nested_validation=False,
)  # fmt: skip
def compare(
    pipelines: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = 5,
    scoring: Any = None,
    param_grids: Mapping[str, Any] | None = None,
    inner_cv: Any = 3,
    n_jobs: int | None = None,
    random_state: int | None = None,
    dataset: str = "data",
    cache_dir: Any = None,
    n_permutations: int = 0,
    each_subject: bool = False,
    on_error: str = "raise",
    verbose: int = 0,
) -> pd.DataFrame:
    """Cross-validate pipelines on the same folds.

    In each fold every pipeline is cloned, searched if it has a grid, and fitted on the training
    epochs only.

    Parameters
    ----------
    pipelines : dict of str to estimator
        Pipelines by their names in the table.
    X : mne.Epochs, list of them, array, table, or skorch ``SliceDataset`` of a braindecode data set
        What the pipelines read.
    y : array-like, shape (n_epochs,)
        Labels, or targets of a regression.
    groups : array-like, shape (n_epochs,), or None, default=None
        Subject of each epoch. With metadata routing, steps that request it get it. Runs of one
        person are no subjects, which tests would take for independent people: pass their folds as
        `cv` (``list(LeaveOneGroupOut().split(X, y, runs))``), and no groups.
    cv : int, splitter or iterable of (train, test), default=5
        The folds, drawn once for all pipelines. An integer means stratified folds for classifiers,
        of whole groups where `groups` are given.
    scoring : str, callable, list of str, dict or None, default=None
        Metrics as in `sklearn.model_selection.cross_validate`, greater is better. None is accuracy
        for classifiers and R² for regressors.
    param_grids : dict of str to grid, or None, default=None
        Grids as of `GridSearchCV` by name of the pipeline; the first metric chooses.
    inner_cv : int or splitter, default=3
        The folds of searches within the training epochs; an integer as in `cv`.
    n_jobs : int or None, default=None
        Cells (one pipeline on one fold) that run at once, by joblib.
    random_state : int or None, default=None
        Seeds permutations, and every ``random_state`` of the pipelines that is None, except in
        parts that stay fitted when they are cloned (a fitted `DAREPretrainer`).
    dataset : str, default="data"
        Name of the data in the table.
    cache_dir : path or None, default=None
        Folder for finished cells, a file each. A later call takes those of which everything is the
        same: pipeline (parameters, weights, code), this library, data, labels, groups (and whether
        they are routed), fold, metrics, seeds, versions. Your own classes and functions count with
        what they use of their module; after changing what it imports, empty the folder.
    n_permutations : int, default=0
        Permutations of the test labels for the chance level (see Notes).
    each_subject : bool, default=False
        Score each subject (of `groups`) of a fold separately, with the fold's model, as MOABB's
        `CrossSubjectEvaluation` does. Intervals and tests then take subjects as observations.
    on_error : {"raise", "warn"}, default="raise"
        Whether a cell that fails raises an error, or warns and is left out.
    verbose : int, default=0
        1 shows a progress bar with the pipeline that runs.

    Returns
    -------
    pandas.DataFrame
        One row per pipeline and fold (with `each_subject`, per tested subject): ``dataset,
        pipeline, fold``; ``subject``, the group of the test epochs (several are joined by " + ",
        None without `groups`), and ``n_subjects``; ``n_train, n_test``, epochs; one column per
        metric, and with permutations ``chance_<metric>`` and ``p_<metric>``; ``brier`` and
        ``calibration_error``, NaN without ``predict_proba``; ``fit_seconds`` (with the search),
        ``predict_seconds`` (all test epochs, once), ``peak_memory_mb`` (growth of the process in
        megabytes, without a GPU's; NaN outside Linux); ``best_params``, a dict, None without a
        search.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong or does not fit the others.
    RuntimeError
        If a pipeline fails, or a metric is not finite, with the name of the pipeline and the fold.

    Notes
    -----
    **Chance.** ``chance_<metric>`` is the mean score of the fitted pipeline's predictions against
    `n_permutations` random orders of the test labels, ``p_<metric>`` the share of orders (the true
    one included) that score as high [1]_: an exact test of whether predictions and labels are
    related. It assumes that the test epochs of a group are exchangeable, which blocks of one label
    are not, and cannot detect a leak in `X` itself (features chosen with all labels). Labels are
    permuted within groups, so that telling people apart gains nothing; where each group has one
    label, whole groups are exchanged. Where all test epochs of a fold have one label, its chance
    level is NaN and its p 1.

    **Calibration.** ``brier`` is the mean squared distance of the probabilities from the truth
    (halved for two classes, as in `sklearn.metrics.brier_score_loss`), ``calibration_error`` the
    expected calibration error [2]_ over ten bins, which few test epochs make too large.

    **Costs** of the first cells include the loading of libraries: compare medians.

    References
    ----------
    .. [1] Ojala, Garriga (2010). Permutation tests for studying classifier performance. Journal of
       Machine Learning Research 11.
    .. [2] Guo et al. (2017). On calibration of modern neural networks. ICML.

    Examples
    --------
    >>> from dare_sklearn import simulate_epochs
    >>> from dare_sklearn.evaluation import compare
    >>> from dare_sklearn.transformers import classical_pipelines
    >>> epochs = simulate_epochs("motor", n_subjects=2, n_epochs=12, random_state=0)
    >>> y, people = epochs.metadata["label"], epochs.metadata["subject"]
    >>> table = compare({"MDM": classical_pipelines()["MDM"]}, epochs, y, groups=people, cv=2)
    >>> table[["pipeline", "subject"]].values.tolist()
    [['MDM', 'S001'], ['MDM', 'S002']]
    """
    if cache_dir is not None and not str(cache_dir):
        raise ValueError("cache_dir of compare must be a folder or None, got an empty name.")
    pipelines, grids = _check_pipelines(pipelines, param_grids)
    data = _check_data(X, y, groups)
    if each_subject and data.groups is None:
        raise ValueError("each_subject=True needs groups, the subject of each epoch: pass them.")
    scorers = check_scorers(pipelines, scoring)
    stratify = all(map(is_classifier, pipelines.values()))
    pairs = _folds(cv, data.y, data.groups, stratify, "cv")
    folds = [Fold(number, *pair) for number, pair in enumerate(pairs)]
    _tell_copies(data.X, folds)
    for fold in folds if grids else ():
        within = None if data.groups is None else data.groups[fold.train]
        name = f"inner_cv (in fold {fold.number})"
        fold.inner = _folds(inner_cv, data.y[fold.train], within, stratify, name)
    cells = [(name, fold) for name in pipelines for fold in folds]
    texts: dict[str, str] = {}
    if cache_dir is not None:
        for name, pipeline in pipelines.items():
            texts[name] = identity.describe([pipeline, grids.get(name)])
        routed = get_config()["enable_metadata_routing"]
        common = identity.digest(
            identity.digest_signals(data.X), identity.describe([data.y, data.groups, scorers]),
            random_state, n_permutations, each_subject, identity.versions(), routed,
            identity.own_code(),
        )  # fmt: skip

    def file_of(name: str, fold: Fold) -> Path:
        number = fold.number if random_state is None else None  # then equal folds may differ
        rows = [fold.train, fold.test, fold.inner if name in grids else None, number]
        label = re.sub(r"[^\w-]+", "-", f"{dataset}_{name}")[:80]
        key = identity.digest(common, texts[name], identity.describe(rows))
        return Path(cache_dir) / f"{label}_{key}.json"

    def work(name: str, fold: Fold) -> tuple[list[dict[str, Any]], Iterable[tuple]]:
        """The rows of a cell (none if it failed), and its warnings."""
        which = {"dataset": dataset, "pipeline": name, "fold": fold.number}
        file = file_of(name, fold) if texts else None
        if file is not None:  # a damaged one is made anew
            with suppress(OSError, ValueError, KeyError, TypeError):
                saved = json.loads(file.read_bytes())
                said = [(text, getattr(builtins, kind)) for text, kind in saved["warnings"]]
                return [row | which for row in saved["rows"]], said
        try:
            # those of another process would be lost
            with warnings.catch_warnings(record=True) as told:
                rows = run_cell(
                    pipelines[name], data, fold, scorers, grids.get(name), random_state,
                    n_permutations, each_subject,
                )  # fmt: skip
        except Exception as error:
            what = f"Pipeline {name!r} failed in fold {fold.number} of {dataset!r}"
            message = f"{what}: {type(error).__name__}: {error}"
            if on_error == "raise":
                raise RuntimeError(message) from error
            return [], [(f"{message.rstrip('.')}. Its row is left out.", UserWarning)]
        rows = json.loads(to_json([row | which for row in rows]))
        said = {(str(w.message), _plain(w.category), w.filename, w.lineno): None for w in told}
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            about = {"pipeline": texts[name], "versions": identity.versions()}  # for people
            with in_place_of(file) as part:
                texts_of = dict.fromkeys((text, kind.__name__) for text, kind, *_ in said)
                content = {"rows": rows, "warnings": list(texts_of), "about": about}
                part.write_text(json.dumps(content, indent=1))
        return rows, said

    found = Parallel(n_jobs, return_as="generator")(delayed(work)(*cell) for cell in cells)
    done: list[dict[str, Any]] = []
    bar = tqdm(cells, unit="cell", disable=not verbose)
    for name, _ in bar:
        bar.set_description(name)
        rows, told = next(found)
        for text, kind, *where in told:
            if where:
                warnings.warn_explicit(text, kind, *where)
            else:  # of a failed or a finished cell, at the call of compare
                warnings.warn(text, kind, stacklevel=3)
        done += rows
    chance = [f"{kind}_{m}" for m in scorers for kind in ("chance", "p")] if n_permutations else []
    return pd.DataFrame(done, columns=[*WHICH, *scorers, *chance, *CALIBRATION, *COSTS])


def _plain(kind: type[Warning]) -> type[Warning]:
    """A class of warnings that every Python has; not all others take a text."""
    return kind if kind.__module__ == "builtins" else UserWarning


def _check_pipelines(pipelines: Any, grids: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(pipelines, Mapping) or not pipelines:
        what = "compare takes pipelines as a dict, name to estimator, with one or more of them"
        raise TypeError(f"{what}, got {type(pipelines).__name__}.")
    for name, pipeline in pipelines.items():
        if not isinstance(name, str) or not hasattr(pipeline, "fit") or isinstance(pipeline, type):
            what = "an estimator (an object, not its class) under a string"
            raise TypeError(f"pipelines[{name!r}] must be {what}, got {pipeline!r}.")
    for name, grid in (grids or {}).items():
        if name not in pipelines:
            raise ValueError(f"param_grids names {name!r}, but the pipelines are {[*pipelines]}.")
        if not len(ParameterGrid(grid)):
            raise ValueError(f"param_grids[{name!r}] is empty: name parameters, or leave it out.")
        for params in ParameterGrid(grid):  # a name that is unknown is refused before the first fit
            clone(pipelines[name]).set_params(**params)
    return dict(pipelines), dict(grids or {})


def check_folds(
    pipelines: Any, X: Any, y: Any, options: Mapping[str, Any]
) -> tuple[Data, list[tuple[np.ndarray, np.ndarray]]]:
    """The data and folds that `compare` would use with these options."""
    known, _ = _check_pipelines(pipelines)
    data = _check_data(X, y, options.get("groups"))
    stratify = all(map(is_classifier, known.values()))
    return data, _folds(options.get("cv", 5), data.y, data.groups, stratify, "cv")


def check_scorers(pipelines: Any, scoring: Any) -> dict[str, Callable]:
    """Metrics by the names of their columns; None takes the pipelines' default."""
    known = list(_check_pipelines(pipelines)[0].values())
    if scoring is None:
        kinds = {"accuracy": is_classifier, "r2": is_regressor}
        scoring = next((name for name, kind in kinds.items() if all(map(kind, known))), None)
        if scoring is None:
            raise ValueError("compare cannot tell which metric suits all pipelines: pass scoring=.")
    if isinstance(scoring, str) or callable(scoring):
        name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
        scoring = {name: scoring}
    for name in scoring if isinstance(scoring, Iterable) else ():
        if name in (*WHICH, *CALIBRATION, *COSTS) or str(name).startswith(("chance_", "p_")):
            raise ValueError(f"A metric cannot be called {name!r}: that is a column of the table.")
    for name, metric in scoring.items() if isinstance(scoring, Mapping) else ():
        if not (metric is None or isinstance(metric, str) or callable(metric)):
            raise ValueError(
                f"scoring[{name!r}] must be a metric's name or a scorer, got {metric!r}."
            )
    return check_scoring(known[0], scoring=scoring)._scorers


def _check_data(X: Any, y: Any, groups: Any) -> Data:
    X = settle(X)
    try:
        n_epochs = n_rows(X)
    except TypeError:
        raise TypeError(f"X of compare must hold epochs, got {type(X).__name__}.") from None
    groups = None if groups is None else read_groups(groups, n_epochs)
    return Data(X, read_column(y, "y", n_epochs), groups)


def _folds(
    cv: Any, y: np.ndarray, groups: np.ndarray | None, stratify: bool, name: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train and test on, drawn once: a random splitter would differ by pipeline."""
    if isinstance(cv, Integral) and groups is not None:
        n_groups = len(np.unique(groups))
        if not 2 <= cv <= n_groups:
            most = f"as many folds as there are groups to hold out, and there are {n_groups}"
            raise ValueError(f"{name}={cv} needs from 2 to {most}: pass another, or a splitter.")
        cv = StratifiedGroupKFold(cv) if stratify else GroupKFold(cv)
    try:
        splitter = check_cv(cv, y, classifier=stratify)
        pairs = list(splitter.split(np.zeros((len(y), 1)), y, groups))
    except (TypeError, ValueError) as error:
        what = f"{name} of compare, {shortened(cv)}, does not fit these epochs: {error}"
        kinds = "a number, a splitter (an object, not its class), or a list of (train, test) pairs"
        raise ValueError(f"{what}. It may be {kinds}.") from error
    for i, pair in enumerate(pairs):
        rows = [np.flatnonzero(r) if r.dtype == bool else r for r in map(np.asarray, pair)]
        train, test = pairs[i] = rows
        if not len(train) or not len(test):
            raise ValueError(f"Fold {i} of {name} has no training or no test epochs.")
        used = np.concatenate(rows)
        if used.dtype.kind not in "iu" or used.min() < 0 or used.max() >= len(y):
            raise ValueError(f"Fold {i} of {name} must hold numbers of epochs, 0 to {len(y) - 1}.")
        if len(np.unique(test)) < len(test):
            raise ValueError(f"Fold {i} of {name} tests an epoch twice.")
        if np.intersect1d(train, test).size:
            raise ValueError(f"Fold {i} of {name} tests on epochs that it trains on.")
    if not pairs:
        raise ValueError(f"{name} of compare gives no folds.")
    again = len(pairs) - len({tuple(np.unique(r).tobytes() for r in rows) for rows in pairs})
    if again:
        tell(
            f"{again} of the {len(pairs)} folds of {name} are others again, which makes intervals "
            "and p-values too small: leave them out."
        )
    return pairs


def _tell_copies(X: Any, folds: list[Fold]) -> None:
    """Warn of test epochs that are among the training epochs too, under another number."""
    digests = identity.digest_each(X)
    if len(set(digests)) == len(digests):
        return
    _, same = np.unique(digests, return_inverse=True)
    copies = [np.isin(same[fold.test], same[fold.train]).sum() for fold in folds]
    if any(copies):
        tell(
            f"{sum(copies)} of {sum(len(fold.test) for fold in folds)} test epochs are exact "
            "copies of training epochs of their fold, which give them away: leave copies out, or "
            "keep them in one group."
        )
