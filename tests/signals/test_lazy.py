"""Epochs that stay in their files."""

import mne
import numpy as np
import pytest
import torch
from braindecode.datasets import BaseConcatDataset, EEGWindowsDataset, RawDataset
from braindecode.preprocessing import create_fixed_length_windows
from skorch.helper import SliceDataset

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer
from dare_sklearn.signals.container import LazyEpochs
from dare_sklearn.signals.readers import read_signals

NAMES = ["Fz", "C3", "C4", "Pz"]
SFREQ = 128.0


def make_raw(folder, seed: int, n_seconds: int = 12) -> mne.io.BaseRaw:
    """A recording that stays on disk."""
    rng = np.random.default_rng(seed)
    info = mne.create_info(NAMES, SFREQ, "eeg")
    raw = mne.io.RawArray(rng.normal(0, 1e-5, (4, int(n_seconds * SFREQ))), info, verbose="error")
    path = folder / f"s{seed}_raw.fif"
    raw.save(path, verbose="error")
    return mne.io.read_raw_fif(path, preload=False, verbose="error")


@pytest.fixture(scope="module")
def raws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lazy")
    return [make_raw(folder, seed) for seed in range(2)]


@pytest.fixture(scope="module")
def windows(raws):
    """12 one-second windows of each of two recordings, on disk; targets 0 and 1 in turn."""
    concat = BaseConcatDataset(
        [RawDataset(raw, description={"subject": i}) for i, raw in enumerate(raws)]
    )
    data = create_fixed_length_windows(
        concat, 0, None, 128, 128, on_last_window="drop", preload=False
    )
    for part in data.datasets:
        part.y = [i % 2 for i in range(len(part))]
    return data


@pytest.fixture(scope="module")
def epochs(raws):
    events = mne.make_fixed_length_events(raws[0], duration=1.0)
    return mne.Epochs(
        raws[0], events, tmin=0, tmax=1 - 1 / SFREQ, baseline=None, preload=False, verbose="error"
    )


def test_windows_on_disk_are_read_in_blocks(windows, raws):
    signals = read_signals(windows, unit="V")
    assert isinstance(signals.data, LazyEpochs)
    assert signals.data.shape == (24, 4, 128)
    np.testing.assert_array_equal(signals.y, [0, 1] * 12)
    expected = np.concatenate(
        [raw.get_data().reshape(4, 12, 128).transpose(1, 0, 2) for raw in raws]
    )
    some = np.array([23, 0, 13, 12])
    np.testing.assert_allclose(signals.data[some], expected[some] * 1e6, rtol=1e-4, atol=1e-4)
    assert signals.data[20:].dtype == np.float32


def test_reading_never_holds_everything(windows, monkeypatch):
    most = 0
    read = LazyEpochs.read

    def watched(self, index):
        nonlocal most
        most = max(most, len(index))
        return read(self, index)

    monkeypatch.setattr(LazyEpochs, "read", watched)
    monkeypatch.setattr("dare_sklearn.signals.validation.BLOCK", 4)
    monkeypatch.setattr("dare_sklearn.training.reading.BLOCK", 4)
    params = {"unit": "V", "batch_size": 4, "random_state": 0}
    DAREEmbedder(None, **params).fit(windows).transform(windows)
    clf = DAREClassifier(None, spatial_init="spline", max_epochs=1, **params).fit(windows)
    clf.predict(windows)
    DAREPretrainer(max_epochs=1, window_s=0.5, **params).fit([windows, windows])
    assert 0 < most <= 4


@pytest.mark.parametrize(
    "how",
    [
        {"spatial_init": "spline", "max_epochs": 2},
        {"spatial_init": "auto"},
        {"adaptation": "linear"},
    ],
    ids=["spline", "auto", "linear"],
)
def test_lazy_and_loaded_agree(windows, epochs, how):
    y = np.arange(12) % 2
    for lazy, loaded, target, unit in [
        (windows, read_signals(windows, unit="V").data[:], np.arange(24) % 2, "V"),
        (epochs, epochs.copy().load_data().get_data() * 1e6, y, "auto"),
    ]:
        params = {**how, "random_state": 0, "batch_size": 8}
        a = DAREClassifier(None, unit=unit, **params).fit(lazy, target)
        b = DAREClassifier(None, sfreq=SFREQ, ch_names=NAMES, unit="uV", **params).fit(
            loaded, target
        )
        np.testing.assert_allclose(
            a.predict_proba(lazy), b.predict_proba(loaded.astype(np.float32)), atol=1e-5
        )


def test_pretraining_from_disk_is_the_same(windows, epochs):
    loaded = [read_signals(windows, unit="V").data[:], epochs.copy().load_data().get_data() * 1e6]
    params = {"max_epochs": 2, "window_s": 0.5, "batch_size": 8, "random_state": 0}
    for lazy, array, unit in zip([windows, epochs], loaded, ["V", "auto"], strict=True):
        a = DAREPretrainer(unit=unit, **params).fit(lazy)
        b = DAREPretrainer(ch_names=NAMES, sfreq=SFREQ, unit="uV", **params).fit(array)
        np.testing.assert_allclose(a.history_["total"], b.history_["total"], rtol=1e-4)
    mixed = DAREPretrainer(unit="V", **params).fit([windows, epochs.copy().load_data()])
    assert mixed.n_iter_ == 2


def test_channels_of_lazy_epochs_are_reordered(epochs):
    embedder = DAREEmbedder(None, random_state=0).fit(epochs)
    turned = epochs.copy().load_data().reorder_channels(NAMES[::-1])
    np.testing.assert_allclose(embedder.transform(epochs), embedder.transform(turned), atol=1e-5)
    signals = read_signals(epochs, ch_names=NAMES[::-1])
    assert isinstance(signals.data, LazyEpochs)
    np.testing.assert_array_equal(signals.data[:3], read_signals(epochs).data[:3][:, ::-1])


def test_recordings_with_other_bad_channels_stay_on_disk(raws):
    """Each has other channels and another number of them; what all have is read from the files."""
    events = mne.make_fixed_length_events(raws[0], duration=1.0)
    parts = []
    for raw, names, bads in zip(raws, [NAMES, ["C4", "Fz", "C3"]], [["Pz"], []], strict=True):
        raw = raw.copy().pick(names)
        raw.info["bads"] = bads
        parts.append(mne.Epochs(raw, events, tmin=0, tmax=0.99, baseline=None, verbose="error"))
    parts[1].info["bads"] = ["C4"]
    with pytest.warns(UserWarning, match="marked bad in some: C4"):
        signals = read_signals(parts)
    assert isinstance(signals.data, LazyEpochs) and signals.ch_names == ("FZ", "C3")
    expected = np.concatenate([part.get_data(picks=["Fz", "C3"]) for part in parts]) * 1e6
    np.testing.assert_allclose(signals.data[:], expected, rtol=1e-4, atol=1e-4)


def test_slice_dataset_is_split_lazily(windows):
    sliced = SliceDataset(windows, idx=0)[np.array([5, 3, 14])]
    signals = read_signals(sliced, unit="V")
    assert isinstance(signals.data, LazyEpochs)
    assert signals.ch_names == tuple(name.upper() for name in NAMES)
    whole = read_signals(windows, unit="V")
    np.testing.assert_array_equal(signals.data[:], whole.data[np.array([5, 3, 14])])
    with pytest.raises(ValueError, match="idx=1 as X"):
        read_signals(SliceDataset(windows, idx=1), unit="V")
    subset = torch.utils.data.Subset(windows, [5, 3, 14])
    np.testing.assert_array_equal(read_signals(subset, unit="V").data[:], signals.data[:])


@pytest.mark.parametrize("first", [True, False])
def test_a_recording_of_which_no_windows_are_left(windows, first):
    full = windows.datasets[1]
    empty = EEGWindowsDataset(full.raw, full.metadata.iloc[:0])
    X = BaseConcatDataset([empty, full] if first else [full, empty])
    np.testing.assert_array_equal(
        read_signals(X, unit="V").data[:], read_signals(full, unit="V").data[:]
    )
    with pytest.raises(ValueError, match="0 sample"):
        read_signals(empty, unit="V")


def test_nan_in_a_file_is_found(raws):
    raw = raws[0].copy().load_data()
    raw._data[2, 10 * 128 + 5] = np.nan
    events = mne.make_fixed_length_events(raw, duration=1.0)
    fine = mne.Epochs(raws[0], events, tmin=0, tmax=0.99, baseline=None, verbose="error")
    broken = mne.Epochs(
        raw,
        events,
        tmin=0,
        tmax=0.99,
        baseline=None,
        preload=False,
        verbose="error",
        reject_by_annotation=False,
    )
    embedder = DAREEmbedder(None)
    with pytest.raises(ValueError, match="NaN .* in channels C4, epochs 10"):
        embedder.fit(broken)
    embedder.fit(fine)
    with pytest.raises(ValueError, match="NaN .* in channels C4, epochs 10"):
        embedder.transform(broken)


def test_bad_epochs_that_mne_has_not_dropped_yet(raws):
    raw = raws[0].copy().load_data()
    raw._data[:, 3 * 128 : 4 * 128] *= 100
    events = mne.make_fixed_length_events(raw, duration=1.0)
    events[:, 2] = np.arange(len(events)) % 2
    epochs = mne.Epochs(
        raw,
        events,
        tmin=0,
        tmax=0.99,
        baseline=None,
        preload=False,
        reject={"eeg": 1e-3},
        verbose="error",
    )
    signals = read_signals(epochs)
    assert len(signals.data) == len(signals.y) == 11
    np.testing.assert_array_equal(signals.y, np.delete(events[:, 2], 3))
    assert not epochs._bad_dropped  # the caller's object is as it was
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[11, 12\]"):
        DAREClassifier(None).fit(epochs, events[:, 2])


def test_windows_of_different_lengths(raws):
    concat = BaseConcatDataset([RawDataset(raws[0])])
    data = create_fixed_length_windows(concat, 0, None, 128, 128, on_last_window="drop")
    crops = data.datasets[0].crop_inds.copy()
    crops[4, 2] += 10
    data.datasets[0].crop_inds = crops
    with pytest.raises(ValueError, match="differ in length"):
        read_signals(data, unit="V")
