"""Parameters that a mode does not read: grouped in the docstring, named in one warning."""

from __future__ import annotations

import re
from inspect import signature

import numpy as np
import pytest

from dare_sklearn import DAREClassifier, DARERegressor
from dare_sklearn.estimators import base

GROUPS = {"linear": base.LINEAR, "convolutions": base.CONVOLUTIONS, "steps": base.STEPS}
LAYOUT = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV", "random_state": 0}
X = np.random.default_rng(0).normal(scale=15, size=(12, 3, 64))
Y = np.arange(12) % 2


def what_is_told(model, **fit_params) -> str:
    """The one warning of a fit."""
    with pytest.warns(UserWarning) as caught:
        model.fit(X, Y, **fit_params)
    (warning,) = caught
    return str(warning.message)


def test_groups_are_those_of_the_docstring():
    text = DAREClassifier.__doc__
    spans = re.findall(r"\(`(\w+)`\s+to\s+`(\w+)`\)", text.partition("Parameters\n")[0])
    named = re.findall(r"^    ([a-zA-Z_, ]+) : ", text.partition("Attributes\n")[0], re.MULTILINE)
    order = ", ".join(named).split(", ")
    documented = [order[order.index(a) : order.index(b) + 1] for a, b in spans]
    assert [
        name for group in documented for name in group
    ] == order  # the four groups, and nothing between them
    assert sorted(order) == sorted(signature(DAREClassifier).parameters)
    for group, names in zip(documented[1:], GROUPS.values(), strict=True):
        assert set(group) == set(names) - {"alpha"}  # the regressor's C
    everywhere = set(documented[0]) - {"class_weight"}
    known = everywhere.union(*GROUPS.values()) - {"C", "label_smoothing"}
    assert known == set(signature(DARERegressor).parameters)


@pytest.mark.parametrize(
    ("params", "named", "mode"),
    [
        (
            {"adaptation": "linear", "max_epochs": 5},
            "max_epochs=5 (read only with gradient steps, as of adaptation='finetune' or "
            "spatial_init='spline')",
            "adaptation='linear'",
        ),
        (
            {"adaptation": "linear", "spatial_init": "csp", "views": "electrodes", "lr": 0.1},
            "spatial_init='csp' (read only with adaptation='conv-linear' or 'finetune'), "
            "views='electrodes' (read only with one pooling, such as pooling='flatten'), "
            "lr=0.1 (read only with gradient steps, as of adaptation='finetune' or "
            "spatial_init='spline')",
            "adaptation='linear'",
        ),
        (
            {"pooling": "flatten", "C": 0.1, "max_epochs": 3, "dropout": 0.1, "patience": 3},
            "pooling='flatten', C=0.1 (read only with adaptation='linear'), "
            "max_epochs=3, dropout=0.1, patience=3 (read only with gradient steps, as of "
            "adaptation='finetune' or spatial_init='spline')",
            "adaptation='conv-linear' and spatial_init='auto'",
        ),
        (
            {"spatial_init": "spline", "max_epochs": 1, "patience": 3, "layer_decay": 0.9},
            "layer_decay=0.9 (read only with adaptation='finetune'), patience=3 (read only "
            "with validation_fraction > 0)",
            "adaptation='conv-linear'",
        ),
        (
            {"adaptation": "finetune", "max_epochs": 1, "unknown_channels": "drop"},
            "unknown_channels='drop' (read only with adaptation='linear')",
            "adaptation='finetune' and spatial_init='auto'",
        ),
    ],
)
def test_what_a_mode_does_not_read_is_named(params, named, mode):
    said = what_is_told(DAREClassifier(None, **params, **LAYOUT))
    assert said == (
        f"DAREClassifier: parameters that have no effect with {mode}: {named}. Leave them out, or "
        "choose a mode that reads them."
    )


def test_steps_after_virtual_electrodes_have_no_dropout():
    params = {"validation_fraction": 0.5, "max_epochs": 2, "lr": 1e-3, "patience": 1}
    model = DAREClassifier(None, dropout=0.1, **params, **LAYOUT)
    said = what_is_told(model, groups=np.arange(12))
    assert ": dropout=0.1 (read only with spatial_init='spline' or 'random'). " in said


def test_the_regressor_warns_of_its_own():
    said = what_is_told(DARERegressor(None, adaptation="linear", alpha=3.0, **LAYOUT))
    assert said.startswith("DARERegressor: ") and ": alpha=3.0 (read only with one pool" in said


@pytest.mark.parametrize(
    "params",
    [
        {"adaptation": "linear", "pooling": "flatten", "views": "electrodes", "C": 0.1},
        {"adaptation": "linear", "unknown_channels": "drop", "cache": "memory", "cache_mb": 10},
        {"spatial_init": "csp", "target_channels": ["Cz"], "class_weight": "smooth"},
        {"spatial_init": "spline", "max_epochs": 1, "lr": 1e-3, "dropout": 0.1, "callbacks": []},
        {"adaptation": "finetune", "max_epochs": 1, "layer_decay": 0.9, "temporal_kernel": 5},
        # written out, but the default
        {"adaptation": "linear", "max_epochs": 100, "dropout": 0.5, "validation_fraction": 0},
    ],
)
def test_what_a_mode_reads_is_not_named(params, recwarn):
    DAREClassifier(None, batch_size=8, **params, **LAYOUT).fit(X, Y)
    assert not recwarn.list
