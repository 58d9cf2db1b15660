"""Continuous recordings: what in them is bad, what they hold, all of it on the grid, in windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor
from typing import Any

import numpy as np
from xxhash import xxh3_128

from .container import LazyEpochs
from .resampling import resample, resampled_length
from .validation import Summary, refuse_complex

N_READ = 2**21  # values that are read together: 16 MB


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


def lazy_recording(raw: Any, picks: np.ndarray) -> LazyRecording:
    """An ``mne.io.Raw`` as one long epoch."""
    return LazyRecording(
        (partial(raw.get_data, picks, verbose="error"),),
        (1,),
        len(picks),
        raw.n_times,
        sfreq=raw.info["sfreq"],
        bad=bad_segments(raw),
        loaded=bool(raw.preload),
    )


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


def whole_on_grid(values: np.ndarray, sfreq: float, config: Any) -> np.ndarray:
    """A recording (n_chans, n_times) at the encoder's rate, without the end that fills no patch.

    One that is shorter than a patch keeps its length. Memory holds one channel in double precision.
    """
    n_times = resampled_length(values.shape[1], sfreq, config.sfreq)
    n_times = n_times // config.patch_size * config.patch_size or n_times
    done = np.empty((len(values), n_times), np.float32)
    for row, channel in zip(done, values, strict=True):
        row[:] = resample(channel, sfreq, config.sfreq)[:n_times]
    return done


def cut_windows(
    data: np.ndarray,
    length: int,
    bad: Sequence[tuple[float, float]] = (),
    sfreq: float = 1.0,
) -> tuple[list[np.ndarray], int]:
    """Cut epochs ``(n_epochs, n_chans, n_times)`` into windows of `length` that cover all of them.

    Windows stand side by side; where they do not fill the epoch, a last one ends with it and
    overlaps its neighbour. An epoch that is not longer than a window stays as it is. Returns views
    of `data`, without the windows that overlap one of the segments `bad` (start and end in seconds,
    at the rate `sfreq`), and how many these are.
    """
    n_times = data.shape[-1]
    starts = np.arange(0, max(n_times - length, 0) + 1, length)
    if starts[-1] + length < n_times:
        starts = np.append(starts, n_times - length)
    length = min(length, n_times)
    left_out = overlapping(bad, starts / sfreq, (starts + length) / sfreq)
    kept = starts[~left_out].tolist()
    views = [epoch[:, start : start + length] for epoch in data for start in kept]
    return views, len(data) * int(left_out.sum())


def overlapping(
    segments: Sequence[tuple[float, float]], starts: np.ndarray, stops: np.ndarray
) -> np.ndarray:
    """Which of the windows from `starts` to `stops` overlap one of the segments."""
    found = np.zeros(len(starts), dtype=bool)
    for first, last in segments:
        found |= (first < stops) & (last > starts)
    return found
