"""Splits: nobody is tested on what was trained on, and inner folds keep groups apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dare_sklearn.benchmark import SuiteError
from dare_sklearn.benchmark.splits import InnerFolds, fewer, read_split

N = 48


@pytest.fixture
def y():
    return np.tile([0, 1, 1], N // 3)


@pytest.fixture
def meta():
    """Four people, two sessions of three runs each."""
    rows = np.arange(N)
    return pd.DataFrame(
        {
            "subject": [f"S{i}" for i in rows // 12],
            "session": [f"{i}" for i in rows // 6 % 2],
            "run": [f"r{i}" for i in rows // 2 % 3],
            "recording": [f"f{i}" for i in rows // 2],
            "set": ["train" if i < 36 else "eval" for i in rows],
        }
    )


@pytest.mark.parametrize(
    ("values", "n_folds", "apart"),
    [
        ({"kind": "leave-one-subject-out"}, 4, "subject"),
        ({"kind": "subjects", "n_splits": 2}, 2, "subject"),
        ({"kind": "within-subject", "by": "recording", "n_splits": 3}, 3, "recording"),
        ({"kind": "within-subject", "by": "session"}, 2, "session"),
        ({"kind": "within-subject"}, 5, None),
        ({"kind": "shuffle", "n_splits": 4, "test_size": 0.25}, 4, None),
        ({"kind": "fixed", "by": "set", "train": ["train"], "test": ["eval"]}, 1, "subject"),
    ],
)
def test_folds(values, n_folds, apart, y, meta):
    split = read_split(values, "test")
    folds = split.folds(y, meta, seed=0)
    assert len(folds) == n_folds
    for train, test in folds:
        assert not set(train) & set(test)
        assert set(y[test]) == {0, 1}
        if apart is not None:
            assert not set(meta[apart].iloc[train]) & set(meta[apart].iloc[test])
    again = split.folds(y, meta, seed=0)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again, strict=True))
    assert (
        str(n_folds) in split.describe() or "one" in split.describe() or "train" in split.describe()
    )


def test_other_seeds_give_other_folds(y, meta):
    split = read_split({"kind": "shuffle", "n_splits": 2}, "test")
    assert not np.array_equal(split.folds(y, meta, 0)[0][1], split.folds(y, meta, 1)[0][1])


def test_data_that_do_not_fit(y, meta):
    missing = read_split({"kind": "fixed", "by": "set", "train": ["x"], "test": ["eval"]}, "test")
    with pytest.raises(SuiteError, match="leaves no epochs"):
        missing.folds(y, meta, 0)
    many = read_split({"kind": "subjects", "n_splits": 9}, "test")
    with pytest.raises(SuiteError, match="does not fit the data"):
        many.folds(y, meta, 0)


def test_runs_that_are_counted_anew_in_every_session(y, meta):
    mine = meta[meta["subject"] == "S0"].reset_index(drop=True)
    split = read_split({"kind": "within-subject", "by": "run"}, "test")
    folds = split.folds(y[:12], mine, 0)
    assert len(folds) == 6 and all(len(test) == 2 for _, test in folds)
    first = mine.iloc[:6]
    assert set(split.groups(first)) == {"r0", "r1", "r2"}


def test_inner_folds_keep_groups_apart(y, meta):
    groups = meta["subject"].to_numpy()
    for train, test in InnerFolds(3).split(np.zeros(N), y, groups):
        assert not set(groups[train]) & set(groups[test])
    two = groups[:24]
    assert len(list(InnerFolds(3).split(np.zeros(24), y[:24], two))) == 2
    # one group, or groups of one class: trials
    alone = list(InnerFolds(3).split(np.zeros(N), y, np.zeros(N)))
    diagnosis = list(InnerFolds(3).split(np.zeros(N), np.sort(y), (np.arange(N) >= 16).astype(int)))
    assert len(alone) == len(diagnosis) == 3
    rare = np.array([0] * 10 + [1] * 2)
    assert len(list(InnerFolds(3).split(np.zeros(12), rare))) == 2


def test_fewer_epochs_are_among_more(y):
    train = np.arange(6, N)
    small, large = fewer(y, train, 8, seed=0), fewer(y, train, 20, seed=0)
    assert len(small) == 8 and set(small) < set(large) <= set(train)
    assert np.bincount(y[small]).tolist() == [4, 4]
    assert not np.array_equal(small, fewer(y, train, 8, seed=1))
