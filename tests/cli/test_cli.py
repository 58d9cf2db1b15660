"""The command line as its user sees it: what it prints, writes and answers."""

from __future__ import annotations

import subprocess
import sys

import mne
import numpy as np
import pandas as pd
import pytest
import yaml

from dare_sklearn import DAREEmbedder, __version__, load_encoder, simulate_epochs
from dare_sklearn.cli import FAILURE, INTERRUPTED, OK, USAGE, embed, main


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a recording of two labels, and epochs with metadata."""
    folder = tmp_path_factory.mktemp("study")
    names = ["C3", "Cz", "C4"]
    info = mne.create_info(names, 128.0, "eeg")
    values = 1e-5 * np.random.default_rng(0).standard_normal((3, 128 * 12))
    raw = mne.io.RawArray(values, info, verbose="error")
    onsets = np.arange(1.0, 11.0)
    raw.set_annotations(mne.Annotations(onsets, 0.5, ["left", "right"] * 5))
    raw.save(folder / "anna_raw.fif", verbose="error")
    epochs = simulate_epochs("motor", n_subjects=1, n_epochs=6, ch_names=names, random_state=0)
    epochs.save(folder / "ben-epo.fif", verbose="error")
    return folder


def run(*argv: object) -> int:
    return main([str(word) for word in argv])


def test_version_and_help(capsys):
    assert run("--version") == OK
    assert __version__ in capsys.readouterr().out
    for command in ([], ["benchmark"], ["pretrain"], ["embed"], ["info"]):
        assert run(*command, "--help") == OK
        assert "example" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from dare_sklearn.cli import main; main(['benchmark', '--help']);"
        "sys.exit(bool({'torch', 'mne', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_info(capsys):
    assert run("info") == OK
    text = capsys.readouterr().out
    assert "encoder nano" in text and mne.__version__ in text
    assert run("info", "nano") == OK
    text = capsys.readouterr().out
    assert f"{sum(p.numel() for p in load_encoder('nano').parameters()):,}" in text
    assert "SHA-256" in text


def test_embed_windows(study, tmp_path, capsys):
    out = tmp_path / "deep" / "table.csv"
    assert run("embed", study / "anna_raw.fif", "--window", 2, "--out", out, "-q") == OK
    assert "6 epochs of 1 files, 64 features" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert table["onset_s"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    raw = mne.io.read_raw_fif(study / "anna_raw.fif", preload=True, verbose="error")
    X = np.stack(np.split(raw.get_data(units="uV"), 6, axis=1))
    known = DAREEmbedder(ch_names=raw.ch_names, sfreq=128.0, unit="uV").fit_transform(X)
    np.testing.assert_allclose(table.filter(like="dare_"), known, atol=1e-4)


def test_embed_events_and_epochs(study, tmp_path):
    out = tmp_path / "table.csv"
    words = ["--around", 0, 0.5, "--labels", "left", "--out", out, "-q"]
    assert run("embed", study / "anna_raw.fif", *words) == OK
    table = pd.read_csv(out)
    assert table["label"].tolist() == ["left"] * 5
    assert table["onset_s"].tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert run("embed", study / "ben-epo.fif", "--out", out, "-q") == OK
    table = pd.read_csv(out)
    assert len(table) == 6 and set(table["subject"]) == {"S001"}


def test_embed_says_why_a_file_is_left_out(study, tmp_path, capsys):
    words = ["--out", tmp_path / "table.csv", "-q"]
    assert run("embed", study / "anna_raw.fif", "--window", 60, *words) == FAILURE
    assert (
        "anna_raw.fif is left out: it lasts 12 s, and --window is 60 s." in capsys.readouterr().err
    )
    words += ["--around", 0, 0.5, "--labels", "up"]
    assert run("embed", study / "anna_raw.fif", *words) == FAILURE
    reason = "anna_raw.fif is left out: it has no event of the labels up; labels in the file: left, right."
    assert reason in capsys.readouterr().err


def test_embed_parquet(study, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = tmp_path / "table.parquet"
    assert run("embed", study / "ben-epo.fif", "--out", out, "-q") == OK
    assert pd.read_parquet(out).filter(like="dare_").shape == (6, 64)


def test_pretrain_goes_on(study, tmp_path, capsys):
    words = ["pretrain", study / "anna_raw.fif", "--out", tmp_path / "own", "-q", "--window", 1]
    words += ["--batch-size", 4, "--epochs", 2]
    assert run(*words) == OK
    weights = (tmp_path / "own" / "model.safetensors").read_bytes()
    assert len(pd.read_csv(tmp_path / "own" / "history.csv")) == 2
    assert run(*words) == OK  # nothing is left to do
    assert (tmp_path / "own" / "model.safetensors").read_bytes() == weights
    assert run("info", tmp_path / "own") == OK
    assert run(*words, "--seed", 1) == FAILURE  # another run's checkpoints
    assert "checkpoint_dir" in capsys.readouterr().err


def test_benchmark_of_a_study(study, tmp_path, capsys):
    """With no map, a first one is printed; completed, it runs, and a second call computes nothing."""
    words = ["benchmark", "recordings", "--data", study, "--out", tmp_path / "out", "-q"]
    words += ["--pipelines", "DARE embeddings + LR", "downsampled + LDA", "--no-curve"]
    assert run(*words) == USAGE
    said = capsys.readouterr()
    assert "recordings.yaml" in said.err
    known = yaml.safe_load(said.out)
    known["datasets"][0] |= {
        "files": "anna_raw.fif",
        "classes": {"left": "left", "right": "right"},
        "window": [0.0, 0.5],
        "split": {"kind": "within-subject", "n_splits": 2},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(known), "utf-8")
    words += ["--map", tmp_path / "map.yaml"]
    assert run(*words) == OK
    assert "downsampled + LDA" in capsys.readouterr().out
    scores = (tmp_path / "out" / "scores.csv").read_bytes()
    cells = {f: f.stat().st_mtime_ns for f in (tmp_path / "out" / "cells").rglob("*.json")}
    assert cells and (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert run(*words) == OK
    assert cells == {f: f.stat().st_mtime_ns for f in (tmp_path / "out" / "cells").rglob("*.json")}
    assert (tmp_path / "out" / "scores.csv").read_bytes() == scores


MISTAKES = {
    "no command": [],
    "no such option": ["info", "--nonsense"],
    "suite": ["benchmark", "nonsense"],
    "pipeline": ["benchmark", "--pipelines", "nonsense"],
    "data set": ["benchmark", "--datasets", "nonsense"],
    "encoder": ["benchmark", "--encoder", "nonsense"],
    "no people": ["benchmark", "--subjects", "0"],
    "no folder": ["benchmark", "recordings"],
    "file": ["embed", "nowhere.fif", "--out", "t.csv"],
    "format": ["embed", "{study}", "--out", "t.xls"],
    "channel": ["embed", "{study}", "--channels", "Q9", "--out", "t.csv"],
    "band": ["embed", "{study}", "--band", "30", "7", "--out", "t.csv"],
    "window": ["embed", "{study}", "--window", "0", "--out", "t.csv"],
    "labels alone": ["embed", "{study}", "--labels", "left", "--out", "t.csv"],
    "epochs": ["pretrain", "{study}", "--epochs", "0", "--out", "own"],
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(words, study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*[word.replace("{study}", str(study)) for word in words]) == USAGE
    said = capsys.readouterr().err
    assert "error" in said and "Traceback" not in said
    assert not list(tmp_path.glob("t.*"))


def test_damaged_file(tmp_path, capsys):
    (tmp_path / "bad_raw.fif").write_bytes(b"no recording" * 100)
    assert run("embed", tmp_path, "--out", tmp_path / "t.csv", "-q") in (USAGE, FAILURE)
    said = capsys.readouterr().err
    assert "bad_raw.fif" in said and "Traceback" not in said
    assert not (tmp_path / "t.csv").exists()


def test_ctrl_c(study, tmp_path, monkeypatch, capsys):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(embed, "_embed", stop)
    assert run("embed", study, "--out", tmp_path / "t.csv", "-q") == INTERRUPTED
    assert "Stopped" in capsys.readouterr().err and not (tmp_path / "t.csv").exists()


def test_faults_of_ours_say_how_to_learn_more(study, tmp_path, monkeypatch, capsys):
    def fail(*args):
        raise KeyError("boom")

    monkeypatch.setattr(embed, "_embed", fail)
    words = ["embed", study, "--out", tmp_path / "t.csv", "-q"]
    assert run(*words) == FAILURE and "--debug" in capsys.readouterr().err
    with pytest.raises(KeyError):
        run(*words, "--debug")
