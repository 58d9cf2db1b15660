"""Corpora on disk: recordings in files and objects, whose windows are prepared once."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import threading
import time
import warnings
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
import torch
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_fixed_length_windows

from dare_sklearn import DAREPretrainer
from dare_sklearn.modules.config import get_config
from dare_sklearn.signals.container import read_whole
from dare_sklearn.signals.files import find_files, open_file
from dare_sklearn.signals.grid import cut_windows, resample
from dare_sklearn.signals.readers import read_parts
from dare_sklearn.training import reading
from dare_sklearn.training.corpus import WindowStore
from dare_sklearn.training.pretrain import PretrainNet
from dare_sklearn.training.reading import prepare

from .common import Act, assert_same, interrupt

NAMES = ["Fz", "C3", "C4", "Pz"]
PARAMS = {"window_s": 0.5, "batch_size": 8, "max_epochs": 1, "random_state": 0}


def make_raw(seed: int = 0, sfreq: float = 200.0, n_seconds: float = 4.3, bad=(), names=NAMES):
    """A recording in memory, with offsets far larger than its signals."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 1e-5, (len(names), int(n_seconds * sfreq)))
    data += 1e-3 * np.arange(len(names))[:, None]
    raw = mne.io.RawArray(data, mne.create_info(list(names), sfreq, "eeg"), verbose="error")
    onsets, durations = [b[0] for b in bad], [b[1] for b in bad]
    names = [b[2] if len(b) > 2 else "BAD_artefact" for b in bad]
    return raw.set_annotations(mne.Annotations(onsets, durations, names))


def save_set(path, raw, embedded: bool) -> None:
    """What EEGLAB writes, as far as MNE reads it."""
    data = (raw.get_data() * 1e6).astype("<f4")
    channels = np.array([(name,) for name in raw.ch_names], dtype=[("labels", object)])
    empty = dict.fromkeys(["event", "epoch", "icawinv", "icaweights", "icasphere"], np.array([]))
    content = {
        **empty, "setname": "", "nbchan": len(data), "trials": 1, "pnts": data.shape[1],
        "srate": raw.info["sfreq"], "xmin": 0.0, "xmax": data.shape[1] / raw.info["sfreq"],
        "chanlocs": channels, "data": data if embedded else path.with_suffix(".fdt").name,
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": content})
    if not embedded:
        data.T.tofile(path.with_suffix(".fdt"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six files in four formats, three rates, with bad segments, in a tree of folders.

    The last second of the EDF file is filled up, which MNE annotates as bad.
    """
    pytest.importorskip("edfio")
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "sub").mkdir()
    quiet = {"verbose": "error"}
    make_raw(0, bad=[(1.2, 0.1)]).save(folder / "a_raw.fif", **quiet)
    mne.export.export_raw(folder / "b.edf", make_raw(1, 100.0), **quiet)
    mne.export.export_raw(folder / "sub/C.BDF", make_raw(2, 256.0, 4.0), fmt="bdf", **quiet)
    save_set(folder / "sub/d.set", make_raw(3), embedded=True)
    save_set(folder / "sub/e.set", make_raw(4), embedded=False)
    make_raw(5, bad=[(0.0, 0.3), (3.1, 0.0)], names=NAMES[:3]).save(
        folder / "sub/f_raw.fif", **quiet
    )
    return folder


def load(path, preload=True):
    return mne.io.read_raw(path, preload=preload, verbose="error")


def windows_of(X, window_s=0.5, robust_scale=None):
    """Windows of a corpus, per montage; whether they lie on disk; how many were left out."""
    how = {"window_s": window_s, "robust_scale": robust_scale}
    reader = reading.Reader(get_config("nano"), {"unit": "V"}, **how)
    sources, *_ = reading.find_sources([X], reader)
    store = WindowStore(None)
    try:
        done = prepare(sources, reader, store)
        its = [montage.windows for montage in done.montages]
        its = [windows[np.arange(len(windows))] for windows in its]
    finally:
        store.close()
    assert store.folder is None or not store.folder.exists()
    return its, store.folder is not None, done.n_bad


# --- the same windows as from memory


@pytest.mark.parametrize("sfreq", [256.0, 200.0, 160.0, 512.0, 100.0])
@pytest.mark.parametrize("n_seconds", [4.0, 4.3, 0.61])
def test_windows_are_those_of_the_whole_recording(tmp_path, sfreq, n_seconds):
    """To the bit, at its ends too, where the filter reaches beyond."""
    raw = make_raw(0, sfreq, n_seconds)
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    raw = load(tmp_path / "a_raw.fif")
    data = (raw.get_data() * 1e6).astype(np.float32)
    grid = resample(data, sfreq, 256.0)
    expected, _ = cut_windows(grid[None, :, : grid.shape[1] // 64 * 64], 128)
    for X in (raw, load(tmp_path / "a_raw.fif", preload=False), tmp_path):
        (windows,), on_disk, _ = windows_of(X)
        assert on_disk == (X is not raw)
        np.testing.assert_array_equal(windows, expected)


def test_a_folder_is_its_files_in_memory(folder):
    names = ["a_raw.fif", "b.edf", "sub/C.BDF", "sub/d.set", "sub/e.set", "sub/f_raw.fif"]
    assert [str(path.relative_to(folder)) for path in find_files(folder)] == names
    raws = [load(folder / name) for name in names]
    expected, *_ = windows_of(raws)
    assert [w.shape for w in expected] == [(42, 4, 128), (7, 3, 128)]
    for X in (
        folder,
        str(folder),
        [folder / "a_raw.fif", str(folder / "b.edf"), folder / "sub"],
        [folder / "a_raw.fif", *raws[1:3], folder / "sub/d.set", *raws[4:]],
        [load(folder / name, preload=False) for name in names],
    ):
        windows, on_disk, _ = windows_of(X)
        assert on_disk
        for a, b in zip(windows, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_same_weights_from_disk_and_memory_with_any_number_of_workers(folder):
    # F5h is none of the encoder's electrodes: it is interpolated
    names = [*NAMES[:3], "F5h"]
    raws = [make_raw(seed, bad=[(1.0, 0.2)], names=names, n_seconds=6) for seed in (6, 7)]
    corpora = {
        "memory": [*raws, *map(load, find_files(folder))],
        "files": [*raws, folder],
    }
    fitted = []
    for kind, n_workers in [("memory", 0), ("files", 0), ("files", 1), ("files", 2)]:
        pretrainer = DAREPretrainer(unit="V", n_workers=n_workers, robust_scale=12.0, **PARAMS)
        with pytest.warns(UserWarning, match="does not know are interpolated"):
            fitted.append(pretrainer.fit(corpora[kind]))
    assert fitted[0].n_windows_ == 71 and fitted[0].n_bad_windows_ == 7
    for other in fitted[1:]:
        assert_same(fitted[0], other)


@pytest.fixture
def on_disk(tmp_path):
    raws = []
    for seed in range(2):
        path = tmp_path / f"{seed}_raw.fif"
        make_raw(seed, 128.0, 6, bad=[(2.2, 0.1)]).save(path, verbose="error")
        raws.append(load(path, preload=False))
    return raws


def test_braindecode_recordings_are_passed_one_by_one(on_disk):
    data_set = BaseConcatDataset([RawDataset(raw) for raw in on_disk])
    with pytest.raises(TypeError, match=r"RawDataset as X: .* \[part.raw for part in X.datasets\]"):
        windows_of(data_set)
    (windows,), is_on_disk, n_bad = windows_of([part.raw for part in data_set.datasets])
    assert is_on_disk and n_bad == 2 and len(windows) == 22


@pytest.mark.parametrize("preload", [True, False])
def test_braindecode_windows_leave_bad_segments_out(on_disk, preload):
    data_set = create_fixed_length_windows(
        BaseConcatDataset([RawDataset(raw) for raw in on_disk]), 0, None, 64, 64,
        on_last_window="drop", preload=preload,
    )  # fmt: skip
    good = np.delete(np.arange(24), [4, 16])
    (expected,), *_ = windows_of(torch.utils.data.Subset(data_set, good.tolist()))
    for X in (data_set, [data_set], torch.utils.data.Subset(data_set, range(24))):
        (windows,), is_on_disk, n_bad = windows_of(X)
        assert n_bad == 2 and is_on_disk  # braindecode's windows are cut from recordings on disk
        np.testing.assert_array_equal(windows, expected)
    # elsewhere labels belong to windows, and all of them stay
    (part,) = [p for p in read_parts(data_set.datasets[0], unit="V")]
    assert len(part.data) == 12


# --- bad segments


def test_bad_segments_are_those_of_mne():
    spans = [(0.0, 0.1), (1.5, 0.0), (2.0, 0.5), (3.4, 1.2), (6.26, 0.2), (7.0, 0.1, "blink")]
    raw = make_raw(0, 256.0, 8, bad=spans)
    raw.crop(0.2).set_annotations(raw.annotations + mne.Annotations([5.2], [0.1], ["bad eyes"]))
    epochs = mne.make_fixed_length_epochs(raw, 0.5, preload=True, verbose="error")
    (windows,), _, n_bad = windows_of(raw.crop(0, 7.5, include_tmax=False))
    expected = epochs.get_data() * 1e6
    np.testing.assert_array_equal(windows, expected.astype(np.float32))
    assert len(windows) + n_bad == 15 and n_bad == 7


def test_bad_segments_may_hold_anything():
    """Also a constant, NaN, and amplitudes that are no EEG."""
    raw = make_raw(0, 200.0, 6, bad=[(1.0, 0.5), (2.0, 0.25), (3.0, 0.5)])
    (expected,), *_ = windows_of(raw)
    raw._data[:, 200:300] = np.nan
    raw._data[:, 400:450] = np.inf
    raw._data[:, 600:700] = 1e3
    (windows,), _, n_bad = windows_of(raw)
    assert np.isfinite(windows).all() and len(windows) == 9 and n_bad == 3
    far = np.abs(windows - expected).max(axis=(1, 2)) == 0
    assert far.sum() >= 5  # windows beside a bad segment are filtered with what lies in it
    fitted = DAREPretrainer(**PARAMS).fit(raw)
    assert (fitted.n_windows_, fitted.n_bad_windows_) == (9, 3)


def test_a_corpus_without_a_good_window():
    with pytest.raises(ValueError, match=r"no window without .*bad \(all 9 have some\)"):
        DAREPretrainer(**PARAMS).fit(make_raw(bad=[(0, 4.3)]))


def test_what_was_used_is_told(capsys, folder):
    DAREPretrainer(verbose=1, **PARAMS).fit([folder / "a_raw.fif", folder / "sub/f_raw.fif"])
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("15 windows of 2 part(s) of X; 3 window(s) left out for bad segments")


# --- scale


def test_robust_scale(tmp_path):
    raw = make_raw(0, 256.0, 6, bad=[(1.0, 0.5)])
    raw._data[:, 256:384] *= 1e4
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    for X in (load(tmp_path / "a_raw.fif"), tmp_path):
        (plain,), *_ = windows_of(X)
        (scaled,), *_ = windows_of(X, robust_scale=20.0)
        channels = plain.transpose(1, 0, 2).reshape(4, -1).astype(float)  # no bad segments in it
        low, middle, high = np.percentile(channels, [25, 50, 75], axis=1)
        expected = (plain - middle[:, None]) * 20.0 / np.median(high - low)
        np.testing.assert_allclose(scaled, expected, rtol=1e-3, atol=1e-3)
        assert np.median(np.subtract(*np.percentile(scaled, [75, 25], axis=(0, 2)))) == (
            pytest.approx(20.0, rel=1e-4)
        )


def test_the_scale_follows_the_order_of_channels():
    raw = make_raw(0, 256.0)
    a = DAREPretrainer(robust_scale=20.0, ch_names=NAMES[::-1], **PARAMS).fit(raw)
    b = DAREPretrainer(robust_scale=20.0, **PARAMS).fit(raw.copy().reorder_channels(NAMES[::-1]))
    assert_same(a, b)


def test_epochs_have_no_recording_to_scale():
    epochs = mne.make_fixed_length_epochs(make_raw(), 1.0, preload=True, verbose="error")
    with pytest.raises(ValueError, match="DAREPretrainer: robust_scale is for continuous"):
        DAREPretrainer(robust_scale=10.0, **PARAMS).fit(epochs)


def test_long_recordings_are_read_in_pieces(monkeypatch):
    raw = make_raw(0, 256.0, 20, bad=[(3.0, 2.0)])
    raw._data[:, 768:1280] = 5.0
    whole = read_whole(raw, np.arange(4))
    monkeypatch.setattr("dare_sklearn.signals.container.N_READ", 1_000)
    pieces = read_whole(raw, np.arange(4))
    for name in ("values", "spread", "good"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    np.testing.assert_array_equal(whole.values, (raw.get_data() * 1e6).astype(np.float32))
    good = np.delete(raw.get_data(), np.arange(768, 1280), axis=1)
    np.testing.assert_allclose(whole.spread[0], good.std(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(
        whole.good, np.isin(np.arange(5120), np.r_[768:1280], invert=True)
    )


# --- files that cannot be used


def spoil(folder, how: str) -> str:
    """Put one more file into a folder, which is unusable; its name."""
    if how == "no recording at all":
        (folder / "z.edf").write_bytes(b"this is no recording" * 50)
        return "z.edf"
    if how == "empty":
        (folder / "z_raw.fif").touch()
        return "z_raw.fif"
    if how in ("cut short", "cut short in an EDF", "cut short in a BDF"):
        name = {"cut short": "a_raw.fif", "cut short in an EDF": "b.edf"}.get(how, "sub/C.BDF")
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: 7 * len(content) // 10])
        return name.rsplit("/")[-1]
    if how == "cut short in an FDT":
        content = (folder / "sub/e.fdt").read_bytes()
        (folder / "sub/e.fdt").write_bytes(content[:-4])
        return "e.set"
    if how == "a broken link":
        (folder / "z_raw.fif").symlink_to(folder / "nowhere_raw.fif")
        return "z_raw.fif"
    raw = make_raw(9)
    if how == "flat":
        raw._data[1] = 0.0
    elif how == "NaN":
        raw._data[2, 50] = np.nan
    elif how == "no EEG":
        raw.set_channel_types(dict.fromkeys(NAMES, "misc"), verbose="error")
    elif how == "not EEG by its size":
        raw._data *= 1e9
    elif how == "unknown electrodes":
        raw.rename_channels({"Fz": "strange"})
    elif how == "too short":
        raw.crop(0, 0.2)
    raw.save(folder / "z_raw.fif", verbose="error")
    return "z_raw.fif"


BROKEN = {
    "no recording at all": "",
    "empty": "",
    "cut short": "damaged or was cut short",
    "cut short in an EDF": "damaged or was cut short",
    "cut short in a BDF": "damaged or was cut short",
    "cut short in an FDT": "Incorrect number of samples",
    "a broken link": "does not exist",
    "flat": "constant signal in channels C3",
    "NaN": "NaN .* in channels C4",
    "no EEG": "no good EEG channel in the file",
    "not EEG by its size": "which is not EEG",
    "unknown electrodes": "knows neither the channels STRANGE",
    "too short": "shorter than one patch",
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_unusable_file_is_named(folder, tmp_path, how):
    X = shutil.copytree(folder, tmp_path / "corpus")
    name = spoil(X, how)
    message = rf"cannot use the recording .*{name}: .*{BROKEN[how]}.*on_error='skip'"
    with pytest.raises(ValueError, match=message):
        DAREPretrainer(**PARAMS).fit(X)
    pretrainer = DAREPretrainer(on_error="skip", **{**PARAMS, "max_epochs": 0})
    with pytest.warns(UserWarning, match=rf"left out 1 recording.*{name} \(.*skipped_") as caught:
        pretrainer.fit(X)
    assert len(caught) == 1
    assert [os.path.basename(path) for path in pretrainer.skipped_] == [name]
    kept = [path for path in find_files(X) if path.name != name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pretrainer.n_windows_ == sum(map(len, windows_of(kept)[0]))


def test_workers_name_unusable_files_too(folder, tmp_path):
    X = shutil.copytree(folder, tmp_path / "corpus")
    names = {spoil(X, how) for how in ("cut short", "flat", "no recording at all")}
    with pytest.raises(ValueError, match=r"cannot use the recording .*a_raw\.fif: the file is dam"):
        DAREPretrainer(n_workers=2, **PARAMS).fit(X)
    pretrainer = DAREPretrainer(n_workers=2, on_error="skip", **PARAMS)
    with pytest.warns(UserWarning, match=r"left out 3 recording\(s\) that it could not use, of 8"):
        pretrainer.fit(X)
    assert {os.path.basename(path) for path in pretrainer.skipped_} == names


def test_objects_are_named_too(tmp_path):
    path = tmp_path / "a_raw.fif"
    make_raw().save(path, verbose="error")
    flat = make_raw()
    flat._data[0] = 0.0
    raws = [load(path, preload=False), flat, make_raw(1)]
    path.write_bytes(path.read_bytes()[:6_000])
    with pytest.raises(ValueError, match=r"cannot use the recording .*a_raw\.fif: "):
        DAREPretrainer(**PARAMS).fit(raws)
    pretrainer = DAREPretrainer(on_error="skip", **PARAMS)
    with pytest.warns(UserWarning, match="left out 2 recording"):
        pretrainer.fit(raws)
    assert list(pretrainer.skipped_) == [str(path), "number 1 of X"]
    with pytest.raises(ValueError, match="could use none of the recordings: number 0 of X"):
        pretrainer.fit(flat)
    assert len(pretrainer.skipped_) == 2  # a fit that fails changes nothing


def test_the_layout_is_of_a_part_that_is_used():
    raws = [make_raw(0).rename_channels({"Fz": "strange"}), make_raw(1, 100.0, names=NAMES[:3])]
    pretrainer = DAREPretrainer(on_error="skip", **{**PARAMS, "max_epochs": 0})
    with pytest.warns(UserWarning, match="left out 1 recording"):
        pretrainer.fit(raws)
    assert (pretrainer.ch_names_in_, pretrainer.sfreq_in_) == (["FZ", "C3", "C4"], 100.0)


def test_every_recording_in_memory_that_is_left_out_counts():
    raws = [make_raw(0), make_raw(1, n_seconds=0.1), make_raw(2, n_seconds=0.2)]
    pretrainer = DAREPretrainer(on_error="skip", **{**PARAMS, "max_epochs": 0})
    with pytest.warns(UserWarning, match=r"left out 2 recording\(s\) .*, of 3: number 1 of X"):
        pretrainer.fit(raws)
    assert list(pretrainer.skipped_) == ["number 1 of X", "number 2 of X"]


@pytest.mark.parametrize("why", ["skipped", "bad"])
@pytest.mark.filterwarnings("ignore:.*left out 1 recording")
def test_a_share_of_nothing_is_refused(why):
    raws = [make_raw(0), make_raw(1, bad=[(0.0, 4.3)] if why == "bad" else ())]
    if why == "skipped":
        raws[1]._data[0] = 0.0
    pretrainer = DAREPretrainer(on_error="skip", shares=(0.5, 0.5), **PARAMS)
    with pytest.raises(ValueError, match=r"shares needs .* item\(s\) 1, counted from 0, have none"):
        pretrainer.fit(raws)


def test_remarks_of_mne_are_passed_on(folder, tmp_path):
    path = shutil.copy(folder / "b.edf", tmp_path)
    content = bytearray((folder / "b.edf").read_bytes())
    content[168:176] = b"99.99.99"  # the date
    (tmp_path / "b.edf").write_bytes(content)
    with pytest.warns(UserWarning, match=r"1 of 2 files with remarks of MNE: .*b\.edf \(Invalid "):
        DAREPretrainer(n_workers=1, **PARAMS).fit([path, folder / "a_raw.fif"])


def test_every_file_has_its_own_remarks(tmp_path):
    for name in ("a_raw.fif", "b_raw.fif"):
        raw = make_raw().set_eeg_reference(projection=True, verbose="error")
        raw.save(tmp_path / name, verbose="error")
    with pytest.warns(UserWarning, match=r"opened 2 of 2 files .*projectors.*b_raw.*projectors"):
        DAREPretrainer(**PARAMS).fit(tmp_path)


@pytest.mark.parametrize("X", ["nowhere", ["nowhere"]])
def test_a_path_that_is_none(X):
    with pytest.raises(ValueError, match="There is no file or folder 'nowhere'"):
        DAREPretrainer(**PARAMS).fit(X)


def test_a_folder_without_recordings(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds no recording: no file that ends in \.edf"):
        DAREPretrainer(**PARAMS).fit(tmp_path)


def test_what_a_folder_leaves_out(tmp_path):
    """Later parts of split files are read with the first; other FIF files are no recordings."""
    raw = make_raw(0, 256.0, 400)
    raw.save(tmp_path / "long_raw.fif", split_size="2MB", verbose="error")
    assert len(list(tmp_path.glob("*.fif"))) > 1
    for name in ("x_ave.fif.gz", "x_ave.fif", "x-cov.fif", ".hidden_raw.fif"):
        (tmp_path / name).touch()
    for name in ("run.fif", "run-1.fif"):  # two recordings, whatever their names
        make_raw(1).save(tmp_path / name, overwrite=True, verbose="error")
    for name in ("s_split-01_eeg.fif", "s_split-02_eeg.fif", "t_split-02_eeg.fif"):
        (tmp_path / name).touch()
    names = [path.name for path in find_files(tmp_path)]
    assert names == [
        "long_raw.fif", "run-1.fif", "run.fif", "s_split-01_eeg.fif", "t_split-02_eeg.fif",
    ]  # fmt: skip
    (windows,), *_ = windows_of([tmp_path / "long_raw.fif", tmp_path / "run-1.fif"], window_s=4.0)
    assert len(windows) == 100 + 2


# --- while it runs


def temporary(monkeypatch, tmp_path):
    """A folder in which temporary ones are made, to look into."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_files_are_read_once_and_may_be_gone_then(tmp_path, monkeypatch):
    """Training reads the prepared windows, which are gone afterwards, also after an error."""
    place = temporary(monkeypatch, tmp_path)
    (tmp_path / "X").mkdir()
    for seed in range(3):
        make_raw(seed).save(tmp_path / f"X/{seed}_raw.fif", verbose="error")
    expected = DAREPretrainer(**PARAMS).fit(tmp_path / "X")
    seen = []

    def act():
        for path in (tmp_path / "X").iterdir():
            path.unlink()
        seen.extend(place.iterdir())

    assert_same(expected, DAREPretrainer(callbacks=[Act(act, 2)], **PARAMS).fit(tmp_path / "X"))
    assert len(seen) == 1 and not list(place.iterdir())


def test_no_windows_are_left_after_an_error(folder, tmp_path, monkeypatch):
    place = temporary(monkeypatch, tmp_path)

    def crash():
        raise RuntimeError(f"{len(list(place.iterdir()))} folder")

    with pytest.raises(RuntimeError, match="1 folder"):
        DAREPretrainer(callbacks=[Act(crash, 2)], **PARAMS).fit(folder)
    X = shutil.copytree(folder, tmp_path / "corpus")
    spoil(X, "flat")
    with pytest.raises(ValueError, match="constant signal"):  # in the last file
        DAREPretrainer(**PARAMS).fit(X)
    assert not list(place.iterdir())


def test_a_full_disk_is_told_with_the_size_that_is_needed(folder, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    place, limits = temporary(monkeypatch, tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        # 42 windows of four channels and 7 of three are 97 kB, of which half is written
        message = r"DAREPretrainer: the disk of '.*temporary' is full .* about 0\.0001 GB there"
        with pytest.raises(ValueError, match=message):
            DAREPretrainer(on_error="skip", n_workers=1, **PARAMS).fit(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(place.iterdir())


def test_a_run_that_goes_on_reads_its_files_again(folder, tmp_path):
    X, run = shutil.copytree(folder, tmp_path / "corpus"), tmp_path / "run"
    params = {**PARAMS, "max_epochs": 2, "robust_scale": 12.0}
    whole = DAREPretrainer(**params).fit(X)
    params["checkpoint_dir"] = run
    seen = []

    def stop():
        (windows,) = (run / "checkpoints").glob(".part-*")
        seen.extend((path.name, path.stat().st_size) for path in windows.iterdir())
        raise KeyboardInterrupt

    DAREPretrainer(callbacks=[Act(stop, 2)], **params).fit(X)
    assert ("0.f32", 42 * 4 * 128 * 4) in seen and len(seen) == 2
    (run / "checkpoints/.part-killed").mkdir()  # as a killed fit leaves its windows
    assert_same(whole, DAREPretrainer(**params).fit(X))
    assert not list((run / "checkpoints").glob(".part-*"))
    make_raw(11).save(X / "a_raw.fif", overwrite=True, verbose="error")
    with pytest.raises(ValueError, match="another corpus"):
        DAREPretrainer(**params).fit(X)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_streamed_run_goes_on(folder, tmp_path, n_workers):
    params = {**PARAMS, "max_epochs": 2, "n_workers": n_workers}
    whole = DAREPretrainer(**params).fit(folder)

    first = DAREPretrainer(checkpoint_dir=tmp_path, callbacks=[Act(interrupt, 9)], **params).fit(
        folder
    )
    assert first.n_iter_ == 1
    # with another number of workers, and from memory: it is the same corpus
    raws = [load(path) for path in find_files(folder)]
    again = DAREPretrainer(checkpoint_dir=tmp_path, **{**params, "n_workers": 1})
    assert_same(whole, again.fit(raws))
    with pytest.raises(ValueError, match="another corpus"):
        again.fit(raws[::-1])
    raws[0].set_annotations(mne.Annotations([2.0], [0.1], ["BAD"]))
    with pytest.raises(ValueError, match="another corpus"):
        again.fit(raws)


def test_workers_end_with_the_fit(folder):
    import multiprocessing

    DAREPretrainer(n_workers=2, **PARAMS).fit(folder)
    # joblib keeps the workers of other tests for the next call
    children = [type(child).__name__ for child in multiprocessing.active_children()]
    assert set(children) <= {"LokyProcess"}
    assert threading.active_count() < 20


def test_transform_after_recordings(folder):
    fitted = DAREPretrainer(**PARAMS).fit(folder)
    epochs = mne.make_fixed_length_epochs(make_raw(), 1.0, preload=True, verbose="error")
    assert fitted.transform(epochs).shape == (4, 64)
    with pytest.raises(TypeError, match="continuous recordings"):
        fitted.transform(make_raw())
    with pytest.raises(TypeError, match="cannot read a PosixPath"):
        fitted.transform(folder)


def test_epochs_of_a_folder_are_read_too(tmp_path):
    """Alone, and beside recordings: by the estimator as by the command line."""
    epochs = mne.make_fixed_length_epochs(make_raw(0, 256.0, 20), 4.0, verbose="error")
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    (alone,), *_ = windows_of(tmp_path, window_s=4.0)
    assert len(alone) == 5
    make_raw(1, 256.0, 8).save(tmp_path / "b_raw.fif", verbose="error")
    (both,), *_ = windows_of(tmp_path, window_s=4.0)
    assert len(both) == 7


@pytest.mark.parametrize("at", ["reading", "training"])
def test_sigterm_leaves_no_temporary_files(folder, tmp_path, monkeypatch, at):
    place = temporary(monkeypatch, tmp_path)
    where, name = (WindowStore, "montages") if at == "reading" else (PretrainNet, "train_step")
    seen = []

    def terminate(*args):
        seen.extend(place.iterdir())
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)  # the handler interrupts it

    monkeypatch.setattr(where, name, terminate)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit, match="143"):
            DAREPretrainer(**PARAMS).fit(folder)
        assert len(seen) == 1 and not list(place.iterdir())
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_damaged_epochs_are_named_or_skipped(tmp_path):
    whole, damaged = tmp_path / "a-epo.fif", tmp_path / "b-epo.fif"
    for path in (whole, damaged):
        epochs = mne.make_fixed_length_epochs(make_raw(0, 256.0, 20), 4.0, verbose="error")
        epochs.save(path, verbose="error")
    damaged.write_bytes(damaged.read_bytes()[:9000])
    with pytest.raises(
        ValueError, match=r"cannot use the recording .*b-epo\.fif: .*on_error='skip'"
    ):
        DAREPretrainer(**PARAMS).fit(tmp_path)
    pretrainer = DAREPretrainer(**PARAMS, on_error="skip")
    with pytest.warns(UserWarning, match=r"left out 1 recording\(s\) .*b-epo\.fif"):
        pretrainer.fit(tmp_path)
    assert list(pretrainer.skipped_) == [str(damaged)] and pretrainer.n_windows_ == 40
    with pytest.raises(ValueError, match="could use none of the recordings"):
        DAREPretrainer(**PARAMS, on_error="skip").fit(damaged)


@pytest.mark.parametrize("values", ["NaN", "flat"])
def test_unusable_values_of_epochs_are_named_or_skipped(tmp_path, values):
    whole, bad = tmp_path / "a-epo.fif", tmp_path / "b-epo.fif"
    epochs = mne.make_fixed_length_epochs(
        make_raw(0, 256.0, 20), 4.0, preload=True, verbose="error"
    )
    epochs.save(whole, verbose="error")
    data = epochs.get_data(copy=False)
    data[:, 0] = np.nan if values == "NaN" else 0.0
    epochs.save(bad, verbose="error")
    reason = {"NaN": "NaN or infinite values", "flat": "a constant signal"}[values]
    # channels that are flat in one file only are reported, not refused
    with pytest.raises((ValueError, UserWarning), match=f"X has .*{reason}"):
        DAREPretrainer(**PARAMS).fit(tmp_path)
    pretrainer = DAREPretrainer(**PARAMS, on_error="skip")
    with pytest.warns(UserWarning) as caught:
        pretrainer.fit(tmp_path)
    (warning,) = caught
    assert re.search(
        rf"left out 1 recording\(s\) .*b-epo\.fif \(.*X has {reason}", str(warning.message)
    )
    assert list(pretrainer.skipped_) == [str(bad)] and pretrainer.n_windows_ == 40


def test_compressed_files_are_unpacked_once(tmp_path):
    make_raw(0, 256.0, 20).save(tmp_path / "a_raw.fif.gz", verbose="error")
    assert open_file(tmp_path / "a_raw.fif.gz").preload
    assert find_files(tmp_path) == [tmp_path / "a_raw.fif.gz"]


def test_what_a_folder_hides(tmp_path, monkeypatch):
    """Of a data set under git-annex, every file would be found twice."""
    kept, link = tmp_path / ".git" / "annex" / "x.edf", tmp_path / "sub-01" / "a.edf"
    for file in (kept, link):
        file.parent.mkdir(parents=True)
    kept.touch()
    link.symlink_to(kept)
    (tmp_path / "sub-02").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "sub-02":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(UserWarning, match="sub-02' holds is left out .Permission denied"):
        assert find_files(tmp_path) == [link]
