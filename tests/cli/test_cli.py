"""The command line as its user sees it: what it prints, writes and answers."""

import subprocess
import sys
import warnings

import mne
import numpy as np
import pandas as pd
import pytest

from dare_sklearn import DAREEmbedder, __version__, load_encoder, simulate_epochs
from dare_sklearn.cli import FAILURE, INTERRUPTED, OK, USAGE, embed, main
from dare_sklearn.cli._options import Warnings


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
        "sys.exit(bool({'torch', 'mne', 'matplotlib', 'sklearn', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def cpu_seconds(*words: str) -> float:
    """What a command costs, its imports included."""
    code = (
        "import resource, sys; from dare_sklearn.cli import main; main(sys.argv[1:]);"
        "use = resource.getrusage(resource.RUSAGE_SELF);"
        "print(use.ru_utime + use.ru_stime, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    return float(done.stderr.split()[-1])


@pytest.mark.parametrize("words", [["info"], ["--help"], ["benchmark", "--help"], ["embed", "-h"]])
def test_start_is_cheap(words):
    assert cpu_seconds(*words) < 1.0


def test_info(capsys):
    assert run("info") == OK
    text = capsys.readouterr().out
    n_parameters = f"{sum(p.numel() for p in load_encoder('nano').parameters()):,}"
    assert "encoder nano" in text and mne.__version__ in text and n_parameters in text
    assert run("info", "nano") == OK
    text = capsys.readouterr().out
    assert n_parameters in text
    assert "SHA-256" in text


def test_embed_windows(study, tmp_path, capsys):
    out = tmp_path / "deep" / "table.csv"
    assert run("embed", study / "anna_raw.fif", "--window", 2, "--out", out, "-q") == OK
    assert "6 epochs of 1 files, 64 features" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert table["onset_s"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    raw = mne.io.read_raw_fif(study / "anna_raw.fif", preload=True, verbose="error")
    X = np.stack(np.split(raw.get_data(units="uV"), 6, axis=1))
    known = DAREEmbedder(
        pooling="mean", ch_names=raw.ch_names, sfreq=128.0, unit="uV"
    ).fit_transform(X)
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
    resampled = mne.read_epochs(study / "ben-epo.fif", verbose="error").resample(128)
    resampled.save(tmp_path / "ben-epo.fif", verbose="error")
    assert run("embed", tmp_path / "ben-epo.fif", "--out", out, "-q") == OK
    np.testing.assert_allclose(pd.read_csv(out)["onset_s"], table["onset_s"])
    assert table["onset_s"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_embed_chooses_epochs(study, tmp_path):
    out = tmp_path / "table.csv"
    epochs = mne.read_epochs(study / "ben-epo.fif", verbose="error")
    label = next(iter(epochs.event_id))
    assert run("embed", study / "ben-epo.fif", "--labels", label, "--out", out, "-q") == OK
    table = pd.read_csv(out)
    assert set(table["label"]) == {label}
    known = DAREEmbedder(pooling="mean").fit_transform(epochs[label])
    np.testing.assert_allclose(table.filter(like="dare_"), known, atol=1e-4)


def test_embed_keeps_metadata_whose_names_are_taken(study, tmp_path):
    epochs = mne.read_epochs(study / "ben-epo.fif", verbose="error")
    epochs.metadata = epochs.metadata.assign(file="own", dare_s0_d000=np.nan)
    epochs.save(tmp_path / "ben-epo.fif", verbose="error")
    out, same = tmp_path / "table.csv", tmp_path / "." / ".." / tmp_path.name / "ben-epo.fif"
    assert run("embed", tmp_path, same, "--out", out, "-q") == OK
    table = pd.read_csv(out)
    assert len(table) == 6 and set(table["file"]) == {"ben-epo.fif"}  # named twice, read once
    assert set(table["metadata_file"]) == {"own"} and table["metadata_dare_s0_d000"].isna().all()
    assert table["metadata_label"].equals(table["label"])


def test_names_of_files_tell_them_apart(tmp_path):
    """Relative to the folder that was searched."""
    for person in ("sub-01", "sub-02"):
        (tmp_path / "in" / person).mkdir(parents=True)
        raw = mne.io.RawArray(
            1e-5 * np.random.default_rng(0).standard_normal((3, 512)),
            mne.create_info(["EEG C3-REF", "EEG CZ-REF", "AFz"], 128.0, "eeg"), verbose="error",
        )  # fmt: skip
        raw.set_annotations(mne.Annotations([0.5, 2.0], 0.0, ["left", "right"]))
        raw.save(tmp_path / "in" / person / "run-1_raw.fif", verbose="error")
    out = tmp_path / "table.csv"
    assert run("embed", tmp_path / "in", "--around", 0, 1, "--out", out, "-q") == OK
    table = pd.read_csv(out)
    names = ["sub-01/run-1_raw.fif"] * 2 + ["sub-02/run-1_raw.fif"] * 2
    assert table["file"].tolist() == names
    assert table["label"].tolist() == ["left", "right"] * 2


@pytest.mark.parametrize("kind", ["raw", "epo"])
def test_the_same_warning_of_many_files_is_told_once(kind, tmp_path, capsys):
    window = ["--window", 2] if kind == "raw" else []
    for i in range(4):
        raw = mne.io.RawArray(
            1e-5 * np.random.default_rng(i).standard_normal((2, 512)),
            mne.create_info(["C3", "AFz"], 128.0, "eeg"), verbose="error",
        )  # fmt: skip
        inst = raw if kind == "raw" else mne.make_fixed_length_epochs(raw, 2.0, verbose="error")
        inst.save(tmp_path / f"{i}_{kind}.fif", verbose="error")
    assert run("embed", tmp_path, *window, "--out", tmp_path / "t.csv", "-q") == OK
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if "AFZ" in line.upper()]
    assert len(lines) == 1 and lines[0].startswith(f"warning: 0_{kind}.fif: DAREEmbedder: channels")
    assert "warning: the same in 3 other file(s): DAREEmbedder: channels" in said


def test_warnings_that_differ_in_numbers_only_are_told_once(capsys):
    told = Warnings()
    with warnings.catch_warnings():
        told.install()
        for text in ("8 of 509 epochs are flat in O1", "7 of 9 epochs are flat in O1", "1 in O2"):
            warnings.warn(text, UserWarning, stacklevel=1)
    told.finish()
    said = capsys.readouterr().err.splitlines()
    assert said == ["warning: 8 of 509 epochs are flat in O1", "warning: 1 in O2"]
    assert list(told.files) == ["8 of 509 epochs are flat in O1", "1 in O2"]


def test_events_that_give_no_epoch_are_counted(study, tmp_path, capsys):
    raw = mne.io.read_raw_fif(study / "anna_raw.fif", verbose="error")
    raw.set_annotations(raw.annotations + mne.Annotations([2.0, 11.9], [0.5, 0], ["BAD_x", "left"]))
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    words = ["--around", 0, 0.5, "--out", tmp_path / "t.csv", "-q"]
    assert run("embed", tmp_path / "one_raw.fif", *words) == OK
    said = capsys.readouterr().err
    assert "one_raw.fif: 2 of 11 epochs are left out (1 BAD_x, 1 TOO_SHORT)" in said


def test_channels_that_are_left_out_are_named(study, tmp_path, capsys):
    raw = mne.io.read_raw_fif(study / "anna_raw.fif", preload=True, verbose="error")
    bad, other, *rest = [raw.ch_names[i] for i in mne.pick_types(raw.info, eeg=True)]
    raw.info["bads"] = [bad]
    raw.set_channel_types({other: "eog"}, verbose="error")
    raw.save(tmp_path / "some_raw.fif", verbose="error")
    words = ["embed", tmp_path / "some_raw.fif", "-q", "--out", tmp_path / "t.csv"]
    assert run(*words) == OK
    said = capsys.readouterr().err
    assert "left out" in said and bad in said and other in said
    assert run(*words, "--channels", *rest) == OK
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["embed", "pretrain"])
@pytest.mark.parametrize("name", ["anna_raw.fif", "ben-epo.fif"])
def test_files_that_were_cut_short(study, tmp_path, capsys, command, name):
    content = (study / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    words = [command, tmp_path, "--out", tmp_path / "out.csv", "-q"]
    assert run(*words) == FAILURE
    assert name in capsys.readouterr().err and not (tmp_path / "out.csv").is_file()


def test_a_damaged_file_among_others_can_be_left_out(study, tmp_path, capsys):
    (tmp_path / "bad_raw.fif").write_bytes((study / "anna_raw.fif").read_bytes()[:10_000])
    (tmp_path / "good_raw.fif").write_bytes((study / "anna_raw.fif").read_bytes())
    words = [tmp_path, "--on-error", "skip", "--window", 2, "-q", "--out"]
    assert run("embed", *words, tmp_path / "t.csv") == OK
    assert set(pd.read_csv(tmp_path / "t.csv")["file"]) == {"good_raw.fif"}
    assert "bad_raw.fif is left out" in capsys.readouterr().err
    assert run("pretrain", *words, tmp_path / "own", "--epochs", 1) == OK
    assert "bad_raw.fif" in capsys.readouterr().err


def test_embed_says_why_a_file_is_left_out(study, tmp_path, capsys):
    words = ["--out", tmp_path / "table.csv", "-q"]
    assert run("embed", study / "anna_raw.fif", "--window", 60, *words) == FAILURE
    assert (
        "anna_raw.fif is left out: it lasts 12 s, and --window is 60 s." in capsys.readouterr().err
    )
    words += ["--around", 0, 0.5, "--labels", "up"]
    assert run("embed", study / "anna_raw.fif", *words) == USAGE
    reason = "anna_raw.fif is left out: it has no event of the labels up; labels in the file: left, right."
    assert reason in capsys.readouterr().err


def test_embed_parquet(study, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = tmp_path / "table.parquet"
    assert run("embed", study / "ben-epo.fif", "--out", out, "-q") == OK
    assert pd.read_parquet(out).filter(like="dare_").shape == (6, 64)


def test_pretrain_continues(study, tmp_path, capsys):
    words = ["pretrain", study / "anna_raw.fif", "--out", tmp_path / "own", "-q", "--window", 1]
    words += ["--batch-size", 4, "--epochs", 2]
    assert run(*words) == OK
    weights = (tmp_path / "own" / "model.safetensors").read_bytes()
    assert len(pd.read_csv(tmp_path / "own" / "history.csv")) == 2
    made = {path.relative_to(tmp_path / "own").parts[0] for path in (tmp_path / "own").rglob("*")}
    assert made == {"checkpoints", "config.json", "history.csv", "model.safetensors"}
    inside = {path.name for path in (tmp_path / "own" / "checkpoints").iterdir()}
    assert inside == {"00000001", "00000002", "lock"} or "model.safetensors" not in inside
    assert run(*words) == OK  # nothing is left to do
    assert (tmp_path / "own" / "model.safetensors").read_bytes() == weights
    assert run("info", tmp_path / "own") == OK
    assert run(*words, "--seed", 1) == FAILURE  # another run's checkpoints
    assert "checkpoint_dir" in capsys.readouterr().err


MISTAKES = {
    "no command": ([], "COMMAND"),
    "no such option": (["info", "--nonsense"], "--nonsense"),
    "short for an option": (["embed", "{study}", "--out", "t.csv", "--pool", "mean"], "--pool"),
    "file": (["embed", "nowhere.fif", "--out", "t.csv"], "nowhere.fif"),
    "format": (["embed", "{study}", "--out", "t.xls"], "--out"),
    "empty path": (["embed", "{study}", "--out", ""], "--out"),
    "empty cache": (["embed", "{study}", "--out", "t.csv", "--cache", ""], "--cache"),
    "empty file": (["embed", "", "--out", "t.csv"], "files"),
    "channel": (["embed", "{raw}", "--channels", "Q9", "--out", "t.csv"], "--channels"),
    "band": (["embed", "{raw}", "--band", "30", "7", "--out", "t.csv"], "--band"),
    "band nan": (["embed", "{raw}", "--band", "nan", "7", "--out", "t.csv"], "--band"),
    "window": (["embed", "{raw}", "--window", "0", "--out", "t.csv"], "--window"),
    "window nan": (["embed", "{raw}", "--window", "nan", "--out", "t.csv"], "--window"),
    "window inf": (["embed", "{raw}", "--window", "inf", "--out", "t.csv"], "--window"),
    "window tiny": (["embed", "{raw}", "--window", "1e-9", "--out", "t.csv"], "--window"),
    "around": (["embed", "{raw}", "--around", "1", "nan", "--out", "t.csv"], "--around"),
    "falling": (["embed", "{raw}", "--around", "1", "0", "--out", "t.csv"], "--around"),
    "labels only": (["embed", "{raw}", "--labels", "left", "--out", "t.csv"], "--labels"),
    "windows of epochs": (["embed", "{epo}", "--window", "1", "--out", "t.csv"], "--window"),
    "band of epochs": (["embed", "{epo}", "--band", "1", "9", "--out", "t.csv"], "--band"),
    "around epochs": (["embed", "{epo}", "--around", "0", "1", "--out", "t.csv"], "--around"),
    "device": (["embed", "{raw}", "--device", "cuda:99", "--out", "t.csv"], "--device"),
    "no device": (["pretrain", "{raw}", "--device", "abacus", "--out", "own"], "--device"),
    "batch": (["embed", "{raw}", "--batch-size", "0", "--out", "t.csv"], "--batch-size"),
    "epochs": (["pretrain", "{study}", "--epochs", "0", "--out", "own"], "--epochs"),
    "rate": (["pretrain", "{study}", "--lr", "inf", "--out", "own"], "--lr"),
    "seed": (["pretrain", "{study}", "--seed", "-1", "--out", "own"], "--seed"),
    "open band": (["embed", "{raw}", "--band", "none", "none", "--out", "t.csv"], "--band"),
    "encoder": (["embed", "{raw}", "--encoder", "nobody", "--out", "t.csv"], "--encoder"),
    "damaged encoder": (["embed", "{raw}", "--encoder", "{raw}", "--out", "t.csv"], "--encoder"),
    "weights": (["pretrain", "{raw}", "--weights", "nobody", "--out", "own"], "--weights"),
    "file as cache": (["embed", "{raw}", "--cache", "{raw}", "--out", "t.csv"], "--cache"),
    "file as folder": (["pretrain", "{raw}", "--out", "{raw}"], "--out"),
    "list": (["benchmark", "--pipelines", "list", "--seed", "1"], "--seed"),
    "no such label": (["embed", "{epo}", "--labels", "left", "up", "--out", "t.csv"], "--labels"),
    "size": (["pretrain", "{raw}", "--weights", "nano", "--size", "base", "--out", "o"], "--size"),
}


@pytest.mark.parametrize(("words", "named"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(words, named, study, tmp_path, monkeypatch, capsys):
    """Exit code 2, and what is wrong is named; nothing is written."""
    monkeypatch.chdir(tmp_path)
    paths = {"{study}": study, "{raw}": study / "anna_raw.fif", "{epo}": study / "ben-epo.fif"}
    assert run(*[paths.get(word, word) for word in words]) == USAGE
    said = capsys.readouterr().err
    assert "error" in said and named in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


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
