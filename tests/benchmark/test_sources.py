"""Sources: files in all their ways of telling labels, and fake data of MOABB and braindecode."""

from __future__ import annotations

import os
import tempfile
from unittest import mock

import mne
import numpy as np
import pandas as pd
import pytest

from dare_sklearn.benchmark import Context, SuiteError
from dare_sklearn.benchmark.checks import Keys
from dare_sklearn.benchmark.sources import KINDS, Cut
from dare_sklearn.benchmark.sources.files import find_recordings, tidy_channels
from dare_sklearn.benchmark.sources.recordings import describe_folder

SFREQ = 100.0
ONSETS = np.arange(1, 13) * 2.0


def raw_of(names=("C3", "Cz", "EEG C4-REF", "Fp1."), seconds=30, seed=0, stim=False):
    rng = np.random.default_rng(seed)
    info = mne.create_info(list(names), SFREQ, "eeg")
    raw = mne.io.RawArray(
        1e-5 * rng.normal(size=(len(names), int(seconds * SFREQ))), info, verbose="error"
    )
    if stim:
        trigger = np.zeros((1, raw.n_times))
        trigger[0, (ONSETS * SFREQ).astype(int)] = np.tile([1, 2], 6)
        extra = mne.io.RawArray(trigger, mne.create_info(["STI"], SFREQ, "stim"), verbose="error")
        raw.add_channels([extra], force_update_info=True)
    return raw


def annotated(**params):
    raw = raw_of(**params)
    return raw.set_annotations(mne.Annotations(ONSETS, 0.0, ["left", "right"] * 6))


def source(kind="recordings", **values):
    keys = Keys(values, "test")
    made = KINDS[kind].read(keys)
    keys.end()
    return made


def load(folder, cut=None, n_subjects=None, **values):
    values = {"files": "{subject}_raw.fif", **values}
    cut = Cut(window=(0.0, 0.5)) if cut is None else cut
    return source(**values).load(cut, Context(folder, n_subjects=n_subjects), None)


@pytest.fixture
def study(tmp_path):
    for number, name in enumerate(["anna", "ben"]):
        annotated(seed=number).save(tmp_path / f"{name}_raw.fif", verbose="error")
    return tmp_path


def test_annotations(study):
    data = load(study)
    assert data.classes == ["left", "right"] and len(data.y) == 24
    assert data.y[:4].tolist() == [0, 1, 0, 1]
    assert data.meta["subject"].unique().tolist() == ["anna", "ben"]
    assert data.epochs.ch_names == ["C3", "Cz", "C4", "Fp1"] and len(data.epochs.times) == 50
    X, layout = data.signals()
    assert X.dtype == np.float32 and X.shape == (24, 4, 50) and layout["unit"] == "uV"
    np.testing.assert_allclose(X, data.epochs.get_data(units="uV"), rtol=1e-6)
    raw = mne.io.read_raw_fif(study / "anna_raw.fif", verbose="error")
    np.testing.assert_allclose(X[0], 1e6 * raw.get_data()[:, 200:250], rtol=1e-5)


def test_classes_are_chosen_and_named(study):
    cut = Cut(window=(0.0, 0.5), classes={"right": "R", "left": "L"})
    assert load(study, cut).classes == ["R", "L"]
    with pytest.raises(SuiteError, match=r"no events with the labels asked for"):
        load(study, Cut(window=(0.0, 0.5), classes={"up": "a", "down": "b"}))
    with pytest.raises(SuiteError, match=r"No epoch has the label\(s\) \['down'\]"):
        load(study, Cut(window=(0.0, 0.5), classes={"left": "a", "right": "b", "down": "c"}))
    data = load(study, Cut(window=(0.0, 0.5), classes={"left": "a", "right": "b", "769": "a"}))
    assert data.classes == ["a", "b"] and "['769']" in data.notes[0]  # of an older recording
    with pytest.raises(SuiteError, match=r"Fewer than two classes .* the labels \['left'\]"):
        load(study, Cut(window=(0.0, 0.5), classes={"left": "a"}))


def test_channels_rate_and_band(study):
    cut = Cut(window=(0.0, 1.0), channels=["c4", "C3"], sfreq=50.0, band=(2.0, 20.0))
    data = load(study, cut)
    assert data.epochs.ch_names == ["C4", "C3"] and data.epochs.info["sfreq"] == 50.0
    assert (
        data.epochs.get_data().std() < load(study, Cut(window=(0.0, 1.0))).epochs.get_data().std()
    )
    with pytest.raises(SuiteError, match="lacks the channels Oz; it has C3, Cz, C4, Fp1"):
        load(study, Cut(window=(0.0, 1.0), channels=["Oz"]))


def test_places_of_electrodes(study):
    data = load(study)
    assert all(ch["loc"][:3].any() for ch in data.epochs.info["chs"])
    data.epochs.rename_channels({"Cz": "X1"})  # known from its place alone: no array
    X, layout = data.signals()
    assert X is data.epochs and layout == {}


def test_people_whose_files_are_mixed(tmp_path):
    for name in ["anna_1", "ben_1", "cleo_1", "anna_2"]:
        (tmp_path / name[-1]).mkdir(exist_ok=True)
        annotated(seed=ord(name[0]) + int(name[-1])).save(
            tmp_path / name[-1] / f"{name[:-2]}_raw.fif", verbose="error"
        )
    data = load(tmp_path, files="*/{subject}_raw.fif", n_subjects=1)
    assert data.meta["subject"].unique().tolist() == ["anna"] and len(data.y) == 24


def test_events_without_an_epoch_are_told(tmp_path):
    raw = annotated()
    raw.set_annotations(raw.annotations + mne.Annotations([3.9, 29.9], [1.0, 0.0], ["BAD", "left"]))
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    data = load(tmp_path, Cut(window=(0.0, 0.5), classes={"left": "l", "right": "r"}))
    assert len(data.y) == 11
    assert data.notes == ["2 events gave no epoch (1 BAD, 1 TOO_SHORT)."]


def test_overlapping_epochs_are_counted(tmp_path):
    annotated().save(tmp_path / "one_raw.fif", verbose="error")
    assert load(tmp_path, Cut(window=(0.0, 2.0), sfreq=50.0)).n_overlapping == 0
    assert load(tmp_path, Cut(window=(0.0, 2.1), sfreq=50.0)).n_overlapping == 12


def test_channels_of_another_type(tmp_path):
    raw = annotated()
    raw.set_channel_types({"Fp1.": "eog"}, verbose="error").save(
        tmp_path / "one_raw.fif", verbose="error"
    )
    assert load(tmp_path).epochs.ch_names == ["C3", "Cz", "C4"]
    with pytest.raises(SuiteError, match=r"one_raw.fif marks Fp1 \(eog\) as no EEG"):
        load(tmp_path, Cut(window=(0.0, 0.5), channels=["C3", "Fp1"]))


def test_epochs_of_another_length(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 1.5)):
        mne.Epochs(
            raw_of(), np.c_[[200, 600], [0, 0], [1, 2]], tmin=0.0, tmax=seconds, baseline=None,
            event_id={"x": 1, "y": 2}, preload=True, verbose="error",
        ).save(tmp_path / f"{name}-epo.fif", verbose="error")  # fmt: skip
    with pytest.raises(SuiteError, match=r"b-epo.fif has epochs of 151 .* a-epo.fif of 101"):
        load(tmp_path, Cut(), files="{subject}-epo.fif")


def test_epochs_of_two_rates(tmp_path):
    """-0.2 s is no sample at 512 Hz; both are cut from -0.2 s on all the same."""
    for name, sfreq in (("a", 250.0), ("b", 512.0)):
        rng = np.random.default_rng(0)
        info = mne.create_info(["C3", "Cz"], sfreq, "eeg")
        raw = mne.io.RawArray(1e-5 * rng.normal(size=(2, int(8 * sfreq))), info, verbose="error")
        raw.set_annotations(mne.Annotations([2.0, 4.0], 0.0, ["x", "y"]))
        raw.save(tmp_path / f"{name}_raw.fif", verbose="error")
    data = load(tmp_path, Cut(window=(-0.2, 0.8), sfreq=125.0))
    assert len(data.y) == 4 and data.epochs.get_data().shape == (4, 2, 125)


def test_only_some_people(study):
    assert load(study, n_subjects=1).meta["subject"].unique().tolist() == ["anna"]


def test_stim_channel(tmp_path):
    raw_of(stim=True).save(tmp_path / "one_raw.fif", verbose="error")
    cut = Cut(window=(0.0, 0.5), classes={"1": "other", "2": "target"})
    data = load(tmp_path, cut)
    assert data.classes == ["other", "target"] and len(data.y) == 12
    assert "STI" not in data.epochs.ch_names
    with pytest.raises(SuiteError, match="no channel 'TRIG'"):
        load(tmp_path, cut, events="stim", stim_channel="TRIG")


@pytest.mark.parametrize(("name", "onset", "label"), [
    ("one_raw.csv", "onset", "label"), ("one_events.tsv", "onset", "trial_type"),
])  # fmt: skip
def test_tables_beside_files(tmp_path, name, onset, label):
    raw_of().save(tmp_path / "one_raw.fif", verbose="error")
    table = pd.DataFrame({onset: ONSETS, label: ["a", "b", "c"] * 4})
    table.to_csv(tmp_path / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    cut = Cut(window=(0.0, 0.5), classes={"a": "A", "c": "C"})
    data = load(tmp_path, cut)
    assert np.bincount(data.y).tolist() == [4, 4] and data.classes == ["A", "C"]


def test_labels_of_tables_are_text(tmp_path):
    """An empty cell makes no 1 a 1.0, and its event is in no class."""
    raw_of().save(tmp_path / "one_raw.fif", verbose="error")
    table = pd.DataFrame({"onset": ONSETS, "label": [" 1", "2 ", None] * 4})
    table.to_csv(tmp_path / "one_raw.csv", index=False)
    data = load(tmp_path)
    assert data.classes == ["1", "2"] and len(data.y) == 8
    assert data.notes == ["4 events gave no epoch (4 without a label)."]
    assert len(load(tmp_path, Cut(window=(0.0, 0.5), classes={"1": "a", "2": "b"})).y) == 8
    table.assign(onset=[None, *ONSETS[1:]]).to_csv(tmp_path / "one_raw.csv", index=False)
    with pytest.raises(SuiteError, match="a number in every row"):
        load(tmp_path)


def test_tables_without_their_columns(tmp_path):
    raw_of().save(tmp_path / "one_raw.fif", verbose="error")
    with pytest.raises(SuiteError, match="no table of events beside one_raw.fif"):
        load(tmp_path, events="table")
    pd.DataFrame({"when": [1.0]}).to_csv(tmp_path / "one_raw.csv")
    with pytest.raises(SuiteError, match="must have the columns onset"):
        load(tmp_path)


def epochs_file(folder, metadata=True):
    events = np.c_[np.arange(12) * 100, np.zeros(12, int), np.tile([1, 2], 6)]
    table = pd.DataFrame(
        {"condition": ["x", "y", "z"] * 4, "who": [f"p{i // 3}" for i in range(12)]}
    )
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz"], SFREQ, "eeg")
    mne.EpochsArray(
        1e-5 * rng.normal(size=(12, 2, 100)), info, events, tmin=-0.2, event_id={"one": 1, "two": 2},
        metadata=table if metadata else None, verbose="error",
    ).save(folder / "all-epo.fif", verbose="error")  # fmt: skip


def test_epochs_with_metadata(tmp_path):
    epochs_file(tmp_path)
    cut = Cut(classes={"x": "X", "y": "Y"})
    data = load(tmp_path, cut, files="all-epo.fif", label_column="condition", subject_column="who")
    assert len(data.y) == 8 and data.meta["subject"].nunique() == 4
    with pytest.raises(SuiteError, match=r"epochs from -0.2 to 0.8 s, and the window is 0 to 1 s"):
        load(tmp_path, Cut(window=(0.0, 1.0)), files="all-epo.fif")
    whole = load(tmp_path, Cut(window=(-0.204, 0.796)), files="all-epo.fif")
    assert len(whole.epochs.times) == 100  # samples need not lie on the window's edges
    cropped = load(tmp_path, Cut(window=(0.0, 0.5)), files="all-epo.fif")
    assert cropped.classes == ["one", "two"] and len(cropped.epochs.times) == 50
    with pytest.raises(
        SuiteError, match=r"no column 'kind' in its metadata; it has condition, who"
    ):
        load(tmp_path, cut, files="all-epo.fif", label_column="kind")
    with pytest.raises(SuiteError, match="too short to filter"):
        load(tmp_path, Cut(band=(1.0, 20.0)), files="all-epo.fif")


def test_exact_copies_are_left_out(tmp_path):
    raw = annotated()
    raw._data[:, 200:250] = raw._data[:, 600:650]  # the first trial again as the third
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    data = load(tmp_path)
    assert len(data.y) == 11 and data.notes == [
        "1 of 12 epochs are exact copies of others and were left out."
    ]


def test_large_amplitudes_are_left_out(tmp_path):
    raw = annotated()
    raw._data[0, 410] = 1e-3
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    data = load(tmp_path, reject_uv=200.0)
    assert (
        len(data.y) == 11 and data.y[:3].tolist() == [0, 0, 1] and "1 epochs above" in data.notes[0]
    )


def test_patterns(study):
    for number in (1, 2):
        folder = study / f"sub-0{number}" / "eeg"
        folder.mkdir(parents=True)
        for run in ("a", "b"):
            annotated(seed=number).save(
                folder / f"sub-0{number}_run-{run}_raw.fif", verbose="error"
            )
    data = load(
        study, files="sub-{subject}/**/sub-{subject}_run-{run}_raw.fif", keep={"run": ["b"]}
    )
    assert data.meta["subject"].unique().tolist() == ["01", "02"]
    assert data.meta["run"].unique().tolist() == ["b"]
    with pytest.raises(SuiteError, match=r"keep names run \['c'\], which no file has"):
        load(study, files="sub-*/**/*_run-{run}_raw.fif", keep={"run": ["a", "c"]})
    (study / "sub-02" / "eeg" / "sub-02_run-b_raw.fif").unlink()
    with pytest.raises(SuiteError, match="3 match, but keep leaves none"):
        load(
            study,
            files="sub-{subject}/**/*_run-{run}_raw.fif",
            keep={"run": ["b"], "subject": ["02"]},
        )
    with pytest.raises(SuiteError, match="it holds, for example, anna_raw.fif"):
        load(study, files="{subject}.edf")
    with pytest.raises(SuiteError, match="keep names 'task', which is not in"):
        load(study, keep={"task": ["x"]})


def test_other_channels_in_one_file(study):
    annotated(names=("C3", "Pz")).save(study / "carl_raw.fif", verbose="error")
    with pytest.raises(SuiteError, match=r"carl_raw.fif has other channels .* channels: \[C3\]"):
        load(study)
    assert load(study, Cut(window=(0.0, 0.5), channels=["C3"])).epochs.ch_names == ["C3"]


def test_folders_that_are_wrong(tmp_path):
    with pytest.raises(SuiteError, match="pass --data FOLDER"):
        load(None)
    with pytest.raises(SuiteError, match="is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(SuiteError, match=r"No recordings \(.edf"):
        load(tmp_path)
    (tmp_path / "broken_raw.fif").write_bytes(b"no recording")
    with pytest.raises(SuiteError, match="broken_raw.fif cannot be read"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no"):
        find_recordings([tmp_path / "x.edf"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SuiteError, match="'notes.txt' is none of .edf"):
        find_recordings([tmp_path / "notes.txt"])


def test_describing_a_folder(study):
    files, labels = describe_folder(study)
    assert len(files) == 2 and labels == {"left": 12, "right": 12}


def test_names_of_electrodes():
    raw = tidy_channels(raw_of(("EEG FP1-REF", "fc5.", "T3", "Status")))
    assert raw.ch_names == ["Fp1", "FC5", "T3", "Status"]


def test_real_edf(recordings):
    keep = {"files": "eegbci/S{subject}R{run}.edf", "keep": {"run": ["06"]}}
    cut = Cut(window=(1.0, 2.0), band=(7.0, 30.0), classes={"T1": "hands", "T2": "feet"})
    data = load(recordings, cut, **keep)
    assert data.epochs.ch_names[:2] == ["FC5", "FC3"] and len(data.epochs.times) == 160
    assert data.classes == ["hands", "feet"] and data.meta["subject"].unique().tolist() == ["001"]


@pytest.mark.filterwarnings("ignore:Montage name 'standard_1005' is deprecated:FutureWarning")
class TestRehearsals:
    """What needs the network runs on fake data through the same code."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path):
        pytest.importorskip("moabb", minversion="1.7")
        config = {"_MNE_FAKE_HOME_DIR": "home", "MNE_DATA": "data", "MOABB_RESULTS": "results"}
        for name in config.values():
            (tmp_path / name).mkdir()
        paths = {key: str(tmp_path / name) for key, name in config.items()}
        temp = mock.patch.object(tempfile, "tempdir", str(tmp_path))
        with mock.patch.dict(os.environ, paths), temp:
            yield

    def test_moabb(self):
        made = source(
            "moabb", dataset="BNCI2014_001", paradigm="MotorImagery", sessions="0train 1test"
        )
        context = Context(rehearse=True, n_subjects=2)
        assert made.subjects(context) == ["1", "2"]
        cut = Cut(window=(0.0, 1.0), band=(1.0, 40.0), channels=["C3", "C4"], classes={
            name: name for name in ("left_hand", "right_hand", "feet", "tongue")
        })  # fmt: skip
        data = made.load(cut, context, ["2"])
        assert data.classes == ["left_hand", "right_hand", "feet", "tongue"]
        assert data.meta["session"].unique().tolist() == ["0train", "1test"]
        assert data.meta["subject"].unique().tolist() == ["2"]
        assert data.epochs.get_data().shape == (48, 2, 256)

    def test_moabb_fake_data_set_itself(self):
        """The code path of a real data set, on MOABB's fake one."""
        made = source(
            "moabb", dataset="FakeDataset", paradigm="P300",
            dataset_params={"event_list": ["Target", "NonTarget"], "n_subjects": 2, "n_sessions": 1,
                            "n_runs": 1, "n_events": 12, "duration": 20, "paradigm": "p300", "seed": 1},
        )  # fmt: skip
        assert made.subjects(Context()) == ["1", "2"]
        cut = Cut(window=(0.0, 0.5), classes={"NonTarget": "NonTarget", "Target": "Target"})
        data = made.load(cut, Context(), ["1", "2"])
        assert data.classes == ["NonTarget", "Target"] and len(data.y) == 24
        assert 0.05 < 1e6 * data.epochs.get_data().std() < 1000

    def test_moabb_mistakes(self):
        made = source("moabb", dataset="BNCI2014_999", paradigm="P300")
        with pytest.raises(SuiteError, match="MOABB has no data set 'BNCI2014_999'"):
            made.subjects(Context())
        made = source(
            "moabb", dataset="Lee2019_MI", paradigm="P300", dataset_params={"train": True}
        )
        with pytest.raises(SuiteError, match="dataset_params of Lee2019_MI are wrong"):
            made.subjects(Context())

    def test_braindecode_labels_of_recordings(self):
        made = source(
            "braindecode", dataset="TUHAbnormal", target="pathological", window_s=2,
            columns={"subject": "subject", "set": "train"}, max_windows=2,
        )  # fmt: skip
        cut = Cut(channels=["Fp1", "O2"], sfreq=64.0, band=(1.0, 30.0), classes={
            "False": "normal", "True": "abnormal"
        })  # fmt: skip
        data = made.load(cut, Context(rehearse=True), None)
        assert data.classes == ["normal", "abnormal"] and len(data.y) == 24
        assert data.epochs.get_data().shape[1:] == (2, 128)
        assert set(data.meta["set"]) == {"True", "False"} and data.meta["recording"].nunique() == 12
        with pytest.raises(SuiteError, match="TUHAbnormal needs the folder of its recordings"):
            made.load(cut, Context(), None)

    def test_braindecode_events(self):
        made = source(
            "braindecode", dataset="SleepPhysionet", target="events", window_s=1, max_windows=3
        )
        cut = Cut(channels=["Fpz", "Pz"], rename={"Fpz-Cz": "Fpz", "Pz-Oz": "Pz"}, classes={
            "Sleep stage W": "W", "Sleep stage 3": "N3", "Sleep stage 4": "N3"
        })  # fmt: skip
        data = made.load(cut, Context(rehearse=True, n_subjects=2), None)
        assert data.classes == ["W", "N3"] and data.epochs.ch_names == ["Fpz", "Pz"]
        # of four recordings: three windows of each of three labels, two of which are one class
        assert np.bincount(data.y).tolist() == [12, 24] and data.meta["subject"].nunique() == 2
