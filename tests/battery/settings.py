"""The estimators of the battery, the data that they all read, and what the checks share."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache, partial

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from torch import nn

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, DARERegressor
from dare_sklearn.transformers import EuclideanAligner, SpectralAligner

NAMES, SFREQ = ["C3", "Cz", "C4"], 128.0
LAYOUT = {"ch_names": NAMES, "sfreq": SFREQ, "unit": "uV"}
N_EPOCHS, N_TIMES = 8, 64  # two patches

# Whole microvolts, so that every number type holds the same values.
X = np.random.default_rng(0).normal(scale=15, size=(N_EPOCHS, 3, N_TIMES)).round().astype("float32")
CODES = np.arange(N_EPOCHS) % 2
LABELS = np.array(["feet", "hands"])[CODES]
AMPLITUDES = np.random.default_rng(1).normal(50.0, 8.0, N_EPOCHS)

# Another montage, rate and length.
OTHER_NAMES, OTHER_SFREQ = ["Fz", "Pz", "O1", "O2"], 100.0
OTHER_X = np.random.default_rng(2).normal(scale=12, size=(9, 4, 75))

for _shared in (X, CODES, LABELS, AMPLITUDES, OTHER_X):
    _shared.flags.writeable = False


def _setting(cls: type, **fixed) -> Callable:
    """A function of parameters that makes the estimator; they replace the setting's own."""

    def make(**params):
        # copied, so that no estimator shares its pretrainer with another one
        return cls(**{**LAYOUT, "random_state": 0, **copy.deepcopy(fixed), **params})

    return make


_steps = {"encoder": None, "spatial_init": "spline", "max_epochs": 1, "batch_size": 4}
_classifier = partial(_setting, DAREClassifier, **_steps)
_closed_form = {"encoder": None, "batch_size": 4}
_pretraining = {"max_epochs": 1, "batch_size": 4}

CLASSIFIERS = {
    "classifier-conv-linear": _classifier(),
    "classifier-virtual": _setting(DAREClassifier, **_closed_form),
    "classifier-all-layers": _classifier(
        spatial_layers=2, temporal_kernel=5, adapter_dropout=0.1, class_weight="smooth",
        label_smoothing=0.1,
    ),
    "classifier-linear": _setting(DAREClassifier, **_closed_form, adaptation="linear"),
    "classifier-finetune": _classifier(adaptation="finetune"),
}  # fmt: skip
REGRESSORS = {
    "regressor-conv-linear": _setting(DARERegressor, **_steps),
    "regressor-virtual": _setting(DARERegressor, **_closed_form),
    "regressor-linear": _setting(DARERegressor, **_closed_form, adaptation="linear"),
}
EMBEDDERS = {
    "embedder-auto": _setting(DAREEmbedder, encoder=None, batch_size=4, n_components=3),
    "embedder-mean": _setting(DAREEmbedder, encoder=None, batch_size=4, pooling="mean"),
    "embedder-flatten": _setting(DAREEmbedder, encoder=None, batch_size=4, pooling="flatten"),
    "embedder-electrodes": _setting(
        DAREEmbedder, encoder=None, batch_size=4, views="electrodes", pooling="covariance"
    ),
    "embedder-pretraining": _setting(
        DAREEmbedder,
        encoder=DAREPretrainer(**_pretraining, random_state=0),
        batch_size=4,
        pooling="mean",
    ),
}
PRETRAINERS = {"pretrainer": _setting(DAREPretrainer, **_pretraining)}
PRETRAIN = ("embedder-pretraining", "pretrainer")  # whose fit contrasts epochs; ordered for xdist
ALIGNERS = {
    "aligner": partial(EuclideanAligner, group_by=False),
    "aligner-spectra": partial(SpectralAligner, n_taps=16, group_by=False),
}

PROBES = {**CLASSIFIERS, **REGRESSORS}
EMBEDDING = {**EMBEDDERS, **PRETRAINERS}  # from signals to columns of features
TRANSFORMERS = {**EMBEDDING, **ALIGNERS}
NETWORKS = {**PROBES, **EMBEDDING}  # those that read signals into an encoder
ALL = {**PROBES, **TRANSFORMERS}
# The convolution of a probe takes any channel; whatever reads the encoder's table needs names.
_LINEAR = ("classifier-linear", "regressor-linear")
CLOSED_FORM = (*_LINEAR, "classifier-virtual", "regressor-virtual")  # no gradient steps
NEED_NAMES = {**EMBEDDING, **{name: PROBES[name] for name in _LINEAR}}


def battery(checks: dict[Callable, dict[str, Callable]]):
    """Parametrise a test of ``(name, make, check)``: one id per setting and check."""
    rows = [(name, make, check) for check, group in checks.items() for name, make in group.items()]
    ids = [f"{name}-{check.__name__.removeprefix('check_')}" for name, _, check in rows]
    return pytest.mark.parametrize(("name", "make", "check"), rows, ids=ids)


def assert_all_listed(module: dict, checks: dict[Callable, dict]) -> None:
    """No check of a module is forgotten in its table."""
    written = {value for name, value in module.items() if name.startswith("check_")}
    assert written == set(checks) and all(checks.values())


def target(name: str, n_epochs: int = N_EPOCHS) -> np.ndarray | None:
    """The y that a setting is fitted with."""
    if name in TRANSFORMERS:
        return None
    y = LABELS if name in CLASSIFIERS else AMPLITUDES
    return np.resize(y, n_epochs)


@cache
def fitted(name: str):
    """One fitted estimator of each setting, for checks that leave it as it is."""
    return ALL[name]().fit(X, target(name))


def output(estimator, data) -> np.ndarray:
    """What an estimator says of epochs, as exactly as it says it."""
    for method in ("predict_proba", "predict", "transform"):
        if hasattr(estimator, method):
            return getattr(estimator, method)(data)
    raise AssertionError(f"{estimator} has no output")


def set_layout(estimator, **layout) -> None:
    """Set those of ``ch_names`` and ``sfreq`` that the estimator has."""
    estimator.set_params(**{k: v for k, v in layout.items() if k in estimator.get_params(False)})


def _plain(value):
    """Networks, tables and models as the numbers that they hold, whatever their memory order."""
    if isinstance(value, nn.Module):
        value = {key: tensor.numpy() for key, tensor in value.state_dict().items()}
    elif isinstance(value, pd.DataFrame):
        value = value.drop(columns="seconds").to_dict("list")
    elif isinstance(value, BaseEstimator):
        value = {"class": type(value), **vars(value)}
    if isinstance(value, np.ndarray):
        plain = value.tolist() if value.dtype == object else value.tobytes()
        return value.dtype.str, value.shape, plain
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def learned(estimator) -> dict[str, str]:
    """A hash of everything that fit learned (but for clock times and the net of the training)."""
    params = estimator.get_params(deep=False)
    attributes = vars(estimator).keys() - params.keys() - {"net_"}
    return {name: joblib.hash(_plain(vars(estimator)[name])) for name in sorted(attributes)}


def faults(calls: dict[str, Callable], *words: str, errors: tuple = (ValueError,)) -> list[str]:
    """Calls that do not raise one of `errors` with a message in which one of the patterns is."""
    found = []
    for what, call in calls.items():
        try:
            call()
        except Exception as error:
            told = any(re.search(word, str(error), re.DOTALL) for word in words)
            if not (isinstance(error, errors) and told):
                found.append(f"{what}: unclear {type(error).__name__}: {str(error)[:300]}")
        else:
            found.append(f"{what}: accepted")
    return found


def assert_refused(calls: dict[str, Callable], *words: str, **options) -> None:
    """Every call is refused clearly (see `faults`); all that are not are told at once."""
    found = faults(calls, *words, **options)
    assert not found, "\n".join(found)
