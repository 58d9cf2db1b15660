"""Splits and metrics: who is tested on whom, and how answers are scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, get_scorer_names, make_scorer
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from . import checks
from .checks import Keys, SuiteError

KINDS = ("leave-one-subject-out", "subjects", "within-subject", "shuffle", "fixed")
UNITS = ("session", "run", "recording", "set")
Fold = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Which epochs are trained and tested on.

    "leave-one-subject-out", and "subjects" (so many folds of whole subjects), test on people that
    no pipeline has seen. "within-subject" and "shuffle" train and test on the same person: folds of
    whole sessions, runs or recordings (`by`), of trials, or random ones. "fixed" names what is
    trained and tested on.
    """

    kind: str
    n_splits: int | None = None
    by: str | None = None
    test_size: float = 0.2
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    per_subject: bool = True

    @property
    def within_subject(self) -> bool:
        """Whether every person has folds of their own."""
        return self.kind in ("within-subject", "shuffle") or (
            self.kind == "fixed" and self.per_subject
        )

    @property
    def named(self) -> tuple[str, ...]:
        """Values of `by` that a fixed split trains and tests on."""
        return (*self.train, *self.test)

    def groups(self, meta: pd.DataFrame) -> np.ndarray | None:
        """What epochs of one fold have in common, and inner folds keep together."""
        if self.kind in ("leave-one-subject-out", "subjects"):
            return meta["subject"].to_numpy()
        if self.kind == "fixed" and not self.within_subject:
            return meta["subject"].to_numpy()
        if self.by == "run" and meta["session"].nunique() > 1:  # each session counts its own
            return (meta["session"] + ", run " + meta["run"]).to_numpy()
        return None if self.by is None else meta[self.by].to_numpy()

    def folds(self, y: np.ndarray, meta: pd.DataFrame, seed: int) -> list[Fold]:
        """Row numbers of training and test epochs.

        Raises
        ------
        SuiteError
            If the data cannot be split so.
        """
        try:
            folds = list(self._folds(y, meta, seed))
        except ValueError as error:
            raise SuiteError(f"The split {self.kind!r} does not fit the data: {error}") from None
        for train, test in folds:
            if not len(train) or not len(test):
                raise SuiteError(f"The split {self.kind!r} leaves no epochs to train or test on.")
        return folds

    def _folds(self, y: np.ndarray, meta: pd.DataFrame, seed: int) -> Iterator[Fold]:
        rows = np.zeros((len(y), 1))
        if self.kind == "fixed":
            value = meta[self.by].astype(str)
            yield tuple(
                np.flatnonzero(value.isin(chosen).to_numpy()) for chosen in (self.train, self.test)
            )
            return
        groups = self.groups(meta)
        if self.kind == "leave-one-subject-out":
            splitter = LeaveOneGroupOut()
        elif self.kind == "subjects":
            splitter = GroupKFold(self.n_splits, shuffle=True, random_state=seed)
        elif self.kind == "shuffle":
            splitter = StratifiedShuffleSplit(
                self.n_splits, test_size=self.test_size, random_state=seed
            )
        elif groups is None:
            splitter = StratifiedKFold(self.n_splits, shuffle=True, random_state=seed)
        else:
            splitter = LeaveOneGroupOut() if self.n_splits is None else GroupKFold(self.n_splits)
        yield from splitter.split(rows, y, groups)

    def describe(self) -> str:
        """The split in words."""
        kept = f"whole {self.by}s" if self.by else "trials"
        left_out = f"within each person, one {self.by} left out at a time"
        words = {
            "leave-one-subject-out": "one person left out at a time",
            "subjects": f"{self.n_splits} folds of whole people",
            "within-subject": f"within each person, {self.n_splits} folds of {kept}"
            if self.n_splits
            else left_out,
            "shuffle": f"within each person, {self.n_splits} random splits, {self.test_size:.0%} "
            "of the trials tested",
            "fixed": f"trained on {self.by} {', '.join(self.train)}, tested on "
            f"{', '.join(self.test)}" + (", within each person" if self.per_subject else ""),
        }
        return words[self.kind]


class InnerFolds:
    """Folds of a search within the training epochs: whole groups where there are several.

    Fewer than `n_splits` where there are fewer groups, or fewer trials of a class.
    """

    def __init__(self, n_splits: int = 3) -> None:
        self.n_splits = n_splits

    def split(self, X: Any, y: np.ndarray, groups: np.ndarray | None = None) -> Iterator[Fold]:
        """Row numbers of training and validation epochs."""
        y = np.asarray(y)
        if groups is not None and len(np.unique(groups)) > 1:
            n_splits = min(self.n_splits, len(np.unique(groups)))
            splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=0)
            folds = list(splitter.split(X, y, groups))
            if all(len(np.unique(y[rows])) == len(np.unique(y)) for fold in folds for rows in fold):
                yield from folds
                return
        fewest = int(np.unique(y, return_counts=True)[1].min())
        splitter = StratifiedKFold(max(2, min(self.n_splits, fewest)), shuffle=True, random_state=0)
        yield from splitter.split(X, y)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number asked for."""
        return self.n_splits


def read_split(values: Mapping[str, Any], where: str) -> Split:
    """A split from a suite.

    Raises
    ------
    SuiteError
        If a key or value is wrong.
    """
    keys = Keys(dict(values), where)
    kind = keys.take("kind", checks.one_of(*KINDS))
    settings: dict[str, Any] = {"kind": kind}
    if kind == "subjects":
        settings["n_splits"] = keys.take("n_splits", checks.at_least(2))
    elif kind == "shuffle":
        settings["n_splits"] = keys.take("n_splits", checks.at_least(1), 10)
        settings["test_size"] = keys.take("test_size", checks.share, 0.2)
    elif kind == "within-subject":
        settings["by"] = keys.take("by", checks.one_of(*UNITS), None)
        default = 5 if settings["by"] is None else None
        settings["n_splits"] = keys.take("n_splits", checks.at_least(2), default)
    elif kind == "fixed":
        settings["by"] = keys.take("by", checks.one_of("subject", *UNITS))
        settings["train"] = tuple(keys.take("train", checks.names))
        settings["test"] = tuple(keys.take("test", checks.names))
        default = settings["by"] in ("session", "run", "recording")
        settings["per_subject"] = keys.take("per_subject", checks.flag, default)
    keys.end()
    return Split(**settings)


def metric_names() -> list[str]:
    """Metrics that a suite may name."""
    return [*get_scorer_names(), "cohen_kappa"]


def scorers(names: tuple[str, ...]) -> dict[str, Any]:
    """Metrics by name, as `compare` takes them."""
    return {name: _KAPPA if name == "cohen_kappa" else name for name in names}


_KAPPA = make_scorer(cohen_kappa_score)


def fewer(y: np.ndarray, train: np.ndarray, n: int, seed: int) -> np.ndarray:
    """`n` of the training epochs, as even over the classes as they allow.

    Fewer are always among more, so that a curve over `n` adds epochs to those it had.
    """
    rng = np.random.default_rng(seed)
    turn = np.empty(len(train), dtype=int)  # place of each epoch in its class, in random order
    for label in np.unique(y[train]):
        mine = np.flatnonzero(y[train] == label)
        turn[mine] = rng.permutation(len(mine))
    order = np.lexsort((rng.random(len(train)), turn))
    return np.sort(train[order[:n]])
