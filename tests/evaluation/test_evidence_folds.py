"""The inner folds of the evidence."""

import numpy as np

from benchmarks.evidence.folds import InnerFolds


def test_inner_folds_keep_groups_apart():
    y, groups = np.tile([0, 1, 1], 16), np.repeat(np.arange(4), 12)
    for train, test in InnerFolds(3).split(np.zeros(48), y, groups):
        assert not set(groups[train]) & set(groups[test])
    assert len(list(InnerFolds(3).split(np.zeros(24), y[:24], groups[:24]))) == 2
    # one group, or groups of one class: trials
    alone = list(InnerFolds(3).split(np.zeros(48), y, np.zeros(48)))
    diagnosis = list(
        InnerFolds(3).split(np.zeros(48), np.sort(y), (np.arange(48) >= 16).astype(int))
    )
    assert len(alone) == len(diagnosis) == 3
    rare = np.array([0] * 10 + [1] * 2)
    assert len(list(InnerFolds(3).split(np.zeros(12), rare))) == 2
