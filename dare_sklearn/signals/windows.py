"""Windows for pretraining, cut from longer signals."""

from __future__ import annotations

import numpy as np


def cut_windows(data: np.ndarray, length: int) -> np.ndarray:
    """Cut every epoch into windows of `length` samples that cover all of it.

    Windows stand side by side; where they do not fill the epoch, a last one ends with it and
    overlaps its neighbour. An epoch that is not longer than a window stays as it is.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_chans, n_times)
    length : int

    Returns
    -------
    ndarray, shape (n_windows, n_chans, min(length, n_times))
    """
    if data.shape[-1] <= length:
        return data
    starts = window_starts(data.shape[-1], length)
    windows = np.stack([data[..., start : start + length] for start in starts], axis=1)
    return windows.reshape(-1, data.shape[1], length)


def window_starts(n_times: int, length: int) -> list[int]:
    """First samples of the windows that `cut_windows` makes of an epoch."""
    starts = list(range(0, max(n_times - length, 0) + 1, length))
    if starts[-1] + length < n_times:
        starts.append(n_times - length)
    return starts
