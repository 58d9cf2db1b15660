"""dare-sklearn benchmark: what is compared, kept and written."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from unittest import mock

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

import dare_sklearn
from dare_sklearn.cli import FAILURE, OK, USAGE, _moabb, benchmark, main
from dare_sklearn.cli._epochs import Data, from_files, simulated
from dare_sklearn.cli._options import UsageError
from dare_sklearn.cli._pipelines import CLASSICAL, DEEP, KNOWN, build
from dare_sklearn.transformers import classical_pipelines

from .conftest import make_epochs

ROOT = Path(dare_sklearn.__file__).parents[1]
FAST = ["--pipelines", "band power + LR", "downsampled + LDA"]


def run(*words: object) -> int:
    return main(["benchmark", *map(str, words)])


def options(*files, **changes) -> Namespace:
    base = {"label": "condition", "groups": "subject", "classes": None, "channels": None}
    return Namespace(files=list(files), band=None, **{**base, **changes})


def test_help_fits_one_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["benchmark", "--help"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert all(name in " ".join(lines) for name in _moabb.PROTOCOLS)


def test_files_together(people, tmp_path, capsys):
    """The scores are those of scikit-learn; a second call computes nothing again."""
    out = tmp_path / "out"
    words = [people, "--label", "condition", "--groups", "subject", *FAST, "--out", out, "-q"]
    assert run(*words, "--sizes", 8, 8, "--lost", 0.4, 0.4) == OK  # once is enough
    assert "Report: " in capsys.readouterr().out
    files = sorted(people.glob("*.fif"))
    data = from_files(options(*files))
    scores = pd.read_csv(out / "scores.csv")
    assert scores["subject"].tolist() == ["anna", "ben", "cleo"] * 2
    known = cross_val_score(
        classical_pipelines()["downsampled + LDA"], data.epochs, data.y, groups=data.groups,
        cv=LeaveOneGroupOut(), scoring="balanced_accuracy",
    )  # fmt: skip
    mine = scores.loc[scores["pipeline"] == "downsampled + LDA", "balanced_accuracy"]
    np.testing.assert_allclose(mine, known)
    curve = pd.read_csv(out / "learning_curve.csv")
    assert sorted(set(curve["n_labels"])) == [8, 32]
    assert set(pd.read_csv(out / "lost_electrodes.csv")["share"]) == {0.0, 0.4}
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    before = (out / "scores.csv").read_bytes()
    assert run(*words, "--sizes", 8, "--lost", 0.4) == OK
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == cells
    assert (out / "scores.csv").read_bytes() == before


def test_options_may_come_before_files(people, tmp_path):
    file = people / "anna-epo.fif"
    words = ["--no-curve", "--cv", 2, "--label", "event", "-q", "--out", tmp_path / "out"]
    assert run(*FAST, *words, file) == OK
    assert len(pd.read_csv(tmp_path / "out" / "scores.csv")) == 4


def test_labels_and_groups_of_files(people):
    files = sorted(people.glob("*.fif"))
    data = from_files(options(*files, label="event", groups="file"))
    assert set(data.y) == {"L", "R"} and len(data.y) == 48
    assert data.groups[0] == "anna-epo.fif" and len(set(data.groups)) == 3
    chosen = from_files(options(*files, label="subject", classes=["anna", "cleo"], groups=None))
    assert chosen.groups is None and set(chosen.y) == {"anna", "cleo"} and len(chosen.y) == 32


def test_copies_and_overlaps_are_noted(tmp_path):
    epochs = make_epochs("anna")
    epochs._data[3] = epochs._data[1]
    epochs.events[:, 0] = np.arange(16) * 64
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    data = from_files(options(tmp_path, groups=None))
    assert len(data.y) == 15
    assert "1 of 16 epochs are exact copies" in data.notes[0]
    assert "16 epochs share samples" in data.notes[1]
    assert len(from_files(options(tmp_path)).notes) == 1
    # events count samples of the recording: at another rate, the same epochs overlap as much
    epochs.copy().resample(32).save(tmp_path / "a-epo.fif", overwrite=True, verbose="error")
    assert "16 epochs share samples" in from_files(options(tmp_path, groups=None)).notes[-1]
    epochs.events[:, 0] = np.arange(16)  # as EpochsArray numbers what it knows no times of
    epochs.events[:, 0] *= 6  # windows of 64 samples that hardly move
    epochs.save(tmp_path / "a-epo.fif", overwrite=True, verbose="error")
    assert "share samples" in from_files(options(tmp_path, groups=None)).notes[-1]
    epochs.events[:, 0] //= 6
    for some in (epochs, epochs.copy().drop([2, 3, 7]), epochs.copy().crop(0, 0.2)):
        some.save(tmp_path / "a-epo.fif", overwrite=True, verbose="error")
        notes = from_files(options(tmp_path, groups=None)).notes
        assert not any("share samples" in note for note in notes)


def saved(folder, name, epochs):
    epochs.save(folder / f"{name}-epo.fif", verbose="error")
    return folder


def test_whole_numbers_are_one_label_however_a_file_holds_them(tmp_path):
    for number, kind in enumerate((int, float)):
        epochs = make_epochs("ab"[number], seed=number)
        epochs.metadata = epochs.metadata.assign(stage=np.arange(16) % 2 + np.zeros(16, kind))
        saved(tmp_path, "ab"[number], epochs)
    data = from_files(options(tmp_path, label="stage", classes=["0", "1"]))
    assert set(data.y) == {"0", "1"} and len(data.y) == 32


def test_groups_with_decimals_are_names(tmp_path):
    epochs = make_epochs("a")
    sessions = [1.0, 1.1, 20230101.0, 20230102.0]
    epochs.metadata = epochs.metadata.assign(session=np.repeat(sessions, 4))
    data = from_files(options(saved(tmp_path, "a", epochs), groups="session"))
    assert sorted(set(data.groups)) == ["1", "1.1", "20230101", "20230102"]


def test_a_classical_pipeline_can_be_the_candidate(people, tmp_path, capsys):
    assert run(people, "--label", "condition", "--groups", "subject", *FAST, "--no-curve", "-q",
               "--out", tmp_path) == OK  # fmt: skip
    assert "band power + LR is" in capsys.readouterr().out


def test_costs_are_not_those_of_a_cache():
    for name, pipeline in build([name for name in KNOWN if "DARE" in name], "nano", "cpu").items():
        params = pipeline.get_params()
        assert all(params[p] is None for p in params if p.split("__")[-1] == "cache"), name


WRONG = {
    "column": (
        {"label": "nonsense"},
        r"--label nonsense: .*condition, subject, run.*event.*\(L, R\)",
    ),
    "group": ({"groups": "nonsense"}, "--groups nonsense: .*'file'"),
    "class": ({"classes": ["up"]}, "--classes up: no epoch"),
    "channel": ({"channels": ["Q9"]}, "--channels"),
}


@pytest.mark.parametrize(("changes", "match"), WRONG.values(), ids=WRONG)
def test_what_files_lack(people, changes, match):
    with pytest.raises(UsageError, match=match):
        data = from_files(options(people, **changes))
        raise AssertionError(data)


def test_files_that_do_not_fit_together(tmp_path):
    saved(tmp_path, "a", make_epochs("a"))
    saved(tmp_path, "b", make_epochs("b", seed=1, names=("C3", "Pz", "C4")))
    with pytest.raises(UsageError, match=r"b-epo.fif .* different channels.* --channels C3 C4"):
        from_files(options(tmp_path))
    assert from_files(options(tmp_path, channels=["C3", "C4"])).epochs.ch_names == ["C3", "C4"]
    saved(tmp_path, "c", make_epochs("c", seed=2).shift_time(0.1))
    with pytest.raises(UsageError, match=r"c-epo.fif has epochs of 128 samples .* from 0.1"):
        from_files(options(tmp_path, channels=["C3", "C4"]))


def test_files_of_people_with_other_montages(tmp_path):
    files = [tmp_path / "a-epo.fif", tmp_path / "b-epo.fif"]
    for seed, file in enumerate(files):
        places = {"C3": [-0.07, 0, 0.09], "E1": [0.08, 0.02 * seed, 0.04]}
        montage = mne.channels.make_dig_montage(places, coord_frame="head")
        cap = make_epochs(file.name, seed=seed, names=list(places)).set_montage(montage)
        cap.save(file, verbose="error")
    with pytest.warns(UserWarning, match="montages of X put E1 in different places"):
        from_files(options(*files))


def test_labels_that_are_none(tmp_path):
    epochs = make_epochs("a")
    epochs.metadata = epochs.metadata.assign(
        hole=["a", None] * 8, number=np.linspace(0, 1, 16), each=[f"t{i}" for i in range(16)]
    )
    saved(tmp_path, "a", epochs)
    with pytest.raises(UsageError, match="8 of 16 epochs .* have no value"):
        from_files(options(tmp_path, label="hole"))
    with pytest.raises(UsageError, match="not classes"):
        from_files(options(tmp_path, label="number"))
    with pytest.raises(UsageError, match="16 labels for 16 epochs"):
        from_files(options(tmp_path, label="each"))


def test_a_continuous_recording_says_what_to_do(tmp_path, capsys):
    raw = mne.io.RawArray(
        np.zeros((1, 500)), mne.create_info(["Cz"], 100.0, "eeg"), verbose="error"
    )
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    assert run(tmp_path / "a_raw.fif", "--label", "event", "-q") == USAGE
    assert "a_raw.fif" in (said := capsys.readouterr().err) and "mne.Epochs" in said
    assert run(tmp_path, "--label", "event", "-q") == USAGE
    assert "holds no *-epo.fif" in capsys.readouterr().err


MISTAKES = {
    "no label": (["{epo}"], "--label"),
    "label without files": (["--label", "x"], "--label"),
    "groups without files": (["--groups", "x"], "--groups"),
    "lost without files": (["--lost", "0.5"], "--lost"),
    "both": (["{epo}", "--label", "condition", "--moabb", "FakeDataset"], "--moabb"),
    "subjects of files": (["{epo}", "--label", "condition", "--subjects", "2"], "--subjects"),
    "curve of moabb": (["--moabb", "FakeDataset", "--sizes", "8"], "--sizes"),
    "folds of moabb": (["--moabb", "FakeDataset", "--cv", "5"], "--cv"),
    "folds of files": (["{epo}", "--label", "condition", "--cv", "cross-subject"], "--cv"),
    "folds of nothing": (["{epo}", "--label", "condition", "--cv", "leave-one-out"], "--cv"),
    "folds": (["{epo}", "--label", "condition", "--cv", "nan"], "--cv"),
    "too many folds": (["{epo}", "--label", "condition", "--cv", "99"], "--cv"),
    "one group": (["{epo}", "--label", "condition", "--groups", "subject"], "--groups"),
    "sizes and none": (["--no-curve", "--sizes", "8"], "--sizes"),
    "size": (["{epo}", "--label", "condition", "--sizes", "99"], "--sizes"),
    "share": (["{epo}", "--label", "condition", "--lost", "nan"], "--lost"),
    "device": (["--device", "cuda:99"], "--device"),
    "encoder": (["--encoder", "nonsense"], "--encoder"),
    "encoder of none": (["--pipelines", "MDM", "--encoder", "nano"], "--encoder"),
    "device of none": (["--pipelines", "MDM", "--device", "cpu"], "--device"),
    "pipeline": (["--pipelines", "CSP + LDAA"], "did you mean 'CSP + LDA'"),
    "data set": (["--moabb", "BNCI2014_999"], "BNCI2014_999"),
    "not a data set": (["--moabb", "utils"], "utils"),
    "jobs": (["--jobs", "0"], "--jobs"),
    "seed": (["--seed", "inf"], "--seed"),
}


@pytest.mark.parametrize(("words", "named"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(words, named, people, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = people / "anna-epo.fif"
    assert run(*[file if word == "{epo}" else word for word in words], "-q") == USAGE
    said = capsys.readouterr().err
    assert "error" in said and named in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_a_pipeline_that_fails(tmp_path, capsys):
    """It is named and left out; the others are compared, and the exit code says so."""
    for number, person in enumerate("abc"):
        short = make_epochs(person, seed=number).crop(0, 0.2)  # less than a patch of 250 ms
        saved(tmp_path, person, short)
    words = [tmp_path, "--label", "condition", "--groups", "subject", "--no-curve", "-q", "--out"]
    names = ["--pipelines", "downsampled + LDA", "DARE embeddings + LR"]
    assert run(*words, tmp_path / "out", *names) == FAILURE
    said = capsys.readouterr().err
    assert "3 files (condition): DARE embeddings + LR failed and is left out." in said
    assert set(pd.read_csv(tmp_path / "out" / "scores.csv")["pipeline"]) == {"downsampled + LDA"}


def test_metrics_fit_the_folds():
    y = np.array(["a", "b"] * 6)
    all_classes = [(np.arange(6), np.arange(6, 12))]
    assert benchmark._metrics(y, all_classes) == ["balanced_accuracy", "roc_auc"]
    y = np.array(["a"] * 6 + ["b"] * 6)  # one label per person
    assert benchmark._metrics(y, all_classes) == ["accuracy"]


def test_the_simulated_comparison(monkeypatch, tmp_path, capsys):
    parts = list(simulated())
    assert [len(part.y) for part in parts] == [240, 320, 240]
    small = Data("tiny", parts[0].epochs[::4], parts[0].y[::4], parts[0].groups[::4])
    monkeypatch.setattr("dare_sklearn.cli._epochs.simulated", lambda: iter([small]))
    assert run(*FAST, "--out", tmp_path / "out", "--no-curve", "-q") == OK
    assert "says nothing about real recordings" in (tmp_path / "out" / "report.html").read_text()


def test_every_pipeline_can_be_made():
    made = build(KNOWN, "nano", "cpu")
    assert list(made) == list(KNOWN)
    assert set(CLASSICAL) | set(DEEP) <= set(made)
    assert run("--pipelines", "list") == OK


def test_a_killed_run_continues(people, tmp_path):
    """SIGKILL after some cells; the next run computes only the others."""
    out = tmp_path / "out"
    words = [people, "--label", "condition", "--cv", "8", "--no-curve", "--out", out, "-q"]
    names = ["--pipelines", "band power + LR", "CSP + LDA", "downsampled + LDA"]
    command = [sys.executable, "-m", "dare_sklearn", "benchmark", *map(str, words), *names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 300
    while len(list(out.glob("cells/*.json"))) < 4 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.read_bytes() for path in out.glob("cells/*.json")}
    assert 4 <= len(kept) < 24 and not (out / "report.html").exists()
    assert run(*words, *names) == OK
    after = {path.name: path.read_bytes() for path in out.glob("cells/*.json")}
    assert len(after) == 24 and all(after[name] == content for name, content in kept.items())


# --- MOABB, on its fake data set


@pytest.fixture
def moabb_home(tmp_path):
    pytest.importorskip("moabb", minversion="1.7", reason="MOABB 1.7 is not installed")
    config = {"_MNE_FAKE_HOME_DIR": "home", "MNE_DATA": "data", "MOABB_RESULTS": "results"}
    for name in config.values():
        (tmp_path / name).mkdir()
    paths = {key: str(tmp_path / name) for key, name in config.items()}
    temp = mock.patch.object(tempfile, "tempdir", str(tmp_path))
    with mock.patch.dict(os.environ, paths), temp:
        yield


@pytest.mark.filterwarnings("ignore:Creating a dataset without passing data or dtype")
@pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning")
def test_moabb(moabb_home, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--moabb", "FakeDataset", "--subjects", 2, *FAST, "--cv", "cross-session", "-q"]
    assert run(*words, "--out", out) == OK
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 2 * 2 * 2 and set(scores["subject"]) == {1, 2}
    assert scores["accuracy"].between(0, 1).all()
    page = (out / "report.html").read_text()
    assert "MotorImagery and CrossSessionEvaluation of MOABB" in page
    with mock.patch(
        "dare_sklearn.transformers.classical.pipelines.Pipeline.fit", side_effect=OSError
    ):
        assert run(*words, "--out", out) == OK  # nothing is left to do
    pd.testing.assert_frame_equal(pd.read_csv(out / "scores.csv"), scores)


@pytest.mark.filterwarnings("ignore:Creating a dataset without passing data or dtype")
@pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning")
def test_moabbs_results_belong_to_one_call(moabb_home, tmp_path):
    """MOABB finds results by pipeline and person: other people or seeds are other results."""
    out, words = tmp_path / "out", ["--moabb", "FakeDataset", *FAST, "--cv", "cross-subject", "-q"]
    found = []
    for n_people, seed in ((3, 0), (2, 0), (2, 1)):
        assert run(*words, "--subjects", n_people, "--seed", seed, "--out", out) == OK
        found.append(pd.read_csv(out / "scores.csv"))
        assert set(found[-1]["subject"]) == set(range(1, n_people + 1))
    assert found[1]["n_train"].max() < found[0]["n_train"].min()
    assert len(list(out.rglob("results_*.hdf5"))) == 3


@pytest.mark.filterwarnings("ignore:Creating a dataset without passing data or dtype")
@pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning")
def test_moabbs_people_reach_the_fit(moabb_home, tmp_path):
    """As the groups of files do: probes are weighed on whole people where people are left out."""
    from dare_sklearn import DAREClassifier

    words = ["--moabb", "FakeDataset", "--pipelines", "DARE default reading", "--subjects", 3]
    seen, fit = [], DAREClassifier.fit

    def noted(self, X, y, groups=None, sample_weight=None):
        seen.append(None if groups is None else set(groups))
        self.set_params(views="joint", pooling="mean")  # to be fast
        return fit(self, X, y, groups=groups, sample_weight=sample_weight)

    with mock.patch.object(DAREClassifier, "fit", noted):
        assert run(*words, "--cv", "cross-subject", "--out", tmp_path / "a", "-q") == OK
        assert run(*words, "--cv", "cross-session", "--out", tmp_path / "b", "-q") == OK
    assert sorted(map(sorted, seen[:3])) == [[1, 2], [1, 3], [2, 3]]
    assert seen[3:] and set(seen[3:]) == {None}  # one person at a time


@pytest.mark.parametrize("name", _moabb.PROTOCOLS)
def test_protocols_are_what_moabb_takes(moabb_home, name):
    """Their paradigms accept the data sets, and their evaluations the settings."""
    dataset, paradigm, evaluation, settings = _moabb.find(name, None)
    assert paradigm.is_valid(dataset)
    made = evaluation(paradigm=paradigm, datasets=[dataset], **settings)
    assert made._create_splitter() is not None
    guide = (ROOT / "docs" / "guide" / "report.md").read_text()
    assert f"| `{name}` |" in guide
