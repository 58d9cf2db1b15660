"""Memory that runs out, and Ctrl-C: results where there can be some, and a usable object always."""

from __future__ import annotations

import multiprocessing
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, DARERegressor
from dare_sklearn.modules.networks import Encoder
from dare_sklearn.training import net as _net
from dare_sklearn.training.device import is_out_of_memory, run_in_batches

N_EPOCHS = 12
LAYOUT = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV", "random_state": 0}
X = np.random.default_rng(0).normal(scale=10, size=(N_EPOCHS, 3, 64)).astype("float32")
Y = np.arange(N_EPOCHS) % 2

ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't "
                        "allocate memory: you tried to allocate 8000000000 bytes."),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    "numpy": np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("f8")),
    "python": MemoryError(),
}  # fmt: skip


class Starved:
    """Encoders run out of memory above so many epochs; asked for, in order, is what they were."""

    def __init__(self, monkeypatch, most, error=ERRORS["cpu"]):
        self.asked, forward = [], Encoder.forward

        def guarded(encoder, x, *args, **kwargs):
            self.asked.append(len(x))
            if len(x) > most:
                raise error
            return forward(encoder, x, *args, **kwargs)

        monkeypatch.setattr(Encoder, "forward", guarded)


def embedder(**params):
    return DAREEmbedder(None, **{"pooling": "mean", **LAYOUT, "batch_size": 12, **params})


def probe(cls=DAREClassifier, **params):
    linear = params.get("adaptation") == "linear"
    steps = {} if linear else {"spatial_init": "spline", "max_epochs": 2}
    return cls(None, **{**LAYOUT, **steps, "batch_size": 12, **params})


# the helper -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ERRORS)
def test_every_way_to_say_it_is_understood(kind):
    assert is_out_of_memory(ERRORS[kind])


def test_other_errors_are_not_taken_for_it():
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")):
        assert not is_out_of_memory(error)
        with pytest.raises(type(error)):
            run_in_batches(lambda start, stop, error=error: (_ for _ in ()).throw(error), 4, 2)


def test_every_epoch_once_and_in_order():
    failed = []

    def run(start, stop):
        if stop - start > 3 or (start > 10 and stop - start > 1):  # memory gets scarcer
            failed.append(stop - start)
            raise MemoryError
        return list(range(start, stop))

    with pytest.warns(
        UserWarning, match="with batch_size=16, so the work continued with 1:"
    ) as caught:
        parts = run_in_batches(run, 17, 16)
    assert [i for part in parts for i in part] == list(range(17)) and len(caught) == 1
    assert failed == [16, 8, 4, 2]


# transform and predict ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ERRORS)
def test_transform_halves_the_batch(monkeypatch, kind):
    fitted = embedder().fit(X)
    expected = fitted.transform(X)
    starved = Starved(monkeypatch, 3, ERRORS[kind])
    with pytest.warns(
        UserWarning, match="DAREEmbedder: .* batch_size=12, .* continued with 3"
    ) as all:
        found = fitted.transform(X)
    assert len(all) == 1 and starved.asked == [12, 6, 3, 3, 3, 3]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert fitted.batch_size == 12
    fitted.set_params(batch_size=3).transform(X)  # what the warning says, without a warning


@pytest.mark.parametrize("adaptation", ["conv-linear", "linear", "finetune"])
@pytest.mark.parametrize("cls", [DAREClassifier, DARERegressor])
def test_predict_halves_the_batch(monkeypatch, cls, adaptation):
    fitted = probe(cls, adaptation=adaptation).fit(X, Y)
    expected = fitted.predict(X)
    Starved(monkeypatch, 5)
    with pytest.warns(UserWarning, match=f"{cls.__name__}: .* batch_size=12, .* continued with 3"):
        found = fitted.predict(X)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pretrainer_transforms_on_little_memory(monkeypatch):
    fitted = DAREPretrainer(**LAYOUT, max_epochs=0, batch_size=12).fit(X)
    expected = fitted.transform(X)
    Starved(monkeypatch, 1)
    with pytest.warns(UserWarning, match="DAREPretrainer: .* continued with 1"):
        np.testing.assert_allclose(fitted.transform(X), expected, atol=1e-6)


def test_cache_holds_what_was_computed_on_the_way(monkeypatch, tmp_path):
    fitted = embedder(cache=tmp_path).fit(X)
    expected = embedder().fit(X).transform(X)
    starved = Starved(monkeypatch, 3)
    with pytest.warns(UserWarning, match="continued with 3"):
        np.testing.assert_allclose(fitted.transform(X), expected, atol=1e-6)
    starved.asked.clear()
    np.testing.assert_allclose(fitted.transform(X), expected, atol=1e-6)
    assert starved.asked == []


def test_a_single_epoch_that_is_too_much(monkeypatch):
    calls = embedder().fit(X).transform, probe().fit(X, Y).predict
    Starved(monkeypatch, 0, ERRORS["cuda"])
    for call in calls:
        with pytest.raises(MemoryError, match="with a single epoch .CUDA out of memory") as caught:
            call(X)
        assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_linear_fit_halves_too(monkeypatch):
    Starved(monkeypatch, 4)
    with pytest.warns(UserWarning, match="continued with 3"):
        fitted = probe(adaptation="linear").fit(X, Y)
    assert fitted.predict(X).shape == (N_EPOCHS,)  # with no second warning


# fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
@pytest.mark.parametrize("cls", [DAREClassifier, DARERegressor])
def test_fit_names_a_batch_size_to_try(monkeypatch, cls, adaptation):
    starved = Starved(monkeypatch, 4)
    state = torch.get_rng_state()
    unfitted = probe(cls, adaptation=adaptation)
    with pytest.raises(MemoryError, match="batch_size=12 .*: try batch_size=6") as caught:
        unfitted.fit(X, Y)
    assert caught.value.__cause__ is ERRORS["cpu"]
    assert starved.asked == [12]
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(NotFittedError):
        unfitted.predict(X)
    monkeypatch.undo()
    alone = probe(cls, adaptation=adaptation, batch_size=3).fit(X, Y).predict(X)
    Starved(monkeypatch, 4)
    fitted = unfitted.set_params(batch_size=3).fit(X, Y)  # where the messages lead
    np.testing.assert_array_equal(fitted.predict(X), alone)


def test_pretraining_names_a_batch_size_to_try(monkeypatch):
    pretrainer = DAREPretrainer(**LAYOUT, max_epochs=2, batch_size=12)
    starved = Starved(monkeypatch, 3)
    with pytest.raises(
        MemoryError, match=r"ran out in fit with batch_size=12 \(.*\): try batch_size=6"
    ):
        pretrainer.fit(X)
    assert not hasattr(pretrainer, "encoder_") and starved.asked[0] == 12
    pretrainer.set_params(batch_size=3).fit(X)


def test_fit_where_nothing_fits(monkeypatch):
    fitted = probe().fit(X, Y)
    before = fitted.predict(X)
    Starved(monkeypatch, 0)
    fitted.set_params(batch_size=1)
    with pytest.raises(MemoryError, match="in fit with batch_size=1 .*: free memory, cut"):
        fitted.fit(X, 1 - Y)
    monkeypatch.undo()
    np.testing.assert_array_equal(fitted.predict(X), before)  # the earlier fit stands


class StealMemory(Callback):
    """Memory that runs out in the second epoch, as it does where another process takes it."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            raise ERRORS["cuda"]


def test_memory_that_runs_out_late():
    with pytest.raises(MemoryError, match="try batch_size=6"):
        probe(callbacks=[StealMemory()]).fit(X, Y)


# for real -------------------------------------------------------------------------------------

STARVE = """
import resource, warnings
import numpy as np
from dare_sklearn import DAREClassifier

X = np.random.default_rng(0).normal(scale=10, size=(400, 8, 256)).astype("float32")
probe = DAREClassifier(None, spatial_init="spline", max_epochs=1, batch_size=8, sfreq=256.0, unit="uV", random_state=0)
expected = probe.fit(X[:8], np.arange(8) % 2).predict_proba(X)
with open("/proc/self/status") as file:
    size = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, 2 * (size + 30_000_000,))
probe.set_params(batch_size=400)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        np.testing.assert_allclose(probe.predict_proba(X), expected, atol=1e-5)
        print(*(w.message for w in caught))
    except MemoryError as error:
        print(error)
try:
    probe.fit(X, np.arange(400) % 2)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_process_without_memory():
    done = subprocess.run(
        [sys.executable, "-c", STARVE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    predicted, fitted = done.stdout.splitlines()
    # what is left at the end depends on the C library
    told = (
        "DAREClassifier: memory ran out with batch_size=400, so|Memory ran out with a single epoch"
    )
    assert re.search(told, predicted)
    told = r"with batch_size=400 \(.*\): try batch_size=200"
    assert re.search(f"Memory ran out in fit {told}", fitted)


# Ctrl-C ---------------------------------------------------------------------------------------


def state_of(estimator):
    """Everything that it holds, in a form that can be compared."""
    state = {}
    for name, value in vars(estimator).items():
        if isinstance(value, torch.nn.Module):
            value = [tensor.clone() for tensor in value.state_dict().values()]
            state[name] = [tensor.numpy().tobytes() for tensor in value]
        else:
            state[name] = repr(value)
    return state


def interrupted_at(call, monkeypatch):
    """Ctrl-C in the call-th run of an encoder."""
    calls, forward = [], Encoder.forward

    def guarded(encoder, *args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return forward(encoder, *args, **kwargs)

    monkeypatch.setattr(Encoder, "forward", guarded)


@pytest.mark.parametrize("adaptation", ["conv-linear", "linear", "finetune"])
def test_interrupted_predict_changes_nothing(monkeypatch, adaptation):
    fitted = probe(adaptation=adaptation).fit(X, Y).set_params(batch_size=4)
    before, expected = state_of(fitted), fitted.predict_proba(X)
    interrupted_at(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fitted.predict_proba(X)
    monkeypatch.undo()
    assert state_of(fitted) == before
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def test_interrupted_transform_changes_nothing(monkeypatch, tmp_path):
    for fitted in (embedder(batch_size=4).fit(X), embedder(batch_size=4, cache=tmp_path).fit(X)):
        before = state_of(fitted)
        interrupted_at(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            fitted.transform(X)
        monkeypatch.undo()
        assert state_of(fitted) == before
        expected = embedder(batch_size=4).fit(X).transform(X)
        np.testing.assert_array_equal(fitted.transform(X), expected)


@pytest.mark.parametrize("validation_fraction", [0.0, 0.25])
@pytest.mark.parametrize("adaptation", ["conv-linear", "finetune"])
@pytest.mark.parametrize("call", [1, 5])
def test_interrupted_fit_keeps_what_it_learned(monkeypatch, adaptation, call, validation_fraction):
    params = {"adaptation": adaptation, "batch_size": 6, "max_epochs": 9}
    unfitted = probe(**params, validation_fraction=validation_fraction)
    interrupted_at(call, monkeypatch)
    with pytest.warns(UserWarning, match=r"interrupted in epoch [123] of 9"):
        fitted = unfitted.fit(X, Y, groups=np.arange(N_EPOCHS))
    monkeypatch.undo()
    assert fitted.n_iter_ == len(fitted.history_) < 3
    assert np.isfinite(fitted.predict_proba(X)).all()


def test_interrupted_linear_fit_leaves_it_as_it_was(monkeypatch):
    fitted = probe(adaptation="linear")
    interrupted_at(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, Y)
    monkeypatch.undo()
    with pytest.raises(NotFittedError):
        fitted.predict(X)
    before = fitted.fit(X, Y).predict(X)
    interrupted_at(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, 1 - Y)
    monkeypatch.undo()
    np.testing.assert_array_equal(fitted.predict(X), before)


def test_gradients_are_on_after_ctrl_c(monkeypatch):
    """Wherever it comes: here between switching them off and the "with" that would undo it."""

    def interrupted(*args, **kwargs):
        torch.set_grad_enabled(False)
        raise KeyboardInterrupt

    monkeypatch.setattr(_net.Net, "partial_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe().fit(X, Y)
    assert torch.is_grad_enabled()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.filterwarnings("ignore:DAREClassifier. the fit was interrupted")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_ctrl_c_at_any_moment():
    """Either the old fit stands, or the new one is usable.

    In a process of its own, since an interrupt may leave locks of other libraries taken: that of
    logging would stop every other thread.
    """
    process = multiprocessing.get_context("fork").Process(target=_ctrl_c_at_any_moment)
    process.start()
    process.join()
    assert process.exitcode == 0


def _ctrl_c_at_any_moment():
    fitted = probe(validation_fraction=0.25, patience=50)
    groups = np.arange(N_EPOCHS)
    began = time.perf_counter()
    before = fitted.fit(X, Y, groups=groups).predict_proba(X)
    seconds = time.perf_counter() - began
    fitted.set_params(max_epochs=2_000)
    kept = stopped = 0
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for moment in np.random.default_rng(0).uniform(0.01, 1.5, 20) * seconds:
            try:
                signal.setitimer(signal.ITIMER_REAL, moment)
                fitted.fit(X, 1 - Y, groups=groups)
            except KeyboardInterrupt:
                np.testing.assert_array_equal(fitted.predict_proba(X), before)
                kept += 1
            else:
                before = fitted.predict_proba(X)
                assert np.isfinite(before).all() and fitted.n_iter_ < 2_000
                stopped += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert kept and stopped
