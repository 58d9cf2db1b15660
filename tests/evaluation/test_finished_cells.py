"""A killed run goes on, and whatever changes a result computes it anew."""

import functools
import importlib.util
import json
import linecache
import subprocess
import sys
import threading
import warnings

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer
from dare_sklearn.evaluation import compare
from dare_sklearn.evaluation._identity import describe, digest_signals
from dare_sklearn.evaluation.curves import _WithLoss
from dare_sklearn.transformers.classical import classical_pipelines

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)), np.arange(24) % 2
GROUPS = np.repeat(np.arange(6), 4)


class Counting(ClassifierMixin, BaseEstimator):
    """Counts its fits; fails in the one with number `fails_at`."""

    fits: list[int] = []

    def __init__(self, shift=0.0, verbose=0, n_jobs=None, random_state=None):
        self.shift = shift
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, y):
        self.fits.append(len(X))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(X[:, 0] > self.shift).astype(int)]


_SCALE = 1.0


def _factor(n):
    return _SCALE if n == 0 else _factor(n - 1)  # names itself


def _scaled(X):
    return X * _factor(2)


class _Scaled(Counting):
    def predict(self, X):
        return super().predict(_scaled(X))


def run(folder, pipelines=None, **changes):
    """Number of fits of a call, and its table."""
    Counting.fits.clear()
    arguments = {"X": X, "y": Y, "cv": 3, "random_state": 0, "dataset": "toy", **changes}
    pipelines = {"a": Counting()} if pipelines is None else pipelines
    found = compare(pipelines, cache_dir=folder, **arguments)
    return len(Counting.fits), found


def test_finished_cells_are_not_computed_again(tmp_path):
    pipelines = {"a": Counting(), "b": Counting(0.5)}
    options = {"scoring": ["accuracy", "f1"], "n_permutations": 5, "groups": GROUPS, "inner_cv": 2,
               "param_grids": {"b": {"shift": [-0.5, 0.5]}}}  # fmt: skip
    n_fits, first = run(tmp_path, pipelines, **options)
    assert n_fits == 3 + 3 * 5 and len(list(tmp_path.iterdir())) == 6
    n_fits, again = run(tmp_path, pipelines, **options)
    assert n_fits == 0
    pd.testing.assert_frame_equal(again, first)  # times of the first run, too


def test_more_pipelines_and_folds_compute_only_what_is_new(tmp_path):
    assert run(tmp_path)[0] == 3
    n_fits, found = run(tmp_path, {"b": Counting(0.1), "a": Counting()})
    assert n_fits == 3 and found["pipeline"].tolist() == ["b"] * 3 + ["a"] * 3
    folds = list(ShuffleSplit(4, random_state=0).split(X))
    assert run(tmp_path, cv=folds[:2])[0] == 2
    assert run(tmp_path, cv=folds)[0] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"pipelines": {"a": Counting(0.2)}},
        {"pipelines": {"a": make_pipeline(Counting())}},
        {"y": np.r_[1, 1, Y[2:]]},
        {"y": Y.astype(str)},
        {"X": np.r_[X[:-1], X[-1:] + 1e-9]},
        {"X": X.astype(np.float32)},
        {"cv": 4},
        {"scoring": "f1"},
        {"scoring": make_scorer(f1_score, average="macro")},
        {"random_state": 1},
        {"n_permutations": 2},
        {"groups": GROUPS},
        {"param_grids": {"a": {"shift": [0.0]}}},
    ],
    ids=str,
)
def test_what_changes_a_result_computes_anew(tmp_path, change):
    before = run(tmp_path)[0]
    assert before == 3
    assert run(tmp_path, **change)[0] >= 3
    assert run(tmp_path, **change)[0] == 0
    assert run(tmp_path)[0] == 0


def test_routing_of_groups_counts(tmp_path):
    assert run(tmp_path, groups=GROUPS)[0] == 3
    with sklearn.config_context(enable_metadata_routing=True):
        assert run(tmp_path, groups=GROUPS)[0] == 3
    assert run(tmp_path, groups=GROUPS)[0] == 0


def test_details_of_scorers_and_grids_count(tmp_path):
    for scoring in (make_scorer(f1_score, average="macro"), make_scorer(f1_score, average="micro")):
        assert run(tmp_path, scoring=scoring)[0] == 3
        assert run(tmp_path, scoring=scoring)[0] == 0
    for bound in (0.0, 0.5):
        metric = lambda estimator, X, y, bound=bound: float(bound)  # noqa: E731
        assert run(tmp_path, scoring={"m": metric})[0] == 3
        assert run(tmp_path, scoring={"m": metric})[0] == 0
    grid = {"param_grids": {"a": {"shift": [0.0, 1.0]}}}
    assert run(tmp_path, inner_cv=2, **grid)[0] == 3 * 5
    assert run(tmp_path, inner_cv=3, **grid)[0] == 3 * 7
    assert run(tmp_path, inner_cv=3, **grid)[0] == 0


def test_both_sides_of_a_fold_count(tmp_path):
    for fold in (
        (range(12), range(12, 18)),
        (range(12), range(18, 24)),
        (range(11), range(12, 18)),
    ):
        fold = [tuple(np.array(rows) for rows in fold)]
        assert run(tmp_path, cv=fold)[0] == 1
        assert run(tmp_path, cv=fold)[0] == 0


@pytest.mark.parametrize("params", [{"verbose": 1}, {"n_jobs": 2}])
def test_what_changes_no_result_does_not(tmp_path, params):
    assert run(tmp_path)[0] == 3
    assert run(tmp_path, {"a": Counting(**params)})[0] == 0


def test_a_run_that_failed_goes_on(tmp_path):
    class Fragile(Counting):
        fails = True

        def fit(self, X, y):
            if len(self.fits) == 1 and self.fails:
                raise KeyboardInterrupt
            return super().fit(X, y)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, {"a": Fragile()})
    assert len(list(tmp_path.glob("*.json"))) == 1
    Fragile.fails = False  # the source says what it said
    n_fits, found = run(tmp_path, {"a": Fragile()})
    assert n_fits == 2 and len(found) == 3


KILLED = """
import os, sys
import numpy as np
from sklearn.dummy import DummyClassifier
from dare_sklearn.evaluation import compare

class Deadly(DummyClassifier):
    def fit(self, X, y):
        if os.path.exists(sys.argv[2]):
            os._exit(9)
        if len(os.listdir(sys.argv[1])) == 2:
            open(sys.argv[2], "w").close()
        return super().fit(X, y)

y = np.arange(24) % 2
found = compare({"a": Deadly()}, np.zeros((24, 2)), y, cv=4, cache_dir=sys.argv[1])
print(len(found))
"""


def test_a_killed_process_goes_on(tmp_path):
    cells, trap = tmp_path / "cells", tmp_path / "trap"
    cells.mkdir()
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(cells), str(trap)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == 9
    finished = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert len(finished) == 3
    trap.unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "4", done.stderr
    assert len(list(cells.iterdir())) == 4
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())


def test_a_damaged_cell_is_computed_again(tmp_path):
    run(tmp_path)
    first, second, _ = sorted(tmp_path.iterdir())
    first.write_text(first.read_text()[:40])
    second.write_text("[]")
    assert run(tmp_path)[0] == 2
    assert run(tmp_path)[0] == 0


def test_a_cell_says_what_it_is(tmp_path):
    run(tmp_path, {"band power + LR": Counting(0.25)})
    path = min(tmp_path.iterdir())
    assert path.name.startswith("toy_band-power-LR_")
    content = json.loads(path.read_text())
    (row,) = content["rows"]
    assert row["pipeline"] == "band power + LR" and row["n_train"] == 16
    assert "Counting" in content["about"]["pipeline"] and "0.25" in content["about"]["pipeline"]
    assert content["about"]["versions"]["scikit-learn"]


def test_values_that_json_lacks(tmp_path):
    tree = {
        "param_grids": {
            "a": {"shift": [np.float32(0.5), 0.25], "random_state": [np.int64(1), None]}
        }
    }
    first = run(tmp_path, groups=np.repeat(np.array([1, 2, 3]), 8), inner_cv=2, **tree)[1]
    again = run(tmp_path, groups=np.repeat(np.array([1, 2, 3]), 8), inner_cv=2, **tree)[1]
    pd.testing.assert_frame_equal(first, again)
    assert first["subject"].tolist() == [1, 2, 3]


# What makes a key


def test_source_of_an_own_class_is_part_of_the_key(tmp_path):
    keys = []
    for text in ("return X", "return 2 * X", "return X"):
        file = tmp_path / "mine.py"
        file.write_text(
            "from sklearn.base import BaseEstimator\n\n\nclass Mine(BaseEstimator):\n"
            f"    def transform(self, X):\n        {text}\n"
        )
        linecache.clearcache()
        spec = importlib.util.spec_from_file_location("mine", file)
        module = sys.modules["mine"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        keys.append(describe(make_pipeline(module.Mine(), LogisticRegression())))
    del sys.modules["mine"]
    assert keys[0] == keys[2] != keys[1]


NOTEBOOK = """
import linecache
from sklearn.base import BaseEstimator
from dare_sklearn.evaluation._identity import describe

def key(cell, number):
    name = f"<cell {number}>" if number else "<prompt>"
    if number:
        linecache.cache[name] = len(cell), None, cell.splitlines(True), name
    exec(compile(cell, name, "exec"), globals())
    return describe(globals()["Twice"])

written = [
    "class Twice(BaseEstimator):\\n    def transform(self, X):\\n        return [X * 2 for x in X]",
    "class Twice(BaseEstimator):\\n    factor = 1 * 2",
    "def Twice(X):\\n    return [x * 2 for x in X]",
]
for cell in written:
    for cells in ((1, 2, 3), (0, 0, 0)):
        first, other, again = map(key, (cell, cell.replace("* 2", "* 3"), cell), cells)
        print(first == again, first == other)
"""


def test_source_typed_in_a_notebook_or_at_a_prompt_is_part_of_the_key():
    said = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True)
    assert said.stdout.split() == ["True", "False"] * 6, said.stderr


def test_a_closure_that_calls_itself_has_a_key():
    def made(last):
        def count(x, n=0):
            return x if n > last else count(x, n + 1)

        return count

    assert describe(made(2)) == describe(made(2)) != describe(made(3))


def test_what_functions_take_from_their_module_is_part_of_the_key(monkeypatch):
    def key():
        return describe(_scaled), describe(_Scaled())

    known = key()
    assert key() == known
    monkeypatch.setattr(sys.modules[__name__], "_SCALE", 2.0)
    assert not set(key()) & set(known)


def _in_a_list(X):
    return [_factor(2) * x for x in X]


class _Members:
    @staticmethod
    def read(X):
        return _scaled(X)


class _Property:
    @property
    def read(self):
        return _scaled


class _Holds:
    def __init__(self, call):
        self.call = call


@pytest.mark.parametrize(
    "code",
    [_in_a_list, lambda X: map(lambda x: _factor(2) * x, X), _Members, _Property, _Holds(_scaled)],
    ids=["comprehension", "lambda", "staticmethod", "property", "object"],
)
def test_what_hidden_code_takes_from_its_module_is_part_of_the_key(code, monkeypatch):
    known = describe(code)
    assert describe(code) == known
    monkeypatch.setattr(sys.modules[__name__], "_SCALE", 2.0)
    assert describe(code) != known


class _Slots:
    __slots__ = ("cut",)


class _Half(_Slots):
    """What pickles hold outside of the dictionary counts."""


class _Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def __getstate__(self):
        return {}


def test_objects_count_as_pickles_hold_them():
    one, two = _Half(), _Half()
    one.cut, two.cut = 1, 2
    assert describe(one) != describe(two)
    assert describe(_Locked()) == describe(_Locked())
    shared = [_Holds(_scaled) for _ in range(12)]
    for this in shared:  # each knows all
        this.others = shared
    assert describe(shared[0]) == describe(shared[0]) != describe(_Holds(_scaled))


def _wrapped(function):
    @functools.wraps(function)
    def call(X):
        return _factor(2) * function(X)

    return call


@_wrapped
def _plain(X):
    return X


@functools.cache
def _cached(n):
    return _factor(n)


class _Kit:
    @property
    def func(self):
        raise RuntimeError


class _Odd(BaseEstimator):
    kit = _Kit()


@pytest.mark.parametrize("code", [_plain, _cached], ids=["wrapped", "cached"])
def test_what_wrappers_take_from_their_module_is_part_of_the_key(code, monkeypatch):
    known = describe(code)
    assert describe(_Odd()) == describe(_Odd())  # no property of a member is asked
    monkeypatch.setattr(sys.modules[__name__], "_SCALE", 2.0)
    assert describe(code) != known


def test_a_metric_of_lost_electrodes_is_part_of_the_key():
    def metric(last):
        return _WithLoss(lambda model, X, y: last, 0.5, 1, 0)

    assert describe(metric(2)) == describe(metric(2)) != describe(metric(3))


def test_requests_of_groups_are_part_of_the_key():
    with sklearn.config_context(enable_metadata_routing=True):
        asks, not_asks = (DAREClassifier().set_fit_request(groups=ask) for ask in (True, False))
        assert describe(asks) != describe(not_asks)
        assert describe(clone(asks)) == describe(asks)


class _Lags(BaseEstimator):
    def __init__(self, memory=1):
        self.memory = memory


def test_only_libraries_keep_results_by_a_parameter_memory():
    assert describe(_Lags(1)) != describe(_Lags(3))
    lr = LogisticRegression()
    assert describe(make_pipeline(lr)) == describe(make_pipeline(lr, memory="folder"))


def pretrainer(seed=0):
    params = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 64.0, "unit": "uV", "window_s": 0.5}
    return DAREPretrainer(max_epochs=1, batch_size=4, random_state=seed, **params)


def test_kept_weights_are_part_of_the_key(tmp_path):
    signals = 10 * RNG.normal(size=(6, 3, 32))

    def key(encoder):
        return describe(make_pipeline(DAREEmbedder(encoder), LogisticRegression()))

    fitted = pretrainer().fit(signals)
    other = pretrainer().fit(signals + 5 * RNG.normal(size=signals.shape))
    assert len({key(fitted), key(other), key(pretrainer()), key(None)}) == 4
    again = pretrainer().fit(signals)  # the same weights, another clock
    assert key(again) == key(fitted)
    assert key(pretrainer(1)) != key(pretrainer())


def test_weights_on_disk_are_part_of_the_key(tmp_path):
    signals = 10 * RNG.normal(size=(6, 3, 32))
    folder = tmp_path / "encoder"
    pretrainer().fit(signals).save_pretrained(folder)
    before = describe(DAREEmbedder(str(folder)))
    assert describe(DAREEmbedder(str(folder))) == before
    (folder / "README.md").write_text("A model card decides no number.", encoding="utf-8")
    assert describe(DAREEmbedder(str(folder))) == before
    pretrainer(1).fit(signals).save_pretrained(folder)
    assert describe(DAREEmbedder(str(folder))) != before


def test_where_embeddings_are_cached_is_no_part_of_the_key(tmp_path):
    assert describe(DAREEmbedder(None)) == describe(DAREEmbedder(None, cache=str(tmp_path)))


def test_text_is_the_same_in_another_process():
    names = {"describe": describe, "digest_signals": digest_signals,
             "classical_pipelines": classical_pipelines, "np": np}  # fmt: skip
    call = "describe(classical_pipelines()) + digest_signals(np.arange(6.0))"
    code = (
        "from dare_sklearn.evaluation._identity import describe, digest_signals\n"
        "from dare_sklearn.transformers.classical import classical_pipelines\n"
        f"import numpy as np\nprint({call}, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = eval(call, names)
    assert done.stdout == here and " at 0x" not in here


def epochs(data=None, names=("C3", "Cz"), sfreq=64.0, **options):
    data = 1e-5 * np.random.default_rng(1).normal(size=(5, 2, 32)) if data is None else data
    return mne.EpochsArray(
        data, mne.create_info(list(names), sfreq, "eeg"), verbose="error", **options
    )


def test_digests_of_epochs(tmp_path):
    base = epochs()
    data = base.get_data(copy=True)
    data[3, 1, 7] *= 1.0001
    labelled = epochs()
    labelled.metadata = pd.DataFrame({"subject": list("aabbb")})
    bad = epochs()
    bad.info["bads"] = ["C3"]
    placed = epochs()
    placed.set_montage("colin27_1005")
    different = [
        epochs(data), epochs(names=("C3", "C4")), epochs(sfreq=65.0), epochs(tmin=-0.1), labelled, bad,
        placed, base[::-1], [base], [base[:2], base[2:]], base.get_data(copy=True),
    ]  # fmt: skip
    digests = [digest_signals(x) for x in [base, *different]]
    assert len(set(digests)) == len(digests)
    assert digest_signals(epochs()) == digests[0]
    base.save(tmp_path / "base-epo.fif", fmt="double", verbose="error")
    loaded = [
        mne.read_epochs(tmp_path / "base-epo.fif", preload=p, verbose="error")
        for p in (True, False)
    ]
    assert digest_signals(loaded[0]) == digest_signals(loaded[1])


def test_digests_of_tables_tensors_and_windows():
    import torch
    from braindecode.datasets import BaseConcatDataset, EEGWindowsDataset
    from skorch.helper import SliceDataset

    array = np.arange(12.0).reshape(3, 4)
    assert digest_signals(array) == digest_signals(np.asfortranarray(array))
    assert digest_signals(array) != digest_signals(array.reshape(4, 3))
    assert digest_signals(torch.from_numpy(array)) == digest_signals(array)
    frame = pd.DataFrame(array, columns=list("abcd"))
    assert digest_signals(frame) != digest_signals(frame.rename(columns={"a": "e"}))

    def windows(scale=1.0, names=("C3", "Cz")):
        signal = scale * 1e-5 * np.random.default_rng(2).normal(size=(2, 64))
        raw = mne.io.RawArray(signal, mne.create_info(list(names), 64.0, "eeg"), verbose="error")
        table = {"i_window_in_trial": [0, 1], "i_start_in_trial": [0, 32],
                 "i_stop_in_trial": [32, 64], "target": [0, 1]}  # fmt: skip
        return SliceDataset(BaseConcatDataset([EEGWindowsDataset(raw, pd.DataFrame(table))]), idx=0)

    digests = [digest_signals(x) for x in (windows(), windows(1.1), windows(names=("C3", "C4")))]
    assert len(set(digests)) == 3 and digest_signals(windows()) == digests[0]


class _Telling(Counting):
    def fit(self, X, y):
        warnings.warn("two channels are flat", RuntimeWarning, stacklevel=2)
        return super().fit(X, y)


def test_warnings_of_finished_cells_are_given_again(tmp_path):
    for n_fits in (3, 0):
        with pytest.warns(RuntimeWarning, match="two channels are flat") as told:
            assert run(tmp_path, {"a": _Telling()})[0] == n_fits
        assert len(told) == 3
