"""Groups in early stopping, and metadata routing."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import dare_sklearn.estimators.base as base
from dare_sklearn import DAREClassifier, DARERegressor

PARAMS = {"sfreq": 64.0, "unit": "uV", "spatial_init": "spline", "max_epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(40, 3, 32)).astype(np.float32)
    return X, np.arange(40) % 2, np.repeat(["s1", "s2", "s3", "s4", "s5"], 8)


@pytest.fixture
def held_out(monkeypatch):
    """Validation epochs of every fit."""
    seen = []
    split = base.ProbeEstimator._split

    def watched(self, targets, groups, seed):
        train, valid = split(self, targets, groups, seed)
        seen.append((groups, train, valid))
        return train, valid

    monkeypatch.setattr(base.ProbeEstimator, "_split", watched)
    return seen


@pytest.mark.parametrize("kind", [DAREClassifier, DARERegressor])
def test_whole_groups_are_held_out(data, held_out, kind):
    X, y, groups = data
    kind(None, validation_fraction=0.4, **PARAMS).fit(X, y.astype(float), groups=groups)
    ((seen, train, valid),) = held_out
    assert sorted([*train, *valid]) == list(range(40))
    assert set(seen[train]) & set(seen[valid]) == set()
    assert len(set(seen[valid])) == 2


def test_a_warning_where_groups_are_absent(data):
    X, y, _ = data
    clf = DAREClassifier(None, validation_fraction=0.25, **PARAMS)
    with pytest.warns(UserWarning, match=r"validation_fraction=0.25 .* pass groups to fit"):
        clf.fit(X, y)


def test_every_class_keeps_training_epochs(data, held_out):
    X, _, groups = data
    y = np.where(groups == "s2", "rare", "common")
    with pytest.raises(ValueError, match="some class has no training epochs") as error:
        DAREClassifier(None, validation_fraction=0.8, **PARAMS).fit(
            X, np.repeat(range(5), 8), groups=groups
        )
    assert "validation_fraction=0.8" in str(error.value)
    DAREClassifier(None, validation_fraction=0.2, **PARAMS).fit(X, y, groups=groups)
    assert "rare" in y[held_out[-1][1]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 39, "39 groups for 40 epochs"),
        ([np.nan] * 40, "missing values"),
        ([["a", "b"]] * 40, "1d"),
    ],
)
def test_bad_groups(data, groups, message):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        DAREClassifier(None, **PARAMS).fit(X, y, groups=groups)


def test_routing(data, held_out):
    X, y, groups = data
    weight = np.linspace(0.5, 1.5, 40)
    model = make_pipeline(
        FunctionTransformer(), DAREClassifier(None, validation_fraction=0.3, **PARAMS)
    )
    with sklearn.config_context(enable_metadata_routing=True):
        model[-1].set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        params = {"groups": groups, "sample_weight": weight}
        result = cross_validate(model, X, y, cv=GroupKFold(2), params=params, error_score="raise")
        assert np.isfinite(result["test_score"]).all()
        assert len(held_out) == 2
        assert all(seen is not None and len(seen) < 40 for seen, _, _ in held_out)
        grid = GridSearchCV(model, {"dareclassifier__lr": [1e-3, 1e-2]}, cv=GroupKFold(2))
        grid.fit(X, y, groups=groups, sample_weight=weight)
        assert len(held_out[-1][0]) == 40  # the refit
