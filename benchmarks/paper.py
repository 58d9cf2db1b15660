"""The paper's data sets that come as folders, as epochs for ``dare-sklearn benchmark``.

Run: python -m benchmarks.paper {tuab,tuev,seed-iv,sleep-edf} FOLDER OUT-epo.fif [--most 20]

FOLDER is the data set as its owners hand it out; `docs/guide/paper.md` says which, and with what
the epochs are compared. Every epoch is at 256 Hz and in volts, unfiltered but for an anti-alias
filter; its metadata hold label, subject, and session or split. At most --most epochs are taken of a
recording and label, evenly over it: all of TUAB would be 360,000. All epochs are held in memory: 20
of each of TUAB's recordings are about 23 GB, and joining them takes as much again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from dare_sklearn.signals.electrodes import TEN_TWENTY, electrode_name

SFREQ = 256.0
TUEV = {1: "spsw", 2: "gped", 3: "pled", 4: "eyem", 5: "artf", 6: "bckg"}
STAGES = {
    "Sleep stage W": "W", "Sleep stage 1": "N1", "Sleep stage 2": "N2", "Sleep stage 3": "N3",
    "Sleep stage 4": "N3", "Sleep stage R": "R",
}  # fmt: skip
WAKE_S = 1800.0  # that is kept before and after the sleep
# Of the 24 films of each session, in the order of their trials
EMOTIONS = ("neutral", "sad", "fear", "happy")
SEED_IV = (
    (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
)
SEED_CHANNELS = """
FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ
C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6
PO8 CB1 O1 OZ O2 CB2
""".split()
Parts = Iterator[mne.BaseEpochs]


def tuab(folder: Path, most: int) -> Parts:
    """Normal or abnormal recordings: ten-second windows, ``edf/{train,eval}/{normal,abnormal}``."""
    for file in _edf(folder):
        split, label = _inside(file, "train", "eval"), _inside(file, "normal", "abnormal")
        raw = _ten_twenty(file)
        onsets = np.arange(0, raw.times[-1] - 10, 10.0)
        about = {"subject": file.stem.split("_")[0], "split": split}
        yield _cut(raw, onsets, [label] * len(onsets), 10.0, most, about)


def tuev(folder: Path, most: int) -> Parts:
    """Six kinds of events: five seconds around each, with the ``.rec`` file beside an EDF file."""
    for file in _edf(folder):
        rec = pd.read_csv(file.with_suffix(".rec"), names=["channel", "start", "stop", "code"])
        # one event is marked once for every pair of electrodes that shows it
        events = rec.drop_duplicates(["start", "stop", "code"])
        raw = _ten_twenty(file)
        onsets = ((events["start"] + events["stop"]) / 2 - 2.5).to_numpy()
        about = {"subject": file.parent.name, "split": _inside(file, "train", "eval")}
        yield _cut(raw, onsets, events["code"].map(TUEV).tolist(), 5.0, most, about)


def seed_iv(folder: Path, most: int) -> Parts:
    """Four emotions: four-second windows of ``eeg_raw_data/{1,2,3}/SUBJECT_DATE.mat``."""
    from scipy.io import loadmat

    info = mne.create_info(SEED_CHANNELS, 200.0, "eeg")
    for file in sorted(folder.rglob("*.mat")):
        session = int(file.parent.name)
        about = {"subject": file.stem.split("_")[0], "session": str(session)}
        films = {name: x for name, x in loadmat(file).items() if "_eeg" in name}
        for number, emotion in enumerate(SEED_IV[session - 1], start=1):
            (film,) = (x for name, x in films.items() if name.endswith(f"_eeg{number}"))
            raw = mne.io.RawArray(1e-6 * film, info).resample(SFREQ)
            onsets = np.arange(0, raw.times[-1] - 4, 4.0)
            labels = [EMOTIONS[emotion]] * len(onsets)
            yield _cut(raw, onsets, labels, 4.0, most, {**about, "trial": number})


def sleep_edf(folder: Path, most: int) -> Parts:
    """Five stages in 30 seconds, of the pairs Fpz-Cz and Pz-Oz."""
    for file in sorted(folder.rglob("*-PSG.edf")):
        (scored,) = file.parent.glob(f"{file.name[:7]}*-Hypnogram.edf")
        raw = mne.io.read_raw_edf(file, include=["EEG Fpz-Cz", "EEG Pz-Oz"], preload=True)
        raw.resample(SFREQ)
        onsets, labels = [], []
        for onset, seconds, text in zip(
            *(getattr(mne.read_annotations(scored), name)
              for name in ("onset", "duration", "description")), strict=True
        ):  # fmt: skip
            if text in STAGES:
                starts = np.arange(onset, min(onset + seconds, raw.times[-1]) - 29.99, 30.0)
                onsets += starts.tolist()
                labels += [STAGES[text]] * len(starts)
        asleep = [onset for onset, label in zip(onsets, labels, strict=True) if label != "W"]
        keep = [min(asleep) - WAKE_S <= onset <= max(asleep) + WAKE_S for onset in onsets]
        about = {"subject": file.name[3:5], "session": file.name[5]}
        yield _cut(raw, np.array(onsets)[keep], np.array(labels)[keep], 30.0, most, about)


def _edf(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.edf"))


def _inside(file: Path, *names: str) -> str:
    """The one of these folders that a file lies in."""
    for name in names:
        if name in file.parts:
            return name
    raise SystemExit(f"{file} lies in no folder {' or '.join(names)}, as its owners hand it out.")


def _ten_twenty(file: Path) -> mne.io.BaseRaw:
    """The 19 electrodes of the 10-20 system of a clinical recording, under their names of today."""
    raw = mne.io.read_raw_edf(file)
    names = {electrode_name(name): name for name in raw.ch_names}
    if lacking := [electrode for electrode in TEN_TWENTY if electrode not in names]:
        raise SystemExit(f"{file} lacks {', '.join(lacking)} of the 10-20 system: take it out.")
    raw.pick([names[electrode] for electrode in TEN_TWENTY]).load_data().resample(SFREQ)
    return raw.rename_channels({names[electrode]: electrode for electrode in TEN_TWENTY})


def _cut(raw, onsets, labels, seconds: float, most: int, about: dict) -> mne.BaseEpochs:
    """Epochs from these onsets (s); of each label at most `most`, evenly over the recording."""
    onsets, labels = np.asarray(onsets, dtype=float), np.asarray(labels)
    keep = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        keep += rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round())
                     .astype(int)].tolist()  # fmt: skip
    keep = [i for i in sorted(keep) if 0 <= onsets[i] <= raw.times[-1] - seconds]
    if not keep:
        who = about["subject"]
        raise SystemExit(f"A recording of {who} has no epoch of {seconds:g} s: take it out.")
    first = np.round(onsets[keep] * raw.info["sfreq"]).astype(int)
    data = np.stack([raw.get_data(start=a, stop=a + round(seconds * SFREQ)) for a in first])
    metadata = pd.DataFrame({"label": labels[keep], **about})
    return mne.EpochsArray(data, raw.info, metadata=metadata)


SETS = {"tuab": tuab, "tuev": tuev, "seed-iv": seed_iv, "sleep-edf": sleep_edf}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most", type=int, default=20)
    args = parser.parse_args(argv)
    with mne.use_log_level("error"):
        parts = list(SETS[args.set](args.folder, args.most))
        if not parts:
            raise SystemExit(f"{args.folder} holds no recording of {args.set}.")
        epochs = mne.concatenate_epochs(parts)
        epochs.save(args.out, overwrite=True)
    print(epochs.metadata.groupby("label")["subject"].agg(["size", "nunique"]).to_string())


if __name__ == "__main__":
    main()
