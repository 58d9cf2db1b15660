"""Parameters: assigned, cloned, nested, validated and shown."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

import dare_sklearn
from dare_sklearn import DAREPretrainer

from .settings import (
    ALL,
    CLASSIFIERS,
    EMBEDDERS,
    PRETRAINERS,
    PROBES,
    X,
    assert_all_listed,
    assert_refused,
    battery,
    faults,
    fitted,
    output,
    target,
)

# Values that each parameter must refuse.
BAD = {
    "C": [0.0, "strong", np.nan],
    "adaptation": ["magic", None],
    "adapter_dropout": [1.0, -0.1],
    "alpha": [-1.0, "strong"],
    "amplitude": [0.0, "large"],
    "anchor_alignment": [-1.0, 10**30],
    "batch_size": [0, 2.5, True],
    "cache": [3, ["memory"]],
    "cache_mb": [0, 1.5],
    "callbacks": ["early stopping"],
    "ch_names": [5, ["C3", "C3", "C4"], ["C3"]],
    "checkpoint_dir": [3],
    "checkpoint_every": [0, 1.5],
    "class_weight": ["heavy", 2.0],
    "compile": ["yes"],
    "cs_mode": ["test", None],
    "device": ["abacus", 0],
    "dropout": [1.0, -0.1],
    "encoder": [3, np.zeros(3)],
    "group_by": [3],
    "n_taps": [0, 3.5, "many", None, 7, 10_000],
    "label_smoothing": [1.0, -0.1],
    "layer": ["first", -1, 1.5],
    "layer_decay": [0.0, 1.5],
    "lr": [0.0, -1.0, "fast", np.nan, np.inf],
    "mask_alignment": [-1.0, 10**30],
    "max_epochs": [-1, 1.5],
    "momentum": [0.9, (0.9,), (0.9, 2.0)],
    "n_components": [0, 1.5, "all", True],
    "n_threads": [0, 1.5],
    "n_workers": [-1, 1.5],
    "on_error": ["ignore", None],
    "patience": [0, 2.5],
    "pooling": ["max", None],
    "precision": ["float8", 16],
    "random_state": ["seed", -1],
    "reconstruction": [-1.0, 10**30],
    "sfreq": [0.0, -1.0, "fast", np.nan, np.inf],
    "hidden_target_share": [-0.1, 1.1],
    "reconstruction_target": ["waves", None],
    "restarts": [3, (1.5,), (0,)],
    "robust_scale": [0.0, "large"],
    "shares": [0.5, [], [1.0, -1.0]],
    "size": ["huge", 64],
    "skip_connection": ["yes"],
    "spatial_init": ["zeros"],
    "spatial_layers": [0, 1.5],
    "target_channels": [5],
    "target_norm": ["yes"],
    "temporal_kernel": [0, 2.5],
    "unit": ["mV", None],
    "unknown_channels": ["guess"],
    "validation_fraction": [1.0, -0.1],
    "verbose": [-1, "loud"],
    "views": ["all", None],
    "visible_share": [-0.1, (0.5, 0.2), "all"],
    "weight_decay": [-0.1, np.nan, np.inf],
    "weights": [3],
    "window_s": [0.0, "long", np.inf],
}


def test_no_public_estimator_is_missing():
    public = [getattr(dare_sklearn, name) for name in dare_sklearn.__all__]
    estimators = {c for c in public if inspect.isclass(c) and issubclass(c, BaseEstimator)}
    assert estimators == {type(make()) for make in ALL.values()}


def check_init_only_assigns(name, make):
    cls = type(make())
    given = {param: object() for param in inspect.signature(cls).parameters}
    estimator = cls(**given)
    assert vars(estimator) == given
    # every parameter has a constraint, and there is no constraint without one
    assert set(cls._parameter_constraints) == set(given)


def check_clone(name, make):
    estimator = make()
    twin = clone(estimator)
    assert type(twin) is type(estimator) and vars(twin).keys() == vars(estimator).keys()
    assert repr(twin) == repr(estimator)  # it shows every parameter that is no default
    mine, its = (e.get_params(deep=False) for e in (estimator, twin))
    for param, value in mine.items():
        if isinstance(value, DAREPretrainer):
            assert its[param] is not value and repr(its[param]) == repr(value)
        else:
            assert its[param] == value, param


def check_clone_of_a_fitted_one_is_unfitted(name, make):
    twin = clone(fitted(name))
    assert vars(twin).keys() == twin.get_params(deep=False).keys()
    with pytest.raises(NotFittedError):
        output(twin, X)


def check_clone_of_a_fitted_one_keeps_its_weights(name, make):
    np.testing.assert_array_equal(output(clone(fitted(name)), X), output(fitted(name), X))


def check_set_params(name, make):
    estimator = make()
    before = estimator.get_params()
    assert estimator.set_params(**before) is estimator
    assert estimator.get_params() == before
    with pytest.raises(ValueError, match="'magic'"):
        estimator.set_params(magic=1)
    pipeline = Pipeline([("step", estimator)])
    for param in estimator.get_params(deep=False):
        value = object()
        pipeline.set_params(**{f"step__{param}": value})
        assert pipeline.get_params()[f"step__{param}"] is value is getattr(estimator, param)


def check_nested_params(name, make):
    estimator = make().set_params(encoder=DAREPretrainer("nano"), encoder__size="light")
    assert estimator.encoder.size == estimator.get_params()["encoder__size"] == "light"
    assert "encoder" in estimator.get_params(deep=False)
    assert "encoder__size" not in estimator.get_params(deep=False)
    pipeline = clone(Pipeline([("step", estimator)])).set_params(step__encoder__max_epochs=3)
    assert pipeline.named_steps["step"].encoder.max_epochs == 3
    assert pipeline.get_params()["step__encoder__size"] == "light"
    assert estimator.encoder.max_epochs == 200  # the clone has a pretrainer of its own


def check_nested_params_reach_the_fit(name, make):
    encoder = DAREPretrainer("nano", max_epochs=0, random_state=0)
    wide = make(encoder=encoder).set_params(encoder__size="light").fit(X, target(name))
    assert wide.encoder_.config.embed_dim == 128
    assert not hasattr(encoder, "encoder_")


def check_bad_params(name, make):
    y, found = target(name), []
    for param in make().get_params(deep=False):
        calls = {
            f"{param}={value!r}": lambda param=param, value=value: make(**{param: value}).fit(X, y)
            for value in BAD[param]
        }
        found += faults(calls, rf"\b{param}\b")
    assert not found, "\n".join(found)


def check_bad_class_weights(name, make):
    calls = {
        str(weight): lambda weight=weight: make(class_weight=weight).fit(X, target(name))
        for weight in ({"elbows": 1.0}, {"feet": -1.0}, {"feet": np.nan}, {"feet": "heavy"})
    }
    assert_refused(calls, "class_weight")


def check_shown(name, make):
    for estimator in (make(), fitted(name)):
        cls = type(estimator).__name__
        assert f"{cls}(" in repr(estimator)
        assert cls in estimator._repr_html_()
        assert cls in Pipeline([("step", estimator)])._repr_html_()


def check_tags(name, make):
    tags = make().__sklearn_tags__()
    assert tags.input_tags.two_d_array and tags.input_tags.three_d_array
    assert not tags.input_tags.sparse and not tags.input_tags.allow_nan
    assert tags.target_tags.required is (name in PROBES)
    assert (tags.transformer_tags is None) is (name in PROBES)


_unfitted_clones = {name: make for name, make in ALL.items() if name not in PRETRAINERS}

CHECKS = {
    check_init_only_assigns: ALL,
    check_clone: ALL,
    check_clone_of_a_fitted_one_is_unfitted: _unfitted_clones,
    check_clone_of_a_fitted_one_keeps_its_weights: PRETRAINERS,
    check_set_params: ALL,
    check_nested_params: {**PROBES, **EMBEDDERS},
    check_nested_params_reach_the_fit: {**PROBES, **EMBEDDERS},
    check_bad_params: ALL,
    check_bad_class_weights: CLASSIFIERS,
    check_shown: ALL,
    check_tags: ALL,
}


@battery(CHECKS)
def test_params(name, make, check):
    check(name, make)


def test_every_check_is_listed():
    assert_all_listed(globals(), CHECKS)
