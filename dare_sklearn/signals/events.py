"""Events of a recording and their labels: annotations, a stim channel, or a table beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

_ONSET = ("onset", "time")
_LABEL = ("label", "trial_type", "description", "condition", "value")


def find_events(raw: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    """Events of a continuous recording.

    They come from the table beside the file where there is one (``NAME.csv`` with the columns onset
    and label, or BIDS's ``NAME_events.tsv``), else from a stim channel, else from annotations.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    path : Path
        Its file.

    Returns
    -------
    events : ndarray of int, shape (n_events, 3)
        As MNE has them, all of number 1.
    labels : list of str
        Empty where a table has none ("n/a" in BIDS).

    Raises
    ------
    ValueError
        If the table lacks a column or an onset.
    """
    table = _table_of(path)
    if table is not None:
        return _from_table(raw, table)
    if "stim" in raw.get_channel_types():
        return _from_stim(raw)
    return _from_annotations(raw)


def event_labels(epochs: Any) -> list[str]:
    """Names of the events that epochs were cut around."""
    names = {number: name for name, number in epochs.event_id.items()}
    return [names[number] for number in epochs.events[:, 2]]


def _from_annotations(raw: Any) -> tuple[np.ndarray, list[str]]:
    import mne

    if not len(raw.annotations):
        return np.empty((0, 3), dtype=int), []
    events, numbers = mne.events_from_annotations(raw, verbose="error")
    names = {number: str(name) for name, number in numbers.items()}
    labels = [names[number] for number in events[:, 2]]
    events[:, 2] = 1  # as other sources have it: labels are kept apart
    return events, labels


def _from_stim(raw: Any) -> tuple[np.ndarray, list[str]]:
    import mne

    events = mne.find_events(raw, shortest_event=1, consecutive=True, verbose="error")
    labels = [str(number) for number in events[:, 2]]
    events[:, 2] = 1
    return events, labels


def _from_table(raw: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    import pandas as pd

    # as text: numbers beside empty cells would become 1.0
    table = pd.read_csv(
        path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, skipinitialspace=True
    )
    onset = next((name for name in _ONSET if name in table), None)
    label = next((name for name in _LABEL if name in table), None)
    seconds = None if onset is None else pd.to_numeric(table[onset], errors="coerce")
    if seconds is None or label is None or not np.isfinite(seconds).all():
        raise ValueError(
            f"{path} must have the columns onset (seconds from the start, a number in every row) "
            f"and label, got {', '.join(map(str, table.columns))}."
        )
    return _as_events(raw, seconds.to_numpy()), table[label].fillna("").str.strip().tolist()


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


def _as_events(raw: Any, onsets: np.ndarray) -> np.ndarray:
    """Events at onsets in seconds from the start; one number for all, labels are kept apart."""
    samples = np.round(np.asarray(onsets, dtype=float) * raw.info["sfreq"]).astype(int)
    samples = samples + raw.first_samp
    return np.c_[samples, np.zeros_like(samples), np.ones_like(samples)]
