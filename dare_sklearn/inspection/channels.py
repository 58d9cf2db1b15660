"""Which channels a fitted model depends on: by shuffling them, and by gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state

from ..estimators.base import ProbeEstimator
from ..signals.electrodes import electrode_name
from ..signals.objects import is_epochs, replace_data

STEP = 0.01  # of the gain of a channel, where gradients are taken by differences


def channel_importance(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    scoring: str | Callable | None = None,
    n_repeats: int = 5,
    random_state: Any = None,
) -> Bunch:
    """How much the score falls when one channel is shuffled across epochs.

    Permutation importance [1]_ for signals (scikit-learn's takes tables only). Shuffling leaves the
    amplitude and spectrum of a channel as they are. Score epochs that ``fit`` has not seen.

    Parameters
    ----------
    estimator : fitted estimator or pipeline
    X : ndarray, shape (n_epochs, n_chans, n_times), or mne.Epochs
    y : array-like, shape (n_epochs,)
    scoring : str, callable or None, default=None
        As in scikit-learn; None takes the estimator's ``score``.
    n_repeats : int, default=5
        Shufflings of each channel.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Bunch
        ``importances`` (n_chans, n_repeats), their ``importances_mean`` and ``importances_std``,
        the ``baseline`` score, and ``ch_names`` (None for an array).

    Raises
    ------
    TypeError, ValueError
        If `X` is neither, has a single epoch, or `n_repeats` is not a positive integer.

    References
    ----------
    .. [1] Breiman (2001). Random forests. Machine Learning 45(1).

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.inspection import channel_importance
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, random_state=0).fit(epochs[::2], y[::2])
    >>> result = channel_importance(clf, epochs[1::2], y[1::2], n_repeats=1, random_state=0)
    >>> result.importances.shape == (len(result.ch_names), 1)
    True
    """
    if isinstance(n_repeats, bool) or not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(f"n_repeats must be a positive integer, got {n_repeats!r}.")
    if isinstance(scoring, list | tuple | set | dict):
        raise TypeError(f"scoring must be a single metric, got {scoring!r}.")
    data, put_back = _take_data(X, "channel_importance")
    if len(data) < 2:
        raise ValueError("channel_importance shuffles epochs, so it needs two or more.")
    scorer = check_scoring(estimator, scoring=scoring)
    rng = check_random_state(random_state)
    baseline = scorer(estimator, X, y)
    importances = np.empty((data.shape[1], n_repeats))
    for channel in range(data.shape[1]):
        for repeat in range(n_repeats):
            shuffled = data.copy()
            shuffled[:, channel] = data[rng.permutation(len(data)), channel]
            importances[channel, repeat] = baseline - scorer(estimator, put_back(shuffled), y)
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=1),
        importances_std=importances.std(axis=1),
        baseline=baseline,
        ch_names=getattr(X, "ch_names", None),
        label="fall of the score",
    )


def gradient_relevance(estimator: Any, X: Any, *, target: Any = None) -> Bunch:
    """How the decision on each epoch depends on the gain of each channel.

    The relevance of a channel is gradient times input, summed over time [1]_: the derivative of the
    decision by the channel's gain, so that a relevance of 0.5 means that 1 % more amplitude raises
    the decision by 0.005. Probes with a network (``adaptation="conv-linear"`` and "finetune") are
    differentiated by torch. All others, ``adaptation="linear"`` and pipelines included, have parts
    outside of torch: for them the derivative is a central difference of decisions on signals whose
    channel is 1 % stronger and weaker, which takes two predictions of `X` for each channel.

    It says what this model reads, not where the brain signal comes from, and it is a local
    statement: a channel of which a saturated model takes no notice has none. Compare with
    `channel_importance`, which asks about the score.

    Parameters
    ----------
    estimator : fitted estimator or pipeline
        With ``decision_function``, or a regressor.
    X : ndarray, shape (n_epochs, n_chans, n_times), or mne.Epochs
    target : label or None, default=None
        The class whose score is explained. None: of two classes the second, of more the one that
        has the highest score in each epoch. Without effect for regressors, which have one output.

    Returns
    -------
    Bunch
        ``relevance`` (n_epochs, n_chans), in units of ``decision_function`` (of ``predict`` for a
        regressor); ``importances`` (n_chans,), the mean of its absolute values over epochs;
        ``ch_names`` (of a probe those that it reads; None where they are unknown).

    Raises
    ------
    TypeError, ValueError
        If `X` is neither, the estimator has no decision, or `target` is not one of its classes.

    References
    ----------
    .. [1] Shrikumar, Greenside, Shcherbina, Kundaje (2016). Not just a black box: learning
       important features through propagating activation differences. arXiv:1605.01713.

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> from dare_sklearn.inspection import gradient_relevance
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, random_state=0).fit(epochs[::2], y[::2])
    >>> result = gradient_relevance(clf, epochs[1::2])
    >>> result.relevance.shape == (10, len(result.ch_names))
    True
    """
    data, put_back = _take_data(X, "gradient_relevance")
    read = estimator.predict if is_regressor(estimator) else _decision_function(estimator)
    ch_names = getattr(X, "ch_names", None)
    if isinstance(estimator, ProbeEstimator) and hasattr(estimator, "module_"):
        relevance, ch_names = _by_torch(estimator, X, target)
    else:
        chosen = _chosen(estimator, read(X), target)
        relevance = np.empty(data.shape[:2])
        for channel in range(data.shape[1]):
            ends = []
            for gain in (1 - STEP, 1 + STEP):
                changed = data.copy()
                changed[:, channel] *= gain
                ends.append(_explained(read(put_back(changed)), chosen))
            relevance[:, channel] = (ends[1] - ends[0]) / (2 * STEP)
    return Bunch(
        relevance=relevance,
        importances=np.abs(relevance).mean(axis=0),
        ch_names=ch_names,
        label="change of the decision",
    )


def _take_data(X: Any, asking: str) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """The numbers of `X`, and a function that makes such an object of others."""
    if is_epochs(X):
        return X.get_data(copy=True), partial(replace_data, X)
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return X, lambda data: data
    shape = f" of shape {X.shape}" if hasattr(X, "shape") else ""
    raise TypeError(
        f"{asking} takes mne.Epochs or an array (n_epochs, n_chans, n_times), got a "
        f"{type(X).__name__}{shape}."
    )


def _decision_function(estimator: Any) -> Callable[[Any], np.ndarray]:
    if not hasattr(estimator, "decision_function"):
        raise TypeError(
            "gradient_relevance explains the decision_function of a classifier, or what a "
            f"regressor predicts: {type(estimator).__name__} has neither."
        )
    return estimator.decision_function


def _chosen(estimator: Any, scores: np.ndarray, target: Any) -> np.ndarray:
    """What is explained of the scores of each epoch: a column of several, the sign of a single."""
    if target is None or is_regressor(estimator):
        return np.ones(len(scores)) if scores.ndim == 1 else scores.argmax(axis=1)
    classes = estimator.classes_.tolist()
    if target not in classes:
        raise ValueError(f"target={target!r} is not one of the classes {classes}.")
    column = classes.index(target)
    return np.full(len(scores), 2 * column - 1 if scores.ndim == 1 else column)


def _explained(scores: Any, chosen: np.ndarray) -> Any:
    """The chosen part ``(n_epochs,)`` of scores, NumPy's or torch's."""
    return scores * chosen if scores.ndim == 1 else scores[np.arange(len(chosen)), chosen]


def _by_torch(estimator: Any, X: Any, target: Any) -> tuple[np.ndarray, list[str] | None]:
    """Gradient times input of a probe's network, and the names of its channels as X has them."""
    windows = estimator._load(X)
    network = estimator._network(windows)
    parts = []
    for start in range(0, len(windows), estimator.batch_size):
        part = slice(start, start + estimator.batch_size)
        x = torch.from_numpy(windows[part]).requires_grad_()
        scores = network(x)
        if is_regressor(estimator):
            scores = scores[:, 0] * estimator.y_scale_
        elif scores.shape[1] == 2:  # as in decision_function
            scores = scores[:, 1] - scores[:, 0]
        chosen = _chosen(estimator, scores.detach().numpy(), target)
        explained = _explained(scores, torch.from_numpy(chosen))
        (gradient,) = torch.autograd.grad(explained.sum(), x)
        parts.append((x.detach() * gradient).sum(dim=-1).double().numpy())
    names, given = windows.signals.ch_names, getattr(X, "ch_names", ())
    spelled = {electrode_name(name): name for name in given}
    names = None if names is None else [spelled.get(name, name) for name in names]
    return np.concatenate(parts), names
