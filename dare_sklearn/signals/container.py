"""Signals of one layout, in memory or still in their files: epochs, and whole recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from math import ceil, floor
from typing import Any, Self

import numpy as np
from xxhash import xxh3_128

from .validation import Summary, check_finite, refuse_complex, to_microvolts

SHORTEST = 0.25  # s: what lies outside of bad segments and is shorter, does not count
N_READ = 2**21  # values of a recording that are read together: 16 MB
# Reads the epochs of one recording with these numbers: values, (n, n_chans, n_times).
Reader = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LazyEpochs:
    """Epochs of one layout that stay where they are, and as they are, until they are needed.

    Indexing with a slice or an array of numbers reads those as float32 microvolts.
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
            if done is None:
                done = np.empty((len(index), *values.shape[1:]), values.dtype)
            done[rows] = values
        return done

    def take_channels(self, order: Sequence[int], ch_names: tuple[str, ...]) -> Self:
        """The same epochs with the channels `order` of these."""
        readers = tuple(partial(_take, reader, list(order)) for reader in self.readers)
        return replace(self, readers=readers, n_chans=len(order), ch_names=ch_names, digests=None)


def _take(reader: Reader, order: list[int], which: np.ndarray) -> np.ndarray:
    return np.asarray(reader(which))[:, order]


def digest_epochs(values: np.ndarray) -> tuple[bytes, ...]:
    """A 128-bit hash of every epoch: of its values, and their type and shape."""
    kind = xxh3_128(f"{values.dtype.str} {values.shape[1:]}".encode()).digest()
    return tuple(kind + xxh3_128(np.ascontiguousarray(epoch)).digest() for epoch in values)


@dataclass
class Signals:
    """Epochs of one montage, rate and length: the form in which every kind of input is read."""

    # (n_epochs, n_chans, n_times), float32 µV once `unit` is decided (but a recording)
    data: "np.ndarray | LazyEpochs | Recording"
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
        order, data = [self.ch_names.index(name) for name in ch_names], self.data
        is_array = isinstance(data, np.ndarray)
        data = data[:, order] if is_array else data.take_channels(order, ch_names)
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        _, n_chans, n_times = self.data.shape
        return self.ch_names, n_chans, round(self.sfreq, 6), n_times


@dataclass(frozen=True)
class Recording(Summary):
    """A whole recording, and what it holds outside of its bad segments."""

    values: np.ndarray  # (n_chans, n_times), float32: what is stored times 1e6, volts in microvolts
    digest: bytes  # 128-bit hash of all values as they are stored
    good: np.ndarray  # (n_times,), whether a sample counts: all do if (nearly) all are bad
    bad: tuple[tuple[float, float], ...]  # start and end in seconds of bad segments
    on_disk: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, *self.values.shape

    def take_channels(self, order: Sequence[int], ch_names: tuple[str, ...]) -> Self:
        """The same recording with the channels `order` of these."""
        return replace(self, values=self.values[order])


def bad_segments(raw: Any) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of the annotations that begin with "bad", which MNE rejects by."""
    bad = [its for its in raw.annotations if its["description"].lower().startswith("bad")]
    onsets = [float(its["onset"] - raw.first_time) for its in bad]
    return tuple((at, at + float(its["duration"])) for at, its in zip(onsets, bad, strict=True))


def read_whole(raw: Any, picks: np.ndarray) -> Recording:
    """Read the channels `picks` of a recording of MNE once, in pieces.

    Memory holds four bytes per value, and one channel in double precision. In bad segments, values
    that are not finite read as zero.
    """
    n_chans, n_times, sfreq = len(picks), raw.n_times, raw.info["sfreq"]
    segments, bad = bad_segments(raw), np.zeros(n_times, dtype=bool)
    for first, last in segments:
        bad[max(floor(first * sfreq), 0) : max(ceil(last * sfreq), 0)] = True
    values, digest = np.empty((n_chans, n_times), np.float32), xxh3_128()
    length = max(N_READ // n_chans, 1)
    for start in range(0, n_times, length):
        piece = slice(start, min(start + length, n_times))
        stored = refuse_complex(raw.get_data(picks, piece.start, piece.stop, verbose="error"))
        stored[:, bad[piece]] = np.nan_to_num(stored[:, bad[piece]], posinf=0.0, neginf=0.0)
        digest.update(np.ascontiguousarray(stored))
        with np.errstate(over="ignore"):  # what float32 cannot hold is reported as infinite
            values[:, piece] = np.multiply(stored, 1e6, dtype=np.float64)
    good = ~bad | (np.count_nonzero(~bad) < SHORTEST * sfreq)
    found = []
    for channel in values:
        channel = channel[good].astype(np.float64)
        with np.errstate(invalid="ignore"):
            found.append((np.isfinite(channel).all(), np.ptp(channel) == 0, channel.std() / 1e6))
    summary = (np.array([its]) for its in zip(*found, strict=True))
    return Recording(
        *summary, values=values, digest=digest.digest(), good=good, bad=segments,
        on_disk=not raw.preload,
    )  # fmt: skip
