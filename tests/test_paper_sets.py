"""The paper's data sets by folder: tiny ones in the layout of each go through to the command."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from scipy.io import savemat

from benchmarks import paper
from dare_sklearn.cli import main as command
from dare_sklearn.signals.electrodes import TEN_TWENTY

OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
pytestmark = pytest.mark.filterwarnings("ignore:Data has a non-integer sampling rate")


def noise(n_chans, seconds, sfreq, seed=0):
    return 1e-5 * np.random.default_rng(seed).standard_normal((n_chans, round(seconds * sfreq)))


def write_edf(path, names, signals, sfreq):
    """A recording with the names of a hospital, and a channel that is no EEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = mne.create_info([*names, "EKG1"], sfreq, "eeg")
    raw = mne.io.RawArray(np.r_[signals, signals[:1]], info, verbose="error")
    mne.export.export_raw(path, raw, verbose="error")


CLINICAL = [f"EEG {OLD.get(name, name)}-REF" for name in TEN_TWENTY]


# In each set the amplitude tells the label: LABELS in the order of rising amplitude
def tuab(folder):
    for number in range(8):
        split, label = ("train", "eval")[number % 2], ("normal", "abnormal")[number // 4]
        file = folder / split / label / "01_tcp_ar" / f"aaaaaa{number:02d}_s001_t000.edf"
        sfreq = 256.0 if number % 3 else 250.0
        write_edf(file, CLINICAL, (1 + number // 4) * noise(19, 45, sfreq), sfreq)


def tuev(folder):
    for seed, person in enumerate(("aaaaaaar", "aaaaaaas", "aaaaaaat")):
        file = folder / "train" / person / f"{person}_00000001.edf"
        signals = noise(19, 60, 250.0, seed)
        signals[:, 30 * 250 :] *= 2
        write_edf(file, CLINICAL, signals, 250.0)
        rows = [
            f"{c},{t}.0,{t + 1}.0,{6 if t < 30 else 2}" for t in range(3, 55, 6) for c in (1, 5)
        ]
        file.with_suffix(".rec").write_text("\n".join(rows) + "\n")


def seed_iv(folder):
    for session in (1, 2, 3):
        path = folder / "eeg_raw_data" / str(session)
        path.mkdir(parents=True, exist_ok=True)
        for person in (1, 2):
            films = {
                f"xx_eeg{k}": 1e6 * (1 + emotion) * noise(62, 5, 200.0, k)
                for k, emotion in enumerate(paper.SEED_IV[session - 1], start=1)
            }
            savemat(path / f"{person}_20150915.mat", films)


def sleep_edf(folder):
    stages = ["Sleep stage W", "Sleep stage 1", "Sleep stage 2", "Sleep stage 4", "Sleep stage R",
              "Sleep stage ?"]  # fmt: skip
    for person in (0, 1):
        signals = noise(2, 660, 100.0, person) * (1 + np.arange(66_000) // 12_000)
        pairs = ["EEG Fpz-Cz", "EEG Pz-Oz"]
        write_edf(folder / f"SC4{person:02d}1E0-PSG.edf", pairs, signals, 100.0)
        scored = mne.io.RawArray(
            np.zeros((1, 72_000)), mne.create_info(["x"], 100.0, "eeg"), verbose="error"
        ).set_annotations(mne.Annotations(np.arange(6) * 120.0, 120.0, stages))
        file = folder / f"SC4{person:02d}1EC-Hypnogram.edf"
        mne.export.export_raw(file, scored, verbose="error")


LABELS = {
    "tuab": ["normal", "abnormal"], "tuev": ["bckg", "gped"], "seed-iv": list(paper.EMOTIONS),
    "sleep-edf": ["W", "N1", "N2", "N3", "R"],
}  # fmt: skip


@pytest.fixture(scope="module", params=[tuab, tuev, seed_iv, sleep_edf], ids=lambda f: f.__name__)
def found(request, tmp_path_factory):
    pytest.importorskip("edfio", reason="edfio, which writes EDF files, is not installed")
    folder = tmp_path_factory.mktemp("set")
    request.param(folder)
    out = folder / "all-epo.fif"
    name = request.param.__name__.replace("_", "-")
    paper.main([name, str(folder), str(out), "--most", "3"])
    return name, out, mne.read_epochs(out, verbose="error")


def test_epochs_labels_and_people(found):
    name, _, epochs = found
    seconds, n_chans, n_people = {
        "tuab": (10, 19, 8), "tuev": (5, 19, 3), "seed-iv": (4, 62, 2), "sleep-edf": (30, 2, 2),
    }[name]  # fmt: skip
    assert epochs.info["sfreq"] == 256.0 and len(epochs.times) == seconds * 256
    assert len(epochs.ch_names) == n_chans and epochs.metadata["subject"].nunique() == n_people
    # every epoch lies where its label is, and is in volts
    spread = np.median(epochs.get_data(units="uV").std(axis=-1), axis=1)
    assert epochs.metadata["label"].tolist() == [LABELS[name][round(s / 10) - 1] for s in spread]
    assert set(epochs.metadata["label"]) == set(LABELS[name])
    counts = epochs.metadata.groupby(["subject", "label"]).size()
    assert (counts <= 3 * {"seed-iv": 18}.get(name, 1)).all()


def test_the_command_takes_them(found, tmp_path, capsys):
    name, out, _ = found
    if name in ("seed-iv", "tuab"):
        pytest.skip("alike but for its size")
    pipelines = ["DARE conv-linear probe"] if name == "sleep-edf" else ["DARE embeddings + LR"]
    code = command([
        "benchmark", str(out), "--label", "label", "--groups", "subject", "--pipelines", *pipelines,
        "--out", str(tmp_path / "report"),
    ])  # fmt: skip
    assert not code, capsys.readouterr()
    assert (tmp_path / "report" / "summary.csv").exists()


@pytest.mark.parametrize(
    ("place", "names", "seconds", "said"),
    [("eval/normal", CLINICAL[1:], 15, "lacks FP1 of the 10-20 system: take it out"),
     ("eval", CLINICAL, 15, "lies in no folder normal or abnormal"),
     ("eval/normal", CLINICAL, 5, "of aaa has no epoch of 10 s: take it out")],
)  # fmt: skip
def test_recordings_that_cannot_be_used(place, names, seconds, said, tmp_path):
    pytest.importorskip("edfio", reason="edfio, which writes EDF files, is not installed")
    file = tmp_path / place / "aaa_s001_t000.edf"
    write_edf(file, names, noise(len(names), seconds, 256.0), 256.0)
    with pytest.raises(SystemExit, match=said):
        paper.main(["tuab", str(tmp_path), str(tmp_path / "all-epo.fif")])
