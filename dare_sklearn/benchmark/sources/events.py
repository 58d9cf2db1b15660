"""Events of a recording and their labels: annotations, a stim channel, or a table beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..checks import SuiteError

EVENTS = ("auto", "annotations", "stim", "table", "metadata")
_ONSET = ("onset", "onset_s", "time")
_LABEL = ("label", "trial_type", "description", "condition", "value")


def find_events(
    raw: Any, path: Path, kind: str = "auto", stim_channel: str | None = None
) -> tuple[np.ndarray, list[str]]:
    """Events of a continuous recording.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    path : Path
        Its file, for a table beside it and for messages.
    kind : {"auto", "annotations", "stim", "table"}, default="auto"
        "auto" takes a table where there is one, else a stim channel, else annotations.
    stim_channel : str or None, default=None

    Returns
    -------
    events : ndarray of int, shape (n_events, 3)
        As mne has them, all of number 1.
    labels : list of str
        Empty where a table has none ("n/a" in BIDS).

    Raises
    ------
    SuiteError
        If the recording has no such events.
    """
    if kind == "auto":
        has_stim = stim_channel is not None or "stim" in raw.get_channel_types()
        kind = "table" if _table_of(path) is not None else "stim" if has_stim else "annotations"
    if kind == "table":
        return _from_table(raw, path)
    if kind == "stim":
        return _from_stim(raw, stim_channel, path)
    if kind == "metadata":
        raise SuiteError(f"{path.name} is continuous and has no metadata: choose other events.")
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


def _from_stim(raw: Any, channel: str | None, path: Path) -> tuple[np.ndarray, list[str]]:
    import mne

    if channel is None and "stim" not in raw.get_channel_types():
        raise SuiteError(f"{path.name} has no stim channel: name it (stim_channel), or use others.")
    events = mne.find_events(raw, channel, shortest_event=1, consecutive=True, verbose="error")
    labels = [str(number) for number in events[:, 2]]
    events[:, 2] = 1
    return events, labels


def _from_table(raw: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    table_path = _table_of(path)
    if table_path is None:
        raise SuiteError(
            f"There is no table of events beside {path.name}: expected {path.stem}.csv, or "
            f"{path.stem}_events.tsv, with the columns onset (seconds) and label."
        )
    # as text: numbers beside empty cells would become 1.0
    table = pd.read_csv(
        table_path,
        sep="\t" if table_path.suffix == ".tsv" else ",",
        dtype=str,
        skipinitialspace=True,
    )
    onset = next((name for name in _ONSET if name in table), None)
    label = next((name for name in _LABEL if name in table), None)
    seconds = None if onset is None else pd.to_numeric(table[onset], errors="coerce")
    if seconds is None or label is None or not np.isfinite(seconds).all():
        raise SuiteError(
            f"{table_path.name} must have the columns onset (seconds from the start, a number in "
            f"every row) and label, got {', '.join(map(str, table.columns))}."
        )
    return _as_events(raw, seconds.to_numpy()), table[label].fillna("").str.strip().tolist()


def _table_of(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    bids = re.sub(r"_(eeg|raw)$", "", stem)
    names = [f"{name}{end}" for name in (stem, bids) for end in (".csv", ".tsv")]
    names += [f"{name}_events{end}" for name in (stem, bids) for end in (".csv", ".tsv")]
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)


def _as_events(raw: Any, onsets: np.ndarray) -> np.ndarray:
    """Events at onsets in seconds from the start; one number for all, labels are kept apart."""
    samples = np.round(np.asarray(onsets, dtype=float) * raw.info["sfreq"]).astype(int)
    samples = samples + raw.first_samp
    return np.c_[samples, np.zeros_like(samples), np.ones_like(samples)]
