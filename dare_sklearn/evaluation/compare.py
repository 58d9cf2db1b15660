"""compare: every pipeline on the same folds, one row per fold, in a table and on disk."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv

from ._identity import code_of, describe, digest, digest_signals, versions
from ._store import cell_path, plain, read_cell, write_cell
from ._warnings import tell_again, told
from .cells import Data, Fold, n_rows, run_cell

WHICH = ("dataset", "pipeline", "fold", "subject", "n_subjects", "n_train", "n_test")
COSTS = ("fit_seconds", "predict_seconds", "peak_memory_mb", "best_params")


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
    on_error: str = "raise",
    verbose: int = 0,
) -> pd.DataFrame:
    """Cross-validate pipelines on the same folds.

    Every pipeline is cloned for each fold and fitted on that fold's training epochs only, with
    its search for parameters, if it has one, inside them.

    Parameters
    ----------
    pipelines : dict of str to estimator
        By the name that they have in the table.
    X : mne.Epochs, list of them, array, table, or skorch ``SliceDataset`` of a braindecode data set
        What the pipelines read.
    y : array-like, shape (n_epochs,)
        Labels, or targets of a regression.
    groups : array-like, shape (n_epochs,), or None, default=None
        Subject (or session) of each epoch. With metadata routing enabled, steps that ask for
        groups in ``fit`` get them.
    cv : int, splitter or iterable of (train, test), default=5
        The folds, drawn once for all pipelines. An integer means stratified folds for classifiers,
        which keep whole groups together where `groups` are given.
    scoring : str, callable, list of str, dict or None, default=None
        Metrics as in `sklearn.model_selection.cross_validate`, greater is better. None is accuracy
        for classifiers and R² for regressors.
    param_grids : dict of str to grid, or None, default=None
        Grids (as of `GridSearchCV`) by name of the pipeline; the first metric chooses.
    inner_cv : int or splitter, default=3
        The folds of searches, within the training epochs; an integer as in `cv`.
    n_jobs : int or None, default=None
        Cells that run at once (joblib).
    random_state : int or None, default=None
        Seeds permutations, and every ``random_state`` of the pipelines that is None. What keeps
        its fit through cloning (a fitted `DAREPretrainer`) stays as it is.
    dataset : str, default="data"
        Name of the data in the table.
    cache_dir : path or None, default=None
        Folder for finished cells, each a file of its own that is there or not (never half). A
        later call with the same content takes them from there: the same pipeline (its parameters,
        kept weights and files of weights, the source of its classes and what they use of this
        library), data, labels, groups, fold, metrics, seeds, and versions of the libraries. What
        your own classes import is not part of that: empty the folder after changing it.
    n_permutations : int, default=0
        Permutations of the test labels for the chance level (see Notes).
    on_error : {"raise", "warn"}, default="raise"
        Whether a pipeline that fails raises an error with its name and fold, or warns and gets no
        row.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row per pipeline and fold:

        - ``dataset, pipeline, fold``;
        - ``subject``, the group of the test epochs (joined by " + " where there are several, None
          without `groups`), and ``n_subjects``, their number;
        - ``n_train, n_test``, epochs;
        - one column per metric, and with permutations ``chance_<metric>`` and ``p_<metric>``;
        - ``fit_seconds`` (the search included), ``predict_seconds`` (one answer for all test
          epochs), ``peak_memory_mb`` (by how many megabytes of resident memory the process grew at
          most; memory that it held already, and that of a GPU, is not in it; where the system tells
          no more than a peak since the process began, growth below that is not seen either);
        - ``best_params``, a dict, None without a search.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong or does not fit the others.
    RuntimeError
        If a pipeline fails, or a metric is not finite, with the name of the pipeline and the fold.

    Notes
    -----
    **Chance.** The predictions of the fitted pipeline meet the test labels in `n_permutations`
    random orders; ``chance_<metric>`` is the mean score, ``p_<metric>`` the share of orders
    (the true one among them) that score as high [1]_. The test is exact for the question whether
    predictions and labels of this fold are related, whatever the model, its prior of the classes
    and the imbalance, and needs no fit. It takes test epochs of a group as exchangeable, which
    blocks of one label are not, and it cannot see a leak in `X` itself (features chosen with all
    labels): no permutation after the fact can. Permuting training labels instead answers how well
    the procedure does when there is nothing to learn; it costs a fit per permutation
    (`sklearn.model_selection.permutation_test_score` does it).

    Labels are permuted within groups, so that a model which merely tells people apart stays at
    chance; where each group has one label, labels of whole groups change places. A fold whose test
    epochs all have one label cannot be tested: its chance level is NaN and its p 1.

    **First cells** also pay for libraries that load when they are first used: compare medians of
    the costs.

    References
    ----------
    .. [1] Ojala, Garriga (2010). Permutation tests for studying classifier performance. Journal of
       Machine Learning Research 11.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from dare_sklearn.evaluation import compare
    >>> from dare_sklearn.transformers.classical import BandPower
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = 10 * (1 + y[:, None, None]) * rng.normal(size=(40, 3, 128))
    >>> power = make_pipeline(BandPower(sfreq=128, unit="uV"), LogisticRegression())
    >>> table = compare({"power": power}, X, y, groups=np.arange(40) // 10, cv=4)
    >>> table[["pipeline", "fold", "accuracy"]].round(2).values.tolist()
    [['power', 0, 1.0], ['power', 1, 1.0], ['power', 2, 1.0], ['power', 3, 1.0]]
    """
    pipelines, grids = _check_pipelines(pipelines, param_grids)
    _check_settings(random_state, n_permutations, on_error, dataset, cache_dir, n_jobs)
    data = _check_data(X, y, groups)
    scorers = check_scorers(pipelines, scoring)
    stratify = all(is_classifier(p) for p in pipelines.values())
    folds = _folds(cv, data.y, data.groups, stratify, "cv")
    if grids:
        _add_inner_folds(folds, data, inner_cv, stratify)

    common = None
    if cache_dir is not None:
        common = digest(
            digest_signals(data.X), describe([data.y, data.groups, _plain_scoring(scorers)]),
            random_state, n_permutations, versions(),
        )  # fmt: skip
    cells = []
    for name, pipeline in pipelines.items():
        text = None if common is None else describe([pipeline, grids.get(name)])
        code = None if common is None else code_of(pipeline)
        for fold in folds:
            path = None
            if common is not None:
                inner = fold.inner if name in grids else None
                # without a seed, equal folds may differ
                number = fold.number if random_state is None else None
                key = digest(common, text, code, describe([fold.train, fold.test, inner, number]))
                path = cell_path(Path(cache_dir), dataset, name, key)
            cells.append((name, fold, path, text))

    here = os.getpid()

    def finish(number: int) -> tuple[int, dict[str, Any] | str, list]:
        """Number and row of a cell (in place of the row what went wrong), and warnings."""
        if os.getpid() == here:
            return *compute(number), []
        # those of a worker would be lost with it
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return *compute(number), list(dict.fromkeys(told(w) for w in caught))

    def compute(number: int) -> tuple[int, dict[str, Any] | str]:
        name, fold, path, text = cells[number]
        found = None if path is None else read_cell(path)
        if found is not None:
            return number, {**found, "dataset": dataset, "pipeline": name, "fold": fold.number}
        try:
            measured = run_cell(
                pipelines[name], data, fold, scorers, grids.get(name), random_state, n_permutations
            )
        except Exception as error:
            message = (
                f"Pipeline {name!r} failed in fold {fold.number} of {dataset!r}: "
                f"{type(error).__name__}: {error}"
            )
            if on_error == "raise":
                raise RuntimeError(message) from error
            return number, message
        row = plain({**_which(dataset, name, fold, data.groups), **measured})
        if path is not None:
            write_cell(path, row, {"pipeline": text, "versions": versions()})
        return number, row

    tasks = (delayed(finish)(number) for number in range(len(cells)))
    parallel = Parallel(n_jobs, return_as="generator_unordered")
    rows: dict[int, dict[str, Any] | str] = {}
    for number, row, caught in _progress(parallel(tasks), cells, verbose):
        rows[number] = row
        for warning in caught:
            tell_again(*warning)
    for _, row in sorted(rows.items()):
        if isinstance(row, str):
            warnings.warn(f"{row} Its row is left out.", UserWarning, stacklevel=2)
    done = [row for _, row in sorted(rows.items()) if not isinstance(row, str)]
    chance = [f"{kind}_{m}" for m in scorers for kind in ("chance", "p")] if n_permutations else []
    table = pd.DataFrame(done, columns=[*WHICH, *scorers, *chance, *COSTS])
    table.attrs["scores"] = {name: scorer_name(scorer) for name, scorer in scorers.items()}
    return table


def _check_pipelines(pipelines: Any, grids: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(pipelines, Mapping) or not pipelines:
        raise TypeError(
            "compare takes pipelines as a dict, name to estimator, with one or more of them, got "
            f"{type(pipelines).__name__}."
        )
    for name, pipeline in pipelines.items():
        if not isinstance(name, str) or not hasattr(pipeline, "fit") or isinstance(pipeline, type):
            raise TypeError(
                f"pipelines[{name!r}] must be an estimator (an object, not its class) under a "
                f"string, got {pipeline!r}."
            )
    if grids is not None and not isinstance(grids, Mapping):
        raise TypeError(
            f"param_grids of compare must be a dict, name to grid, got {type(grids).__name__}."
        )
    grids = dict(grids or {})
    unknown = [name for name in grids if name not in pipelines]
    if unknown:
        raise ValueError(
            f"param_grids names {', '.join(map(repr, unknown))}, but the pipelines are "
            f"{', '.join(map(repr, pipelines))}."
        )
    for name, grid in grids.items():
        known = pipelines[name].get_params(deep=True)
        for part in [grid] if isinstance(grid, Mapping) else grid:
            wrong = [param for param in part if param not in known and "__" not in param]
            if wrong:
                raise ValueError(f"param_grids[{name!r}] names the unknown parameter {wrong[0]!r}.")
    for name, pipeline in pipelines.items():
        _check_devices(name, pipeline)
    return dict(pipelines), grids


def _check_devices(name: str, pipeline: Any) -> None:
    """Refuse a device that this machine lacks before the first cell, not in each of them."""
    params = pipeline.get_params(deep=True) if hasattr(pipeline, "get_params") else {}
    devices = {v for k, v in params.items() if k.split("__")[-1] == "device" and isinstance(v, str)}
    if not devices - {"auto", "cpu"}:
        return
    from ..training.device import resolve_device

    for device in sorted(devices):
        try:
            resolve_device(device)
        except ValueError as error:
            raise ValueError(f"pipelines[{name!r}]: {error}") from None


def check_folds(
    pipelines: Any, X: Any, y: Any, options: Mapping[str, Any]
) -> tuple[Data, list[Fold]]:
    """The data and folds of a call of `compare` with these options."""
    known, _ = _check_pipelines(pipelines, None)
    data = _check_data(X, y, options.get("groups"))
    stratify = all(is_classifier(p) for p in known.values())
    return data, _folds(options.get("cv", 5), data.y, data.groups, stratify, "cv")


def check_scorers(pipelines: Any, scoring: Any) -> dict[str, Callable]:
    """Metrics by the name of their column; the default of the pipelines for None."""
    pipelines, _ = _check_pipelines(pipelines, None)
    return _scorers(_default_scoring(pipelines) if scoring is None else scoring, pipelines)


def scorer_name(scorer: Any) -> str:
    """What a metric computes, whatever its column is called: the bounds of a score depend on it."""
    function = getattr(scorer, "_score_func", scorer)
    sign = "neg_" if getattr(scorer, "_sign", 1) < 0 else ""
    return sign + getattr(function, "__name__", type(function).__name__)


def _check_settings(
    random_state: Any, n_permutations: Any, on_error: Any, dataset: Any, cache_dir: Any, n_jobs: Any
) -> None:
    if random_state is not None and not _is_count(random_state):
        raise ValueError(
            "random_state of compare must be a non-negative integer or None, got "
            f"{random_state!r}: a generator would give each cell other numbers."
        )
    if not _is_count(n_permutations):
        raise ValueError(
            f"n_permutations of compare must be an integer of 0 or more, got {n_permutations!r}."
        )
    if on_error not in ("raise", "warn"):
        raise ValueError(f"on_error of compare must be 'raise' or 'warn', got {on_error!r}.")
    if not isinstance(dataset, str):
        raise TypeError(f"dataset of compare must be a name, got {dataset!r}.")
    if cache_dir is not None and not (isinstance(cache_dir, str | os.PathLike) and str(cache_dir)):
        raise TypeError(f"cache_dir of compare must be a folder or None, got {cache_dir!r}.")
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(
            f"n_jobs of compare must be a number of processes, -1 for all, or None, got {n_jobs!r}."
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 0


def _check_data(X: Any, y: Any, groups: Any) -> Data:
    from ..base.columns import read_column

    X = _settled(X)
    try:
        n_epochs = n_rows(X)
    except (TypeError, IndexError):
        raise TypeError(f"X of compare must hold epochs, got {type(X).__name__}.") from None
    columns = {"y": y} if groups is None else {"y": y, "groups": groups}
    for name, values in columns.items():
        columns[name] = read_column(values, name)
        if len(columns[name]) != n_epochs:
            raise ValueError(
                f"compare got {len(columns[name])} {name} for {n_epochs} epochs: pass one per "
                "epoch."
            )
    return Data(X, columns["y"], columns.get("groups"))


def _settled(X: Any) -> Any:
    """MNE's epochs after their own rejection."""
    mne = sys.modules.get("mne")
    if mne is None or not isinstance(X, list | mne.BaseEpochs):
        return X
    from ..signals.mne_objects import settle

    return settle(X)


def _default_scoring(pipelines: dict[str, Any]) -> str:
    if all(is_classifier(p) for p in pipelines.values()):
        return "accuracy"
    if all(is_regressor(p) for p in pipelines.values()):
        return "r2"
    raise ValueError("compare cannot tell which metric suits all these pipelines: pass scoring=.")


def _scorers(scoring: Any, pipelines: dict[str, Any]) -> dict[str, Callable]:
    """Metrics by the name of their column."""
    if isinstance(scoring, str):
        named = {scoring: scoring}
    elif callable(scoring):
        named = {getattr(scoring, "__name__", "score"): scoring}
    elif isinstance(scoring, Mapping):
        named = dict(scoring)
    elif isinstance(scoring, Iterable) and all(isinstance(name, str) for name in scoring):
        named = {name: name for name in scoring}
    else:
        named = {}
    if not named:
        raise ValueError(
            "scoring must be a metric's name, a callable, a list of names, or a dict of these, "
            f"got {scoring!r}."
        )
    for name in named:
        if name in (*WHICH, *COSTS) or str(name).startswith(("chance_", "p_")):
            raise ValueError(f"A metric cannot be called {name!r}: that is a column of the table.")
    first = next(iter(pipelines.values()))
    return {name: check_scoring(first, scoring=metric) for name, metric in named.items()}


def _plain_scoring(scoring: Any) -> Any:
    """Metrics as content: scikit-learn's scorer objects by the function that they hold."""
    if isinstance(scoring, Mapping):
        return {name: _plain_scoring(metric) for name, metric in scoring.items()}
    if hasattr(scoring, "_score_func"):
        return [type(scoring), {k: v for k, v in vars(scoring).items() if k != "_metadata_request"}]
    return scoring if isinstance(scoring, str) or callable(scoring) else list(scoring)


def _folds(
    cv: Any, y: np.ndarray, groups: np.ndarray | None, stratify: bool, name: str
) -> list[Fold]:
    """The folds, drawn once: a splitter that draws at random would give each pipeline others."""
    if isinstance(cv, Integral) and not isinstance(cv, bool) and groups is not None:
        n_groups = len(np.unique(groups))
        if not 2 <= cv <= n_groups:
            raise ValueError(
                f"{name}={cv} needs from 2 to as many folds as there are groups to hold out, and "
                f"there are {n_groups}: pass another number, or a splitter."
            )
        splitter = StratifiedGroupKFold(cv) if stratify else GroupKFold(cv)
    else:
        try:
            splitter = check_cv(cv, y, classifier=stratify)
        except ValueError as error:
            raise ValueError(f"{name} of compare: {error}") from None
    try:
        pairs = list(splitter.split(np.zeros((len(y), 1)), y, groups))
    except ValueError as error:
        raise ValueError(f"{name} of compare does not fit these epochs: {error}") from error
    folds = [Fold(i, np.asarray(a), np.asarray(b)) for i, (a, b) in enumerate(pairs)]
    for fold in folds:
        if not len(fold.train) or not len(fold.test):
            raise ValueError(f"Fold {fold.number} of {name} has no training or no test epochs.")
        rows = [np.flatnonzero(r) if r.dtype == bool else r for r in (fold.train, fold.test)]
        fold.train, fold.test = rows
        if np.intersect1d(*rows).size:
            raise ValueError(f"Fold {fold.number} of {name} tests on epochs that it trains on.")
    if not folds:
        raise ValueError(f"{name} of compare gives no folds.")
    return folds


def _add_inner_folds(folds: list[Fold], data: Data, inner_cv: Any, stratify: bool) -> None:
    if not (isinstance(inner_cv, Integral) or hasattr(inner_cv, "split")):
        raise TypeError(
            "inner_cv must be an integer or a splitter, since every fold has other training "
            f"epochs, got {type(inner_cv).__name__}."
        )
    for fold in folds:
        y = data.y[fold.train]
        groups = None if data.groups is None else data.groups[fold.train]
        inner = _folds(inner_cv, y, groups, stratify, f"inner_cv (in fold {fold.number})")
        fold.inner = [(part.train, part.test) for part in inner]


def _which(dataset: str, name: str, fold: Fold, groups: np.ndarray | None) -> dict[str, Any]:
    tested = [] if groups is None else np.unique(groups[fold.test]).tolist()
    subject = " + ".join(map(str, tested)) if len(tested) > 1 else (tested or [None])[0]
    return {
        "dataset": dataset,
        "pipeline": name,
        "fold": fold.number,
        "subject": subject,
        "n_subjects": len(tested),
        "n_train": len(fold.train),
        "n_test": len(fold.test),
    }


def _progress(results: Iterable, cells: list, verbose: int) -> Iterable:
    if not verbose:
        return results
    from tqdm.auto import tqdm

    return tqdm(results, total=len(cells), unit="cell", desc="compare")
