"""Targets and weights: labels of every kind come back, and what cannot be learned is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import DataConversionWarning

from .settings import (
    AMPLITUDES,
    CLASSIFIERS,
    CLOSED_FORM,
    CODES,
    LABELS,
    PROBES,
    REGRESSORS,
    TRANSFORMERS,
    X,
    assert_all_listed,
    assert_refused,
    battery,
    fitted,
    learned,
    output,
    target,
)

SHUFFLED = np.random.default_rng(3).permutation(100)[: len(X)]  # an index that says nothing

# Each in sorted order, with the type in which Python shows it.
PAIRS = {
    "strings": (["feet", "hands"], str),
    "gapped": ([1, 5], int),
    "negative": ([-3, -1], int),
    "booleans": ([False, True], bool),
    "floats": ([1.0, 2.0], float),
}
CONTAINERS = {
    "array": np.array,
    "objects": lambda y: np.array(y, dtype=object),
    "list": list,
    "tuple": tuple,
    "Series": lambda y: pd.Series(y, index=SHUFFLED),
    "Series of objects": lambda y: pd.Series(y, index=SHUFFLED, dtype=object),
    "nullable": lambda y: pd.Series(y, index=SHUFFLED).convert_dtypes(),
    "Categorical": pd.Categorical,
    "categories in another order": lambda y: pd.Series(
        pd.Categorical(y, categories=sorted(set(y), reverse=True), ordered=True), index=SHUFFLED
    ),
}


def _labels(pair):
    return [pair[code] for code in CODES]


def _assert_labels(estimator, pair, kind, what):
    """What a classifier says of labels, against the same classifier fitted on strings."""
    assert estimator.classes_.tolist() == pair, what
    predicted = estimator.predict(X)
    assert isinstance(predicted, np.ndarray) and predicted.shape == (len(X),), what
    assert {type(label) for label in predicted.tolist()} == {kind}, what
    proba = estimator.predict_proba(X)
    np.testing.assert_array_equal(estimator.classes_[proba.argmax(axis=1)], predicted, what)


def check_kinds_of_labels(name, make):
    expected = output(fitted(name), X)
    for what, (pair, kind) in PAIRS.items():
        estimator = make().fit(X, np.array(_labels(pair)))
        _assert_labels(estimator, pair, kind, what)
        assert estimator.predict(X).dtype == np.array(pair).dtype
        np.testing.assert_array_equal(output(estimator, X), expected, what)


def check_containers_of_labels(name, make):
    expected, changed = output(fitted(name), X), []
    for pair, kind in (PAIRS["strings"], PAIRS["gapped"], PAIRS["booleans"]):
        for what, contain in CONTAINERS.items():
            if kind is not str and "objects" in what:
                continue  # scikit-learn takes objects for labels only where they are strings
            estimator = make().fit(X, contain(_labels(pair)))
            np.testing.assert_array_equal(output(estimator, X), expected, what)
            if {type(label) for label in estimator.predict(X).tolist()} != {kind}:
                changed.append(f"{what} of {kind.__name__}: {estimator.classes_}")
            else:
                _assert_labels(estimator, pair, kind, what)
    assert not changed, changed


def check_tensor_of_labels(name, make):
    estimator = make().fit(X, torch.tensor(_labels([1, 5])))
    _assert_labels(estimator, [1, 5], int, "tensor")


def check_scores_fit_the_labels(name, make):
    estimator = fitted(name)
    proba, scores = estimator.predict_proba(X), estimator.decision_function(X)
    assert proba.shape == (len(X), 2) and scores.shape == (len(X),)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert proba.min() >= 0.0
    np.testing.assert_array_equal(scores > 0, estimator.predict(X) == "hands")
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), proba[:, 1], atol=1e-6)
    accuracy = np.mean(estimator.predict(X) == LABELS)
    assert estimator.score(X, LABELS) == accuracy == estimator.score(X, LABELS.tolist())


def check_three_classes(name, make):
    y = np.array(["c", "a", "b"])[np.arange(len(X)) % 3]
    estimator = make().fit(X, y)
    assert estimator.classes_.tolist() == ["a", "b", "c"]
    proba, scores = estimator.predict_proba(X), estimator.decision_function(X)
    assert proba.shape == scores.shape == (len(X), 3)
    np.testing.assert_array_equal(proba.argmax(axis=1), scores.argmax(axis=1))


def check_containers_of_numbers(name, make):
    whole = AMPLITUDES.round()
    expected = make().fit(X, whole).predict(X)
    assert expected.dtype == np.float64 and expected.shape == (len(X),)
    containers = {
        "float32": whole.astype("float32"),
        "int16": whole.astype("int16"),
        "objects": whole.astype(object),
        "list": whole.tolist(),
        "Series": pd.Series(whole, index=SHUFFLED),
        "nullable Series": pd.Series(whole, index=SHUFFLED, dtype="Float64"),
        "nullable integers": pd.Series(whole, index=SHUFFLED).astype("Int64"),
        "tensor": torch.from_numpy(whole),
    }
    for what, y in containers.items():
        np.testing.assert_array_equal(make().fit(X, y).predict(X), expected, what)


def check_scale_of_the_target(name, make):
    plain = make().fit(X, AMPLITUDES).predict(X)
    scaled = make().fit(X, 1e6 * AMPLITUDES - 3e7).predict(X)
    np.testing.assert_allclose(scaled, 1e6 * plain - 3e7, rtol=1e-4)


def check_a_column_warns(name, make):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        estimator = make().fit(X, target(name)[:, None])
    np.testing.assert_array_equal(output(estimator, X), output(fitted(name), X))


def check_bad_targets(name, make):
    y = target(name)
    classes = name in CLASSIFIERS
    # missing values beside numbers, and where only objects can hold them
    numbers = CODES.astype(float) if classes else AMPLITUDES.copy()
    numbers[2] = np.nan
    missing = y.astype(object)
    missing[2] = None
    bad = {
        "too short": y[:-1],
        "too long": np.resize(y, len(X) + 1),
        "no epochs": y[:0],
        "None": None,
        "one value": y[0],
        "two columns": np.column_stack([y, y]),
        "NaN": numbers,
        "None inside": missing,
        "pd.NA": pd.Series(CODES, dtype="Int64").where(CODES == 0),
        "missing category": pd.Categorical(np.where(CODES == 0, "feet", None)),
        "dictionaries": np.array([{"y": 1}] * len(X)),
        "dictionary": {"y": y},
    }
    if classes:
        bad |= {"continuous": AMPLITUDES, "mixed types": np.array(["a", 1] * 4, dtype=object)}
    else:
        dates = pd.Series(pd.date_range("2026-01-01", periods=len(X)))
        bad |= {"text": LABELS, "inf": np.where(CODES == 0, np.inf, 1.0), "dates": dates}
    calls = {what: lambda y=y: make().fit(X, y) for what, y in bad.items()}
    words = (r"\by\b", "label", "class", "numbers? of samples")
    assert_refused(calls, *words, errors=(ValueError, TypeError))


def check_one_class(name, make):
    for label in ("feet", 3, True):
        with pytest.raises(ValueError, match=rf"DAREClassifier.*one class.*{label!r}"):
            make().fit(X, np.array([label] * len(X)))


def check_y_is_ignored(name, make):
    for y in (LABELS, np.zeros(3), "anything"):
        assert learned(make().fit(X, y)) == learned(fitted(name))


def check_equal_weights_are_none(name, make):
    for weight in (np.ones(len(X)), [1] * len(X), pd.Series(1.0, index=SHUFFLED), 1.0):
        estimator = make().fit(X, target(name), sample_weight=weight)
        np.testing.assert_allclose(output(estimator, X), output(fitted(name), X), atol=1e-6)


def check_weights_matter(name, make):
    weight = np.where(np.arange(len(X)) < 4, 10.0, 1.0)
    steps = {} if name in CLOSED_FORM else {"max_epochs": 3}
    estimator = make(**steps).fit(X, target(name), sample_weight=weight)
    plain = make(**steps).fit(X, target(name))
    assert np.abs(output(estimator, X) - output(plain, X)).max() > 1e-4


def check_weights_in_score(name, make):
    y, estimator = target(name), fitted(name)
    weight = np.where(np.arange(len(X)) < 4, 1.0, 0.0)
    assert estimator.score(X, y, sample_weight=weight) == pytest.approx(
        estimator.score(X[:4], y[:4])
    )


def check_bad_weights(name, make):
    good = np.ones(len(X))
    bad = {
        "too short": good[:-1],
        "too long": np.ones(len(X) + 1),
        "two columns": np.ones((len(X), 2)),
        "one negative": np.where(np.arange(len(X)) == 2, -1.0, 1.0),
        "NaN": np.where(np.arange(len(X)) == 2, np.nan, 1.0),
        "inf": np.where(np.arange(len(X)) == 2, np.inf, 1.0),
        "all zero": np.zeros(len(X)),
    }
    if name in CLASSIFIERS:
        bad["none for a class"] = CODES
    calls = {
        what: lambda weight=weight: make().fit(X, target(name), sample_weight=weight)
        for what, weight in bad.items()
    }
    assert_refused(calls, "[Ss]ample.?weight")


CHECKS = {
    check_kinds_of_labels: CLASSIFIERS,
    check_containers_of_labels: CLASSIFIERS,
    check_tensor_of_labels: CLASSIFIERS,
    check_scores_fit_the_labels: CLASSIFIERS,
    check_three_classes: CLASSIFIERS,
    check_one_class: CLASSIFIERS,
    check_containers_of_numbers: REGRESSORS,
    check_scale_of_the_target: REGRESSORS,
    check_a_column_warns: PROBES,
    check_bad_targets: PROBES,
    check_equal_weights_are_none: PROBES,
    check_weights_matter: PROBES,
    check_weights_in_score: PROBES,
    check_bad_weights: PROBES,
    check_y_is_ignored: TRANSFORMERS,
}


@battery(CHECKS)
def test_targets(name, make, check):
    check(name, make)


def test_every_check_is_listed():
    assert_all_listed(globals(), CHECKS)
