"""A pretraining run that is stopped goes on to the same bits; what cannot go on is refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import dare_sklearn
from dare_sklearn import DAREPretrainer, load_encoder
from dare_sklearn.training import checkpoint as _checkpoint
from dare_sklearn.training.checkpoint import CheckpointFolder

from .common import Act, assert_same, crash, interrupt

X = np.random.default_rng(0).normal(scale=10, size=(10, 4, 128))
NAMES = ["Fz", "Cz", "Pz", "Oz"]
N_STEPS = 9  # three epochs of three batches
PARAMS = {
    "ch_names": NAMES,
    "sfreq": 256.0,
    "unit": "uV",
    "batch_size": 4,
    "max_epochs": 3,
    "random_state": 0,
}


def pretrainer(folder=None, **params) -> DAREPretrainer:
    return DAREPretrainer(checkpoint_dir=folder, **{**PARAMS, **params})


def assert_loadable(folder: Path, fitted: DAREPretrainer) -> None:
    saved = load_encoder(folder).state_dict()
    assert all(torch.equal(saved[n], v) for n, v in fitted.encoder_.state_dict().items())


@pytest.fixture(scope="module")
def whole() -> DAREPretrainer:
    """A run that nothing stopped, without checkpoints."""
    return pretrainer().fit(X)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run that was stopped after five steps; tests work on a copy."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    pretrainer(folder, callbacks=[Act(interrupt)]).fit(X)
    return folder


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def numbers(folder: Path) -> list[str]:
    """Names of the checkpoints, and of what else lies beside them, but for the lock."""
    return sorted(p.name for p in (folder / "checkpoints").iterdir() if p.name != "lock")


def config_of(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "config.json").read_text())


def state_of(checkpoint: Path) -> dict:
    return config_of(checkpoint)["checkpoint"]


def change(checkpoint: Path, config: dict) -> None:
    """Another configuration, of which no SHA-256 tells that it was changed."""
    config.pop("config_sha256")
    (checkpoint / "config.json").write_text(json.dumps(config))


def test_checkpoints_change_nothing(whole, tmp_path):
    fitted = pretrainer(tmp_path / "run", checkpoint_every=2).fit(X)
    assert_same(whole, fitted)
    assert_loadable(tmp_path / "run", fitted)
    # steps 2, 3, 4, 6, 8 and 9, of which the last two are kept
    assert numbers(tmp_path / "run") == ["00000005", "00000006"]
    inside = tmp_path / "run/checkpoints"
    assert [state_of(inside / name)["n_steps"] for name in numbers(tmp_path / "run")] == [8, 9]
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in written if path.name != "lock"} == {".json", ".safetensors"}


@pytest.mark.parametrize(
    ("hook", "at"),
    [
        ("on_epoch_begin", 1),
        ("on_batch_begin", 1),
        ("on_grad_computed", 5),
        ("on_batch_end", 2),
        ("on_batch_end", 6),
        ("on_epoch_end", 2),
        ("on_epoch_begin", 3),
    ],
)
def test_an_interrupted_run_goes_on(whole, tmp_path, hook, at):
    first = pretrainer(tmp_path, callbacks=[Act(interrupt, at, hook)]).fit(X)
    assert first.n_iter_ < 3 and np.isfinite(first.transform(X)).all()
    inside_a_step = hook == "on_grad_computed"
    n_steps = {"on_epoch_begin": 3 * (at - 1), "on_batch_begin": at - 1, "on_epoch_end": 3 * at}
    newest = tmp_path / "checkpoints" / numbers(tmp_path)[-1]
    assert state_of(newest)["n_steps"] == (3 if inside_a_step else n_steps.get(hook, at))
    if not inside_a_step:
        assert_loadable(tmp_path, first)
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_the_same_object_goes_on(whole, tmp_path):
    act = Act(interrupt)
    estimator = pretrainer(tmp_path, callbacks=[act]).fit(X)
    act.at = None
    assert_same(whole, estimator.fit(X))


def test_a_crash_goes_on_from_the_last_epoch(whole, tmp_path):
    with pytest.raises(RuntimeError, match="crash"):
        pretrainer(tmp_path, callbacks=[Act(crash, 5)]).fit(X)
    assert state_of(tmp_path / "checkpoints/00000001")["n_steps"] == 3
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_a_mixed_corpus_goes_on(tmp_path):
    import mne

    info = mne.create_info(NAMES[:3], 128.0, "eeg")
    file = tmp_path / "some-epo.fif"
    mne.EpochsArray(1e-6 * X[:6, :3], info, verbose="error").save(file, verbose="error")
    epochs, lazy = (mne.read_epochs(file, preload=p, verbose="error") for p in (True, False))
    raw = mne.io.RawArray(1e-6 * X[0], mne.create_info(NAMES, 256.0, "eeg"), verbose="error")
    params = {"ch_names": None, "sfreq": None, "unit": "auto", "window_s": 0.25, "max_epochs": 2}
    expected = pretrainer(**params).fit([epochs, lazy, raw])
    first = pretrainer(tmp_path / "run", callbacks=[Act(interrupt)], **params)
    assert first.fit([epochs, lazy, raw]).n_iter_ == 0
    again = pretrainer(tmp_path / "run", **params)
    assert_same(expected, again.fit([epochs, lazy, raw]))
    # epochs that lie in memory by now are the same corpus; in another order they are another
    assert_same(expected, again.fit([epochs, epochs, raw]))
    with pytest.raises(ValueError, match=r"another corpus \(50 windows \(48 of 3 .*, 2 of 4 "):
        again.fit([raw, epochs, lazy])


def test_a_finished_run_returns_at_once(whole, tmp_path):
    pretrainer(tmp_path).fit(X)
    (tmp_path / "config.json").write_text("{")  # and the model in the folder is healed
    again = pretrainer(tmp_path, callbacks=[Act(crash, 1, "on_batch_begin")]).fit(X)
    assert_same(whole, again)
    assert_loadable(tmp_path, whole)


def test_without_epochs(tmp_path):
    first = pretrainer(tmp_path, max_epochs=0).fit(X)
    assert_loadable(tmp_path, first)
    assert_same(first, pretrainer(tmp_path, max_epochs=0).fit(X))


@pytest.mark.parametrize("given", [None, np.random.RandomState(99)])
def test_a_run_keeps_the_seeds_it_began_with(tmp_path, given):
    def rng(seed):
        return given if given is None else np.random.RandomState(seed)

    first = {"callbacks": [Act(interrupt)], "random_state": rng(1)}
    pretrainer(tmp_path / "a", **first).fit(X)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    results = [pretrainer(tmp_path / x, random_state=rng(n)).fit(X) for n, x in enumerate("ab")]
    assert_same(*results)
    if given is not None:
        assert_same(results[0], pretrainer(random_state=rng(1)).fit(X))


def test_torchs_own_generator_goes_on(tmp_path):
    class Draw(Callback):
        def on_batch_end(self, net, **kwargs):
            net.history.record_batch("drawn", torch.rand(1).item())

    expected = pretrainer(callbacks=[Draw()]).fit(X)
    pretrainer(tmp_path, callbacks=[Draw(), Act(interrupt)]).fit(X)
    assert_same(expected, pretrainer(tmp_path, callbacks=[Draw()]).fit(X))


def test_what_callbacks_record_is_kept(run):
    class Record(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("found", np.float32(0.5))

    fitted = pretrainer(run, callbacks=[Record()]).fit(X)
    again = pretrainer(run).fit(X)
    assert [row.get("found") for row in again.net_.history] == [None, 0.5, 0.5]
    assert_same(fitted, again)


# --- moments


def watched(function, see):
    def call(*args, **kwargs):
        see()
        result = function(*args, **kwargs)
        see()
        return result

    return call


def watch(monkeypatch, see) -> None:
    """Call `see` before and after everything that reaches the disk for good."""
    for name in ("replace", "fsync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name), see))


@pytest.fixture(scope="module")
def moments(tmp_path_factory, whole) -> list[Path]:
    """What a kill would leave behind, at each moment of a write."""
    base = tmp_path_factory.mktemp("moments")
    folder, seen = base / "run", []

    def look():
        seen.append(base / f"{len(seen)}")
        # files are never changed once they lie there, so that links are copies
        shutil.copytree(folder, seen[-1], copy_function=os.link)

    with pytest.MonkeyPatch.context() as patch:
        watch(patch, look)
        assert_same(whole, pretrainer(folder, checkpoint_every=2).fit(X))
    return seen


def test_every_moment_leaves_a_whole_checkpoint(moments):
    positions, n_parts = [], 0
    for folder in moments:
        n_parts += any(folder.rglob(".part-*"))
        finder = CheckpointFolder(folder)
        positions.append(0 if finder.latest() is None else finder.position[0])
        assert not any(name.startswith(".") for name in numbers(folder))
        loadable = (folder / "config.json").exists() and (folder / "model.safetensors").exists()
        assert loadable or positions[-1] in {0, 2}  # the first model is being written
        if loadable:
            load_encoder(folder)
    assert positions == sorted(positions) and set(positions) == {0, 2, 3, 4, 6, 8, 9}
    assert n_parts > len(moments) // 2


def assert_goes_on(folders, whole, tmp_path):
    for number, folder in enumerate(folders):
        copy = shutil.copytree(folder, tmp_path / str(number))
        assert_same(whole, pretrainer(copy).fit(X))
        assert_loadable(copy, whole)
        assert not any(name.startswith(".") for name in numbers(copy))


def test_killed_within_a_write(whole, moments, tmp_path):
    chosen = np.random.default_rng(0).choice(len(moments), 6, replace=False)
    assert_goes_on([moments[i] for i in chosen], whole, tmp_path)


@pytest.mark.slow
def test_killed_within_any_write(whole, moments, tmp_path):
    assert_goes_on(moments, whole, tmp_path)


# Each run is a process of its own; the parent has never used torch, so that it may be forked.
KILLED = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
import torch._dynamo  # what the first optimizer would import
from dare_sklearn import DAREPretrainer
from dare_sklearn.transformers import pretrainer

folder, n_kills, n_runs, seed = Path(sys.argv[1]), *map(int, sys.argv[2:5])
X, params = np.load(sys.argv[5]), json.loads(sys.argv[6])
rng = np.random.default_rng(seed)

def fit(checkpoint_dir, result, delay=None):
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"x")
        start = time.monotonic()
        done = DAREPretrainer(checkpoint_dir=checkpoint_dir, checkpoint_every=1, **params).fit(X)
        done.save_pretrained(result)
        done.history_.drop(columns="seconds").to_json(result / "history.json", double_precision=15)
        (result / "time").write_text(str(time.monotonic() - start))
        os._exit(0)
    os.read(ready, 1)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(ready), os.close(tell)
    return code

def content(result):
    return [(result / name).read_bytes() for name in ("model.safetensors", "history.json")]

assert fit(folder / "whole", folder / "expected") == 0
seconds = float((folder / "expected" / "time").read_text())
killed = 0
for run in range(n_runs):
    where, result = folder / f"run{run}", folder / f"result{run}"
    for _ in range(n_kills):
        killed += fit(where, result, rng.uniform(0, seconds / n_kills ** 0.5)) == -signal.SIGKILL
    assert fit(where, result) == 0
    assert content(result) == content(folder / "expected"), run
print(killed)
"""


def kill_runs(tmp_path, n_kills, n_runs):
    np.save(tmp_path / "X.npy", X)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", KILLED, str(tmp_path), str(n_kills),
         str(n_runs), "0", str(tmp_path / "X.npy"), json.dumps(PARAMS)],
        capture_output=True, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1",
             "PYTHONPATH": str(Path(dare_sklearn.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 0.7 * n_kills * n_runs  # the others had ended already


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_six_times(tmp_path):
    kill_runs(tmp_path, n_kills=6, n_runs=1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_twenty_moments(tmp_path):
    kill_runs(tmp_path, n_kills=1, n_runs=20)


# --- signals


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_saves_and_exits(whole, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    estimator = pretrainer(tmp_path, callbacks=[Act(terminate, 5, "on_batch_begin")])
    with pytest.raises(SystemExit) as end:
        estimator.fit(X)
    assert end.value.code == 143 and not hasattr(estimator, "encoder_")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    newest = tmp_path / "checkpoints" / numbers(tmp_path)[-1]
    assert state_of(newest)["n_steps"] == 5  # the step that ran was finished
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_sigterm_in_the_last_step(whole, tmp_path):
    with pytest.raises(SystemExit):
        pretrainer(tmp_path, callbacks=[Act(terminate, N_STEPS)]).fit(X)
    assert_same(whole, pretrainer(tmp_path, callbacks=[Act(crash, 1, "on_batch_begin")]).fit(X))


def test_a_handler_of_ones_own_is_called(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *args: seen.append(numbers(tmp_path)))
    try:
        with pytest.raises(SystemExit):
            pretrainer(tmp_path, callbacks=[Act(terminate, 2)]).fit(X)
        assert seen == [["00000001"]]  # after the checkpoint
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("ignored", [True, False])
def test_sigterm_is_left_alone(tmp_path, ignored):
    """Where it is ignored, and without checkpoints."""
    seen = []
    handler = signal.SIG_IGN if ignored else lambda *args: seen.append(True)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        folder = tmp_path if ignored else None
        fitted = pretrainer(folder, max_epochs=1, callbacks=[Act(terminate, 1)]).fit(X)
        assert fitted.n_iter_ == 1 and bool(seen) != ignored
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_finishes_the_step(whole, tmp_path):
    def press():
        os.kill(os.getpid(), signal.SIGINT)

    first = pretrainer(tmp_path, callbacks=[Act(press, 5, "on_grad_computed")]).fit(X)
    assert first.n_iter_ == 1 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert state_of(tmp_path / "checkpoints/00000002")["n_steps"] == 5
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_sigterm_outlasts_ctrl_c(tmp_path):
    def press_and_terminate():
        terminate()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit):
        pretrainer(tmp_path, callbacks=[Act(press_and_terminate, 5)]).fit(X)


def test_ctrl_c_twice_stops_at_once(whole, tmp_path):
    def press_twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    first = pretrainer(tmp_path, callbacks=[Act(press_twice, 5, "on_grad_computed")]).fit(X)
    assert first.n_iter_ == 1 and numbers(tmp_path) == ["00000001"]  # no half step is saved
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_threads_leave_signals_alone(whole, tmp_path):
    handlers, results = set(), []

    def look():
        handlers.add((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    threads = [
        threading.Thread(
            target=lambda name=name: results.append(
                pretrainer(tmp_path / name, callbacks=[Act(look, 1)]).fit(X)
            )
        )
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handlers == {before} and len(results) == 2
    for result in results:
        assert_same(whole, result)


# --- bad days


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_nothing(whole, tmp_path, monkeypatch):
    failing = Act(lambda: monkeypatch.setattr(_checkpoint, "save_file", full), 4, "on_batch_begin")
    with pytest.warns(
        UserWarning, match="could not write a checkpoint .*No space left .*continues"
    ):
        assert_same(whole, pretrainer(tmp_path, callbacks=[failing]).fit(X))
    assert numbers(tmp_path) == ["00000001"]  # that of the first epoch, and no remains
    load_encoder(tmp_path)
    monkeypatch.undo()
    assert_same(whole, pretrainer(tmp_path).fit(X))
    assert_loadable(tmp_path, whole)


def test_room_again(whole, tmp_path, monkeypatch):
    """A write that failed is made up for at the end of the next epoch."""
    failing = Act(lambda: monkeypatch.setattr(os, "fsync", full), 4, "on_batch_begin")
    room = Act(monkeypatch.undo, 7, "on_batch_begin")
    with pytest.warns(UserWarning, match="could not write a checkpoint") as caught:
        pretrainer(tmp_path, callbacks=[("a", failing), ("b", room)]).fit(X)
    assert len(caught) == 1 and len(numbers(tmp_path)) == 2
    assert_loadable(tmp_path, whole)


def test_a_failing_rename_stops_nothing(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="could not write a checkpoint"):
        assert_same(whole, pretrainer(tmp_path).fit(X))
    assert numbers(tmp_path) == []
    monkeypatch.undo()
    assert_same(whole, pretrainer(tmp_path).fit(X))


def test_files_that_may_not_grow(whole, run):
    """The system itself refuses to write, in the middle of a file."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))
        with pytest.warns(UserWarning, match="could not write a checkpoint"):
            assert_same(whole, pretrainer(run).fit(X))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert numbers(run) == ["00000001", "00000002"]
    assert_same(whole, pretrainer(run).fit(X))


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[2 * len(content) // 3] ^= 1
        path.write_bytes(content)
    elif how == "torn":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("config.json", "flipped"),
        ("config.json", "torn"),
        ("state.safetensors", "flipped"),
        ("model.safetensors", "torn"),
        ("history.json", "flipped"),
        ("config.json", "gone"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over(run, name, how):
    finder = CheckpointFolder(run)
    assert finder.latest().n_steps == 5
    spoil(run / "checkpoints/00000002" / name, how)
    with pytest.warns(UserWarning, match="00000001; these are damaged: .*00000002") as caught:
        assert finder.latest().n_steps == 3
    assert name in str(caught[0].message)


def test_a_run_goes_on_from_the_one_before(whole, run):
    spoil(run / "checkpoints/00000002/state.safetensors", "flipped")
    with pytest.warns(UserWarning, match="these are damaged"):
        assert_same(whole, pretrainer(run).fit(X))
    assert numbers(run) == ["00000003", "00000004"]


def test_no_whole_checkpoint_is_no_new_start(run):
    spoil(run / "checkpoints/00000001/model.safetensors", "torn")
    spoil(run / "checkpoints/00000002/model.safetensors", "flipped")
    with pytest.raises(ValueError, match="damaged checkpoints only: .*00000002 .*00000001"):
        pretrainer(run).fit(X)
    assert numbers(run) == ["00000001", "00000002"]


def test_a_forged_checkpoint_is_refused(run):
    """One whose hashes are right, and whose content is nonsense."""
    last = run / "checkpoints/00000002"
    config = config_of(last)
    config["checkpoint"]["order"] = ["print('hello')"]
    change(last, config)
    with pytest.raises(ValueError, match="00000002 does not belong to this run"):
        pretrainer(run).fit(X)


def test_diverged_weights_are_not_saved(tmp_path):
    with pytest.raises(FloatingPointError, match="training diverged"):
        pretrainer(tmp_path, lr=1e39, batch_size=10).fit(X)
    assert numbers(tmp_path) == []


# --- other runs


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lr": 1e-3}, r"lr was 0\.0005 and is 0\.001\)\. Pass"),
        ({"size": "light", "momentum": (0.9, 1.0)}, r"momentum was \[0\.996, 1\.0\] and is \[0\.9"),
        ({"random_state": None}, "random_state was 0 and is None"),
        ({"max_epochs": 9}, "max_epochs was 3 and is 9.* cannot be extended.* weights="),
        ({"ch_names": NAMES[::-1]}, "ch_names was .* and on another corpus"),
    ],
)
def test_another_configuration_is_refused(run, params, message):
    before = sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*"))
    with pytest.raises(ValueError, match=rf"holds a run of another configuration \(.*{message}"):
        pretrainer(run, **params).fit(X)
    assert sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*")) == before


def test_equal_parameters_of_other_types_are_the_same(whole, run):
    params = {"ch_names": np.array(NAMES), "sfreq": 256, "lr": np.float64(5e-4)}
    free = {"momentum": [0.996, 1.0], "verbose": 0, "checkpoint_every": 4, "pooling": "flatten"}
    assert_same(whole, pretrainer(run, **params, **free).fit(X.astype(object)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (X[:8], r"10 windows \(10 of 4 channels x 128 samples\), content .* gives 8 windows \("),
        (X[::-1], "another corpus"),
        (np.where(np.arange(X.size).reshape(X.shape) == 77, X + 1e-4, X), "another corpus"),
    ],
    ids=["fewer", "reversed", "one sample"],
)
def test_another_corpus_is_refused(run, other, message):
    with pytest.raises(ValueError, match=message):
        pretrainer(run).fit(other)


def test_other_starting_weights_are_refused(run, tmp_path):
    pretrainer(max_epochs=0).fit(X).save_pretrained(tmp_path / "weights")
    start = {"weights": tmp_path / "weights", "max_epochs": 1}
    pretrainer(tmp_path / "new", **start).fit(X)
    pretrainer(tmp_path / "new", **start).fit(X)
    pretrainer(max_epochs=0, random_state=1).fit(X).save_pretrained(tmp_path / "weights")
    with pytest.raises(ValueError, match=r"weights was '.*weights \(content .* and is "):
        pretrainer(tmp_path / "new", **start).fit(X)


def test_two_fits_do_not_share_a_folder(whole, tmp_path):
    errors = []

    def meanwhile():
        try:
            pretrainer(tmp_path, lr=1e-3).fit(X)
        except ValueError as error:
            errors.append(str(error))

    assert_same(whole, pretrainer(tmp_path, callbacks=[Act(meanwhile)]).fit(X))
    assert len(errors) == 1 and "is in use by another fit" in errors[0]


def test_a_run_of_another_device_goes_on_here(tmp_path):
    """ "auto" was bfloat16 on that GPU, and is float32 here."""
    pretrainer(tmp_path, callbacks=[Act(interrupt)]).fit(X)
    for folder in tmp_path.glob("checkpoints/0*"):
        config = config_of(folder)
        config["checkpoint"]["run"]["rounding"]["device"] = "cuda"
        config["checkpoint"]["run"]["params"]["precision"] = "bfloat16"
        change(folder, config)
    with pytest.raises(ValueError, match="precision was 'bfloat16' and is 'float32'"):
        pretrainer(tmp_path, precision="float32").fit(X)
    with pytest.warns(UserWarning, match="device was cuda, is cpu"):
        assert pretrainer(tmp_path).fit(X).n_iter_ == 3


def test_another_precision_is_refused(run):
    with pytest.raises(ValueError, match="precision was 'float32' and is 'bfloat16'"):
        pretrainer(run, precision="bfloat16").fit(X)
    assert pretrainer(run, precision="float32").fit(X).n_iter_ == 3  # what "auto" was


def test_another_number_of_threads_is_warned_of(run):
    with pytest.warns(UserWarning, match=r"other rounding \(threads was 1, is 2\)"):
        assert pretrainer(run, n_threads=2).fit(X).n_iter_ == 3


HELD = """
import os, signal, sys, time
from pathlib import Path
from dare_sklearn.training.checkpoint import CheckpointFolder
CheckpointFolder(Path(sys.argv[1])).__enter__()
worker = os.fork()
if worker == 0:
    os.close(1)
    time.sleep(60)
print(worker, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_lock_dies_with_the_process_that_trains(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True, timeout=300
    )
    worker = int(done.stdout)
    try:
        os.kill(worker, 0)  # it lives
        for _ in range(50):  # the worker may not have run yet
            try:
                with CheckpointFolder(tmp_path):
                    break
            except ValueError:
                time.sleep(0.1)
        else:
            pytest.fail("the lock outlived the process that held it")
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_model_of_something_else_is_not_overwritten(whole, tmp_path):
    whole.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model, but no checkpoint"):
        pretrainer(tmp_path).fit(X)
    assert_loadable(tmp_path, whole)


def test_a_new_run_from_its_weights(run, tmp_path):
    fitted = pretrainer(tmp_path / "longer", weights=run, max_epochs=1).fit(X)
    assert fitted.n_iter_ == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu(tmp_path):
    expected = pretrainer(device="cuda").fit(X)
    pretrainer(tmp_path, device="cuda", callbacks=[Act(interrupt)]).fit(X)
    shutil.copytree(tmp_path, tmp_path / "copy")
    again = pretrainer(tmp_path, device="cuda").fit(X)
    np.testing.assert_allclose(again.transform(X), expected.transform(X), atol=1e-3)
    with pytest.warns(UserWarning, match="device was cuda, is cpu"):  # and elsewhere
        assert pretrainer(tmp_path / "copy", device="cpu").fit(X).n_iter_ == 3


@pytest.mark.parametrize("folder", ["", __file__, f"{__file__}/below"])
def test_no_folder(folder):
    X = np.random.default_rng(0).normal(scale=10, size=(2, 1, 64))
    with pytest.raises(ValueError, match="checkpoint_dir='.*' (names no folder|cannot be made)"):
        DAREPretrainer(checkpoint_dir=folder, ch_names=["Cz"], sfreq=128.0, unit="uV").fit(X)
