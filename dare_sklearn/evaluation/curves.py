"""Scores on the same folds with fewer labelled epochs, and with lost electrodes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import mne
import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, validate_params

from ..signals.electrodes import electrode_name, info_positions, place
from ..signals.errors import listed, tell
from ..signals.objects import is_epochs
from ..training.device import is_out_of_memory
from .compare import COSTS, WHICH, check_folds, check_scorers, compare

POINT_EEG = 3  # MNE's FIFFV_POINT_EEG, the kind of a digitised electrode


def learning_curve(
    pipelines: Mapping[str, Any], X: Any, y: Any, sizes: Sequence[int], **compare_options: Any
) -> pd.DataFrame:
    """Cross-validate pipelines that are fitted on fewer and fewer labelled epochs.

    Test epochs stay the same. Training epochs are drawn from those of the fold, as evenly over the
    classes as possible; a larger size contains the epochs of the smaller ones.

    Parameters
    ----------
    pipelines, X, y
        As in `compare`.
    sizes : sequence of int
        Numbers of training epochs per fold, at most as many as the smallest fold has.
    **compare_options
        Options of `compare`. ``random_state`` seeds the draw too (None counts as 0).

    Returns
    -------
    pandas.DataFrame
        The rows of `compare` for every size, with the column ``n_labels``; ``n_train`` are the
        training epochs of the fold, from which so many were drawn.

    Raises
    ------
    ValueError
        If a size is not between 1 and the training epochs of a fold, and as in `compare`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from dare_sklearn.evaluation import learning_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> table = learning_curve({"naive Bayes": GaussianNB()}, X, y, sizes=[6, 60])
    >>> table.groupby("n_labels")["accuracy"].count().to_dict()
    {6: 5, 60: 5}
    """
    data, folds = check_folds(pipelines, X, y, compare_options)
    most = min(len(train) for train, _ in folds)
    sizes = list(dict.fromkeys(np.ravel(sizes).tolist()))
    if not sizes or not all(isinstance(n, Integral) and 1 <= n <= most for n in sizes):
        raise ValueError(f"sizes must be integers from 1 to {most} (of a fold), got {sizes}.")
    seed = compare_options.get("random_state") or 0
    fewer = [
        (nested_rows(data.y, train, size, seed), test)
        for size in sorted(sizes)
        for train, test in folds
    ]
    table = compare(pipelines, X, y, **{**compare_options, "cv": fewer})
    size, fold = np.divmod(table["fold"].to_numpy(dtype=int), len(folds))
    # what folds share is told by what they draw from: few epochs of many are hardly the same
    n_train = np.array([len(train) for train, _ in folds])[fold]
    return table.assign(fold=fold, n_train=n_train, n_labels=np.sort(sizes)[size])


@validate_params(
    {"n_draws": [Interval(Integral, 1, None, closed="left")]}, prefer_skip_nested_validation=False
)
def lost_electrodes(
    pipelines: Mapping[str, Any],
    X: Any,
    y: Any,
    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75),
    *,
    n_draws: int = 5,
    **compare_options: Any,
) -> pd.DataFrame:
    """Cross-validate pipelines that lose electrodes between the fit and the prediction.

    Pipelines are fitted (and searched) once per fold, on all electrodes, and predict the test
    epochs without a random share of them. For a pipeline that needs the channels of its fit (those
    of DARE do not), lost ones are interpolated (`mne.Epochs.interpolate_bads`), with a warning.

    Parameters
    ----------
    pipelines, y
        As in `compare`.
    X : mne.Epochs
        With the positions of the electrodes.
    shares : sequence of float, default=(0.0, 0.25, 0.5, 0.75)
        Shares of the good EEG channels that are lost, from 0 to below 1; one is always left.
    n_draws : int, default=5
        Random choices of the lost electrodes, the same for all pipelines; scores are their mean.
    **compare_options
        Options of `compare`, except ``n_permutations``.

    Returns
    -------
    pandas.DataFrame
        The rows of `compare` for every share, with the column ``share``. Costs are those of all
        shares together.

    Raises
    ------
    TypeError, ValueError
        If `X` is not mne.Epochs, a share or `n_draws` is out of range, and as in `compare`.

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.evaluation import lost_electrodes
    >>> epochs = simulate_epochs(n_subjects=1, n_epochs=12, random_state=0)
    >>> dare, y = DAREClassifier(adaptation="linear"), epochs.metadata["label"]
    >>> table = lost_electrodes({"DARE": dare}, epochs, y, shares=[0, 0.5], cv=2, n_draws=1)
    >>> table.groupby("share")["accuracy"].count().to_dict()
    {0.0: 2, 0.5: 2}
    """
    if not is_epochs(X):
        raise TypeError(f"X of lost_electrodes must be mne.Epochs, got {type(X).__name__}.")
    shares = list(dict.fromkeys(np.ravel(shares).tolist()))
    if not shares or not all(isinstance(s, Real) and 0 <= s < 1 for s in shares):
        raise ValueError(f"shares must be numbers from 0 to below 1, got {shares}.")
    if compare_options.get("n_permutations"):
        raise ValueError("lost_electrodes draws no chance levels: leave n_permutations out.")
    scorers = check_scorers(pipelines, compare_options.pop("scoring", None))
    seed = compare_options.get("random_state") or 0
    columns = {share: {f"{name} with {share:g} lost": name for name in scorers} for share in shares}
    lossy = {
        column: _WithLoss(scorers[name], share, n_draws, seed)
        for share, names in columns.items()
        for column, name in names.items()
    }
    table = compare(pipelines, X, y, scoring=lossy, **compare_options)
    parts = [
        table[[*WHICH, *names, *COSTS]].rename(columns=names).assign(share=float(share))
        for share, names in columns.items()
    ]
    return pd.concat(parts, ignore_index=True)


def nested_rows(y: np.ndarray, train: np.ndarray, n: int, seed: int) -> np.ndarray:
    """`n` of the training epochs, as evenly over the classes as possible; draws are nested."""
    rng = np.random.default_rng(seed)
    turn = np.empty(len(train), dtype=int)  # place of each epoch in its class, in random order
    for label in np.unique(y[train]):
        mine = np.flatnonzero(y[train] == label)
        turn[mine] = rng.permutation(len(mine))
    order = np.lexsort((rng.random(len(train)), turn))
    return np.sort(train[order[:n]])


def interpolated(epochs: Any, lost: Sequence[str]) -> Any:
    """A copy of ``mne.Epochs`` with the lost channels interpolated from the others."""
    filled = epochs.copy().load_data()
    picks = mne.pick_types(filled.info, eeg=True, exclude="bads")
    chs = [filled.info["chs"][i] for i in picks]
    names, own = [ch["ch_name"] for ch in chs], info_positions(chs)
    where, _ = place(names, own)
    nowhere = [name for name in names if name not in where]  # bipolar ones, say
    if strange := [name for name in lost if name in nowhere]:
        raise ValueError(
            "Lost electrodes are interpolated, and no position is known of "
            f"{listed(strange, 5)}: set a montage on the epochs, or drop these channels."
        )
    drawn = any(point["kind"] == POINT_EEG for point in filled.info["dig"] or ())
    if not drawn or any(electrode_name(name) not in own for name in where):
        montage = mne.channels.make_dig_montage(where, coord_frame="head")
        filled.set_montage(montage, on_missing="ignore")
    bads = list(filled.info["bads"])
    filled.info["bads"] += [*lost, *nowhere]
    # bad channels stay bad, and no source of the others
    filled.interpolate_bads(exclude=[*bads, *nowhere], verbose="error")
    filled.info["bads"] = bads
    return filled


class _WithLoss:
    """A metric of a fitted pipeline's predictions when electrodes are lost."""

    def __init__(self, whole: Callable, share: float, n_draws: int, seed: int) -> None:
        self.whole, self.share, self.n_draws, self.seed = whole, share, n_draws, seed

    def __call__(self, estimator: Any, X: Any, y: np.ndarray) -> float:
        # in order of their names, so that the draw does not depend on that of the recording
        picks = mne.pick_types(X.info, eeg=True, exclude="bads")
        good = sorted((X.ch_names[i] for i in picks), key=electrode_name)
        count = min(round(self.share * len(good)), len(good) - 1)  # one always stays
        if not count:
            return self.whole(estimator, X, y)
        rng = np.random.default_rng([self.seed, round(1e6 * self.share)])
        draws = [rng.choice(good, count, replace=False).tolist() for _ in range(self.n_draws)]
        return float(np.mean([self._score(estimator, X, y, lost) for lost in draws]))

    def _score(self, estimator: Any, X: Any, y: np.ndarray, lost: list[str]) -> float:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that channels are lost is the point
                return self.whole(estimator, X.copy().drop_channels(lost), y)
        except Exception as error:  # the pipeline needs the channels of its fit, or fails again
            if is_out_of_memory(error):
                raise
            score = self.whole(estimator, interpolated(X, lost), y)
        tell("a pipeline needs the channels of its fit: for it, lost electrodes are interpolated.")
        return score
