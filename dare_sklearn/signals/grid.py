"""From recorded signals to windows on the encoder's grid: electrodes, rate, whole patches."""

from __future__ import annotations

from typing import Any

import numpy as np

from .channels import plan_channels
from .container import Signals
from .errors import SignalError
from .resampling import resample, resampled_length, whole_patches

BLOCK = 256


class Grid:
    """How signals of one layout reach an encoder: electrodes, sampling rate, whole patches.

    `unknown` says how to handle channels outside the table of electrodes ("interpolate", "drop" or
    "error"); None keeps the channels as they were recorded.

    Attributes
    ----------
    index : ndarray of int64, shape (n_known,), or None
        Rows of the channels in the table of electrodes.
    n_times : int
        Samples of an epoch on the grid.
    """

    def __init__(self, signals: Signals, config: Any, *, unknown: str | None) -> None:
        self.sfreq, self.target = signals.sfreq, config.sfreq
        self.plan = None
        if unknown is not None:
            if signals.ch_names is None:
                raise SignalError(
                    f"X has {signals.n_chans} channel(s) without names: pass ch_names=[...]."
                )
            self.plan = plan_channels(
                signals.ch_names, positions=signals.positions, unknown=unknown
            )
        self.index = None if self.plan is None else self.plan.index
        self.n_times = whole_patches(
            resampled_length(signals.n_times, self.sfreq, self.target),
            config.patch_size,
            config.sfreq,
            original_sfreq=signals.sfreq,
            tmin=signals.tmin,
        )

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Microvolts ``(n_epochs, n_chans, n_times)`` on the grid, float32."""
        data = resample(data, self.sfreq, self.target)[..., : self.n_times]
        if self.plan is not None:
            data = self.plan.apply(data)
        return np.ascontiguousarray(data, dtype=np.float32)


class Windows:
    """Epochs on the encoder's grid: float32 microvolts at its rate, in whole patches.

    Indexing with a slice or an array of numbers reads those epochs, ``(n, n_chans, n_times)``, from
    memory or from their files.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_chans,), or None
        Rows of the channels in the table of electrodes; None for channels as they were recorded.
    y : ndarray, shape (n_epochs,), or None
        The data set's own targets.
    shape : (n_epochs, n_chans, n_times)
    """

    def __init__(self, signals: Signals, config: Any, *, unknown: str | None) -> None:
        self.signals, self.grid = signals, Grid(signals, config, unknown=unknown)
        self.rows, self.y = self.grid.index, signals.y
        n_chans = signals.n_chans if self.rows is None else len(self.rows)
        self.shape = (signals.n_epochs, n_chans, self.grid.n_times)
        self._data: np.ndarray | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        if self._data is not None:
            return self._data[index]
        return self.grid.apply(self.signals.data[index])

    def keep(self) -> Windows:
        """Itself; what is in memory is brought to the grid once, for a caller that reads often."""
        if not self.signals.lazy:
            self._data = self.grid.apply(self.signals.data)
        return self

    def load(self) -> np.ndarray:
        """All of them as one array, block by block."""
        return np.concatenate([self[at : at + BLOCK] for at in range(0, len(self), BLOCK)])
