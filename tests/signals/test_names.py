"""Names of channels as recorders of public data sets write them."""

import mne
import pytest

from dare_sklearn.signals.electrodes import electrode_name, is_pair, not_eeg

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
