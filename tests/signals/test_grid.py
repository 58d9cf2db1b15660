"""Names of electrodes, montages, and the encoder's grid."""

import warnings

import mne
import numpy as np
import pytest

from dare_sklearn import simulate_epochs
from dare_sklearn.modules.config import SIZES
from dare_sklearn.signals.electrodes import (
    ELECTRODES,
    TEN_TWENTY,
    electrode_name,
    electrode_rows,
    info_positions,
    is_pair,
    not_eeg,
    plan_channels,
    spline_matrix,
    template_positions,
)
from dare_sklearn.signals.grid import cut_windows, resample, whole_patches


def test_the_table():
    assert len(ELECTRODES) == 62 and len(set(ELECTRODES)) == 62
    assert len(TEN_TWENTY) == 19 and set(TEN_TWENTY) < set(ELECTRODES)
    assert set(ELECTRODES) <= set(template_positions())
    assert (ELECTRODES[0], ELECTRODES[29], ELECTRODES[61]) == ("FP1", "CZ", "O2")


def test_known_channels_pass_as_they_are():
    names, matrix = plan_channels(["OZ", "CZ"])
    assert names == ["OZ", "CZ"] and matrix is None
    assert [ELECTRODES[i] for i in electrode_rows(names)] == names


def test_unknown_channels_are_interpolated_and_named():
    with pytest.warns(UserWarning, match="TP9 -> TP7, TP10 -> TP8|TP10 -> TP8, TP9 -> TP7"):
        names, matrix = plan_channels(["TP9", "AF7", "AF8", "TP10"])
    assert set(names) == {"AF7", "AF8", "TP7", "TP8"}
    data = np.random.default_rng(0).normal(size=(2, 4, 10)).astype(np.float32)
    moved = dict(zip(names, np.matmul(matrix, data).swapaxes(0, 1), strict=True))
    np.testing.assert_allclose(moved["AF7"], data[:, 1], rtol=1e-6)  # recorded: untouched
    assert np.corrcoef(moved["TP7"].ravel(), data[:, 0].ravel())[0, 1] > 0.9


def test_a_stranger_never_takes_a_recorded_electrodes_name():
    with pytest.warns(UserWarning, match=r"near TP9 \(TP7\): left out"):
        names, matrix = plan_channels(["TP9", "TP7", "CZ"])
    assert names == ["TP7", "CZ"]
    np.testing.assert_array_equal(matrix, [[0, 1, 0], [0, 0, 1]])


def test_bipolar_pairs_have_no_place():
    """MNE puts the difference of two electrodes where the first one is."""
    info = mne.create_info(["C3", "Cz", "Fz", "Pz"], 256.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(size=(4, 256)) * 1e-5, info)
    raw.set_montage("colin27_1020")
    for ch_name in (None, ["left"]):
        pair = mne.set_bipolar_reference(raw, ["C3"], ["Cz"], ch_name, verbose="error")
        assert set(info_positions(pair.info["chs"])) == {"FZ", "PZ"}


def test_two_strangers_do_not_share_an_electrode():
    with pytest.warns(UserWarning, match="does not know are interpolated: PO1 -> POZ"):
        names, _ = plan_channels(["PO1", "POO1", "CZ", "FZ"])
    assert len(set(names)) == len(names)


def test_drop_and_error():
    with pytest.warns(UserWarning, match="does not know are left out: TP9"):
        names, matrix = plan_channels(["TP9", "CZ"], unknown="drop")
    assert names == ["CZ"]
    np.testing.assert_array_equal(matrix @ np.array([[[1.0], [2.0]]]), [[[2.0]]])
    with pytest.raises(ValueError, match="does not know the channels TP9"):
        plan_channels(["TP9", "CZ"], unknown="error")
    with pytest.raises(ValueError, match="knows none of the channels"):
        plan_channels(["TP9"], unknown="drop")


def test_unknown_positions():
    with pytest.raises(ValueError, match="neither the channels E17 nor their positions"):
        plan_channels(["E17", "CZ"])
    where = {"E17": template_positions()["OZ"] + 0.002}
    with pytest.warns(UserWarning, match="E17 -> OZ"):
        assert plan_channels(["E17", "CZ"], positions=where)[0] == ["CZ", "OZ"]


def test_spline_is_mnes():
    positions = template_positions()
    source = {name: positions[name] for name in TEN_TWENTY}
    target = {name: positions[name] for name in ("FCZ", "CZ", "PO7")}
    matrix = spline_matrix(source, target)
    np.testing.assert_array_equal(matrix[1], np.eye(19)[TEN_TWENTY.index("CZ")])
    # a field that varies slowly over the head is interpolated well
    field = np.array([p[1] for p in source.values()])
    truth = np.array([p[1] for p in target.values()])
    np.testing.assert_allclose(matrix @ field, truth, atol=0.012)


def test_spline_smooths_as_interpolate_bads_does():
    epochs = simulate_epochs(n_subjects=1, n_epochs=2, random_state=0)
    epochs.info["bads"] = ["Cz", "P8"]
    source = {name: template_positions()[name] for name in ELECTRODES if name not in ("CZ", "P8")}
    matrix = spline_matrix(source, ["CZ", "P8"])
    expected = epochs.copy().interpolate_bads(origin=(0, 0, 0.04), verbose="error")
    found = matrix @ epochs.get_data(picks="eeg", exclude="bads")
    np.testing.assert_allclose(found, expected.get_data(picks=["Cz", "P8"]), atol=1e-10)


@pytest.mark.parametrize("sfreq", [100.0, 128.0, 160.0, 250.0, 500.0, 1000.0])
def test_resampling_keeps_what_it_can_and_folds_nothing(sfreq):
    times = np.arange(int(4 * sfreq)) / sfreq
    slow = np.sin(2 * np.pi * 10 * times)
    data = resample(np.float32(slow)[None, None], sfreq, 256.0)
    assert data.shape == (1, 1, 1024) and data.dtype == np.float32
    expected = np.sin(2 * np.pi * 10 * np.arange(1024) / 256)
    np.testing.assert_allclose(data[0, 0, 100:-100], expected[100:-100], atol=0.01)
    if sfreq > 400:  # 200 Hz lies above the new Nyquist frequency and would fold to 56 Hz
        fast = np.float32(np.sin(2 * np.pi * 200 * times))[None, None]
        assert np.abs(resample(fast, sfreq, 256.0)[0, 0, 100:-100]).max() < 0.02


def test_whole_patches():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # MNE's inclusive end
        assert whole_patches(257, 256.0, SIZES["nano"]) == 256
    with pytest.warns(
        UserWarning, match=r"the last 0\.172 s .* not used.*tmax = tmin \+ 1 \(or \+ 0\.75\)"
    ):
        whole_patches(236, 256.0, SIZES["nano"])
    with pytest.raises(ValueError, match=r"shorter than one patch of 0\.25 s"):
        whole_patches(63, 256.0, SIZES["nano"])


@pytest.mark.parametrize(("n_times", "expected"), [(10, 1), (20, 1), (40, 2), (50, 3)])
def test_windows_cover_everything(n_times, expected):
    data = np.arange(2 * n_times).reshape(2, 1, n_times)
    windows, n_bad = cut_windows(data, 20)
    assert n_bad == 0
    windows = np.array(windows)
    assert windows.shape == (2 * expected, 1, min(20, n_times))
    assert set(windows.ravel()) == set(data.ravel())


def test_template_is_mnes():
    montage = mne.channels.make_standard_montage("colin27_1005")
    assert "Cz" in montage.ch_names


@pytest.mark.parametrize("cap", ["biosemi128", "biosemi256"])
def test_names_of_another_system_say_nothing(cap):
    """BioSemi's C2 is by chance near the 10-05 system's: it is read by its position all the same."""
    montage = mne.channels.make_standard_montage(cap)
    info = mne.create_info(montage.ch_names, 256.0, "eeg").set_montage(montage)
    names = [electrode_name(name) for name in montage.ch_names]
    own = info_positions(info["chs"])
    neutral = {f"Q{name}": xyz for name, xyz in own.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # each says what is interpolated
        targets, matrix = plan_channels(names, positions=own)
        expected_targets, expected = plan_channels(list(neutral), positions=neutral)
    order = [targets.index(name) for name in expected_targets]
    np.testing.assert_allclose(matrix[order], expected, atol=1e-5)


# one electrode against a common reference
COMMON = {
    # TUH
    "EEG FP1-REF": "FP1", "EEG T3-REF": "T7", "EEG A1-REF": "A1", "EEG T6-LE": "P8",
    # PhysioNet eegbci, eegmat
    "Fc5.": "FC5", "Fcz.": "FCZ", "Iz..": "IZ", "T10.": "T10", "EEG Fp1": "FP1", "EEG T3": "T7",
    # SIENA, Mumtaz, HMC, ISRUC
    "EEG Fc1": "FC1", "EEG Fp1-LE": "FP1", "EEG F4-M1": "F4", "EEG C3-M2": "C3", "Fp1-A2": "FP1",
    # Nihon Kohden, BCI competition IV, CHB-MIT (case 12)
    "EEG Fp1-Ref": "FP1", "POL C3": "C3", "EEG-Cz": "CZ", "EEG:C3": "C3", "FP1-CS2": "FP1",
    # case, spaces, other ways to write a reference
    " cz ": "CZ", "eeg  pz - ref": "PZ", "O1-(A1+A2)/2": "O1", "O2_AVG": "O2", "F3:A1A2": "F3",
    "EEG F3-CLE": "F3", "C4-LER": "C4", "FP1 - LE": "FP1", "Fp1-AR": "FP1", "AFF5h": "AFF5H", "T3": "T7",
    "T3/T7": "T7", "P8-T6": "P8", "EEG FpZ.": "FPZ",
}  # fmt: skip
PAIRS = {
    # Sleep-EDF, CHB-MIT, the bipolar montages of Temple
    "EEG Fpz-Cz": "FPZ-CZ", "EEG Pz-Oz": "PZ-OZ", "FP1-F7": "FP1-F7", "T8-P8-0": "T8-P8-0",
    "FT9-FT10": "FT9-FT10", "A1-T3": "A1-T3", "P7-T7": "P7-T7", "C3-CZ": "C3-CZ",
}  # fmt: skip
OTHERS = """
STI 014|STI014|STI101|Status|STATUS|TRIG|Trigger|TRIGGER1|MARKER|Marker 1|Event marker|stim|STIM1
EOG|EOG1|HEOG|VEOG|EOG-left|EOG horizontal|EOG E1-M2|EOG-central|hEOG|EOGh|LEOG|ECG|EKG|EKG EKG
ECG ECG|EEG EKG1-REF|ECG EKG-REF|EMG|EMG-REF|EMG submental|EMG chin|EMG1|Resp|Resp oro-nasal|RESP1
GSR|GSR1|ACC|ACC_X|AccX|Photo|photodiode|PHOTIC-REF|PULSE RATE|SPO2|HR|MK|Temp rectal|IBI|BURSTS|SUPPR
EEG LOC-REF|EEG ROC-REF|VNS|EXG1|EEG A2-A1|DC01|DIN1|EDF Annotations|RESP ABDOMEN-REF|AUX1|GYRO-X
VEO|HEO|HEOL|VEOU|VEOGU|LHEOG|uVEOG|EOG(L)|EMG(chin)|ECGL|EKGR|IO1|LO2|E1-M2|Chin|LLEG|LAT1|Plet|Erg1
TriggerIn|MarkerValueInt|Mark1|POL Mark2|Events/Markers|MISC|misc_0|BIP1|OSAT|EtCO2|Pupil|EyeX|SYNC
Temperature|EEG Temperature-REF|CO2|Thermistor|CPAP Flow|Body position|ABP|BVP
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.mark.parametrize("name", COMMON)
def test_one_electrode_against_a_common_reference(name):
    assert electrode_name(name) == COMMON[name]
    assert not is_pair(electrode_name(name)) and not not_eeg([name])


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_stay_pairs(name):
    assert electrode_name(name) == PAIRS[name]
    assert is_pair(electrode_name(name)) and not not_eeg([name])


@pytest.mark.parametrize("name", OTHERS)
def test_other_sensors_are_no_eeg(name):
    assert not_eeg([name])


def test_names_of_montages_are_eeg():
    montages = mne.channels.get_builtin_montages()
    names = {name for m in montages for name in mne.channels.make_standard_montage(m).ch_names}
    assert not not_eeg(names)
    kept = {
        name for name in names if electrode_name(name) in (name.upper(), "T7", "T8", "P7", "P8")
    }
    assert not {n for n in names - kept if not n.startswith("EEG")}


@pytest.mark.parametrize(
    "name", ["EEG 001", "EEG", "E12", "Q7", "LUE-RAE", "EEG 20-REF", "AFz'", ""]
)
def test_other_names_stay(name):
    assert electrode_name(name) == name.upper() and not not_eeg([name])
