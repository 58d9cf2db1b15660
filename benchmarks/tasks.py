"""The real recordings as classification tasks, each with the split and metric of its field.

A task holds raw MNE epochs: every model does its own filtering inside a pipeline or takes them as
they are, except where the field's protocol filters the continuous recording first (named below).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from dare_sklearn.transformers import EuclideanAligner, SpectralAligner

FULL = "train_and_target_unlabeled_full"


@dataclass
class Task:
    """One question to one data set."""

    name: str
    epochs: mne.BaseEpochs
    y: np.ndarray
    groups: np.ndarray | None
    cv: Any
    scoring: str
    corpus: str  # the data set, as the pretraining recipe calls it
    kind: str  # which classical features are the field's own: a key of `classical.BEST`
    cs_mode: str | None = None  # across people: target data in use, as MOABB's CrossSubjectMode
    per_person: bool = False  # the label is a person's: windows are averaged before scoring
    frequencies: tuple[float, ...] = ()  # of the flicker, in Hz


class WithinGroups:
    """Folds of trials inside each group: nothing is learned from another person."""

    def __init__(self, n_splits: int = 5) -> None:
        self.n_splits = n_splits

    def split(self, X: Any, y: np.ndarray, groups: np.ndarray) -> Iterator[tuple]:
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            for train, test in StratifiedKFold(self.n_splits).split(rows, y[rows]):
                yield rows[train], rows[test]

    def get_n_splits(self, X: Any, y: Any, groups: np.ndarray) -> int:
        return self.n_splits * len(np.unique(groups))


def hands_or_feet(data: Path) -> Task:
    """Imagined movement of both hands or both feet, one person, ten random splits.

    7 to 30 Hz, 1 to 2 s after the cue: MNE's own CSP example.
    """
    runs = [data / "eegbci" / f"S001R{run:02d}.edf" for run in (6, 10, 14)]
    raw = mne.concatenate_raws([mne.io.read_raw_edf(run, preload=True) for run in runs])
    mne.datasets.eegbci.standardize(raw)
    raw.set_montage("colin27_1005").filter(7.0, 30.0)
    events, _ = mne.events_from_annotations(raw, event_id={"T1": 0, "T2": 1})
    epochs = mne.Epochs(
        raw, events, {"hands": 0, "feet": 1}, tmin=-1, tmax=4, baseline=None, preload=True
    ).crop(1.0, 2.0, include_tmax=False)
    cv = ShuffleSplit(10, test_size=0.2, random_state=42)
    return Task("EEGBCI hands or feet", epochs, epochs.events[:, 2], None, cv, "accuracy",
                "eegbci", "rhythm")  # fmt: skip


def _uci(data: Path) -> mne.BaseEpochs:
    """Trials without their copies: 24 of the 593 are bit by bit the same as another one.

    A copy in a training fold gives its test trial away, and of two copies retrieval can find one.
    """
    epochs = mne.read_epochs(data / "uci_eeg" / "uci_eeg-epo.fif").pick("eeg")
    _, first = np.unique(epochs.get_data().reshape(len(epochs), -1), axis=0, return_index=True)
    return epochs[np.sort(first)]


def stimulus(data: Path, cs_mode: str = "train") -> Task:
    """First or second stimulus of a pair, in people that the model never saw.

    In MOABB's mode "train" as they come; in "train_and_target_unlabeled_full" the spectra of people
    are aligned, for every model alike, with their own epochs, so that folds change nothing.
    """
    epochs = _uci(data)
    y = (epochs.metadata["condition"] == "S1 obj").to_numpy().astype(int)
    groups = epochs.metadata["subject"].to_numpy()
    epochs, name = _aligned(SpectralAligner, epochs, "UCI stimulus 1 or 2", cs_mode)
    return Task(name, epochs, y, groups, LeaveOneGroupOut(), "balanced_accuracy", "uci", "erp",
                cs_mode=cs_mode)  # fmt: skip


def _aligned(aligner: type, epochs: mne.BaseEpochs, name: str, cs_mode: str) -> tuple:
    """Epochs and the name of their task, as the mode wants them."""
    if cs_mode == FULL:
        return aligner(group_by="subject").fit_transform(epochs), f"{name}, aligned"
    return epochs, name


def person(data: Path) -> Task:
    """Whose trial it is, among ten people; every person is in the training folds."""
    epochs = _uci(data)
    y = epochs.metadata["subject"].to_numpy()
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    return Task("UCI person", epochs, y, None, cv, "accuracy", "uci", "person")


def _muse(data: Path, pattern: str, event_id: dict[str, int], span: tuple, band: tuple):
    parts, groups = [], []
    for number, file in enumerate(sorted((data / "muse").glob(pattern))):
        raw = mne.io.read_raw_fif(file, preload=True).filter(*band, picks="eeg")
        events = mne.find_events(raw, shortest_event=1, consecutive=True)
        epochs = mne.Epochs(
            raw,
            events,
            event_id,
            tmin=span[0],
            tmax=span[1],
            baseline=None,
            reject={"eeg": 100e-6},
            preload=True,
        ).pick("eeg")
        parts.append(epochs)
        groups += [number] * len(epochs)
    return mne.concatenate_epochs(parts), np.array(groups)


def p300(data: Path) -> Task:
    """Target or not, one person's 16 recordings with a consumer headband; 1 to 30 Hz."""
    event_id = {"other": 1, "target": 2}
    epochs, groups = _muse(data, "visual-P300_sub-1*", event_id, (-0.1, 0.9), (1.0, 30.0))
    y = (epochs.events[:, 2] == 2).astype(int)
    return Task("Muse P300", epochs, y, groups, GroupKFold(5), "roc_auc", "muse", "erp")


def ssvep(data: Path) -> Task:
    """Flicker of 30 or 20 Hz, one person's 6 recordings with a consumer headband; 1 to 45 Hz."""
    event_id = {"30 Hz": 1, "20 Hz": 2}
    epochs, groups = _muse(data, "visual-SSVEP*", event_id, (0.0, 3.0), (1.0, 45.0))
    y = (epochs.events[:, 2] == 2).astype(int)
    return Task(
        "Muse SSVEP",
        epochs,
        y,
        groups,
        GroupKFold(6),
        "roc_auc",
        "muse",
        "flicker",
        frequencies=(20.0, 30.0),
    )


def _recordings(folder: Path) -> Iterator[tuple[str, Any, mne.io.BaseRaw]]:
    """Person, group and recording of each row of a set's ``people.csv``."""
    for row in pd.read_csv(folder / "people.csv", dtype={"subject": str}).itertuples():
        yield row.subject, row.group, mne.io.read_raw_fif(folder / row.file, preload=True)


def _cut(
    raw: mne.io.BaseRaw, labels: dict[str, int], tmin: float, tmax: float, subject: str
) -> mne.BaseEpochs:
    """Epochs from `tmin` to `tmax` (excluded) after the annotations that `labels` names."""
    events, _ = mne.events_from_annotations(raw, labels)
    return mne.Epochs(
        raw, events, tmin=tmin, tmax=tmax - 1 / raw.info["sfreq"], baseline=None, preload=True,
        metadata=pd.DataFrame({"subject": [subject] * len(events)}),
    )  # fmt: skip


def _windows(raw: mne.io.BaseRaw, label: int, subject: str, seconds: float = 4.0):
    """Windows of a recording that is one state from end to end, 1 to 45 Hz."""
    epochs = mne.make_fixed_length_epochs(raw.filter(1.0, 45.0), seconds, preload=True)
    epochs.events[:, 2], epochs.event_id = label, {str(label): label}
    epochs.metadata = pd.DataFrame({"subject": [subject] * len(epochs)})
    return epochs


def _joined(parts: list[mne.BaseEpochs]) -> tuple[mne.BaseEpochs, np.ndarray, np.ndarray]:
    """Epochs of all recordings in the first one's order of channels, labels and people."""
    epochs = mne.concatenate_epochs([part.pick(parts[0].ch_names) for part in parts])
    return epochs, epochs.events[:, 2], epochs.metadata["subject"].to_numpy()


def _left_right(data: Path) -> tuple[mne.BaseEpochs, np.ndarray, np.ndarray]:
    """7 to 30 Hz, 0.5 to 3.5 s after the cue."""
    labels = {"T1": 0, "T2": 1}
    return _joined([
        _cut(raw.filter(7.0, 30.0), labels, 0.5, 3.5, subject)
        for subject, _, raw in _recordings(data / "eegbci_left_right")
    ])  # fmt: skip


def left_right_within(data: Path) -> Task:
    """Imagined left or right fist, every person on their own."""
    epochs, y, groups = _left_right(data)
    return Task("EEGBCI left or right, within people", epochs, y, groups, WithinGroups(),
                "accuracy", "eegbci_left_right", "rhythm")  # fmt: skip


def left_right_across(data: Path, cs_mode: str = "train") -> Task:
    """Imagined left or right fist of people that the model never saw.

    Modes as of the stimulus, but people are whitened.
    """
    epochs, y, groups = _left_right(data)
    epochs, name = _aligned(
        EuclideanAligner, epochs, "EEGBCI left or right, across people", cs_mode
    )
    return Task(name, epochs, y, groups, GroupKFold(5), "accuracy", "eegbci_left_right", "rhythm",
                cs_mode=cs_mode)  # fmt: skip


def eyes(data: Path, cs_mode: str = "train") -> Task:
    """Eyes closed or open, in people that the model never saw; modes as of the stimulus."""
    return _states(data, "depression_rest", "eyes_closed", "Eyes closed or open", 5,
                   "balanced_accuracy", cs_mode)  # fmt: skip


def arithmetic(data: Path, cs_mode: str = "train") -> Task:
    """Mental arithmetic or rest, in people that the model never saw; modes as of the stimulus.

    Three windows of rest for one of arithmetic: ROC AUC, which does not depend on a threshold.
    """
    return _states(data, "mental_arithmetic", "mental_arithmetic", "Arithmetic or rest", 4,
                   "roc_auc", cs_mode)  # fmt: skip


def _states(
    data: Path, folder: str, state: str, name: str, n_folds: int, scoring: str, cs_mode: str
) -> Task:
    """People of whom both states were recorded: a score of one class says nothing."""
    epochs, y, groups = _joined([
        _windows(raw, int(state in raw.annotations.description), subject)
        for subject, _, raw in _recordings(data / folder)
    ])  # fmt: skip
    both = pd.Series(y).groupby(groups).transform("nunique").to_numpy() == 2
    epochs, y, groups = epochs[both], y[both], groups[both]
    epochs, name = _aligned(SpectralAligner, epochs, name, cs_mode)
    return Task(name, epochs, y, groups, GroupKFold(n_folds), scoring, folder, "state",
                cs_mode=cs_mode)  # fmt: skip


def _patients(data: Path, folder: str, patient: str, name: str) -> Task:
    epochs, y, groups = _joined([
        _windows(raw, int(group == patient), subject)
        for subject, group, raw in _recordings(data / folder)
    ])  # fmt: skip
    cv = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    return Task(name, epochs, y, groups, cv, "roc_auc", folder, "state", cs_mode="train",
                per_person=True)  # fmt: skip


def depressed(data: Path) -> Task:
    """Depressed or healthy at rest: one score per person, and few people."""
    return _patients(data, "depression_rest", "MDD", "Depressed or healthy")


def epilepsy(data: Path) -> Task:
    """Epilepsy or none at rest, in the field: one score per person, and few people."""
    return _patients(data, "epilepsy_rest", "epilepsy", "Epilepsy or control")


def _ssvep_led(data: Path, name: str, cv: Any, cs_mode: str | None) -> Task:
    """Flicker of 13, 17 or 21 Hz or none, 1 to 5 s after its start; 5 to 45 Hz."""
    labels = {"reject": 0, "ssvep_13Hz": 13, "ssvep_17Hz": 17, "ssvep_21Hz": 21}
    epochs, y, groups = _joined([
        _cut(raw.filter(5.0, 45.0), labels, 1.0, 5.0, subject)
        for subject, _, raw in _recordings(data / "ssvep_led")
    ])  # fmt: skip
    return Task(name, epochs, y, groups, cv, "accuracy", "ssvep_led", "flicker", cs_mode=cs_mode,
                frequencies=(13.0, 17.0, 21.0))  # fmt: skip


def ssvep_led_within(data: Path) -> Task:
    """Which of three lights is looked at, or none, every person on their own."""
    return _ssvep_led(data, "SSVEP four classes, within people", WithinGroups(4), None)


def ssvep_led_across(data: Path) -> Task:
    """The same in people that the model never saw."""
    return _ssvep_led(data, "SSVEP four classes, across people", GroupKFold(4), "train")


TASKS: dict[str, Callable[[Path], Task]] = {
    "hands_feet": hands_or_feet,
    "stimulus": stimulus,
    "stimulus_aligned": partial(stimulus, cs_mode=FULL),
    "person": person,
    "p300": p300,
    "ssvep": ssvep,
    "left_right_within": left_right_within,
    "left_right_across": left_right_across,
    "left_right_aligned": partial(left_right_across, cs_mode=FULL),
    "eyes": eyes,
    "eyes_aligned": partial(eyes, cs_mode=FULL),
    "arithmetic": arithmetic,
    "arithmetic_aligned": partial(arithmetic, cs_mode=FULL),
    "depressed": depressed,
    "epilepsy": epilepsy,
    "ssvep_led_within": ssvep_led_within,
    "ssvep_led_across": ssvep_led_across,
}
