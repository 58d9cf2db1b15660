"""Every kind of input as signals, and the events of recordings."""

import pickle
import warnings

import mne
import numpy as np
import pandas as pd
import pytest
import torch

from dare_sklearn import DAREEmbedder, DAREPretrainer
from dare_sklearn.signals.files import event_labels, find_events
from dare_sklearn.signals.readers import read_parts, read_signals

NAMES = ["Fp1", "Cz", "O2"]


@pytest.fixture
def microvolts():
    return np.random.default_rng(0).normal(scale=12.0, size=(5, 3, 64))


def make_epochs(microvolts, names=NAMES, types="eeg", sfreq=64.0):
    info = mne.create_info(list(names), sfreq, types)
    events = np.column_stack([np.arange(5) * 100, np.zeros(5, int), [1, 2, 1, 2, 1]])
    return mne.EpochsArray(microvolts * 1e-6, info, events=events, verbose="error")


def read(X, **kwargs):
    return read_signals(X, **{"unit": "uV", "sfreq": 64.0, "ch_names": NAMES, **kwargs})


@pytest.fixture
def epochs(microvolts):
    return make_epochs(microvolts)


def windows_dataset(epochs):
    from braindecode.datasets import BaseConcatDataset, WindowsDataset

    parts = []
    for chosen in (slice(0, 2), slice(2, 5)):
        part = epochs[chosen].copy()
        n = len(part)
        part.metadata = pd.DataFrame(
            {
                "i_window_in_trial": range(n),
                "i_start_in_trial": [0] * n,
                "i_stop_in_trial": [64] * n,
                "target": part.events[:, 2],
            }
        )
        parts.append(WindowsDataset(part))
    return BaseConcatDataset(parts)


def eeg_windows_dataset(microvolts, epochs):
    from braindecode.datasets import EEGWindowsDataset

    raw = mne.io.RawArray(np.hstack(list(microvolts)) * 1e-6, epochs.info, verbose="error")
    metadata = pd.DataFrame(
        {
            "i_window_in_trial": range(5),
            "i_start_in_trial": np.arange(5) * 64,
            "i_stop_in_trial": np.arange(1, 6) * 64,
            "target": [1, 2, 1, 2, 1],
        }
    )
    return EEGWindowsDataset(raw, metadata)


def test_all_inputs_read_alike(microvolts, epochs):
    concat = windows_dataset(epochs)
    own = {"ch_names": None, "sfreq": None}
    inputs = {
        "array": (microvolts, {}),
        "float32": (microvolts.astype(np.float32), {}),
        "fortran": (np.asfortranarray(microvolts), {}),
        "volts": (microvolts * 1e-6, {"unit": "V"}),
        "tensor": (torch.tensor(microvolts), {}),
        "list": (list(microvolts), {}),
        "epochs": (epochs, {**own, "unit": "auto"}),
        "one-epoch list": ([epochs[i] for i in range(5)], {**own, "unit": "auto"}),
        "windows": (concat, {**own, "unit": "V"}),
        "subset": (torch.utils.data.Subset(concat, [0, 1, 2, 3, 4]), {**own, "unit": "V"}),
        "recording": ([concat.datasets[0], concat.datasets[1]], {**own, "unit": "V"}),
        "items": ([concat[i] for i in range(5)], {"unit": "V"}),
        "raw windows": (eeg_windows_dataset(microvolts, epochs), {**own, "unit": "V"}),
    }
    for name, (X, params) in inputs.items():
        signals = read(X, **params)
        assert signals.data.dtype == np.float32, name
        np.testing.assert_allclose(signals.data, microvolts, rtol=1e-5, atol=1e-5, err_msg=name)
        assert signals.ch_names == ("FP1", "CZ", "O2"), name
        assert signals.sfreq == 64.0, name


def test_targets_travel(microvolts, epochs):
    own = {"ch_names": None, "sfreq": None, "unit": "V"}
    concat = windows_dataset(epochs)
    subset = torch.utils.data.Subset(concat, [4, 0, 3])
    assert read(epochs, **own).y.tolist() == [1, 2, 1, 2, 1]
    assert read(concat, **own).y.tolist() == [1, 2, 1, 2, 1]
    assert read(subset, **own).y.tolist() == [1, 1, 2]
    np.testing.assert_allclose(read(subset, **own).data, microvolts[[4, 0, 3]], rtol=1e-5)
    assert read(microvolts).y is None


def test_two_dimensions_are_one_channel(microvolts):
    signals = read(microvolts[:, 0], ch_names=["Cz"])
    assert signals.data.shape == (5, 1, 64)


def test_the_callers_data_are_left_alone(microvolts):
    data = microvolts.astype(np.float32)
    before = data.copy()
    signals = read(data)
    assert not np.shares_memory(signals.data, data)
    signals.data[:] = 0
    np.testing.assert_array_equal(data, before)


def test_only_eeg_is_used(microvolts):
    epochs = make_epochs(
        np.repeat(microvolts, 2, axis=1),
        "Fp1 EOG Cz STI O2 X".split(),
        ["eeg", "eog", "eeg", "stim", "eeg", "misc"],
    )
    signals = read(epochs, ch_names=None, sfreq=None, unit="auto")
    assert signals.ch_names == ("FP1", "CZ", "O2")
    assert signals.ignored == ("EOG", "STI", "X")
    epochs.info["bads"] = ["Cz"]
    assert read(epochs, ch_names=None, sfreq=None, unit="auto").ch_names == ("FP1", "O2")


def test_one_epochs_of_a_list_may_differ_in_a_channels_type(epochs):
    parts = [epochs[i] for i in range(5)]
    parts[3].set_channel_types({"Cz": "eog"}, verbose="error")
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    with pytest.raises(ValueError, match=r"differ in channels \(CZ only in some\)"):
        read(parts, **own)
    for part in parts:
        part.set_channel_types({"Cz": "eog"}, verbose="error")
    assert read(parts, **own).ch_names == ("FP1", "O2")


def test_names_match_in_any_spelling(microvolts):
    assert read(microvolts, ch_names=["Fc5.", "t3", "OZ.."]).ch_names == ("FC5", "T7", "OZ")
    with pytest.raises(ValueError, match=r"T7 twice \(as 'T3' and 'T7'\)"):
        read(microvolts, ch_names=["T3", "T7", "Oz"])


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "uV"), (1e-6, "V")])
def test_unit_is_decided_and_said(microvolts, factor, unit):
    with pytest.warns(UserWarning, match=f"read the values as {unit} .* Pass unit='{unit}'"):
        signals = read(microvolts * factor, unit="auto")
    assert signals.unit == unit
    np.testing.assert_allclose(signals.data, microvolts, rtol=1e-5)


def test_two_units_in_one_array(microvolts, epochs):
    mixed = np.concatenate([microvolts * 1e-6, 3 * microvolts[:2]])
    own = {"ch_names": None, "sfreq": None}
    wrong = mne.EpochsArray(microvolts, epochs.info, verbose="error")
    for X, params in ((mixed, {}), (mixed, {"unit": "V"}), ([epochs, wrong[:2]], own)):
        with pytest.raises(ValueError, match=r"epochs \(5, 6\) that are a million times as large"):
            read(X, **params)
    for factor in (1e-4, 1e-9):  # a quiet epoch, and one without any signal
        mixed[:5] = factor * microvolts
        read(mixed[[0, 5, 6]])


def test_one_recording_in_another_unit_is_told(microvolts):
    X = np.repeat(microvolts, 5, axis=0)
    X[2:4] *= 1e3
    with pytest.warns(UserWarning, match=r"epochs \(2, 3\) that are 100 or more times as large"):
        read(X)


@pytest.mark.parametrize("factor", [1e6, 1e12])
def test_a_channel_that_is_far_too_large(microvolts, factor):
    channels, where = microvolts.copy(), microvolts.copy()
    channels[:, 2] *= factor
    where[3, 2] *= factor
    for X, epochs in ((channels, "0, 1, 2, 3, 4"), (where, "3"), (where[3:4], "0")):
        with pytest.raises(ValueError, match=rf"in channels O2, epochs {epochs}, that is 100,000"):
            read(X)
    channels[:, 2] /= factor / 1e4  # an electrode that swings by 0.1 V
    channels[:, 0] *= 1e-9  # and one that was not connected
    read(channels)


def test_offsets_do_not_mislead_the_unit(microvolts):
    with pytest.warns(UserWarning, match="read the values as uV"):
        read(microvolts + 20_000.0, unit="auto")


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_amplitude_that_fits_neither(microvolts, factor):
    with pytest.raises(ValueError, match="cannot tell the unit"):
        read(microvolts * factor, unit="auto")


def test_wrong_unit_is_refused(microvolts, epochs):
    with pytest.raises(ValueError, match="unit='V'"):
        read(microvolts, unit="V")
    with pytest.raises(ValueError, match="unit='uV'"):
        read(microvolts * 1e-6, unit="uV")
    assert read(epochs, unit="uV", ch_names=None, sfreq=None).unit == "V"  # tells of arrays only
    scaled = make_epochs(microvolts * 1e6)  # microvolts in an MNE object, as some do
    own = {"ch_names": None, "sfreq": None}
    with pytest.raises(ValueError, match="look like microvolts: pass unit='uV'"):
        read(scaled, unit="auto", **own)
    np.testing.assert_allclose(read(scaled, unit="uV", **own).data, microvolts, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(microvolts, value):
    microvolts[2, 1, 10] = value
    with pytest.raises(ValueError, match="NaN or infinite .* channels CZ, epochs 2"):
        read(microvolts)


def test_constant_channels(microvolts):
    once = microvolts.copy()
    once[3, 1] = 7.0
    with pytest.warns(UserWarning, match="1 of 5 epochs with a constant signal in channels CZ"):
        read(once)
    microvolts[:, 1] = 7.0
    with pytest.raises(ValueError, match="constant signal in channels CZ"):
        read(microvolts)


def bad_inputs():
    x = np.random.default_rng(0).normal(scale=10, size=(5, 3, 64))
    return {
        "no rate": (x, {"sfreq": None}, ValueError, "without a sampling rate"),
        "too few names": (x, {"ch_names": ["Cz"]}, ValueError, "1 names, but X has 3 channels"),
        "four dimensions": (x[None], {}, ValueError, "4 dimensions"),
        "empty": (x[:0], {}, ValueError, "0 sample"),
        "complex": (x + 1j, {}, ValueError, "Complex"),
        "text": ("epochs", {}, TypeError, "cannot read a str"),
        "names of files": (["a.fif", "b.fif"], {}, TypeError, "a list of mne.Epochs"),
        "nothing": (None, {}, TypeError, "cannot read a NoneType"),
        "mapping": ({"x": x}, {}, TypeError, "cannot read a dict"),
        "data frames": (
            [pd.DataFrame(epoch.T, columns=NAMES) for epoch in x],
            {},
            TypeError,
            "a list of data frames, .* pass an array",
        ),
        "torch data set": (
            torch.utils.data.TensorDataset(torch.zeros(3)),
            {},
            TypeError,
            "cannot read a Tensor",
        ),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_bad_inputs(case):
    X, params, error, message = bad_inputs()[case]
    with pytest.raises(error, match=message):
        read(X, **params)


def test_analytic_signals_are_refused(epochs):
    """MNE's objects may hold complex numbers, of which only the real part would be read."""
    raw = mne.io.RawArray(epochs.get_data()[0], epochs.info, verbose="error").apply_hilbert()
    analytic = epochs.copy().apply_hilbert()
    embedder = DAREEmbedder(None)
    for call in (
        lambda: embedder.fit(analytic),
        lambda: embedder.fit(epochs).transform(analytic),
        lambda: DAREPretrainer().fit(raw),
    ):
        with pytest.raises(ValueError, match="X holds complex numbers"):
            call()


def test_parameters_that_contradict_the_input(epochs):
    with pytest.raises(ValueError, match="sfreq=100, but X was sampled at 64 Hz"):
        read(epochs, sfreq=100.0, unit="auto")
    with pytest.raises(ValueError, match="ch_names .* differ in OZ"):
        read(epochs, ch_names=[*NAMES, "Oz"], unit="auto")


def test_mixed_parts(microvolts, epochs):
    other = make_epochs(microvolts[:, :2], NAMES[:2])
    with pytest.raises(ValueError, match="differ in channels"):
        read([epochs, other], ch_names=None, sfreq=None, unit="auto")
    parts = list(read_parts([epochs, other, epochs]))
    assert sorted(part.data.shape for part in parts) == [(5, 2, 64), (5, 3, 64), (5, 3, 64)]


def test_epochs_that_begin_at_different_times_are_reported(epochs):
    later = epochs.copy().shift_time(0.5)
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    with pytest.warns(UserWarning, match=r"begin at different times \(0.0, 0.5 s\)"):
        assert len(read([epochs, later], **own).data) == 10
    DAREPretrainer(max_epochs=0, window_s=0.5).fit([epochs, later])  # which times say nothing to


def test_projectors_that_are_not_applied_are_reported(epochs):
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    pending = epochs.copy().set_eeg_reference(projection=True)
    with pytest.warns(UserWarning, match="'Average EEG reference'.* of X are not applied"):
        read(pending, **own)
    with (
        pytest.warns(UserWarning, match="'Average EEG reference'.* of X are not applied"),
        pytest.warns(UserWarning, match="some epochs of X were referenced anew"),
    ):
        read([pending.copy().apply_proj(), pending], **own)
    with pytest.warns(UserWarning, match="are not applied"):
        read([epochs.copy().load_data(), pending], **own)  # the same reference
    read(pending.apply_proj(), **own)


def test_epochs_of_different_references_are_reported(epochs):
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    plain = epochs.copy().load_data()
    average = plain.copy().set_eeg_reference("average")
    projected = plain.copy().set_eeg_reference(projection=True).apply_proj()
    cleaned = plain.copy().add_proj(mne.compute_proj_epochs(plain, n_eeg=1, verbose="error"))
    for other in (average, projected, cleaned.apply_proj()):
        with pytest.warns(UserWarning, match="referenced anew .*, or cleaned by projectors"):
            read([plain, other], **own)
    read([average, projected], **own)
    read([plain, plain.copy()], **own)


@pytest.mark.filterwarnings("ignore:.*(recorded elsewhere|does not know)")
def test_arrays_are_read_where_the_epochs_of_the_fit_were():
    """Names of another system of electrodes say nothing without the positions of the fit."""
    names = [f"C{i}" for i in range(1, 7)]
    X = np.random.default_rng(0).normal(size=(5, 6, 64)) * 1e-5
    cap = make_epochs(X * 1e6, names).set_montage("biosemi128")
    embedder = DAREEmbedder(pooling="mean")
    expected = embedder.fit_transform(cap)
    loaded = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(loaded.transform(cap.get_data()), expected)


def test_electrodes_without_a_place_of_their_own_in_the_table_have_one(microvolts):
    caps = []
    for shift in (0.0, 0.02):
        cap = make_epochs(microvolts, ["Cz", "E1", "E2"])
        places = {"Cz": [0, 0, 0.13], "E1": [0.08, shift, 0.04], "E2": [-0.08, 0, 0.04]}
        caps.append(cap.set_montage(mne.channels.make_dig_montage(places, coord_frame="head")))
    own = {"ch_names": None, "sfreq": None, "unit": "auto"}
    read([caps[0][0], caps[0][1]], **own)
    with pytest.warns(UserWarning, match="montages of X put E1 in different places"):
        read(caps, **own)
    caps[1].info["bads"] = ["E2"]  # they are read apart then
    with pytest.warns(UserWarning, match="bad in some"), pytest.warns(match="put E1 in different"):
        read(caps, **own)


def test_dropped_epochs(epochs):
    epochs.drop([0, 3], verbose="error")
    assert len(read(epochs, ch_names=None, sfreq=None, unit="auto").data) == 3
    others = epochs.copy()
    epochs.drop([0, 1, 2], verbose="error")
    epochs.info["bads"] = epochs.ch_names[:1]
    assert len(read([others, epochs], ch_names=None, sfreq=None, unit="auto").data) == 3
    with warnings.catch_warnings(), pytest.raises(ValueError, match="0 sample"):
        read(epochs, ch_names=None, sfreq=None, unit="auto")


SFREQ = 100.0
ONSETS = np.arange(1, 13) * 2.0


def make_raw(stim=False):
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz"], SFREQ, "eeg")
    raw = mne.io.RawArray(1e-5 * rng.normal(size=(2, 3000)), info, first_samp=500, verbose="error")
    if stim:
        trigger = np.zeros((1, raw.n_times))
        trigger[0, (ONSETS * SFREQ).astype(int)] = np.tile([1, 2], 6)
        extra = mne.io.RawArray(trigger, mne.create_info(["STI"], SFREQ, "stim"), first_samp=500,
                                verbose="error")  # fmt: skip
        raw.add_channels([extra], force_update_info=True)
    return raw.set_annotations(mne.Annotations(ONSETS, 0.0, ["left", "right"] * 6))


def seconds(raw, events):
    return (events[:, 0] - raw.first_samp) / SFREQ


@pytest.mark.parametrize(("stim", "names"), [(False, ["left", "right"]), (True, ["1", "2"])])
def test_annotations_and_stim_channels(stim, names):
    raw = make_raw(stim)
    events, labels = find_events(raw)
    assert labels == names * 6 and set(events[:, 2]) == {1}
    np.testing.assert_allclose(seconds(raw, events), ONSETS)


def test_an_empty_stim_channel_hides_no_annotations():
    raw = make_raw(stim=True)
    raw._data[-1] = 0
    assert find_events(raw)[1] == ["left", "right"] * 6


def test_no_events():
    events, labels = find_events(make_raw().set_annotations(None))
    assert len(events) == len(labels) == 0


def test_labels_of_epochs():
    epochs = mne.EpochsArray(
        np.zeros((2, 1, 10)), mne.create_info(1, SFREQ, "eeg"), [[0, 0, 7], [20, 0, 3]],
        event_id={"a/b": 3, "c": 7}, verbose="error",
    )  # fmt: skip
    assert event_labels(epochs) == ["c", "a/b"]
