"""Several processes train one model together, and a cluster searches with one encoder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import mne
import numpy as np
import pytest

import dare_sklearn
from dare_sklearn import DAREPretrainer, load_encoder
from dare_sklearn.training.corpus import MontageBatches
from dare_sklearn.training.processes import Ranks, find_ranks

from .common import corpus_of

pytest.importorskip("accelerate")

NAMES = ["Fz", "Cz", "Pz", "Oz", "C3"]

# Forks the processes of every run, from one that has never used torch, so that it may be forked.
# What a launcher sets is in their environment; each writes what it has learned.
RUNS = """
import json, multiprocessing, os, signal, socket, sys, traceback
from contextlib import nullcontext
from pathlib import Path
import accelerate, mne, numpy as np
import torch._dynamo  # what the first optimizer would import
import torch.distributed
from skorch.callbacks import Callback
from dare_sklearn import DAREPretrainer
from dare_sklearn.base import input as _input
from dare_sklearn.training import pretrain as _pretrain_net
from dare_sklearn.signals import objects as _objects

folder, runs = Path(sys.argv[1]), json.loads(sys.argv[2])

class Act(Callback):
    def __init__(self, act, at):
        self.act, self.at = act, at

    def on_batch_end(self, net, **kwargs):
        if net.n_steps_done_ == self.at:
            self.act()

def interrupt():
    raise KeyboardInterrupt

def corpus(kind, rank):
    names = ["Fz", "Cz", "Pz", "Oz", "C3"]
    rng = np.random.default_rng(0)
    if kind.startswith("/"):
        return Path(kind)
    if kind == "different":
        rng = np.random.default_rng(rank)
        return mne.EpochsArray(1e-5 * rng.normal(size=(5 + rank, 3, 128)),
                               mne.create_info(names[:3], 256.0, "eeg"), verbose="error")
    return [  # 11 windows, 6, and one alone
        mne.EpochsArray(1e-5 * rng.normal(size=(n, c, 128)),
                        mne.create_info(names[:c], 256.0, "eeg"), verbose="error")
        for n, c in ((11, 5), (6, 3), (1, 2))
    ]

def count(module, name):
    counts, inner = multiprocessing.Value("i", 0), getattr(module, name)  # workers count too
    def counted(*args, **kwargs):
        with counts:
            counts.value += 1
        return inner(*args, **kwargs)
    setattr(module, name, counted)
    return counts

def train_in_double_precision():
    # Adam divides a gradient by its size: what should be zero, and is a rounding error, moves a
    # weight by up to the learning rate. In double precision rounding is far below Adam's epsilon.
    torch.set_default_dtype(torch.float64)
    _input._float32 = nullcontext  # fit would make its networks in single precision
    step = _pretrain_net.PretrainNet.train_step
    _pretrain_net.PretrainNet.train_step = (
        lambda self, batch, **kwargs: step(self, (batch[0].double(), *batch[1:]), **kwargs)
    )

def fit(run, rank):
    act = {"interrupt": interrupt, "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM)}
    callbacks = []
    if "act" in run and rank in run.get("ranks", [0, 1]):
        callbacks = [Act(act[run["act"]], run["at"])]
    if run.get("double"):
        train_in_double_precision()
    seen = count(_objects, "read_whole")
    X = corpus(run["X"], rank)
    params = {"window_s": 0.5, "unit": "V", "random_state": 0, "max_epochs": 2, **run["params"]}
    fitted = DAREPretrainer(callbacks=callbacks, **params).fit(X)
    weights = {k: v.numpy() for k, v in fitted.model_.state_dict().items()}
    np.savez(folder / f"{run['name']}-{rank}.npz", Z=fitted.encoder_.state_dict()["norm.weight"],
             **weights)
    if "save" in run:
        fitted.save_pretrained(folder / run["name"] / str(rank))
    skipped = [os.path.basename(path) for path in fitted.skipped_]
    return {"history": fitted.history_.drop(columns="seconds").to_dict("list"),
            "skipped": skipped, "n_windows": [fitted.n_windows_, fitted.n_bad_windows_],
            "read": seen.value}

def child(run, rank, port):
    signal.alarm(100)  # no run may hang
    torch.set_num_threads(1)
    if run["size"] > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(run["size"]),
                          LOCAL_WORLD_SIZE=str(run["size"]), MASTER_ADDR="127.0.0.1",
                          MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")
    try:
        done = fit(run, rank)
    except Exception as error:
        done = {"error": f"{type(error).__name__}: {error}"}
    (folder / f"{run['name']}-{rank}.json").write_text(json.dumps(done))
    os._exit(0)

def free_port():
    # asked for just before each run: the connections of an earlier one may have taken the next
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]

for run in runs:
    pids, port = [], free_port()
    for rank in range(run["size"]):
        pid = os.fork()
        if pid == 0:
            try:
                child(run, rank, port)
            except BaseException as error:
                traceback.print_exc()
                os._exit(error.code if isinstance(error, SystemExit) else 1)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    kept = Path(run["params"].get("checkpoint_dir", folder / "none")) / "checkpoints"
    kept = sorted(path.name for path in kept.glob("[0-9]*"))
    (folder / f"{run['name']}.json").write_text(json.dumps({"codes": codes, "kept": kept}))
"""


def run_all(folder: Path, runs: list[dict]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUNS, str(folder), json.dumps(runs)],
        capture_output=True, text=True, timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1",
             "PYTHONPATH": str(Path(dare_sklearn.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(done.stdout, done.stderr)


class Results:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def codes(self, name: str) -> list[int]:
        return self._after(name)["codes"]

    def kept(self, name: str) -> list[str]:
        """Checkpoints that a run left."""
        return self._after(name)["kept"]

    def _after(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())

    def told(self, name: str, rank: int = 0) -> dict:
        return json.loads((self.folder / f"{name}-{rank}.json").read_text())

    def weights(self, name: str, rank: int = 0) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / f"{name}-{rank}.npz"))


def one_and_two(name: str, X, **params) -> list[dict]:
    """The same run in one process with batches twice as large, and in two."""
    shared = {"name": f"{name}-one", "X": str(X), "size": 1, "double": True}
    return [
        {**shared, "params": {**params, "batch_size": 8}},
        {**shared, "name": f"{name}-two", "size": 2, "params": {**params, "batch_size": 4}},
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What all runs below gave."""
    folder = tmp_path_factory.mktemp("runs")
    files, spoiled = folder / "files", folder / "spoiled"
    for where in (files, spoiled):
        where.mkdir()
        for seed in range(4):
            rng = np.random.default_rng(seed)
            raw = mne.io.RawArray(
                1e-5 * rng.normal(size=(4, 600 + 100 * seed)),
                mne.create_info(NAMES[:4], 200.0, "eeg"), verbose="error",
            )  # fmt: skip
            raw.set_annotations(mne.Annotations([1.2], [0.1], ["BAD_artefact"]))
            raw.save(where / f"{seed}_raw.fif", verbose="error")
    broken = spoiled / "1_raw.fif"
    broken.write_bytes(broken.read_bytes()[:5_000])
    two = {"X": "mixed", "size": 2}
    stopped = {"batch_size": 4, "checkpoint_every": 1}

    def checkpoints(name):
        return {**stopped, "checkpoint_dir": str(folder / name)}

    run_all(
        folder,
        [
            *one_and_two("mixed", "mixed"),
            *one_and_two("no mask", "mixed", mask_alignment=0.0, max_epochs=1),
            *one_and_two("mask", "mixed", reconstruction=0.0, anchor_alignment=0.0, max_epochs=1),
            *one_and_two("files", files, n_workers=1),
            {**two, "name": "whole", "params": {"batch_size": 4}},
            {**two, "name": "interrupted", "act": "interrupt", "at": 3,
             "params": checkpoints("a")},
            {**two, "name": "resumed", "params": checkpoints("a"), "save": True},
            {**two, "name": "terminated", "act": "terminate", "ranks": [1], "at": 3,
             "params": checkpoints("b")},
            {**two, "name": "resumed again", "params": checkpoints("b")},
            {**two, "name": "refused", "params": {**checkpoints("b"), "lr": 1e-3}},
            {**two, "name": "raised", "X": str(spoiled), "params": {"batch_size": 4}},
            {**two, "name": "skipped", "X": str(spoiled),
             "params": {"batch_size": 4, "on_error": "skip", "max_epochs": 1}},
            {**two, "name": "different", "X": "different", "params": {"batch_size": 4}},
            {**two, "name": "diverged", "params": {"batch_size": 4, "lr": 1e39}},
            {**two, "name": "unseeded", "params": {"random_state": None, "max_epochs": 1}},
        ],
    )  # fmt: skip
    return Results(folder)


def assert_ranks_agree(results, name: str) -> None:
    """All networks, the momentum encoder too, are the same to the bit."""
    assert results.codes(name) == [0, 0]
    a, b = results.weights(name, 0), results.weights(name, 1)
    assert a.keys() == b.keys() and any(key.startswith("target_encoder") for key in a)
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert results.told(name, 0)["history"] == results.told(name, 1)["history"]


@pytest.mark.parametrize("name", ["mixed", "no mask", "mask", "files"])
def test_two_processes_are_one_with_twice_the_batch(results, name):
    one, two = f"{name}-one", f"{name}-two"
    assert_ranks_agree(results, two)
    expected, got = results.told(one)["history"], results.told(two)["history"]
    assert expected.keys() == got.keys()
    for term in expected:  # which are told in single precision
        np.testing.assert_allclose(got[term], expected[term], rtol=1e-6, err_msg=term)
    a, b = results.weights(one), results.weights(two)
    assert a["encoder.channel_embed.weight"].dtype == np.float64
    for key in a:
        np.testing.assert_allclose(b[key], a[key], rtol=0, atol=1e-9, err_msg=key)


def test_the_first_process_reads_all_files(results):
    """Once, for all."""
    told = [results.told(*which) for which in (("files-one",), ("files-two", 0), ("files-two", 1))]
    assert [one["n_windows"] for one in told] == [[26, 4]] * 3
    assert [one["read"] for one in told] == [4, 4, 0]


def test_a_stopped_run_goes_on(results):
    for name in ("interrupted", "resumed"):
        assert_ranks_agree(results, name)
    assert results.told("interrupted")["history"]["epoch"] == []
    expected, got = results.weights("whole"), results.weights("resumed")
    for key in expected:
        np.testing.assert_array_equal(got[key], expected[key], err_msg=key)
    assert results.told("resumed")["history"] == results.told("whole")["history"]
    # the first process alone wrote: two checkpoints, and the model
    assert len(results.kept("resumed")) == 2
    assert not (results.folder / "resumed/1").exists()
    saved = load_encoder(results.folder / "resumed/0").state_dict()
    np.testing.assert_array_equal(
        saved["channel_embed.weight"], got["target_encoder.channel_embed.weight"]
    )


def test_sigterm_to_one_process_ends_all(results):
    assert results.codes("terminated") == [143, 143]
    # the signal came after step 3: all processes learn of it in the next one
    assert int(results.kept("terminated")[-1]) == 4
    assert_ranks_agree(results, "resumed again")
    expected, got = results.weights("whole"), results.weights("resumed again")
    for key in expected:
        np.testing.assert_array_equal(got[key], expected[key], err_msg=key)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refused", "holds a run of another configuration (lr was 0.0005 and is 0.001)"),
        ("raised", "1_raw.fif: the file is damaged"),
        ("different", "differs between the processes that train together (process 0: [5]; proc"),
        ("diverged", "training diverged"),
    ],
)
def test_an_error_of_one_is_told_by_all(results, name, message):
    """And nobody waits for the others."""
    assert results.codes(name) == [0, 0]
    for rank in range(2):
        assert message in results.told(name, rank)["error"]


def test_unusable_files_are_named_by_all(results):
    assert_ranks_agree(results, "skipped")
    assert results.told("skipped", 0)["skipped"] == results.told("skipped", 1)["skipped"]
    assert results.told("skipped", 0)["skipped"] == ["1_raw.fif"]


def test_without_a_seed_all_start_alike(results):
    assert_ranks_agree(results, "unseeded")


def test_shares_of_a_batch():
    """Together they are the batch; one without a window reads one that does not count."""
    whole, *parts = (corpus_of(7, 2) for _ in range(4))
    for rank, part in enumerate(parts):
        part.rank, part.n_ranks = rank, 3
    for number, windows in MontageBatches(whole, 6, np.random.default_rng(0)):
        items = [part[number, windows] for part in parts]
        assert all(len(x) >= 1 and n_all == len(windows) for x, _, (_, n_all) in items)
        joined = np.concatenate([x[:n_own] for x, _, (n_own, _) in items])
        np.testing.assert_array_equal(joined[:, 0, 0], windows)
        x, _, counts = whole[number, windows]
        np.testing.assert_array_equal(joined, x)
        assert counts == (len(windows), len(windows))


def test_one_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert find_ranks("auto").size == 1
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert find_ranks("auto").size == 1
    alone = Ranks()
    assert alone.gather(3) == [3] and alone.first(lambda: 4) == 4
    alone.check_same([1], "it")


def test_without_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ImportError, match="needs accelerate: pip install accelerate"):
        DAREPretrainer(unit="V").fit(Path(__file__).parent)


LAUNCHED = """
import sys
from dare_sklearn import DAREPretrainer, simulate_epochs

epochs = simulate_epochs("motor", n_subjects=1, n_epochs=12, random_state=0)
pretrainer = DAREPretrainer(window_s=0.5, batch_size=8, max_epochs=1, random_state=0, device="cpu")
pretrainer.fit(epochs).save_pretrained(sys.argv[1])
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["accelerate", "torchrun"])
def test_the_same_script_under_a_launcher(tmp_path, launcher):
    (tmp_path / "script.py").write_text(LAUNCHED)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    command = {
        "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                       "--num_machines", "1", "--main_process_port", port],
        "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", port],
    }[launcher]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path / "script.py"), str(tmp_path / "model")],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true",
             "PYTHONPATH": str(Path(dare_sklearn.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done") == 2
    load_encoder(tmp_path / "model")
