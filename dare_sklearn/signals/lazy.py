"""Epochs that stay where they are (in files, or as they came) until they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
    """

    readers: tuple[Reader, ...]  # one per recording
    counts: tuple[int, ...]  # epochs of each recording
    n_chans: int
    n_times: int
    unit: str = "uV"  # or "V", of what the readers give
    order: tuple[int, ...] | None = None  # channels to take; None for all
    ch_names: tuple[str, ...] | None = None  # for messages

    @property
    def shape(self) -> tuple[int, int, int]:
        n_chans = self.n_chans if self.order is None else len(self.order)
        return sum(self.counts), n_chans, self.n_times

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
