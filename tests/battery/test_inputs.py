"""Signals: every kind of array gives the same result, and what is no EEG is refused by name."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_array, csr_array

from .settings import (
    ALIGNERS,
    ALL,
    CLASSIFIERS,
    NEED_NAMES,
    NETWORKS,
    PRETRAIN,
    PRETRAINERS,
    PROBES,
    X,
    assert_all_listed,
    assert_refused,
    battery,
    fitted,
    output,
    set_layout,
    target,
)


def every_second(data):
    return np.repeat(data, 2, axis=0)[::2]


def transposed(data):
    return data.transpose(2, 0, 1).copy().transpose(1, 2, 0)


ARRAYS = {
    "float64": lambda data: data.astype("float64"),
    "float16": lambda data: data.astype("float16"),
    "int16": lambda data: data.astype("int16"),
    "big-endian": lambda data: data.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "every second row": every_second,
    "transposed view": transposed,
    "writeable": lambda data: data.copy(),  # the shared data are read-only
    "object": lambda data: data.astype(object),
    "nested lists": lambda data: data.tolist(),
    "float32 tensor": lambda data: torch.from_numpy(data.copy()),
    "float64 tensor": lambda data: torch.from_numpy(data.astype("float64")),
    "tensor with gradient": lambda data: torch.from_numpy(data.copy()).requires_grad_(),
    "bfloat16 tensor": lambda data: torch.from_numpy(data.copy()).bfloat16(),
}


def check_kinds_of_arrays(name, make):
    expected = output(fitted(name), X)
    for kind, convert in ARRAYS.items():
        data = convert(X)
        found = output(make().fit(data, target(name)), data)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5, err_msg=kind)


def check_two_dimensions_are_one_channel(name, make):
    def fit_and_read(data):
        estimator = make()
        set_layout(estimator, ch_names=["C4"])
        return output(estimator.fit(data, target(name)), data)

    expected = fit_and_read(X[:, :1])
    for data in (X[:, 0], X[:, 0].tolist(), pd.DataFrame(X[:, 0]).add_prefix("t")):
        found = np.asarray(fit_and_read(data)).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def check_data_stay_untouched(name, make):
    base = np.repeat(X.astype("float32"), 2, axis=0)
    before, view, y = base.copy(), base[::2], copy.copy(target(name))
    estimator = make().fit(view, y)
    output(estimator, view)
    np.testing.assert_array_equal(base, before)
    if y is not None:
        np.testing.assert_array_equal(y, target(name))
    assert not np.shares_memory(output(estimator, view), base)


def check_wrong_shapes(name, make):
    estimator = fitted(name)
    wrong = {
        "fewer channels": X[:, :2],
        "more channels": np.repeat(X, 2, axis=1),
        "no channels": X[:, :0],
        "shorter": X[:, :, :-1],
        "longer": np.repeat(X, 2, axis=2),
        "no samples": X[:, :, :0],
        "one sample": X[:, :, :1],
        "4-D": X[..., None],
        "2-D": X[:, 0],
        "1-D": X[0, 0],
        "0-D": np.float32(1.0),
        "no epochs": X[:0],
    }
    if name in ALIGNERS:  # it asks for channels alone
        del wrong["shorter"], wrong["longer"]
    calls = {what: lambda data=data: output(estimator, data) for what, data in wrong.items()}
    cls = type(estimator).__name__
    assert_refused(calls, rf"(\bX\b|{cls}).*\d", rf"\d.*(\bX\b|{cls})")


def _spoilt(value, dtype="float64"):
    data = X.astype(dtype)
    data[2, 1, 7] = value
    return data


def _flat(epochs):
    data = X.copy()
    data[epochs, 1] = 3.0
    return data


BAD_SIGNALS = {
    "NaN": _spoilt(np.nan),
    "inf": _spoilt(np.inf),
    "-inf": _spoilt(-np.inf, "float32"),
    "constant channel": _flat(slice(None)),
    "beyond float32": _spoilt(1e39),
    "complex": X + 1j * X,
    "strings": X.astype(str),
    "objects": _spoilt("seven", object),
    "None inside": _spoilt(None, object),
    "dictionaries": np.full(X.shape, {"a": 1}, dtype=object),
    "dates": X.astype("datetime64[s]"),
    "sparse matrix": csr_array(X[:, 0]),
    "sparse 3-D array": coo_array(X),
    "empty": X[:0],
    "empty list": [],
    "ragged list": [X[0].tolist(), X[1, :2].tolist()],
    "text": "signals.fif",
    "None": None,
    "number": 3.0,
    "dictionary": {"X": X},
}


def check_bad_signals_in_fit(name, make):
    y = target(name)
    calls = {what: lambda X=X: make().fit(X, y) for what, X in BAD_SIGNALS.items()}
    if name in ALIGNERS:
        del calls["beyond float32"]  # it keeps float64
    assert_refused(calls, r"\bX\b", type(make()).__name__, errors=(ValueError, TypeError))


def check_bad_signals_after_fit(name, make):
    estimator = fitted(name)
    calls = {what: lambda X=X: output(estimator, X) for what, X in BAD_SIGNALS.items()}
    if name in ALIGNERS:
        del calls["beyond float32"]
    assert_refused(calls, r"\bX\b", type(estimator).__name__, errors=(ValueError, TypeError))


def check_bad_channels_are_named(name, make):
    named = "channels 1\\b" if name in ALIGNERS else "channels CZ\\b"  # it has no ch_names
    for what in ("NaN", "inf", "constant channel"):
        with pytest.raises(ValueError, match=named):
            make().fit(BAD_SIGNALS[what], target(name))


def check_a_flat_epoch_warns(name, make):
    with pytest.warns(UserWarning, match="1 of 8 epochs with a constant signal in channels"):
        assert np.isfinite(output(make().fit(_flat(2), target(name)), X)).all()


def check_arrays_need_a_rate(name, make):
    with pytest.raises(ValueError, match="pass sfreq"):
        make(sfreq=None).fit(X, target(name))


def check_arrays_need_names(name, make):
    with pytest.raises(ValueError, match="3 channel.*pass ch_names"):
        make(ch_names=None).fit(X, target(name))


def check_a_wrong_unit(name, make):
    estimator = fitted(name)
    calls = {
        "volts in fit": lambda: make().fit(X * 1e-6, target(name)),
        "volts after fit": lambda: output(estimator, X * 1e-6),
        "microvolts told as volts": lambda: make(unit="V").fit(X, target(name)),
    }
    assert_refused(calls, rf"{type(estimator).__name__}.*\b(uV|V)\b")
    with pytest.warns(UserWarning, match="read the values as uV"):
        guessed = make(unit="auto").fit(X, target(name))
    np.testing.assert_array_equal(output(guessed, X), output(estimator, X))  # and no warning


def check_too_short(name, make):
    with pytest.raises(ValueError, match=r"DARE\w+: X has epochs of 0.156 s"):
        make().fit(X[:, :, :20], target(name))


def check_batch_size_of_the_prediction(name, make):
    for batch_size in (1, 3, 100):
        other = copy.deepcopy(fitted(name)).set_params(batch_size=batch_size)
        np.testing.assert_allclose(output(other, X), output(fitted(name), X), rtol=0, atol=1e-4)


def check_batch_size_of_the_fit(name, make):
    alone = pytest.warns(UserWarning, match="every batch is a single window")
    for batch_size in (1, 3, 7, 100):  # 7: one epoch is left over
        with alone if name == "pretrainer" and batch_size == 1 else nullcontext():
            estimator = make(batch_size=batch_size).fit(X, target(name))
        assert np.isfinite(output(estimator, X)).all()


def check_epochs_stand_alone(name, make):
    estimator, order = fitted(name), np.random.default_rng(0).permutation(len(X))
    expected = output(estimator, X)
    assert np.ptp(expected, axis=0).max() > 1e-3  # else the order would not show
    np.testing.assert_allclose(output(estimator, X[order]), expected[order], rtol=0, atol=1e-4)
    np.testing.assert_allclose(output(estimator, X[3:4]), expected[3:4], rtol=0, atol=1e-4)
    doubled = output(estimator, np.concatenate([X, X]))
    np.testing.assert_allclose(doubled, np.concatenate([expected] * 2), rtol=0, atol=1e-4)


def check_one_epoch_is_enough(name, make):
    assert np.isfinite(output(make().fit(X[:1], target(name, 1)), X)).all()


def check_one_epoch_warns(name, make):
    with pytest.warns(UserWarning, match="single window|too few epochs"):
        assert np.isfinite(output(make().fit(X[:1]), X)).all()


def check_one_epoch_per_class_is_enough(name, make):
    assert output(make().fit(X[:2], target(name, 2)), X).shape == (len(X), 2)


_need_more = {*CLASSIFIERS, *PRETRAIN, *ALIGNERS, "embedder-auto"}

CHECKS = {
    check_kinds_of_arrays: ALL,
    check_two_dimensions_are_one_channel: ALL,
    check_data_stay_untouched: ALL,
    check_wrong_shapes: ALL,
    check_bad_signals_in_fit: ALL,
    check_bad_signals_after_fit: ALL,
    check_bad_channels_are_named: ALL,
    check_a_flat_epoch_warns: ALL,
    check_arrays_need_a_rate: NETWORKS,
    check_arrays_need_names: NEED_NAMES,
    check_a_wrong_unit: NETWORKS,
    check_too_short: NETWORKS,
    check_batch_size_of_the_prediction: NETWORKS,
    check_batch_size_of_the_fit: {**PROBES, **PRETRAINERS},
    check_epochs_stand_alone: ALL,
    check_one_epoch_is_enough: {n: m for n, m in ALL.items() if n not in _need_more},
    check_one_epoch_warns: {name: ALL[name] for name in [*PRETRAIN, *ALIGNERS]},
    check_one_epoch_per_class_is_enough: CLASSIFIERS,
}


@battery(CHECKS)
def test_inputs(name, make, check):
    check(name, make)


def test_every_check_is_listed():
    assert_all_listed(globals(), CHECKS)
