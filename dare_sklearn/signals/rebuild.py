"""MNE objects with other values in them."""

from __future__ import annotations

from typing import Any

import numpy as np


def replace_data(epochs: Any, data: np.ndarray) -> Any:
    """A copy of `epochs` with `data` in it.

    Parameters
    ----------
    epochs : mne.Epochs
        Loaded, or with its bad epochs dropped.
    data : ndarray, shape (n_epochs, n_chans, n_times)
        In volts, for all channels.
    """
    # a new object would refuse repeated events, and classes that have lost all their epochs
    loaded = epochs.copy().load_data()
    return loaded.apply_function(lambda _: data, picks="all", channel_wise=False, verbose="error")
