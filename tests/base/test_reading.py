"""The reading of several blocks: closed forms against refits, choices, weights, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from dare_sklearn.base import reading
from dare_sklearn.base.reading import (
    KernelClassifier,
    KernelComponents,
    KernelRegressor,
    KernelRidge,
    evidence,
    make_folds,
    scaling,
    solve,
    stack,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_ridge_is_scikit_learns(rng):
    x, y, weight = rng.normal(size=(30, 8)), rng.normal(size=(30, 2)), rng.uniform(0.2, 3, 30)
    dual, intercept = KernelRidge(x @ x.T, weight).solve(y, 0.7)
    expected = Ridge(0.7).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(x.T @ dual, expected.coef_.T, atol=1e-10)
    np.testing.assert_allclose(intercept, expected.intercept_, atol=1e-10)


def test_many_epochs_are_solved_the_same_way(rng, monkeypatch):
    x, y, weight = rng.normal(size=(30, 8)), rng.normal(size=(30, 2)), rng.uniform(0.2, 3, 30)
    expected = KernelRidge(x @ x.T, weight).solve(y, 0.7)
    for found, value in zip(solve(x @ x.T, weight, y, 0.7), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-10)
    y = np.arange(200) % 2
    blocks = blocks_of(rng, y, 1.0)
    monkeypatch.setattr(reading, "N_CHOICE", 100)
    model = KernelClassifier().fit(blocks, y)
    assert model.weights_["signal"] > model.weights_["noise"]
    assert (model.predict(blocks_of(rng, y, 1.0)) == y).mean() > 0.8


def test_features_of_a_set_keep_their_proportions(rng):
    """Sets are equally strong; what is weak within a set stays weak."""
    sizes = np.array([[10.0, 1.0, 0.0], [3000.0, 300.0, 0.0]])
    x = 5 + sizes * rng.normal(size=(400, 2, 3))
    mean, scale = scaling(x, np.ones(400))
    z = ((x.reshape(400, 6) - mean) * scale).reshape(400, 2, 3)
    square = (z**2).mean(axis=0)
    np.testing.assert_allclose(square.sum(axis=1), square.sum() / 2)
    np.testing.assert_allclose(square[:, 1] / square[:, 0], 0.01, rtol=0.2)
    model = KernelClassifier().fit({"x": x}, x[:, 0, 0] > 5)
    np.testing.assert_array_equal(model.scaling_["x"][1], scale)
    assert (model.predict({"x": x}) == (x[:, 0, 0] > 5)).mean() > 0.95


@pytest.mark.parametrize("grouped", [False, True])
def test_held_out_predictions_are_those_of_refits(rng, grouped):
    x, y, weight = rng.normal(size=(40, 60)), rng.normal(size=(40, 2)), rng.uniform(0.2, 3, 40)
    groups = rng.integers(0, 5, 40) if grouped else None
    folds = make_folds(40, None, groups)
    assert sorted(np.concatenate(folds)) == list(range(40))
    found = KernelRidge(x @ x.T, weight).held_out(y, 2.0, folds)
    for fold in folds:
        train = np.setdiff1d(np.arange(40), fold)
        if grouped:
            assert not set(groups[fold]) & set(groups[train])
        model = Ridge(2.0).fit(x[train], y[train], sample_weight=weight[train])
        np.testing.assert_allclose(found[fold], model.predict(x[fold]), atol=1e-9)


def blocks_of(rng, y, strength):
    """One block that tells of y, one of noise, of very different widths and scales."""
    signal = rng.normal(size=(len(y), 6)) + strength * np.asarray(y, dtype=float)[:, None]
    return {"signal": 1e-3 * signal, "noise": 1e4 * rng.normal(size=(len(y), 300)) + 7}


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_block_that_tells_is_chosen(rng, n_classes):
    y = np.arange(120) % n_classes
    names = np.array(["d", "b", "c", "a"])[y]

    def draw() -> dict:
        noise = blocks_of(rng, y, 0.0)
        return {**noise, "signal": noise["signal"] + 3e-3 * np.eye(6)[y]}

    model = KernelClassifier().fit(draw(), names)
    assert model.weights_["signal"] > model.weights_["noise"]
    test = draw()
    assert (model.predict(test) == names).mean() > 0.8
    proba = model.predict_proba(test)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    # calibrated: what is said with confidence p is right with a frequency of about p
    sure = proba.max(axis=1)
    assert abs(sure.mean() - (model.predict(test) == names).mean()) < 0.1


def test_chance_gets_no_share(rng):
    """Of twelve predictions, the one that knows gets all; a second one that knows more gets some."""
    targets = rng.normal(size=60)
    said = 0.1 * rng.normal(size=(60, 12))
    said[:, 3] = 0.5 * targets + 0.3 * rng.normal(size=60)
    shares = stack(said, targets, 1.0)
    assert shares[3] > 0.5
    assert np.delete(shares, 3).sum() < 0.2 * shares[3]
    said[:, 5] = targets - said[:, 3]
    shares = stack(said, targets, 1.0)
    assert min(shares[3], shares[5]) > 0.5
    unrelated = rng.normal(size=(60, 3)) * [1, 10, 0]
    unrelated -= np.outer(targets, targets @ unrelated) / (targets @ targets)
    shares = stack(unrelated, targets, 1.0)
    # nothing is known: what varies counts alike, and little
    deviations = shares * np.sqrt((unrelated**2).mean(axis=0))
    np.testing.assert_allclose(deviations, [deviations[0], deviations[0], 0], rtol=1e-9)
    assert 0 < np.sqrt(((unrelated @ shares) ** 2).mean()) < 0.05


def test_epochs_that_are_all_the_same_say_nothing():
    """What folds say of each other is rounding."""
    y, x = np.arange(10) % 2, np.full((10, 5), 0.1)
    proba = KernelClassifier().fit({"same": x}, y).predict_proba({"same": x})
    np.testing.assert_allclose(proba, 0.5)


def test_an_epoch_of_weight_two_counts_twice(rng):
    y = np.arange(40) % 2
    blocks = blocks_of(rng, y, 1.0)
    weight = np.ones(40)
    weight[:5], weight[5:8] = 2, 0
    again = np.r_[np.arange(40)[weight > 0], np.arange(5)]
    folds = np.arange(40) // 4  # of the copies too
    one = KernelClassifier().fit(blocks, y, sample_weight=weight, groups=folds)
    two = KernelClassifier().fit(
        {name: x[again] for name, x in blocks.items()}, y[again], groups=folds[again]
    )
    np.testing.assert_allclose(one.predict_proba(blocks), two.predict_proba(blocks), atol=1e-4)


def test_regression(rng):
    y = rng.normal(size=150)
    blocks, test = blocks_of(rng, 50 + 10 * y, 0.1), blocks_of(rng, 50 + 10 * y, 0.1)
    model = KernelRegressor().fit(blocks, 50 + 10 * y)
    assert model.score(test, 50 + 10 * y) > 0.7


def test_noise_gives_no_confidence(rng):
    y = np.arange(60) % 2
    proba = KernelClassifier().fit(blocks_of(rng, y, 0), y).predict_proba(blocks_of(rng, y, 0))
    assert proba.max(axis=1).mean() < 0.65


def test_evidence_finds_the_amounts_of_kernels(rng):
    """Targets drawn from two of three kernels, and noise; an epoch of weight 2 counts as two."""
    z = {name: rng.normal(size=(300, 40)) / np.sqrt(40) for name in ("a", "b", "none")}
    kernels = {name: x @ x.T for name, x in z.items()}
    truth = {"a": 1.0, "b": 0.25, "none": 0.0}
    draws = [
        sum(np.sqrt(truth[name]) * x @ rng.normal(size=(40, 1)) for name, x in z.items())
        + np.sqrt(0.1) * rng.normal(size=(300, 1))
        for _ in range(5)
    ]
    found = []
    for targets in draws:
        amounts, noise = evidence(kernels, targets, np.ones(300))
        # amounts are relative to the targets' variance
        found.append([amounts["a"], amounts["b"], amounts["none"], noise])
    a, b, none, noise = np.mean(found, axis=0)
    assert 0.15 < b / a < 0.4 and none / a < 0.05
    assert 0.05 < noise / a < 0.2

    twice = np.r_[np.arange(60), np.arange(20)]
    weight = np.where(np.arange(60) < 20, 2.0, 1.0)
    once = {name: kernel[:60, :60] for name, kernel in kernels.items()}
    doubled = {name: kernel[np.ix_(twice, twice)] for name, kernel in kernels.items()}
    targets = draws[0][:60] * weight[:, None] ** 2  # those that count as two are larger
    amounts, noise = evidence(once, targets, weight)
    same, same_noise = evidence(doubled, targets[twice], np.ones(80))
    np.testing.assert_allclose([*amounts.values(), noise], [*same.values(), same_noise], rtol=0.01)


def test_few_epochs_are_read_from_all_blocks_together(rng, monkeypatch):
    """What is spread over many blocks is found sooner by their sum than by a choice among them."""
    y = np.arange(800) % 2
    blocks = {f"block{i}": 0.5 * rng.normal(size=(800, 5)) for i in range(8)}
    for x in blocks.values():
        x[:, 0] += 0.35 * (2 * y - 1)
    test = {name: x[400:] for name, x in blocks.items()}

    def accuracy():
        scores = []
        for start in range(0, 400, 50):
            part = slice(start, start + 16)
            few = {name: x[part] for name, x in blocks.items()}
            scores.append(KernelClassifier().fit(few, y[part]).score(test, y[400:]))
        return np.mean(scores)

    together = accuracy()
    monkeypatch.setattr(reading, "LEAST_SHARE", 1.0)
    assert together > accuracy() + 0.02


def test_components_scale_each_feature_alone(rng):
    """Without labels, the largest deflections, artefacts often, would take the first components."""
    x = rng.normal(size=(30, 8)) * np.geomspace(1, 1e3, 8)
    alone, in_a_set = ({"a": rows.astype(np.float32)} for rows in (x, x[:, None]))
    found = KernelComponents(3).fit(alone).transform(alone)
    wanted = PCA(3).fit_transform(StandardScaler().fit_transform(x))
    ratio = np.linalg.norm(wanted, axis=0) / np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(abs(found * ratio), abs(wanted), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(KernelComponents(3).fit(in_a_set).transform(in_a_set), found)
