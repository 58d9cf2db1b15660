"""What all sources share: epochs with labels, and who and what they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from xxhash import xxh3_128

from ..checks import Keys, SuiteError

META = ("subject", "session", "run", "recording", "set")


@dataclass(frozen=True)
class Cut:
    """How epochs are cut.

    Span (s) around an event, pass band (Hz), rate (Hz), channels and other names for them, and
    labels with the names of their classes.
    """

    window: tuple[float, float] | None = None
    band: tuple[float | None, float | None] | None = None
    sfreq: float | None = None
    channels: list[str] | None = None
    rename: dict[str, str] | None = None
    classes: dict[str, str] | None = None

    def class_names(self) -> list[str] | None:
        """Names of the classes, in the order of the suite; the last one is the positive one."""
        return None if self.classes is None else list(dict.fromkeys(self.classes.values()))


@dataclass(frozen=True)
class Context:
    """What the command line says of the data.

    Attributes
    ----------
    data : Path or None, default=None
        Folder of recordings.
    rehearse : bool, default=False
        Fake signals in the shape of the real data, so that nothing is downloaded.
    n_subjects : int or None, default=None
        The first so many people only.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dare_sklearn.benchmark import Context
    >>> Context(data=Path("recordings"), n_subjects=5).n_subjects
    5
    """

    data: Path | None = None
    rehearse: bool = False
    n_subjects: int | None = None

    def folder(self, what: str) -> Path:
        """The folder of recordings, which must be there."""
        if self.data is None:
            raise SuiteError(f"{what} needs the folder of its recordings: pass --data FOLDER.")
        if not self.data.is_dir():
            raise SuiteError(f"--data {str(self.data)!r} is no folder.")
        return self.data


@dataclass
class Recordings:
    """Labelled epochs.

    Attributes
    ----------
    epochs : mne.BaseEpochs
        In volts.
    y : ndarray of int, shape (n_epochs,)
        Numbers of `classes`.
    meta : DataFrame
        Columns of `META`, as text, one row per epoch.
    classes : list of str
    notes : list of str
        What was left out, for the report.
    n_overlapping : int
        Epochs that share samples with another one.
    """

    epochs: Any
    y: np.ndarray
    meta: pd.DataFrame
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    n_overlapping: int = 0

    def signals(self) -> tuple[Any, dict[str, Any]]:
        """What pipelines read, and what they must be told of it.

        Arrays in microvolts, which are split and indexed far faster than mne's objects; epochs as
        they are where a channel's place is known from its recording alone.
        """
        from ...signals.electrodes import electrode_name
        from ...signals.interpolation import template_positions

        names = list(self.epochs.ch_names)
        places = template_positions()
        if not all(electrode_name(name) in places for name in names):
            return self.epochs, {}
        data = self.epochs.get_data(copy=False)
        layout = {"ch_names": names, "sfreq": float(self.epochs.info["sfreq"]), "unit": "uV"}
        return (data * 1e6).astype(np.float32), layout

    def of_subject(self, subject: str) -> Recordings:
        """Epochs of one person."""
        rows = np.flatnonzero((self.meta["subject"] == subject).to_numpy())
        meta = self.meta.iloc[rows].reset_index(drop=True)
        return Recordings(
            self.epochs[rows], self.y[rows], meta, self.classes, n_overlapping=self.n_overlapping
        )


class Source(Protocol):
    """A kind of data in a suite."""

    @classmethod
    def read(cls, keys: Keys) -> Source:
        """From the keys of a data set."""

    def subjects(self, context: Context) -> list[str] | None:
        """People that can be loaded one by one; None where all come at once."""

    def load(self, cut: Cut, context: Context, subjects: Sequence[str] | None) -> Recordings:
        """Epochs of these people, or of all."""


def assemble(
    epochs: Any, labels: Sequence[str], meta: pd.DataFrame, cut: Cut, notes: Sequence[str] = ()
) -> Recordings:
    """Epochs of the classes asked for, without exact copies of another epoch.

    A copy in a training fold would give its test epoch away.

    Raises
    ------
    SuiteError
        If fewer than two classes are left.
    """
    import mne

    labels = np.asarray([str(label) for label in labels], dtype=object)
    classes = cut.class_names() or sorted(set(labels))
    names = cut.classes or {name: name for name in classes}
    wanted = np.array([label in names for label in labels])
    seen: set[bytes] = set()
    single = np.zeros(len(epochs), dtype=bool)
    for i, values in enumerate(epochs.get_data(copy=False)):
        content = xxh3_128(np.ascontiguousarray(values)).digest()
        single[i] = content not in seen
        seen.add(content)
    notes = list(notes)
    if copies := int((wanted & ~single).sum()):
        notes.append(
            f"{copies} of {int(wanted.sum())} epochs are exact copies of others and were left out."
        )
    rows = np.flatnonzero(wanted & single)
    found = {names[label] for label in labels[rows]}
    if len(found) < 2:
        raise SuiteError(
            f"Fewer than two classes were found: the data have the labels "
            f"{sorted(set(labels))[:12]}, and the suite asks for {list(names)[:12]}."
        )
    classes = [name for name in classes if name in found]
    y = np.array([classes.index(names[label]) for label in labels[rows]])
    meta = meta.iloc[rows].reset_index(drop=True)
    for column in META:
        if column not in meta:
            meta[column] = "1"
        meta[column] = meta[column].astype(str)
    epochs = epochs[rows]
    with mne.use_log_level("error"):
        epochs.metadata = None
    return Recordings(epochs, y, meta[list(META)], classes, notes)
