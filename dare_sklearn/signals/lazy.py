"""Epochs that stay where they are (in files, or as they came) until they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor

import numpy as np
from xxhash import xxh3_128

from .errors import SignalError
from .units import to_microvolts
from .validation import check_finite

# Reads the epochs of one recording with these numbers: values, (n, n_chans, n_times).
Reader = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LazyEpochs:
    """Epochs of one layout, read block by block.

    Indexing with a slice or an array of numbers reads those epochs, as a float32 array in
    microvolts, ``(n, n_chans, n_times)``.

    Attributes
    ----------
    readers : tuple of Reader
        One per recording.
    counts : tuple of int
        Epochs of each recording.
    n_chans, n_times : int
    unit : {"uV", "V"}
        Unit of what the readers give.
    order : tuple of int, or None
        Channels to take, in order.
    ch_names : tuple of str, or None
        For messages.
    """

    readers: tuple[Reader, ...]
    counts: tuple[int, ...]
    n_chans: int
    n_times: int
    unit: str = "uV"
    order: tuple[int, ...] | None = None
    ch_names: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return sum(self.counts), self.n_chans, self.n_times

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        index = np.arange(len(self))[index]
        values = self.read(index)
        check_finite(np.isfinite(values).all(axis=-1), self.ch_names, index)
        return to_microvolts(values, self.unit)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Values of these epochs as they are stored, in the order of the channels."""
        bounds = np.cumsum([0, *self.counts])
        done = None
        for reader, (start, stop) in zip(self.readers, pairwise(bounds), strict=True):
            rows = np.flatnonzero((index >= start) & (index < stop))
            if not len(rows):
                continue
            values = np.asarray(reader(index[rows] - start))
            if values.shape[1:] != (self.n_chans, self.n_times):
                raise SignalError(
                    f"X has epochs that differ in channels or length: "
                    f"{(self.n_chans, self.n_times)} and {values.shape[1:]}. Cut them alike first."
                )
            if done is None:
                done = np.empty((len(index), *values.shape[1:]), values.dtype)
            done[rows] = values
        return done if self.order is None else done[:, list(self.order)]

    def take_channels(self, order: Sequence[int], ch_names: tuple[str, ...]) -> LazyEpochs:
        """The same epochs with the channels `order` of these."""
        mine = range(self.n_chans) if self.order is None else self.order
        return replace(self, order=tuple(mine[i] for i in order), ch_names=ch_names)


@dataclass(frozen=True)
class LazyRecording(LazyEpochs):
    """A continuous recording: one long epoch, of which any span of samples is read on its own.

    Its one reader takes the first sample and the one after the last: values, (n_chans, n).

    Attributes
    ----------
    sfreq : float
        In Hz.
    bad : tuple of (float, float)
        Start and end in seconds of segments that are annotated as bad. Values there that are not
        finite read as zero.
    name : str
        File, or whatever tells the recording from others.
    loaded : bool
        Whether it lies in memory.
    """

    sfreq: float = 1.0
    bad: tuple[tuple[float, float], ...] = ()
    name: str = ""
    loaded: bool = False

    def read(self, index: np.ndarray) -> np.ndarray:
        whole = self.stored(0, self.n_times)
        return np.stack([whole for _ in index])

    def span(self, start: int, stop: int) -> np.ndarray:
        """Samples from `start` to `stop`, float32 microvolts, ``(n_chans, stop - start)``.

        Raises
        ------
        ValueError
            If some are not finite.
        """
        values = self.stored(start, stop)
        check_finite(np.isfinite(values).all(axis=-1)[None], self.ch_names)
        return to_microvolts(values, self.unit)

    def stored(self, start: int, stop: int) -> np.ndarray:
        """The same as they are stored, in the order of the channels."""
        values = np.asarray(self.readers[0](start, stop))
        if self.bad:
            bad = self.is_bad(start, stop)
            values[:, bad] = np.nan_to_num(values[:, bad], nan=0.0, posinf=0.0, neginf=0.0)
        return values if self.order is None else values[list(self.order)]

    def is_bad(self, start: int, stop: int) -> np.ndarray:
        """Which samples of a span lie in bad segments."""
        bad = np.zeros(stop - start, dtype=bool)
        for first, last in self.bad:
            first, last = floor(first * self.sfreq) - start, ceil(last * self.sfreq) - start
            bad[max(first, 0) : max(last, 0)] = True
        return bad


def overlapping(
    segments: Sequence[tuple[float, float]], starts: np.ndarray, stops: np.ndarray
) -> np.ndarray:
    """Which of the windows from `starts` to `stops` overlap one of the segments."""
    found = np.zeros(len(starts), dtype=bool)
    for first, last in segments:
        found |= (first < stops) & (last > starts)
    return found


def digest_epochs(values: np.ndarray) -> tuple[bytes, ...]:
    """A 128-bit hash of every epoch: of its values, and their type and shape."""
    kind = xxh3_128(f"{values.dtype.str} {values.shape[1:]}".encode()).digest()
    return tuple(kind + xxh3_128(np.ascontiguousarray(epoch)).digest() for epoch in values)


def join(parts: Sequence[LazyEpochs]) -> LazyEpochs:
    """Epochs of several recordings that agree in everything else."""
    return replace(
        parts[0],
        readers=tuple(reader for part in parts for reader in part.readers),
        counts=tuple(count for part in parts for count in part.counts),
    )
