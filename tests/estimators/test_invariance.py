"""What a fit must not depend on: the order of channels, their offsets, epochs without weight."""

from __future__ import annotations

import numpy as np
import pytest

from dare_sklearn import DAREClassifier, DARERegressor

NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "Oz"]
MODES = {
    "virtual electrodes": {},
    "spline": {"spatial_init": "spline", "max_epochs": 3, "batch_size": 8},
    "auto": {"adaptation": "linear"},
    "covariance": {"adaptation": "linear", "views": "electrodes", "pooling": "covariance"},
}


@pytest.fixture(scope="module")
def data():
    """Two classes that differ in the power of one of several mixed sources."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    sources = rng.normal(size=(40, 6, 256)) * 10
    sources[y == 1, 2] *= 1.6
    mixing = np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    return (mixing @ sources).astype(np.float32), y


def make(cls, mode, ch_names=NAMES):
    return cls(ch_names=ch_names, sfreq=256.0, unit="uV", random_state=0, **MODES[mode])


@pytest.mark.parametrize("mode", MODES)
def test_order_of_the_channels(data, mode):
    X, y = data
    order = [3, 0, 5, 1, 4, 2]
    expected = make(DAREClassifier, mode).fit(X[:30], y[:30]).predict_proba(X[30:])
    clf = make(DAREClassifier, mode, [NAMES[i] for i in order]).fit(X[:30, order], y[:30])
    np.testing.assert_allclose(clf.predict_proba(X[30:, order]), expected, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_offsets_of_electrodes(data, mode):
    """Those of amplifiers without a high-pass filter are a thousand times the signal."""
    X, y = data
    offsets = np.random.default_rng(1).normal(scale=20_000, size=(6, 1)).astype(np.float32)
    expected = make(DAREClassifier, mode).fit(X[:30], y[:30]).predict_proba(X[30:])
    moved = X + offsets
    clf = make(DAREClassifier, mode).fit(moved[:30], y[:30])
    np.testing.assert_allclose(clf.predict_proba(moved[30:]), expected, atol=5e-3)


@pytest.mark.parametrize("mode", MODES)
def test_epochs_without_weight_are_absent(data, mode):
    X, y = data
    loud = X.copy()
    loud[20:30] *= 5
    weight = (np.arange(30) < 20).astype(float)
    expected = make(DAREClassifier, mode).fit(X[:20], y[:20]).predict_proba(X[30:])
    clf = make(DAREClassifier, mode).fit(loud[:30], y[:30], sample_weight=weight)
    np.testing.assert_allclose(clf.predict_proba(X[30:]), expected, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_targets_without_weight_are_absent(data, mode):
    X, _ = data
    target = np.log(X[:, 2].var(axis=-1))
    weight = (np.arange(30) < 20).astype(float)
    expected = make(DARERegressor, mode).fit(X[:20], target[:20]).predict(X[30:])
    wrong = np.where(np.arange(30) < 20, target[:30], 1e6)
    reg = make(DARERegressor, mode).fit(X[:30], wrong, sample_weight=weight)
    np.testing.assert_allclose(reg.predict(X[30:]), expected, rtol=1e-4)
