"""Runs: what is computed, what is kept, and what becomes of a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import mne
import numpy as np
import pandas as pd
import pytest
import yaml

import dare_sklearn
from dare_sklearn.benchmark import Context, Options, SuiteError, run_suite
from dare_sklearn.benchmark.energy import EnergyMeter
from dare_sklearn.benchmark.run import write_tables
from dare_sklearn.evaluation import pairwise, summarize

from .conftest import TINY

ROOT = Path(dare_sklearn.__file__).parents[1]
FAST = {"pipelines": ["downsampled + LDA", "band power + LR"], "candidate": "band power + LR"}


def options(folder, **changes):
    return Options(folder, **{"encoder": "untrained", "progress": False, **changes})


def test_scores(results):
    scores = results.scores
    part = scores[scores["dataset"] == "tiny oddball"]
    assert part.groupby("pipeline")["fold"].apply(list).tolist() == [[0, 1, 2]] * 3
    assert part["subject"].tolist() == ["S001", "S002", "S003"] * 3 == part["tested"].tolist()
    assert (part["n_train"] == 24).all() and (part["n_chans"] == 3).all()
    assert part[["roc_auc", "accuracy", "p_roc_auc"]].stack().between(0, 1).all()
    chosen = part.loc[part["pipeline"] == "DARE embeddings + LR", "best_params"]
    assert all(params["lr__C"] in (0.01, 1.0) for params in chosen)


def test_folds_within_people(results):
    part = results.scores[results.scores["dataset"] == "tiny hands"]
    mine = part[part["pipeline"] == "band power + LR"]
    assert mine["subject"].tolist() == ["S001", "S001", "S002", "S002", "S003", "S003"]
    assert mine["fold"].tolist() == list(range(6)) and (mine["n_train"] == 6).all()


def test_curve(results):
    curve = results.curve[results.curve["dataset"] == "tiny oddball"]
    assert sorted(set(curve["n_trials"])) == [6, 24]
    assert (curve.loc[curve["n_trials"] == 6, "n_train"] == 6).all()
    full = curve[(curve["n_trials"] == 24) & (curve["pipeline"] == "band power + LR")]
    scores = results.scores
    same = scores[(scores["dataset"] == "tiny oddball") & (scores["pipeline"] == "band power + LR")]
    np.testing.assert_array_equal(full["roc_auc"], same["roc_auc"])


def test_known_of_the_data(results):
    known = results.datasets["tiny oddball"]
    assert known["n_epochs"] == 36 and known["n_subjects"] == 3
    assert known["classes"] == {"nontarget": 27, "target": 9} and known["seconds"] == 0.5
    within = results.datasets["tiny hands"]
    assert within["n_epochs"] == 36 and within["n_subjects"] == 3
    assert known["hash"] != within["hash"] and not results.failures


def test_scores_are_those_of_scikit_learn(tiny, tmp_path):
    """No step of a run sees test epochs: the scores are those of cross_val_score on one pipeline."""
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

    from dare_sklearn import simulate_epochs
    from dare_sklearn.transformers.classical import classical_pipelines

    suite = tiny(**FAST)
    scores = run_suite(suite, options(tmp_path)).scores
    epochs = simulate_epochs(
        "erp", n_subjects=3, n_epochs=12, duration=0.5, sfreq=128, ch_names=["C3", "Cz", "Pz"],
        random_state=0,
    )  # fmt: skip
    y = (epochs.metadata["label"] == "target").astype(int)
    for name in FAST["pipelines"]:
        expected = cross_val_score(
            classical_pipelines()[name], epochs, y, groups=epochs.metadata["subject"],
            cv=LeaveOneGroupOut(), scoring="roc_auc",
        )  # fmt: skip
        np.testing.assert_allclose(scores.loc[scores["pipeline"] == name, "roc_auc"], expected)


def test_nothing_to_find_is_not_found(tiny, tmp_path):
    """Many features, few epochs, labels without any trace in the signals: chance, searches included.

    The same features selected on all epochs beforehand score far above it.
    """
    from sklearn.feature_selection import SelectKBest
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    dataset = {**TINY["datasets"][0], "paradigm": "motor", "effect": 0.0, "epochs": 20}
    pipelines = [
        {"name": "samples + LR", "grid": {"lr__C": [0.01, 1.0], "samples__resample": [16.0, 32.0]}}
    ]
    suite = tiny(datasets=[dataset], pipelines=pipelines, candidate="samples + LR")
    scores = run_suite(suite, options(tmp_path)).scores
    assert scores["roc_auc"].mean() == pytest.approx(0.5, abs=0.15)

    X, y = np.random.default_rng(0).normal(size=(60, 500)), np.tile([0, 1], 30)
    leaky = cross_val_score(LogisticRegression(), SelectKBest(k=10).fit_transform(X, y), y)
    assert leaky.mean() > 0.8  # what this tool must not do would show


def test_finished_cells_are_kept(tiny, tmp_path):
    suite = tiny(**FAST)
    first = run_suite(suite, options(tmp_path))
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert len(cells) == 6
    again = run_suite(suite, options(tmp_path))
    pd.testing.assert_frame_equal(first.scores, again.scores)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == cells
    more = run_suite(tiny(**FAST, seeds=[0, 1]), options(tmp_path))
    assert len(more.scores) == 12 and len(list((tmp_path / "cells").iterdir())) == 12
    assert more.scores["fold"].max() == 5 and sorted(set(more.scores["seed"])) == [0, 1]


@pytest.mark.slow
def test_several_jobs_give_the_same(tiny, tmp_path):
    one = run_suite(tiny(**FAST), options(tmp_path / "one")).scores
    two = run_suite(tiny(**FAST), options(tmp_path / "two", n_jobs=2)).scores
    columns = ["pipeline", "fold", "subject", "roc_auc", "accuracy", "chance_roc_auc", "p_roc_auc"]
    pd.testing.assert_frame_equal(one[columns], two[columns])
    names = [
        {path.name for path in (tmp_path / kind / "cells").iterdir()} for kind in ("one", "two")
    ]
    assert names[0] == names[1]


def test_seeds_that_draw_the_same_folds(tiny, tmp_path):
    """Copies of a fold are no new observations; scores of one person are averaged."""
    split = {"kind": "fixed", "by": "subject", "train": ["S001"], "test": ["S002", "S003"]}
    dataset = {**TINY["datasets"][0], "split": split}
    found = run_suite(tiny(**FAST, datasets=[dataset], seeds=[0, 1]), options(tmp_path))
    assert set(found.scores["seed"]) == {0} and len(found.scores) == 2
    assert found.scores["subject"].tolist() == ["S002 and 1 more"] * 2
    assert "Seed 1 is left out: it draws" in found.datasets["tiny oddball"]["notes"][0]
    within = {**dataset, "split": {"kind": "shuffle", "n_splits": 2, "test_size": 0.5}}
    found = run_suite(tiny(**FAST, datasets=[within], seeds=[0, 1]), options(tmp_path))
    assert len(found.scores) == 2 * 3 * 2 * 2 and not found.datasets["tiny oddball"]["notes"]


def test_a_fixed_split_of_what_is_not_there(tiny, tmp_path, capsys):
    split = {"kind": "fixed", "by": "subject", "train": ["S001"], "test": ["S002", "S009"]}
    suite = tiny(**FAST, datasets=[{**TINY["datasets"][0], "split": split}])
    found = run_suite(suite, options(tmp_path))
    assert found.failures == ["tiny oddball: there is no subject ['S009']."]
    few = options(tmp_path, context=Context(n_subjects=2))
    assert not run_suite(suite, few).failures
    with pytest.raises(SuiteError, match="leaves no epochs"):
        run_suite(tiny(**FAST, datasets=[{**TINY["datasets"][0], "split": {**split, "test": ["x"]}}]),
                  options(tmp_path))  # fmt: skip


def test_a_person_without_one_of_the_sessions(tiny, tmp_path, capsys):
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz", "C4"], 128.0, "eeg")
    for name in ("anna_1", "anna_2", "ben_1", "cleo_1", "cleo_2"):
        raw = mne.io.RawArray(1e-5 * rng.normal(size=(3, 30 * 128)), info, verbose="error")
        raw.set_annotations(mne.Annotations(np.arange(1.0, 28.0), 0.0, ["a", "b", "b"] * 9))
        raw.save(tmp_path / f"{name}_raw.fif", verbose="error")
    dataset = {
        "name": "mine", "kind": "recordings", "files": "{subject}_{session}_raw.fif",
        "window": [0, 0.9], "metrics": ["accuracy"],
        "split": {"kind": "fixed", "by": "session", "train": ["1"], "test": ["2"]},
    }  # fmt: skip
    there = options(tmp_path / "out", context=Context(data=tmp_path))
    found = run_suite(tiny(**FAST, datasets=[dataset]), there)
    assert set(found.scores["subject"]) == {"anna", "cleo"}
    assert len(found.failures) == 1 and "mine: ben is left out" in found.failures[0]
    assert found.datasets["mine"]["n_subjects"] == 2


def test_overlapping_epochs_in_folds_of_trials(tiny, tmp_path, capsys):
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz", "C4"], 128.0, "eeg")
    raw = mne.io.RawArray(1e-5 * rng.normal(size=(3, 40 * 128)), info, verbose="error")
    raw.set_annotations(mne.Annotations(np.arange(1.0, 38.0), 0.0, ["a", "b", "b"] * 12 + ["a"]))
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    dataset = {
        "name": "mine", "kind": "recordings", "files": "{subject}_raw.fif", "window": [0, 1.5],
        "split": {"kind": "shuffle", "n_splits": 2}, "metrics": ["accuracy"],
    }  # fmt: skip
    there = options(tmp_path / "out", context=Context(data=tmp_path))
    found = run_suite(tiny(**FAST, datasets=[dataset]), there)
    assert any("37 epochs share samples" in text for text in found.warnings)
    assert capsys.readouterr().err.count("folds of single trials test on samples") == 1


def test_results_of_an_earlier_run(tiny, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "learning_curve.csv").write_text("of before")
    run_suite(tiny(**FAST), options(out))
    assert not (out / "learning_curve.csv").exists()
    with pytest.raises(SuiteError, match=r"scores.csv' is a file: pass another"):
        run_suite(tiny(**FAST), options(out / "scores.csv"))


def test_tables_go_straight_into_statistics(results, tmp_path):
    write_tables(results, tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv")
    found = summarize(scores.drop(columns="sfreq"))
    assert found.groupby("dataset")["metric"].unique().map(list).to_dict() == {
        "tiny hands": ["accuracy"],
        "tiny oddball": ["roc_auc", "accuracy"],
    }
    assert len(pairwise(scores, "accuracy")) == 6


def test_control_of_an_untrained_encoder_is_left_out(tiny, tmp_path):
    pipelines = [*FAST["pipelines"], "untrained embeddings + LR"]
    suite = tiny(pipelines=pipelines, candidate="band power + LR")
    scores = run_suite(suite, options(tmp_path)).scores
    assert set(scores["pipeline"]) == set(FAST["pipelines"])


def test_a_pipeline_that_fails(tiny, tmp_path, capsys):
    short = {**TINY["datasets"][0], "duration": 0.2}  # less than a patch of 250 ms
    results = run_suite(tiny(datasets=[short]), options(tmp_path))
    assert (
        len(results.failures) == 1
        and "'DARE embeddings + LR' failed in fold 0" in results.failures[0]
    )
    assert set(results.scores["pipeline"]) == {"band power + LR", "downsampled + LDA"}
    assert "failed: tiny oddball: Pipeline" in capsys.readouterr().err


def test_a_data_set_that_fails(tiny, tmp_path, capsys):
    broken = {**TINY["datasets"][0], "name": "broken", "band": [1, 30]}
    results = run_suite(tiny(**FAST, datasets=[broken, *TINY["datasets"]]), options(tmp_path))
    assert list(results.datasets) == ["tiny oddball"]
    assert results.failures == ["broken: Simulated epochs are not filtered: leave band out."]
    with pytest.raises(SuiteError, match="broken: Simulated epochs are not filtered"):
        run_suite(tiny(**FAST, datasets=[broken]), options(tmp_path))


def test_a_wrong_parameter_is_told_before_anything_runs(tiny, tmp_path):
    suite = tiny(pipelines=[*TINY["pipelines"], {"name": "MDM", "params": {"metric": "x"}}])
    with pytest.raises(SuiteError, match="pipeline 'MDM' has no parameter 'metric'"):
        run_suite(suite, options(tmp_path))
    assert not (tmp_path / "cells").exists()


def test_an_encoder_that_is_not_there(tiny, tmp_path):
    suite = tiny(pipelines=["DARE embeddings + LR"])
    with pytest.raises(SuiteError, match="no encoder 'nowhere'"):
        run_suite(suite, options(tmp_path, encoder="nowhere"))


def test_a_killed_run_goes_on(tmp_path):
    """SIGKILL after some cells; the next run computes the others alone, with the same scores."""
    content = {**TINY, "pipelines": ["band power + LR", "CSP + LDA", "downsampled + LDA"]}
    content |= {"candidate": "CSP + LDA", "permutations": 0, "seeds": list(range(10))}
    content["datasets"] = [{**TINY["datasets"][0], "split": {"kind": "shuffle", "n_splits": 2}}]
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump(content))
    command = [
        sys.executable,
        "-m",
        "dare_sklearn",
        "benchmark",
        str(suite),
        "--encoder",
        "untrained",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = tmp_path / "out"
    process = subprocess.Popen([*command, "--out", str(out), "-q"], env=environment)
    deadline = time.monotonic() + 120
    while len(list(out.glob("cells/*.json"))) < 5 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path.name: path.read_bytes() for path in out.glob("cells/*.json")}
    total = 3 * 3 * 2 * 10
    assert 5 <= len(kept) < total and not (out / "report.html").exists()
    for content in kept.values():
        assert json.loads(content)["row"]["pipeline"]  # whole, every one

    done = subprocess.run([*command, "--out", str(out), "-q"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    after = {path.name: path.read_bytes() for path in out.glob("cells/*.json")}
    assert len(after) == total and all(after[name] == content for name, content in kept.items())
    assert len(pd.read_csv(out / "scores.csv")) == total and (out / "report.html").exists()


def test_energy(tmp_path, monkeypatch, results):
    """codecarbon is optional: measured here with one in its shape."""

    class Tracker:
        def __init__(self, **params):
            assert params["save_to_file"] is False

        def start(self):
            pass

        def stop(self):
            self.final_emissions_data = type("Data", (), {"energy_consumed": 0.25})

    assert not EnergyMeter(tmp_path).active or find_spec("codecarbon")
    module = ModuleType("codecarbon")
    module.OfflineEmissionsTracker, module.__spec__ = Tracker, ModuleSpec("codecarbon", None)
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    meter = EnergyMeter(tmp_path)
    assert meter.active
    data = type("Data", (), {"meta": pd.DataFrame({"subject": ["S1"]})})
    folds = [(np.arange(4), np.array([5])), (np.arange(4), np.array([6]))]
    for batch in ([folds[0]], [folds[1]], [folds[1]]):  # the last one was finished before
        with meter.measure() as energy:
            pass
        if batch is folds[1]:
            energy.kwh = 0.0
        meter.store(energy, "data", "CSP", batch, data, 0)
    with (tmp_path / "energy.jsonl").open("a") as file:
        file.write('["data", "CS')  # a killed process
    table = EnergyMeter(tmp_path).table()
    assert table.to_dict("records") == [{"dataset": "data", "pipeline": "CSP", "kwh": 0.5}]
    assert EnergyMeter(tmp_path / "none").table().empty
    assert replace(results, energy=table).energy["kwh"].sum() == 0.5
