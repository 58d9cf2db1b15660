"""Recorded signals of one layout, in memory or still in their files: epochs, and recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from math import ceil, floor
from typing import Any, Self

import numpy as np
from xxhash import xxh3_128

from .errors import SignalError
from .validation import Summary, check_finite, refuse_complex, to_microvolts

N_READ = 2**21  # values of a recording that are read together: 16 MB
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

    def take_channels(self, order: Sequence[int], ch_names: tuple[str, ...]) -> Self:
        """The same epochs with the channels `order` of these."""
        readers = tuple(partial(_take, reader, list(order)) for reader in self.readers)
        return replace(self, readers=readers, n_chans=len(order), ch_names=ch_names, digests=None)


def _take(reader: Callable[..., np.ndarray], order: list[int], *which: Any) -> np.ndarray:
    return np.asarray(reader(*which))[..., order, :]


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

    def reorder(self, ch_names: Sequence[str]) -> Self:
        """The same signals with only these channels, in this order."""
        ch_names = tuple(ch_names)
        if ch_names == self.ch_names:
            return self
        order = [self.ch_names.index(name) for name in ch_names]
        lazy = isinstance(self.data, LazyEpochs)
        data = self.data.take_channels(order, ch_names) if lazy else self.data[:, order]
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        _, n_chans, n_times = self.data.shape
        return self.ch_names, n_chans, round(self.sfreq, 6), n_times


@dataclass(frozen=True)
class LazyRecording(LazyEpochs):
    """A continuous recording: one long epoch, which is read in pieces.

    Its one reader takes the first sample and the one after the last: values, (n_chans, n).
    """

    sfreq: float = 1.0  # in Hz
    # Start and end in seconds of bad segments; values there that are not finite read as zero.
    bad: tuple[tuple[float, float], ...] = ()
    loaded: bool = False  # whether it lies in memory

    def read(self, index: np.ndarray) -> np.ndarray:
        return np.stack([self.stored(0, self.n_times)] * len(index))

    def stored(self, start: int, stop: int) -> np.ndarray:
        """Samples as they are stored, (n_chans, stop - start)."""
        values = np.asarray(self.readers[0](start, stop))
        if self.bad:
            bad = self.is_bad(start, stop)
            values[:, bad] = np.nan_to_num(values[:, bad], nan=0.0, posinf=0.0, neginf=0.0)
        return values

    def is_bad(self, start: int, stop: int) -> np.ndarray:
        """Which samples of a span lie in bad segments."""
        bad = np.zeros(stop - start, dtype=bool)
        for first, last in self.bad:
            first, last = floor(first * self.sfreq) - start, ceil(last * self.sfreq) - start
            bad[max(first, 0) : max(last, 0)] = True
        return bad


def bad_segments(raw: Any) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of the annotations that begin with "bad", which MNE rejects by."""
    bad = [its for its in raw.annotations if its["description"].lower().startswith("bad")]
    onsets = [float(its["onset"] - raw.first_time) for its in bad]
    return tuple((at, at + float(its["duration"])) for at, its in zip(onsets, bad, strict=True))


@dataclass(frozen=True)
class Contents(Summary):
    """A whole recording, and what it holds outside of its bad segments."""

    values: np.ndarray  # (n_chans, n_times), float32: what is stored times 1e6, volts in microvolts
    digest: bytes  # 128-bit hash of all values as they are stored
    quartiles: np.ndarray | None  # (3, n_chans), of `values`


def read_whole(recording: LazyRecording, *, quartiles: bool = False) -> Contents:
    """Read a recording once, in pieces, and say what it holds.

    Memory holds four bytes per value, and one channel in double precision. If all of the recording
    is bad, all of it counts.
    """
    _, n_chans, n_times = recording.shape
    values, digest = np.empty((n_chans, n_times), np.float32), xxh3_128()
    length = max(N_READ // n_chans, 1)
    for start in range(0, n_times, length):
        stored = refuse_complex(recording.stored(start, min(start + length, n_times)))
        digest.update(np.ascontiguousarray(stored))
        with np.errstate(over="ignore"):  # what float32 cannot hold is reported as infinite
            values[:, start : start + length] = np.multiply(stored, 1e6, dtype=np.float64)
    good = ~recording.is_bad(0, n_times)
    good |= not good.any()
    found, points = [], []
    for channel in values:
        channel = channel[good].astype(np.float64)
        with np.errstate(invalid="ignore"):
            found.append((np.isfinite(channel).all(), np.ptp(channel) == 0, channel.std() / 1e6))
        if quartiles:
            points.append(np.percentile(channel, [25, 50, 75]))
    summary = (np.array([its]) for its in zip(*found, strict=True))
    return Contents(
        *summary, None, values, digest.digest(), np.array(points).T if quartiles else None
    )
