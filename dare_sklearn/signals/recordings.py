"""Continuous recordings: what in them is bad, what they hold, and spans of them at another rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from xxhash import xxh3_128

from .lazy import LazyRecording, Reader
from .resampling import _ratio, resample
from .validation import Summary

N_READ = 2**21  # values that are looked through together: 16 MB
N_DRAWN = 2**16


def lazy_recording(
    raw: Any,
    picks: np.ndarray,
    *,
    reader: Reader | None = None,
    name: str | None = None,
) -> LazyRecording:
    """An ``mne.io.Raw`` as one long epoch that is read span by span."""
    if name is None:
        name = next((str(file) for file in raw.filenames if file), "a recording in memory")
    return LazyRecording(
        (reader or partial(read_raw, raw, picks),),
        (1,),
        len(picks),
        raw.n_times,
        sfreq=raw.info["sfreq"],
        bad=bad_segments(raw),
        name=name,
        loaded=reader is None and bool(raw.preload),
    )


def read_raw(raw: Any, picks: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Values ``(n_chans, stop - start)`` as MNE gives them."""
    return raw.get_data(picks, start, stop, verbose="error")


def bad_segments(raw: Any) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of the annotations that begin with "bad", which MNE rejects by."""
    annotations = raw.annotations
    onsets = annotations.onset - raw.first_time
    return tuple(
        (float(onset), float(onset + duration))
        for onset, duration, text in zip(
            onsets, annotations.duration, annotations.description, strict=True
        )
        if text.lower().startswith("bad")
    )


class Quartiles:
    """Lower quartile, median and upper quartile per channel of values that come in pieces.

    Of all of them, or of 65,536 that are drawn at random: even distances might fall in step with
    the mains. The same values give the same numbers, and memory does not grow with them.

    Parameters
    ----------
    n_values : int
        How many values per channel will come.
    """

    def __init__(self, n_values: int) -> None:
        drawn = np.random.default_rng(0).integers(max(n_values, 1), size=N_DRAWN)
        self.drawn = np.sort(drawn) if n_values > N_DRAWN else np.arange(n_values)
        self.kept: list[np.ndarray] = []
        self.n_seen = 0

    def add(self, values: np.ndarray) -> None:
        """Take a piece, (n_chans, n)."""
        its = self.drawn - self.n_seen
        self.kept.append(values[:, its[(its >= 0) & (its < values.shape[1])]])
        self.n_seen += values.shape[1]

    def values(self) -> np.ndarray:
        """Array (3, n_chans)."""
        return np.percentile(np.concatenate(self.kept, axis=1), [25, 50, 75], axis=1)


@dataclass(frozen=True)
class Contents(Summary):
    """What a recording holds outside of its bad segments.

    Attributes
    ----------
    digest : bytes
        128-bit hash of all values as they are stored.
    quartiles : ndarray, shape (3, n_chans), or None
    """

    digest: bytes
    quartiles: np.ndarray | None


def look_through(recording: LazyRecording, *, quartiles: bool = False) -> Contents:
    """Read a recording once, in pieces, and tell what it holds.

    Where all of it is bad, all of it counts.
    """
    n_times, n_chans = recording.n_times, recording.n_chans
    length = max(N_READ // n_chans, 1)
    pieces = [(at, min(at + length, n_times)) for at in range(0, n_times, length)]
    n_good = sum(int((~recording.is_bad(*piece)).sum()) for piece in pieces)
    drawn = Quartiles(n_good or n_times)
    digest, count = xxh3_128(), 0
    mean, squares = np.zeros((n_chans, 1)), np.zeros((n_chans, 1))
    least, most = np.full(n_chans, np.inf), np.full(n_chans, -np.inf)
    finite = np.ones(n_chans, dtype=bool)
    for start, stop in pieces:
        values = recording.stored(start, stop)
        digest.update(np.ascontiguousarray(values))
        if n_good:
            values = values[:, ~recording.is_bad(start, stop)]
        n = values.shape[1]
        if n == 0:
            continue
        if quartiles:
            drawn.add(values)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values are told below
            finite &= np.isfinite(values).all(axis=-1)
            least, most = np.minimum(least, values.min(-1)), np.maximum(most, values.max(-1))
            # mean and squares around it, joined over pieces (Chan et al., 1983)
            its_mean = values.mean(axis=-1, keepdims=True)
            shift = its_mean - mean
            squares += np.square(values - its_mean).sum(-1, keepdims=True)
            squares += np.square(shift) * (count * n / (count + n))
            mean = mean + shift * (n / (count + n))
        count += n
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.sqrt(squares[:, 0] / count)
    return Contents(
        finite=finite[None],
        flat=(least == most)[None],
        spread=spread[None],
        digest=digest.digest(),
        quartiles=drawn.values() if quartiles else None,
    )


def resampled_span(
    recording: LazyRecording, sfreq: float, target: float, start: int, stop: int
) -> np.ndarray:
    """Samples `start` to `stop` of what `resample` makes of the whole recording, to the bit.

    The recording is read as far as the filter reaches; beyond its ends it goes on as `resample`
    continues it, along the line through its first and last sample.

    Parameters
    ----------
    recording : LazyRecording
    sfreq, target : float
        Rate of the recording and of the answer, in Hz.
    start, stop : int
        Samples at `target`.

    Returns
    -------
    ndarray of float32, shape (n_chans, stop - start)
        Microvolts.
    """
    if np.isclose(sfreq, target, rtol=1e-9):
        return recording.span(start, stop)
    up, down = _ratio(sfreq, target).as_integer_ratio()
    reach = -(-10 * max(up, down) // up) + 1
    # at multiples of `down`, the samples of both rates coincide
    first = (start * down // up - reach) // down * down
    last = -(-stop * down // up) + reach
    n_times = recording.n_times
    # in double precision, as `resample` reckons, so that the ends are the same to the bit
    pieces = [recording.span(max(first, 0), min(last, n_times)).astype(np.float64)]
    if first < 0 or last > n_times:
        ends = [recording.span(at, at + 1).astype(np.float64) for at in (0, n_times - 1)]
        slope = (ends[1] - ends[0]) / max(n_times - 1, 1)
        if first < 0:
            pieces.insert(0, ends[0] + slope * np.arange(first, 0.0))
        if last > n_times:
            pieces.append(ends[1] + slope * np.arange(1.0, last - n_times + 1))
    skipped = start - first * up // down
    return resample(np.concatenate(pieces, axis=1), sfreq, target)[:, skipped:][:, : stop - start]
