"""Random input to every public estimator: a sound result, or one sentence that names the culprit."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    DAREPretrainer,
    DARERegressor,
    EuclideanAligner,
)

SEEDS = st.integers(0, 2**16)
# Examples of the normal run; the slow one takes ten times as many.
BUDGET = {
    "classifier conv-linear": 32,
    "classifier linear": 24,
    "classifier finetune": 18,
    "regressor conv-linear": 20,
    "regressor linear": 18,
    "regressor finetune": 14,
    "embedder": 30,
    "pretrainer": 20,
    "aligner": 24,
}
CLASSES = {
    "classifier": DAREClassifier, "regressor": DARERegressor, "embedder": DAREEmbedder,
    "pretrainer": DAREPretrainer, "aligner": EuclideanAligner,
}  # fmt: skip


def test_budget():
    assert sum(BUDGET.values()) == 200


def test_no_parameter_is_left_out():
    params = {param for cls in CLASSES.values() for param in cls._get_param_names()}
    # which are part of every case
    assert params - GOOD.keys() == {"ch_names", "sfreq", "adaptation"}


# signals ----------------------------------------------------------------------------------------

RATES = (64.0, 100.0, 128.0, 250.0, 256.0, 500.0)
DTYPES = ("float64", "float32", "float16", "int16", "int64", ">f4", "object", "int8")
BAD_DTYPES = ("complex64", "str", "datetime64[s]", "bool", "uint8", "bytes")


def eeg(rng, shape):
    return rng.normal(scale=10, size=shape)


def spoilt(value, whole_epoch=False):
    def make(rng, shape):
        data = eeg(rng, shape)
        index = tuple(rng.integers(n) for n in shape[: 2 if whole_epoch else 3])
        data[index] = value
        return data

    return make


def constant_channel(rng, shape):
    data = eeg(rng, shape)
    data[:, rng.integers(shape[1])] = 7.0
    return data


def trigger_channel(rng, shape):
    data = eeg(rng, shape)
    data[:, -1] = 0.0
    data[:, -1, : shape[-1] // 4] = rng.integers(1, 3, (shape[0], 1))
    return data


VALUES = {
    "EEG": eeg,
    "slow drift": lambda rng, shape: eeg(rng, shape) + np.linspace(0, 500, shape[-1]),
    "large offset": lambda rng, shape: eeg(rng, shape) + 1e5,
    "one sine": lambda rng, shape: 20 * np.sin(np.arange(shape[-1]) / 3) + 0.1 * eeg(rng, shape),
    "blinks": lambda rng, shape: eeg(rng, shape) * rng.choice([1, 40], size=(*shape[:2], 1)),
    "the same twice": lambda rng, shape: np.repeat(eeg(rng, (1, *shape[1:])), shape[0], axis=0),
    "channels alike": lambda rng, shape: np.repeat(eeg(rng, (shape[0], 1, shape[2])), shape[1], 1),
    "a flat epoch": spoilt(3.0, whole_epoch=True),
}
ODD_VALUES = {
    "NaN": spoilt(np.nan),
    "all NaN": lambda rng, shape: np.full(shape, np.nan),
    "inf": spoilt(np.inf),
    "one extreme": spoilt(1e30),
    "beyond float32": spoilt(1e300),
    "zeros": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, 5.0),
    "constant channel": constant_channel,
    "trigger channel": trigger_channel,
    "z-scores": lambda rng, shape: rng.normal(size=shape),
    "volts": lambda rng, shape: 1e-6 * eeg(rng, shape),
    "tiny": lambda rng, shape: 1e-300 * eeg(rng, shape),
    "subnormal": lambda rng, shape: np.full(shape, 5e-324) * rng.integers(0, 2, shape),
    "large": lambda rng, shape: 1e9 * eeg(rng, shape),
    "largest": lambda rng, shape: np.finfo("f8").max * rng.choice([-1.0, 1.0], shape),
    "infinite offset": lambda rng, shape: eeg(rng, shape) + 1e38,
}
SHAPES = {
    "one channel as a table": lambda data: data[:, 0],
    "one epoch": lambda data: data[:1],
    "an epoch of channels": lambda data: data[0],
    "1-D": lambda data: data[0, 0],
    "4-D": lambda data: data[..., None],
    "no epochs": lambda data: data[:0],
    "no channels": lambda data: data[:, :0],
    "no samples": lambda data: data[:, :, :0],
    "one sample": lambda data: data[:, :, :1],
    "transposed": lambda data: data.swapaxes(1, 2),
    "a number": lambda data: data.ravel()[0],
}
CONTAINERS = {
    "lists": lambda data: data.tolist(),
    "ragged lists": lambda data: [epoch[..., : -1 - i].tolist() for i, epoch in enumerate(data)],
    "tensor": lambda data: torch.from_numpy(np.array(data, dtype="f8")),
    "half tensor": lambda data: torch.from_numpy(np.array(data, dtype="f8")).bfloat16(),
    "Fortran order": np.asfortranarray,
    "backwards": lambda data: data[::-1],
    "frame": lambda data: pd.DataFrame(data[:, 0]),
    "frame of samples": lambda data: pd.DataFrame(data[0].T, columns=KNOWN[: data.shape[1]]),
    "masked": lambda data: np.ma.masked_invalid(np.array(data, dtype="f8")),
    "list of arrays": list,
    "tuple of arrays": tuple,
    "text": str,
    "nothing": lambda data: None,
    "set": lambda data: {1.0, 2.0},
    "dictionary": lambda data: {"X": data},
    "generator": iter,
}

# names ------------------------------------------------------------------------------------------

KNOWN = ["C3", "Cz", "C4", "Fz", "Pz", "O1", "Oz", "T7", "fp1", "FCZ.", " P3 ", "t4", "AF7"]
ODD_NAMES = {
    "twice": lambda names: names[:1] * len(names),
    "the same by two names": lambda names: (["T3", "T7", "t3", "T7."] * 2)[: len(names)],
    "case apart": lambda names: [("c3", "C3")[i % 2] for i in range(len(names))],
    "unknown": lambda names: [f"EEG {i:03d}" for i in range(len(names))],
    "one unknown": lambda names: [*names[:-1], "A1"],
    "between electrodes": lambda names: [*names[:-1], "CCP1h"],
    "a trigger": lambda names: [*names[:-1], "STI 014"],
    "a pair": lambda names: [*names[:-1], "EEG Fpz-Cz"],
    "clinical": lambda names: [f"EEG {name.strip(' .')}-REF" for name in names],
    "too few": lambda names: names[:-1],
    "too many": lambda names: [*names, "Iz"],
    "other scripts": lambda names: [*names[:-1], "Ç3 – 脳波 🧠"],
    "empty": lambda names: [*names[:-1], ""],
    "control characters": lambda names: [*names[:-1], "C\x003\n"],
    "lone surrogate": lambda names: [*names[:-1], "\ud800"],
    "numbers": lambda names: list(range(len(names))),
    "missing inside": lambda names: [*names[:-1], None],
    "a word": lambda names: "C3",
    "array": np.array,
    "index": pd.Index,
    "tuple": tuple,
    "set": set,
    "number": lambda names: 3,
    "nothing": lambda names: None,
    "two dimensions": lambda names: [names],
}

# targets ----------------------------------------------------------------------------------------


def among(*labels):
    """Labels of all kinds in turn; with NumPy's own choice of a type."""
    return lambda rng, n: np.array([labels[i % len(labels)] for i in range(n)])


def objects(*labels):
    return lambda rng, n: np.array([labels[i % len(labels)] for i in range(n)] + [None], object)[:n]


LABELS = {
    "integers": among(0, 1),
    "strings": among("left", "right"),
    "booleans": among(False, True),
    "whole floats": among(1.0, 2.0),
    "negative": among(-5, 3),
    "three": among("a", "b", "c"),
    "one each": lambda rng, n: np.arange(n),
    "rare": lambda rng, n: (np.arange(n) == 0).astype(int),
    "unicode": among("ø", "脳"),
    "small integers": lambda rng, n: among(0, 255)(rng, n).astype("uint8"),
    "list": lambda rng, n: among("a", "b")(rng, n).tolist(),
    "Series": lambda rng, n: pd.Series(among("a", "b")(rng, n), index=rng.permutation(n)),
    "Categorical": lambda rng, n: pd.Categorical(among("a", "b")(rng, n)),
    "tensor": lambda rng, n: torch.arange(n) % 2,
}
ODD_LABELS = {
    "one class": among("only"),
    "continuous": lambda rng, n: rng.normal(size=n),
    "NaN": among(0.0, np.nan, 1.0),
    "NaN among strings": objects("a", float("nan")),
    "None inside": objects("a", None, "b"),
    "mixed": objects("a", 1),
    "mixed numbers": objects(1, 2.5, True),
    "infinite": among(0.0, np.inf),
    "huge": among(0, 2**63 - 1),
    "too short": lambda rng, n: np.arange(n - 1) % 2,
    "too long": lambda rng, n: np.arange(n + 1) % 2,
    "none": lambda rng, n: np.array([]),
    "two columns": lambda rng, n: np.ones((n, 2)),
    "complex": among(1j, 2j),
    "dates": lambda rng, n: np.arange(n).astype("datetime64[D]"),
    "bytes": among(b"a", b"b"),
    "lists inside": lambda rng, n: [[i] * (i % 3) for i in range(n)],
    "dictionaries": objects({"a": 1}, {"b": 2}),
    "sets": objects({1}, {2}),
    "masked": lambda rng, n: np.ma.array(np.arange(n) % 2, mask=np.arange(n) == 0),
    "a word": lambda rng, n: "left",
    "a number": lambda rng, n: 1,
    "nothing": lambda rng, n: None,
    "empty strings": among("", " "),
}
AMPLITUDES = {
    "floats": lambda rng, n: rng.normal(50, 8, n),
    "float32": lambda rng, n: rng.normal(50, 8, n).astype("f4"),
    "integers": lambda rng, n: rng.integers(0, 100, n),
    "booleans": among(False, True),
    "the same": lambda rng, n: np.full(n, 3.0),
    "large": lambda rng, n: 1e12 + rng.normal(size=n),
    "small": lambda rng, n: 1e-12 * rng.normal(size=n),
    "numbers as text": among("1.5", "2"),
    "objects": objects(1.0, 2),
    "list": lambda rng, n: rng.normal(size=n).tolist(),
    "Series": lambda rng, n: pd.Series(rng.normal(size=n), index=rng.permutation(n)),
}
ODD_AMPLITUDES = {
    **{name: make for name, make in ODD_LABELS.items() if name not in {"one class", "continuous"}},
    "text": among("left", "right"),
    "largest": lambda rng, n: np.full(n, 1e308) * among(1, -1)(rng, n),
    "subnormal": lambda rng, n: 5e-324 * np.arange(n),
    "long integers": lambda rng, n: [10**40] * n,
}
WEIGHTS = {
    "equal": lambda rng, n: np.ones(n),
    "any": lambda rng, n: rng.uniform(0.1, 3, n),
    "half of them zero": lambda rng, n: np.arange(n) % 2,
    "zero": lambda rng, n: np.zeros(n),
    "negative": lambda rng, n: -np.ones(n),
    "NaN": lambda rng, n: np.full(n, np.nan),
    "infinite": lambda rng, n: np.full(n, np.inf),
    "largest": lambda rng, n: np.full(n, 1e308),
    "smallest": lambda rng, n: np.full(n, 5e-324),
    "too short": lambda rng, n: np.ones(n - 1),
    "text": lambda rng, n: ["heavy"] * n,
    "two columns": lambda rng, n: np.ones((n, 2)),
    "a number": lambda rng, n: 2.0,
}
GROUPS = {
    "two": lambda rng, n: np.arange(n) // ((n + 1) // 2),
    "each its own": lambda rng, n: np.arange(n),
    "one": lambda rng, n: np.zeros(n),
    "names": lambda rng, n: among("anna", "bo")(rng, n),
    "NaN": lambda rng, n: np.full(n, np.nan),
    "mixed": objects("a", 1),
    "too long": lambda rng, n: np.arange(n + 1),
    "two columns": lambda rng, n: np.ones((n, 2)),
    "lists": lambda rng, n: [[i] for i in range(n)],
    "a word": lambda rng, n: "anna",
    "dictionaries": objects({"a": 1}),
}

# parameters -------------------------------------------------------------------------------------

ANYTHING = [None, "", "nonsense", -1, 0, 1.5, np.nan, np.inf, [], {}, True, (), object, 10**400]
FEW_EPOCHS = [1, 2, np.int64(1)]
GOOD = {
    "C": [0.1, 1, 1e-9, 1e9],
    "adapter_dropout": [0.0, 0.5],
    "alpha": [0.0, 1, 1e12],
    "amplitude": [1, 10.0, 1e-30, 1e30],
    "anchor_alignment": [0, 1.0],
    "batch_size": [1, 2, 3, 10**9, np.int32(4)],
    "cache": ["memory", None],
    "cache_mb": [1, 10],
    "callbacks": [[], None],
    "checkpoint_dir": [None],
    "checkpoint_every": [None, 1],
    "class_weight": ["balanced", "smooth", None, {}],
    "compile": [False],
    "cs_mode": ["train", "train_trialwise", "train_and_target_unlabeled_20p"],
    "device": ["cpu", "auto", "cpu:0"],
    "dropout": [0.0, 0.99],
    "encoder": [None],
    "group_by": [None, False],
    "hidden_target_share": [0.0, 0.2, 1],
    "label_smoothing": [0.0, 0.1, 0.9],
    "layer": ["last", "patch", 0],
    "layer_decay": [0.5, 1],
    "lr": [1e-3, None, 1e-30],
    "mask_alignment": [0, 1.0],
    "n_components": [None, 1, 2],
    "n_threads": [None, 1],
    "n_workers": [0],
    "on_error": ["raise", "skip"],
    "robust_scale": [None],
    "max_epochs": FEW_EPOCHS,
    "momentum": [(0.9, 1.0), [0, 0], (1, 0)],
    "patience": [1, 5],
    "pooling": ["mean", "mean_std", "flatten", "covariance", "power"],
    "precision": ["auto", "float32", "bfloat16"],
    "random_state": [0, np.random.RandomState(0), None, 2**32 - 1],
    "reconstruction": [0.0, 1],
    "reconstruction_target": ["patch", "bands"],
    "restarts": [(), [1]],
    "shares": [None],
    "size": ["nano"],
    "skip_connection": [True, False],
    "spatial_init": ["random", "spline", "csp", "xdawn", "auto"],
    "spatial_layers": [1, 2, 4],
    "target_channels": [["Cz"], None, ("C3", "c4"), np.array(["Oz"])],
    "target_norm": [True, False],
    "temporal_kernel": [None, 1, 3, 15, 201],
    "unit": ["uV", "auto"],
    "unknown_channels": ["interpolate", "drop", "error"],
    "validation_fraction": [0.0, 0.3, 0.5],
    "verbose": [0, False],
    "views": ["joint", "electrodes"],
    "visible_share": [0.0, 0.2, (0.1, 0.6)],
    "weight_decay": [0, 0.1],
    "weights": [None],
    "window_s": [0.25, 0.5, 4],
}
BAD = {
    "adapter_dropout": [1.0, -0.1],
    "batch_size": ["2", 2.0, True],
    "cache": [3, b"memory"],
    "callbacks": [["early"], "early", [3], [("name", 1)], [(1, 2, 3)]],
    "checkpoint_dir": [3],
    "checkpoint_every": [2.0],
    "ch_names": [{"C3": 1}],
    "class_weight": [{"elbow": 1}, {0: -1}, {0: np.nan}, {"left": "x"}, {None: 1}, "heavy", [1, 2]],
    "device": ["abacus", "cuda:99", "meta", "xpu", "cpu:7"],
    "encoder": ["no-such-encoder", "/nowhere/at/all", "a/b/c", b"nano", DAREPretrainer, 3],
    "group_by": ["subject", True],
    "layer_decay": [1.1, 0],
    "lr": [0, -1e-3, 1e30],
    "max_epochs": ["1"],
    "momentum": [(0.9,), 0.9, "ab", (0.9, 2), (0.9, "x"), (np.nan, 1), None],
    "n_workers": [1.0, "2"],
    "on_error": ["ignore", b"skip"],
    "robust_scale": [10, -1.0],
    "random_state": [-1, 2**32, "seed", 0.5],
    "size": ["huge"],
    "sfreq": [0, -128, 1e-9, 1e9, "128", True],
    "target_channels": [["Q7"], [], ["Cz", "CZ"], "Cz", [1], {"Cz"}, [["Cz"]]],
    "temporal_kernel": [2, 4],
    "validation_fraction": [0.01, 0.99, 1.0],
    "weights": ["no-such-weights", 3],
    "window_s": [0.1, 0],
}


class Case:
    """One call of fit, and one of what follows."""

    def __init__(self, name, params, X, fit_params, later, kinds) -> None:
        self.cls, self.params = CLASSES[name.split()[0]], params
        self.X, self.fit_params, self.later = X, fit_params, later
        self.kinds = kinds  # what is told of it where it fails

    def __repr__(self) -> str:
        shape = getattr(self.X, "shape", type(self.X).__name__)
        return f"<{self.cls.__name__}(**{self.params}).fit({shape}): {', '.join(self.kinds)}>"


def pick(draw, table, kinds, what):
    kind = draw(st.sampled_from(sorted(table)))
    kinds.append(f"{what}: {kind}")
    return table[kind]


@st.composite
def cases(draw, name):
    """Mostly what should work, with none to three things that are odd."""
    kind = name.split()[0]
    kinds: list[str] = []
    topics = ["values", "dtype", "bad dtype", "shape", "container", "names", "sfreq", "param",
              "bad param", "later", "mne", "fit param"]  # fmt: skip
    if kind in ("classifier", "regressor"):
        topics += ["targets", "targets", "weights", "groups"]
    odd = draw(st.lists(st.sampled_from(topics), max_size=3, unique=True))
    rng = np.random.default_rng(draw(SEEDS))

    # signals
    n_epochs = draw(st.integers(3, 6))
    n_chans = draw(st.integers(1, 4))
    sfreq = draw(st.sampled_from(RATES))
    seconds = draw(st.sampled_from([0.25, 0.3, 0.5, 1.0]))
    shape = (n_epochs, n_chans, round(seconds * sfreq))
    values = pick(draw, ODD_VALUES if "values" in odd else VALUES, kinds, "values")
    X = values(rng, shape)
    names = draw(st.permutations(KNOWN))[:n_chans]
    params: dict[str, Any] = {}
    if kind != "aligner":
        params = {"ch_names": names, "sfreq": sfreq, "unit": "uV"}
    if "mne" in odd:
        info = mne.create_info([str(n).strip() for n in names], sfreq, "eeg")
        with np.errstate(all="ignore"):
            data = X * 1e-6
        events = np.c_[np.arange(n_epochs), np.zeros(n_epochs, int), np.arange(n_epochs) % 2 + 1]
        X = mne.EpochsArray(data, info, events=events, verbose="error")
        kinds.append("mne")
    else:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, on what does not fit into a type
            if "dtype" in odd or "bad dtype" in odd:
                dtype = draw(st.sampled_from(BAD_DTYPES if "bad dtype" in odd else DTYPES))
                kinds.append(dtype)
                X = X.astype(dtype)
        if "shape" in odd:
            X = pick(draw, SHAPES, kinds, "shape")(X)
        if "container" in odd and getattr(X, "ndim", 0) == 3 and X.dtype.kind in "fiu" and X.size:
            X = pick(draw, CONTAINERS, kinds, "container")(X)
    if kind != "aligner":
        if "names" in odd:
            params["ch_names"] = pick(draw, ODD_NAMES, kinds, "names")(names)
        if "sfreq" in odd:
            params["sfreq"] = draw(st.sampled_from([*ANYTHING, *BAD["sfreq"]]))

    # parameters
    cls = CLASSES[kind]
    if kind != "aligner":
        params["random_state"] = 0
    if kind in ("classifier", "regressor"):
        params |= {"encoder": None, "adaptation": name.split()[1], "batch_size": 4}
    elif kind == "embedder":
        params |= {"encoder": None}
    elif kind == "pretrainer":
        params |= {"max_epochs": 1, "batch_size": 4}
    else:
        params |= {"group_by": False}
    free = sorted(set(cls._get_param_names()) - {"ch_names", "sfreq", "adaptation"})
    if "param" in odd:
        for param in draw(st.lists(st.sampled_from(free), min_size=1, max_size=4, unique=True)):
            params[param] = draw(st.sampled_from(GOOD[param]))
    if "bad param" in odd:
        param = draw(st.sampled_from(sorted(cls._get_param_names())))
        allowed = [*BAD.get(param, []), *ANYTHING]
        params[param] = draw(st.sampled_from(allowed))
        if param in ("max_epochs", "cache_mb") and params[param] == 10**400:
            params[param] = -1  # a valid request, and an endless one
        kinds.append(param)

    # what fit gets beside the signals
    fit_params: dict[str, Any] = {}
    if kind in ("classifier", "regressor"):
        good, bad = (LABELS, ODD_LABELS) if kind == "classifier" else (AMPLITUDES, ODD_AMPLITUDES)
        table = bad if "targets" in odd else good
        fit_params["y"] = pick(draw, table, kinds, "y")(rng, n_epochs)
        if "weights" in odd:
            fit_params["sample_weight"] = pick(draw, WEIGHTS, kinds, "weights")(rng, n_epochs)
    elif "fit param" in odd:
        fit_params["y"] = draw(st.sampled_from(["ignored", 3, np.zeros(2)]))
    if "groups" in odd or (kind == "aligner" and "fit param" in odd):
        fit_params["groups"] = pick(draw, GROUPS, kinds, "groups")(rng, n_epochs)

    # what comes later
    later = X
    if "later" in odd:
        other = pick(draw, VALUES | ODD_VALUES, kinds, "later")(
            rng, (draw(st.integers(1, 3)), *shape[1:])
        )
        if draw(st.booleans()):
            other = pick(draw, SHAPES, kinds, "later")(other)
        later = other
    return Case(name, params, X, fit_params, later, kinds)


# what must come of it ---------------------------------------------------------------------------

CULPRITS = {
    "X", "y", "groups", "sample_weight", "epochs", "sfreq", "ch_names",
    *(cls.__name__ for cls in CLASSES.values()),
    *(param for cls in CLASSES.values() for param in cls._get_param_names()),
}  # fmt: skip
NAMED = re.compile(rf"(?<!\w)({'|'.join(sorted(CULPRITS))})(?!\w)")
EXPECTED = (ValueError, TypeError)


def assert_clear(error, case):
    """An error of an expected kind, in one line that names a parameter, an input or the estimator."""
    told = str(error)
    diverged = isinstance(error, FloatingPointError) and "diverged" in told
    missing = isinstance(error, FileNotFoundError) and "There is no encoder" in told
    assert isinstance(error, EXPECTED) or diverged or missing, (case, repr(error))
    assert NAMED.search(told), (case, repr(error))
    assert "\n" not in told.strip() and len(told) < 1_000, (case, told)


def shape_of(X):
    return tuple(X.shape) if hasattr(X, "shape") else np.shape(X)


def assert_sound(estimator, case, X, out):
    """Shape, type, range and repetition of an output."""
    n_epochs = len(X)
    for method, values in out.items():
        again = getattr(estimator, method)(X)
        if isinstance(X, mne.BaseEpochs) and case.cls is EuclideanAligner:
            values, again = values.get_data(), again.get_data()
        values = np.asarray(values)
        assert len(values) == n_epochs, (case, method, values.shape)
        np.testing.assert_array_equal(values, np.asarray(again), err_msg=repr(case))
        if values.dtype.kind in "fc":
            assert np.isfinite(values).all(), (case, method)
    if "predict_proba" in out:
        proba, labels = out["predict_proba"], out["predict"]
        assert proba.shape == (n_epochs, len(estimator.classes_))
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-6)
        assert set(labels.tolist()) <= set(estimator.classes_.tolist())
        assert labels.dtype == estimator.classes_.dtype
    elif "predict" in out:
        assert out["predict"].shape == (n_epochs,) and out["predict"].dtype == np.float64
    elif case.cls is EuclideanAligner:
        expected = X.get_data().shape if isinstance(X, mne.BaseEpochs) else shape_of(X)
        found = out["transform"]
        assert (found.get_data() if isinstance(found, mne.BaseEpochs) else found).shape == expected
    else:
        values = out["transform"]
        assert values.dtype == np.float32 and values.ndim == 2
        assert values.shape[1] == len(estimator.get_feature_names_out())


def outcome(case):
    """Fit, and read what was learned: "result" or "refused"."""
    methods = ("predict", "predict_proba", "decision_function", "transform")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a RuntimeWarning is a result that nobody should trust
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            estimator = case.cls(**case.params)
            estimator.fit(case.X, **case.fit_params)
            names = [method for method in methods if hasattr(estimator, method)]
            X = case.later
            out = {method: getattr(estimator, method)(X) for method in names}
        except Exception as error:
            assert_clear(error, case)
            return "refused"
        assert_sound(estimator, case, X, out)
        return "result"


def run(name, n_examples):
    found = Counter()

    @settings(
        max_examples=n_examples, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(cases(name))
    def check(case):
        found[outcome(case)] += 1

    check()
    # both kinds of answers are seen, or this would prove little
    assert min(found["result"], found["refused"]) > n_examples // 5, found


@pytest.mark.parametrize("name", BUDGET)
def test_fuzz(name):
    run(name, BUDGET[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", BUDGET)
def test_fuzz_more(name):
    run(name, 10 * BUDGET[name])
