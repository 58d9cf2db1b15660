"""MNE objects with other values in them."""

from __future__ import annotations

from typing import Any

import numpy as np


def replace_data(epochs: Any, data: np.ndarray) -> Any:
    """An ``mne.EpochsArray`` with `data` and everything else of `epochs`.

    Parameters
    ----------
    epochs : mne.Epochs
        Loaded, or with its bad epochs dropped.
    data : ndarray, shape (n_epochs, n_chans, n_times)
        In volts.
    """
    import mne

    return mne.EpochsArray(
        data,
        epochs.info,
        events=epochs.events,
        tmin=epochs.tmin,
        event_id=epochs.event_id,
        metadata=epochs.metadata,
        selection=epochs.selection,
        drop_log=epochs.drop_log,
        proj=False,
        verbose="error",
    )
