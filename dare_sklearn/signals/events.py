"""Events of a recording and their labels: annotations, a stim channel, or a table beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

_ONSET = ("onset", "time")
_LABEL = ("label", "trial_type", "description", "condition", "value")


def find_events(raw: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    """Events of a continuous recording in the file `path`, and their labels.

    They come from the table beside the file if there is one (``NAME.csv`` with the columns onset
    and label, or BIDS's ``NAME_events.tsv``), else from a stim channel, else from annotations.

    Events ``(n_events, 3)`` are MNE's, all of number 1. A label is empty if the table has none
    ("n/a" in BIDS).
    """
    import mne

    table = _table_of(path)
    if table is not None:
        samples, labels = _from_table(raw, table)
        return np.c_[samples, np.zeros_like(samples), np.ones_like(samples)], labels
    if "stim" in raw.get_channel_types():
        events = mne.find_events(raw, shortest_event=1, consecutive=True, verbose="error")
        labels = [str(number) for number in events[:, 2]]
    elif len(raw.annotations):
        events, numbers = mne.events_from_annotations(raw, verbose="error")
        names = {number: str(name) for name, number in numbers.items()}
        labels = [names[number] for number in events[:, 2]]
    else:
        return np.empty((0, 3), dtype=int), []
    events[:, 2] = 1
    return events, labels


def event_labels(epochs: Any) -> list[str]:
    """Names of the events that epochs were cut around."""
    names = {number: name for name, number in epochs.event_id.items()}
    return [names[number] for number in epochs.events[:, 2]]


def _from_table(raw: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    """Samples, from that at which the recording began to be saved, and labels."""
    import pandas as pd

    # as text: numbers beside empty cells would become 1.0
    table = pd.read_csv(
        path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, skipinitialspace=True
    )
    onset = next((name for name in _ONSET if name in table), None)
    label = next((name for name in _LABEL if name in table), None)
    seconds = None if onset is None else pd.to_numeric(table[onset], errors="coerce").to_numpy()
    if seconds is None or label is None or not np.isfinite(seconds).all():
        raise ValueError(
            f"{path} must have the columns onset (seconds from the start, a number in every row) "
            f"and label, got {', '.join(map(str, table.columns))}."
        )
    samples = np.round(seconds * raw.info["sfreq"]).astype(int) + raw.first_samp
    return samples, table[label].fillna("").str.strip().tolist()


def _table_of(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    bids = re.sub(r"_(eeg|raw)$", "", stem)
    names = [f"{name}{end}" for name in (stem, bids) for end in (".csv", ".tsv")]
    names += [f"{name}_events{end}" for name in (stem, bids) for end in (".csv", ".tsv")]
    there = (path.parent / name for name in names)
    return next((file for file in there if file.is_file() and not _is_embedding(file)), None)


def _is_embedding(file: Path) -> bool:
    """Whether a table is one that ``dare-sklearn embed`` wrote beside the recording."""
    with file.open("rb") as table:
        return b",dare_s0_" in table.readline(10_000)
