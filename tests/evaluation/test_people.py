"""Scores of people from those of their windows."""

from __future__ import annotations

import numpy as np
import pytest

from dare_sklearn.evaluation import average_windows

PEOPLE = ["b", "a", "b", "c", "a", "b"]


def test_means_over_windows():
    proba = np.random.default_rng(0).uniform(size=(6, 2))
    means, people, y = average_windows(proba, PEOPLE, [1, 0, 1, 1, 0, 1])
    assert people.tolist() == ["a", "b", "c"] and y.tolist() == [0, 1, 1]
    np.testing.assert_allclose(means, [proba[[1, 4]].mean(0), proba[[0, 2, 5]].mean(0), proba[3]])
    np.testing.assert_allclose(average_windows(proba[:, 1], PEOPLE)[0], means[:, 1])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([0.1] * 6, PEOPLE, [1, 0, 0, 1, 0, 1]), "Windows of .*'b'.* have several labels"),
        (([0.1] * 6, PEOPLE, [1, 0]), "2 labels for 6 windows"),
        (([np.nan] * 6, PEOPLE), "finite"),
        (([0.1] * 6, PEOPLE[:5]), "5 groups for 6"),
    ],
)
def test_what_does_not_fit(args, message):
    with pytest.raises(ValueError, match=message):
        average_windows(*args)
