"""The real recordings as classification tasks, each with the split and metric of its field.

A task holds raw MNE epochs: every model does its own filtering inside a pipeline or takes them as
they are, except where the field's protocol filters the continuous recording first (named below).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, ShuffleSplit, StratifiedKFold


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
    kind: str  # "erp", "rhythm" or "person": which classical features are the field's own


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


def stimulus(data: Path) -> Task:
    """First or second stimulus of a pair, in people that the model never saw."""
    epochs = _uci(data)
    y = (epochs.metadata["condition"] == "S1 obj").to_numpy().astype(int)
    groups = epochs.metadata["subject"].to_numpy()
    return Task("UCI stimulus 1 or 2", epochs, y, groups, LeaveOneGroupOut(), "balanced_accuracy",
                "uci", "erp")  # fmt: skip


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
    return Task("Muse SSVEP", epochs, y, groups, GroupKFold(6), "roc_auc", "muse", "rhythm")


TASKS: dict[str, Callable[[Path], Task]] = {
    "hands_feet": hands_or_feet,
    "stimulus": stimulus,
    "person": person,
    "p300": p300,
    "ssvep": ssvep,
}
