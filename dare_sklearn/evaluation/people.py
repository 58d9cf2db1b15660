"""One score per person, who may have many windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.columns import read_column, read_groups


def average_windows(
    scores: Any, groups: Any, y: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Average the scores of windows that belong to one person or recording.

    For labels of people, such as a diagnosis: cross-validate with whole people in each fold, then
    score people, and not their windows, which are many and agree with each other.

    Parameters
    ----------
    scores : array-like, shape (n_windows,) or (n_windows, n_outputs)
        Held-out scores of windows, as of `sklearn.model_selection.cross_val_predict`.
    groups : array-like, shape (n_windows,)
        Person or recording of each window.
    y : array-like, shape (n_windows,), or None, default=None
        Labels, one for all windows of a group.

    Returns
    -------
    scores : ndarray, shape (n_groups,) or (n_groups, n_outputs)
        Means over windows.
    groups : ndarray, shape (n_groups,)
        Sorted.
    y : ndarray, shape (n_groups,), or None

    Raises
    ------
    ValueError
        If scores are not finite, lengths differ, or windows of one group have several labels.

    Examples
    --------
    >>> from dare_sklearn.evaluation import average_windows
    >>> average_windows([0.2, 0.4, 0.9], ["a", "a", "b"], [0, 0, 1])
    (array([0.3, 0.9]), array(['a', 'b'], dtype='<U1'), array([0, 1]))
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim not in (1, 2) or not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers, one or one row of them per window.")
    found, first, member = np.unique(
        read_groups(groups, len(scores)), return_index=True, return_inverse=True
    )
    means = np.stack([scores[member == i].mean(axis=0) for i in range(len(found))])
    if y is None:
        return means, found, None
    y = read_column(y, "y")
    if len(y) != len(scores):
        raise ValueError(f"y has {len(y)} labels for {len(scores)} windows: pass one per window.")
    mixed = np.unique(found[member[y != y[first][member]]])
    if len(mixed):
        raise ValueError(
            f"Windows of {mixed[0]!r} have several labels y: average windows of one label only, "
            "or group them by recording."
        )
    return means, found, y[first]
