"""Folds of a search for parameters, within the training epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold


class InnerFolds:
    """Whole groups where the training epochs are of several, trials otherwise.

    Fewer than `n_splits` folds where there are fewer groups, or fewer trials of a class; trials too
    where folds of groups would lack a class.
    """

    def __init__(self, n_splits: int = 3) -> None:
        self.n_splits = n_splits

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers of training and validation epochs."""
        y = np.asarray(y)
        n_groups = 1 if groups is None else len(np.unique(groups))
        if n_groups > 1:
            n_splits = min(self.n_splits, n_groups)
            splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=0)
            folds = list(splitter.split(X, y, groups))
            if all(len(np.unique(y[rows])) == len(np.unique(y)) for fold in folds for rows in fold):
                yield from folds
                return
        fewest = int(np.unique(y, return_counts=True)[1].min())
        n_splits = max(2, min(self.n_splits, fewest))
        yield from StratifiedKFold(n_splits, shuffle=True, random_state=0).split(X, y)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number asked for."""
        return self.n_splits
