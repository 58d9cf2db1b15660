"""Permutation importance of channels, which scikit-learn's own function cannot take."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state

from ..signals.mne_objects import replace_data


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
    is_epochs = hasattr(X, "get_data") and hasattr(X, "drop_log")
    if not is_epochs and not (isinstance(X, np.ndarray) and X.ndim == 3):
        shape = f" of shape {X.shape}" if hasattr(X, "shape") else ""
        raise TypeError(
            "channel_importance takes mne.Epochs or an array (n_epochs, n_chans, n_times), got a "
            f"{type(X).__name__}{shape}."
        )
    data = X.get_data(copy=True) if is_epochs else X
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
            shuffled = replace_data(X, shuffled) if is_epochs else shuffled
            importances[channel, repeat] = baseline - scorer(estimator, shuffled, y)
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=1),
        importances_std=importances.std(axis=1),
        baseline=baseline,
        ch_names=list(X.ch_names) if is_epochs else None,
    )
