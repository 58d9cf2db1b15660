"""From recorded signals to what the encoder reads."""

from __future__ import annotations

import numpy as np

from ..modules.config import DAREConfig
from ..signals.channels import plan_channels
from ..signals.container import Signals
from ..signals.resampling import resample, whole_patches


def to_patches_grid(signals: Signals, config: DAREConfig, *, owner: str) -> np.ndarray:
    """Recorded channels at the encoder's rate, in whole patches.

    Returns
    -------
    ndarray of float32, shape (n_epochs, n_chans, n_patches * patch_size)
    """
    data = resample(signals.data, signals.sfreq, config.sfreq)
    data = whole_patches(data, config.patch_size, config.sfreq, owner, original_sfreq=signals.sfreq)
    return np.ascontiguousarray(data, dtype=np.float32)


def to_grid(
    signals: Signals, config: DAREConfig, *, unknown: str, owner: str
) -> tuple[np.ndarray, np.ndarray]:
    """Signals at the encoder's electrodes and rate, in whole patches.

    Returns
    -------
    data : ndarray of float32, shape (n_epochs, n_known, n_patches * patch_size)
    index : ndarray of int64, shape (n_known,)
        Rows of the channels in the table of electrodes.
    """
    plan = plan_channels(
        signals.ch_names, positions=signals.positions, unknown=unknown, owner=owner
    )
    data = to_patches_grid(signals, config, owner=owner)
    return np.ascontiguousarray(plan.apply(data), dtype=np.float32), plan.index
