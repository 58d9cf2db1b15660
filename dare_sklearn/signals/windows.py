"""Windows for pretraining, cut from longer signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cut_windows(
    data: np.ndarray,
    length: int,
    bad: Sequence[tuple[float, float]] = (),
    sfreq: float = 1.0,
) -> tuple[list[np.ndarray], int]:
    """Cut every epoch into windows of `length` samples that cover all of it.

    Windows stand side by side; where they do not fill the epoch, a last one ends with it and
    overlaps its neighbour. An epoch that is not longer than a window stays as it is.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_chans, n_times)
    length : int
    bad : sequence of (float, float), default=()
        Start and end in seconds of segments; windows that overlap one are left out.
    sfreq : float, default=1.0
        Rate of `data`, in Hz, for these.

    Returns
    -------
    list of ndarray, shape (n_chans, min(length, n_times))
        Views of `data`.
    int
        How many windows were left out.
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
