"""Tables in temporary files: the same numbers as in memory, and memory that does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dare_sklearn import DAREClassifier, DARERegressor
from dare_sklearn.base import features
from dare_sklearn.base.features import FileRows, empty_rows
from dare_sklearn.signals.electrodes import ELECTRODES


@pytest.fixture
def in_files(monkeypatch):
    monkeypatch.setattr(features, "IN_MEMORY_MB", 0)


def draw(n_epochs: int, n_chans: int, n_times: int) -> tuple[dict, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    given = {"ch_names": list(ELECTRODES[:n_chans]), "sfreq": 256, "unit": "uV"}
    X = 10 * rng.standard_normal((n_epochs, n_chans, n_times), dtype=np.float32)
    y = np.arange(n_epochs) % 2
    X[y == 1, 0] *= 1.5
    return {**given, "adaptation": "linear", "random_state": 0}, X, y


def test_parts_are_those_of_an_array():
    values = np.random.default_rng(0).standard_normal((600, 3, 4), dtype=np.float32)
    found = FileRows(values.shape)
    for start in (0, 500):
        found[start : start + 500] = values[start : start + 500]
    assert (len(found), found.shape) == (600, (600, 3, 4))
    assert_array_equal(found[250:520], values[250:520])
    table = found.reshape(600, -1)
    assert table.shape == (600, 12)
    assert_array_equal(table[:, 5:200], values.reshape(600, 12)[:, 5:])
    found[10:12] = np.zeros((2, 3, 4))
    assert not table[10:12].any() and table[12:].all()


def test_large_tables_are_in_files_where_there_is_room(in_files, monkeypatch):
    assert [type(x) for x in empty_rows(5, [(2,), (3, 4)])] == [FileRows] * 2
    monkeypatch.setattr(features.shutil, "disk_usage", lambda folder: type("Full", (), {"free": 9}))
    assert [x.shape for x in empty_rows(5, [(2,), (3, 4)])] == [(5, 2), (5, 3, 4)]
    assert all(isinstance(x, np.ndarray) for x in empty_rows(5, [(2,), (3, 4)]))


@pytest.mark.parametrize("kind", [DAREClassifier, DARERegressor])
def test_a_fit_is_the_same_from_files(kind, in_files, monkeypatch):
    params, X, y = draw(70, 3, 320)
    weight = (np.arange(70) > 3) + 0.5 * y  # some epochs do not count
    said = []
    for megabytes in (0, 500):
        monkeypatch.setattr(features, "IN_MEMORY_MB", megabytes)
        model = kind(**params).fit(X, y, sample_weight=weight)
        said.append(getattr(model, "decision_function", model.predict)(X))
    assert_array_equal(*said)


def test_predictions_do_not_depend_on_the_batch():
    params, X, y = draw(70, 3, 320)
    for pooling, views in (("auto", "joint"), ("covariance", "electrodes"), ("mean", "joint")):
        model = DAREClassifier(**params, pooling=pooling, views=views).fit(X, y)
        expected = model.decision_function(X)
        assert_allclose(model.set_params(batch_size=3).decision_function(X), expected, atol=1e-5)


def test_memory_of_a_fit_grows_by_a_part_of_its_rows(in_files):
    """Peak of numpy's arrays; the rows of an epoch here are 222 kB."""

    def peak(n_epochs: int) -> float:
        tracemalloc.start()
        try:
            params, X, y = draw(n_epochs, 62, 256)
            DAREClassifier(**params).fit(X, y)
            return tracemalloc.get_traced_memory()[1] - X.nbytes
        finally:
            tracemalloc.stop()

    peak(20)  # what is made once
    assert peak(240) - peak(80) < 160 * 222_000 / 3
