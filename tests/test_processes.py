"""Threads and processes: the same results, nothing of the process changed, and no deadlock."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import mne
import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict

from dare_sklearn import (
    DAREClassifier,
    DAREEmbedder,
    DAREPretrainer,
    DARERegressor,
    EuclideanAligner,
    load_encoder,
    simulate_epochs,
)
from dare_sklearn.inspection import channel_importance

X = np.random.default_rng(0).normal(scale=10, size=(12, 3, 64)).astype("float32")
Y = np.arange(12) % 2
LAYOUT = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV"}
PROBE = {**LAYOUT, "encoder": None, "spatial_init": "spline", "max_epochs": 2, "batch_size": 4}


def everyone(seed=0):
    """An unfitted estimator of each kind, with what it is fitted on."""
    params = {**PROBE, "random_state": seed}
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=6, random_state=seed, **LAYOUT)
    return {
        "conv-linear": (DAREClassifier(**params, adapter_dropout=0.2), (X, Y)),
        "virtual": (DAREClassifier(None, random_state=seed, **LAYOUT), (X, Y)),
        "finetune": (DAREClassifier(**params, adaptation="finetune"), (X, Y)),
        "linear": (DAREClassifier(None, adaptation="linear", random_state=seed, **LAYOUT), (X, Y)),
        "regressor": (DARERegressor(**params, validation_fraction=0.25), (X, Y, None, Y + np.arange(12))),
        "pretrainer": (pretrainer, (X,)),
        "embedder": (DAREEmbedder(clone(pretrainer), random_state=seed, **LAYOUT), (X,)),
        "aligner": (EuclideanAligner(group_by=False), (X,)),
    }  # fmt: skip


def answer(estimator):
    methods = ("predict_proba", "predict", "transform")
    return getattr(estimator, next(m for m in methods if hasattr(estimator, m)))(X)


@pytest.fixture
def hurried():
    """Threads that take turns far more often than they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


# threads ----------------------------------------------------------------------------------------


def test_fits_at_once_are_fits_one_after_the_other(hurried):
    jobs = [(name, seed) for seed in (0, 1) for name in everyone()]

    def fit_and_answer(job):
        estimator, data = everyone(job[1])[job[0]]
        return answer(estimator.fit(*data))

    expected = [fit_and_answer(job) for job in jobs]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(fit_and_answer, jobs, timeout=100))
    for job, a, b in zip(jobs, expected, found, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=str(job))


def test_one_fitted_estimator_in_several_threads(hurried):
    for name, (estimator, data) in everyone().items():
        estimator.fit(*data)
        expected = answer(estimator)
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(lambda _, e=estimator: answer(e), range(8), timeout=100):
                np.testing.assert_array_equal(found, expected, err_msg=name)


def test_loading_and_unpickling_disturb_no_fit(hurried, tmp_path):
    """Networks are built in one thread while another one draws random numbers of its seed."""
    probe = DAREClassifier(**PROBE, adapter_dropout=0.5, random_state=0)
    expected = clone(probe).set_params(max_epochs=20).fit(X, Y).predict_proba(X)
    probe.fit(X, Y).save_pretrained(tmp_path)
    pickled, done = pickle.dumps(probe), threading.Event()

    def load():
        rounds = 0
        while not done.is_set() or not rounds:
            load_encoder(tmp_path)
            DAREClassifier.from_pretrained(tmp_path)
            pickle.loads(pickled)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load)
        found = clone(probe).set_params(max_epochs=20).fit(X, Y).predict_proba(X)
        done.set()
        assert loading.result(timeout=100) >= 1
    np.testing.assert_array_equal(found, expected)


def test_a_cache_that_threads_share(hurried, tmp_path):
    expected = DAREEmbedder(None, random_state=0, **LAYOUT).fit_transform(X)
    embedder = DAREEmbedder(None, random_state=0, batch_size=2, cache=tmp_path, **LAYOUT)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: clone(embedder).fit_transform(X), range(6), timeout=100):
            np.testing.assert_allclose(found, expected, atol=1e-6)


# joblib -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib(backend):
    """Cross-validation and a grid give the same in one process, in threads and in workers."""
    probe = DAREClassifier(**{**PROBE, "random_state": 0})
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=6, random_state=0, **LAYOUT).fit(X)
    grid = GridSearchCV(
        DAREClassifier(pretrainer, adaptation="linear", pooling="flatten", **LAYOUT),
        {"C": [0.1, 1.0]},
        cv=2,
    )

    def run(n_jobs):
        folds = cross_val_predict(probe, X, Y, cv=3, method="predict_proba", n_jobs=n_jobs)
        fitted = clone(grid).set_params(n_jobs=n_jobs).fit(X, Y)
        return folds, fitted.cv_results_["mean_test_score"], fitted.predict_proba(X)

    expected = run(None)
    with joblib.parallel_config(
        backend=backend, inner_max_num_threads=1 if backend == "loky" else None
    ):
        found = run(2)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


# fork -------------------------------------------------------------------------------------------

# torch's own threads do not survive a fork, and the lock of a fit may be held by a thread that does
# not either: a child that waited for them would wait forever.
FORK = """
import multiprocessing, threading, warnings
import joblib, numpy as np, torch
from dare_sklearn import DAREClassifier, DAREEmbedder

warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork")
torch.set_num_threads(2)
X = np.random.default_rng(0).normal(scale=10, size=(24, 8, 256)).astype("float32")
y = np.arange(24) % 2
names = ["C3", "Cz", "C4", "Fz", "Pz", "O1", "O2", "Fp1"]
layout = dict(ch_names=names, sfreq=256.0, unit="uV", random_state=0)
probe = DAREClassifier(None, spatial_init="spline", max_epochs=1, **layout)
embedder = DAREEmbedder(None, cache="memory", **layout)  # reads with BLAS and torch

def answers(_=None):
    proba = DAREClassifier(None, spatial_init="spline", max_epochs=1, **layout).fit(X, y).predict_proba(X)
    return proba, probe.predict_proba(X), embedder.transform(X)

def in_a_child(queue):
    queue.put(answers())

def check(found):
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)

probe.fit(X, y)
embedder.fit(X)
expected = answers()  # torch's threads run
context = multiprocessing.get_context("fork")

def fork():
    queue = context.Queue()
    child = context.Process(target=in_a_child, args=(queue,), daemon=True)
    child.start()
    check(queue.get(timeout=40))
    child.join(20)
    assert child.exitcode == 0

fork()
print("fork")
done = threading.Event()

def fit_and_embed():
    while not done.is_set():
        DAREClassifier(None, spatial_init="spline", max_epochs=1, **layout).fit(X, y)
        embedder.transform(X)

thread = threading.Thread(target=fit_and_embed, daemon=True)
thread.start()
for _ in range(4):
    fork()
done.set()
thread.join()
print("fork while a thread fits")
with joblib.parallel_config(backend="multiprocessing"):
    for found in joblib.Parallel(2, timeout=60)(joblib.delayed(answers)(i) for i in range(2)):
        check(found)
print("joblib's multiprocessing")
check(answers())
assert torch.get_num_threads() == 2
print("the parent as before")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork():
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=150, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "fork", "fork while a thread fits", "joblib's multiprocessing", "the parent as before",
    ]  # fmt: skip


# what a call leaves behind ----------------------------------------------------------------------


def world():
    """What all code of a process shares, and no library should change."""
    torch_state = {
        "random": joblib.hash(torch.get_rng_state().numpy()),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "default": (torch.get_default_dtype(), torch.get_default_device()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "anomaly": torch.is_anomaly_enabled(),
    }
    return {
        **{f"torch {name}": value for name, value in torch_state.items()},
        "numpy random": joblib.hash(np.random.get_state()),
        "random": joblib.hash(random.getstate()),
        "numpy errors": np.geterr(),
        "numpy printing": repr(np.get_printoptions()),
        "warnings": list(warnings.filters),
        "sklearn": sklearn.get_config(),
        "mne": mne.utils.logger.level,
        "logging": (logging.root.level, list(logging.root.handlers)),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "threads": threading.active_count(),
        "garbage": gc.isenabled(),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
    }


def calls(folder):
    """Public calls, those that fail among them."""
    for name, (estimator, data) in everyone().items():
        yield f"{name} repr", lambda e=estimator: repr(e)
        yield f"{name} fit on NaN", lambda e=estimator, d=data: clone(e).fit(d[0] * np.nan, *d[1:])
        yield f"{name} fit", lambda e=estimator, d=data: e.fit(*d)
        for method in ("predict", "predict_proba", "decision_function", "transform"):
            if hasattr(estimator, method):
                yield f"{name} {method}", lambda e=estimator, m=method: getattr(e, m)(X)
                yield (
                    f"{name} {method} of too few",
                    lambda e=estimator, m=method: getattr(e, m)(X[:, :1]),
                )
        if hasattr(estimator, "score"):
            yield f"{name} score", lambda e=estimator: e.score(X, Y)
        if hasattr(estimator, "fit_transform"):
            yield f"{name} fit_transform", lambda e=estimator: clone(e).fit_transform(X)
        yield f"{name} pickle", lambda e=estimator: pickle.loads(pickle.dumps(e))
        if name not in ("linear", "aligner"):
            yield f"{name} save", lambda e=estimator, n=name: e.save_pretrained(folder / n)
            yield f"{name} load", lambda e=estimator, n=name: type(e).from_pretrained(folder / n)
            yield f"{name} encoder", lambda n=name: load_encoder(folder / n)
    probe = DAREClassifier(**PROBE, random_state=0)  # None draws from NumPy's stream, as always
    yield "diverging", lambda: clone(probe).set_params(lr=1e30).fit(X, Y)
    yield "bfloat16", lambda: clone(probe).set_params(precision="bfloat16").fit(X, Y).predict(X)
    yield "simulate", lambda: simulate_epochs(n_subjects=1, n_epochs=4, random_state=0)
    yield "importance", lambda: channel_importance(probe.fit(X, Y), X, Y, random_state=0)


MAY_FAIL = ("NaN", "of too few", "diverging")


@pytest.mark.filterwarnings("ignore:DARERegressor.*holds out epochs at random")
def test_the_process_is_left_as_it_was(tmp_path):
    DAREClassifier(**PROBE, random_state=0).fit(X, Y)  # torch imports more with its first optimizer
    for name, call in calls(tmp_path):
        before = world()
        try:
            call()
        except (ValueError, FloatingPointError):
            assert name.endswith(MAY_FAIL), name
        else:
            assert not name.endswith(MAY_FAIL), name
        after = world()
        changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        assert not changed, (name, changed)


class Interrupt(torch.nn.Module):
    """Stands where a network should; Ctrl-C comes while it runs."""

    def forward(self, *args, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupt_leaves_the_process_as_it_was(monkeypatch):
    fitted = {name: e.fit(*data) for name, (e, data) in everyone().items() if name != "aligner"}
    for method in ("forward", "forward_electrodes"):
        monkeypatch.setattr(f"dare_sklearn.modules.networks.Encoder.{method}", Interrupt.forward)
    before = world()
    for estimator in fitted.values():
        with pytest.raises(KeyboardInterrupt):
            answer(estimator)
    with pytest.warns(UserWarning, match="was interrupted in epoch 1 of 2"):
        clone(fitted["conv-linear"]).fit(X, Y)
    after = world()
    assert {key for key in before if before[key] != after[key]} == set()


# GPU --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pickles_of_what_was_fitted_on_a_gpu():
    """They hold no device: another process may have none."""
    for name, (estimator, data) in everyone().items():
        if name == "aligner":
            continue
        fitted = estimator.set_params(device="cuda").fit(*data)
        expected, pickled = answer(fitted), pickle.dumps(fitted)
        assert b"cuda:" not in pickled, name
        again = pickle.loads(pickled)
        np.testing.assert_allclose(answer(again), expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(answer(again.set_params(device="cpu")), expected, atol=1e-3)
        code = (
            "import pickle, sys; e = pickle.load(sys.stdin.buffer); e.set_params(device='cpu');"
            "print(type(e).__name__)"
        )
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True,
                              env=environment, timeout=100)  # fmt: skip
        assert done.stdout.decode().strip() == type(estimator).__name__, done.stderr
