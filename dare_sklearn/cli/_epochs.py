"""Labelled epochs for ``dare-sklearn benchmark``: from the user's files, or simulated."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation._identity import digest_each
from ..signals.electrodes import TEN_TWENTY
from ..signals.errors import listed
from ..signals.files import event_labels, event_seconds, explain, holds_epochs, open_epochs
from ..signals.objects import tell_moved
from ._options import UsageError, name_files, pick_and_filter

NUMBERED = 3  # samples: typical events are further apart; numbers of epochs, some dropped, are not
EVENT, FILE = "event", "file"  # what --label and --groups take besides column names


@dataclass
class Data:
    """One data set: epochs, labels, groups, and notes for the reader of the report."""

    name: str
    epochs: Any
    y: np.ndarray
    groups: np.ndarray | None
    notes: list[str] = field(default_factory=list)

    def facts(self) -> str:
        """Describe the data in one line."""
        info = self.epochs.info
        classes = ", ".join(f"{label} ({n})" for label, n in sorted(Counter(self.y).items()))
        people = "" if self.groups is None else f" of {len(set(self.groups))} groups"
        return (
            f"{len(self.y)} epochs{people}, {len(self.epochs.ch_names)} channels, "
            f"{len(self.epochs.times) / info['sfreq']:.4g} s at {info['sfreq']:g} Hz; "
            f"labels {classes}"
        )


def from_files(args: Any) -> Data:
    """The epochs of all files together."""
    import mne

    values, labels, groups, near, first = [], [], [], 0, None
    for path, name in name_files(args.files, only_epochs=True).items():
        epochs = _read(path)
        ours = np.array(_column(epochs, args.label, "label", name))
        people = np.array(_column(epochs, args.groups, "groups", name)) if args.groups else ours
        epochs = pick_and_filter(epochs, path, args)
        first = first or (name, epochs)
        _check_layout(name, epochs, *first)
        keep = np.isin(ours, args.classes or ours)
        values.append(epochs.get_data(item=keep, copy=False, verbose="error"))
        steps = np.diff(np.unique(epochs.events[:, 0]))
        if len(steps) and np.median(steps) > NUMBERED:  # else EpochsArray just numbered them
            length = len(epochs.times) / epochs.info["sfreq"]
            close = np.diff(np.sort(event_seconds(epochs[keep]))) < length - 1e-6
            near += int((np.r_[close, False] | np.r_[False, close]).sum())
        labels.append(ours[keep])
        groups.append(people[keep])
    joined, y, people = map(np.concatenate, (values, labels, groups))
    single = np.sort(np.unique(digest_each(joined), return_index=True)[1])
    _check_labels(y[single], args)
    name, epochs = first
    info = mne.pick_info(epochs.info, range(len(epochs.ch_names)))
    title = f"{name if len(values) == 1 else f'{len(values)} files'} ({args.label})"
    array = mne.EpochsArray(joined[single], info, tmin=epochs.tmin, verbose="error")
    data = Data(title, array, y[single], people[single] if args.groups else None)
    if copies := len(joined) - len(single):
        data.notes.append(
            f"{copies} of {len(joined)} epochs are exact copies of others and are left out: a copy "
            "among the training epochs gives its test epoch away."
        )
    if near and args.groups is None:
        data.notes.append(
            f"{near} epochs share samples with another one. Without --groups, folds test on "
            "samples that were trained on: scores are too high."
        )
    return data


def simulated() -> Iterator[Data]:
    """Three paradigms, eight simulated people each."""
    from ..simulation import simulate_epochs

    for name, paradigm, n_epochs, duration, seed in (
        ("simulated hands", "motor", 30, 2.0, 11),
        ("simulated oddball", "erp", 40, 1.0, 12),
        ("simulated flicker", "steady_state", 30, 2.0, 13),
    ):
        how = {"n_epochs": n_epochs, "duration": duration, "random_state": seed}
        epochs = simulate_epochs(paradigm, n_subjects=8, ch_names=TEN_TWENTY, **how)
        table = epochs.metadata
        yield Data(name, epochs, table["label"].to_numpy(str), table["subject"].to_numpy(str))


def _read(path: Path) -> Any:
    try:
        return open_epochs(path).load_data()
    except Exception as error:
        hint = "Cut epochs from a recording with mne.Epochs, and save them as NAME-epo.fif."
        hint = "" if holds_epochs(path) else f" {hint}"
        raise UsageError(f"{path} cannot be read: {explain(error)}.{hint}") from None


def _column(epochs: Any, name: str, option: str, file: str) -> list[str]:
    """A column of the metadata, or the names of the events or of the file, as text."""
    table = epochs.metadata
    if table is not None and name in table:
        values = table[name]
        if missing := int(values.isna().sum()):
            what = f"{missing} of {len(values)} epochs of {file} have no value"
            raise UsageError(f"--{option} {name}: {what}: drop them before you save the epochs.")
        if values.dtype.kind == "f":
            if option == "label" and (values % 1 != 0).any():
                what = f"--{option} {name}: {file} has numbers with decimals there, not classes"
                hint = "in Python, evaluation.compare takes DARERegressor for them"
                raise UsageError(f"{what} ({hint}).")
            # 1.0 in one file is 1 in another
            values = values.map(lambda v: str(int(v)) if v % 1 == 0 else repr(float(v)))
        return values.astype(str).tolist()
    events = event_labels(epochs)
    if option == "label" and name == EVENT:
        return events
    if option == "groups" and name == FILE:
        return [file] * len(epochs)
    there = "no metadata" if table is None else f"the columns {', '.join(map(str, table))}"
    known = listed(sorted(set(events)))
    other = {"groups": f"'{FILE}' takes every file as a group",
             "label": f"'{EVENT}' takes its event names ({known})"}  # fmt: skip
    raise UsageError(f"--{option} {name}: {file} has {there}; {other[option]}.")


def _check_layout(name: str, epochs: Any, first: str, other: Any) -> None:
    if epochs.ch_names != other.ch_names:
        common = [channel for channel in other.ch_names if channel in epochs.ch_names]
        hint = f"name those to use: --channels {' '.join(common)}" if common else "they share none"
        raise UsageError(f"{name} and {first} have different channels: {hint}.")
    ours, theirs = (
        f"{len(e.times)} samples at {e.info['sfreq']:g} Hz from {e.tmin:.3f} s"
        for e in (epochs, other)
    )
    if ours != theirs:
        what = f"{name} has epochs of {ours} and {first} of {theirs}"
        raise UsageError(f"{what}: cut and resample them alike.")
    tell_moved([other, epochs])


def _check_labels(y: np.ndarray, args: Any) -> None:
    counts = Counter(y.tolist())
    if unknown := [label for label in args.classes or () if label not in counts]:
        there = listed(sorted(counts))
        raise UsageError(f"--classes {' '.join(unknown)}: no epoch has it; there are {there}.")
    rare, n = min(counts.items(), key=lambda item: item[1], default=("none", 0))
    if len(counts) < 2 or n < 2 or len(counts) > len(y) / 2:
        raise UsageError(
            f"--label {args.label}: {len(counts)} labels for {len(y)} epochs, {rare!r} {n} "
            "time(s): nothing to learn from. Choose another column, or labels with --classes."
        )
