"""Recorded signals of one layout, in memory or still in their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from xxhash import xxh3_128

from .errors import SignalError
from .validation import check_finite, to_microvolts

# Reads the epochs of one recording with these numbers: values, (n, n_chans, n_times).
Reader = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LazyEpochs:
    """Epochs of one layout that stay where they are, and as they are, until they are needed.

    Indexing with a slice or an array of numbers reads those epochs, as a float32 array in
    microvolts, ``(n, n_chans, n_times)``.
    """

    readers: tuple[Reader, ...]  # one per recording
    counts: tuple[int, ...]  # epochs of each recording
    n_chans: int
    n_times: int
    unit: str = "uV"  # or "V", of what the readers give
    ch_names: tuple[str, ...] | None = None  # for messages
    digests: tuple[bytes, ...] | None = None  # a hash of every epoch, where they were made

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self), self.n_chans, self.n_times

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        index = np.arange(len(self))[index]
        values = self.read(index)
        check_finite(np.isfinite(values).all(axis=-1), self.ch_names, index)
        return to_microvolts(values, self.unit)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Values of these epochs as they are stored."""
        bounds = np.cumsum([0, *self.counts])
        done = None
        for reader, (start, stop) in zip(self.readers, pairwise(bounds), strict=True):
            rows = np.flatnonzero((index >= start) & (index < stop))
            if not len(rows):
                continue
            values = np.asarray(reader(index[rows] - start))
            if values.shape[1:] != self.shape[1:]:
                raise SignalError(
                    f"X has epochs that differ in channels or length: {self.shape[1:]} and "
                    f"{values.shape[1:]}. Cut them alike first."
                )
            if done is None:
                done = np.empty((len(index), *values.shape[1:]), values.dtype)
            done[rows] = values
        return done

    def take_channels(self, order: Sequence[int], ch_names: tuple[str, ...]) -> LazyEpochs:
        """The same epochs with the channels `order` of these."""
        readers = tuple(partial(_take, reader, list(order)) for reader in self.readers)
        return replace(self, readers=readers, n_chans=len(order), ch_names=ch_names, digests=None)


def _take(reader: Callable[..., np.ndarray], order: list[int], *which: Any) -> np.ndarray:
    return np.asarray(reader(*which))[..., order, :]


def join(parts: Sequence[LazyEpochs]) -> LazyEpochs:
    """Epochs of several recordings that agree in everything else."""
    return replace(
        parts[0],
        readers=tuple(reader for part in parts for reader in part.readers),
        counts=tuple(count for part in parts for count in part.counts),
        digests=None,
    )


def digest_epochs(values: np.ndarray) -> tuple[bytes, ...]:
    """A 128-bit hash of every epoch: of its values, and their type and shape."""
    kind = xxh3_128(f"{values.dtype.str} {values.shape[1:]}".encode()).digest()
    return tuple(kind + xxh3_128(np.ascontiguousarray(epoch)).digest() for epoch in values)


@dataclass
class Signals:
    """Epochs of one montage, rate and length: the form in which every kind of input is read."""

    data: np.ndarray | LazyEpochs  # (n_epochs, n_chans, n_times), float32 µV once `unit` is decided
    ch_names: tuple[str, ...] | None  # canonical; None for an array that came without any
    sfreq: float  # in Hz
    y: np.ndarray | None = None  # (n_epochs,), the data set's own targets
    unit: str = "auto"  # "uV" or "V", what the values were read as
    ignored: tuple[str, ...] = ()  # channels of the input that are not EEG or marked bad
    bads: tuple[str, ...] = ()  # those of them that are marked bad, by canonical name
    # electrode positions (3,) in metres, head coordinates, where the input has them
    positions: dict[str, np.ndarray] = field(default_factory=dict)
    tmin: float | None = None  # time in seconds of an epoch's first sample, if it is known
    name: str = ""  # of the file that the epochs come from, if it is known
    typical: float = float("nan")  # median over epochs and channels of the deviation, in µV

    @property
    def n_epochs(self) -> int:
        return self.data.shape[0]

    @property
    def n_chans(self) -> int:
        return self.data.shape[1]

    @property
    def n_times(self) -> int:
        return self.data.shape[2]

    @property
    def lazy(self) -> bool:
        """Whether the epochs are still in their files."""
        return isinstance(self.data, LazyEpochs)

    def reorder(self, ch_names: Sequence[str]) -> Signals:
        """The same signals with only these channels, in this order."""
        ch_names = tuple(ch_names)
        if ch_names == self.ch_names:
            return self
        order = [self.ch_names.index(name) for name in ch_names]
        data = self.data.take_channels(order, ch_names) if self.lazy else self.data[:, order]
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        return self.ch_names, self.n_chans, round(self.sfreq, 6), self.n_times
