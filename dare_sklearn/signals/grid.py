"""From recorded signals to what the encoder reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .channels import plan_channels
from .container import Signals
from .resampling import resample, resampled_length, whole_patches


class Grid:
    """How signals of one layout reach the encoder: electrodes, sampling rate, whole patches.

    Parameters
    ----------
    signals : Signals
        Of that layout.
    config : DAREConfig
        Of the encoder: its rate and patch length.
    owner : str
        Who asks, for messages.
    unknown : {"interpolate", "drop", "error"} or None
        What becomes of channels outside the table of electrodes; None keeps the channels as they
        were recorded.

    Attributes
    ----------
    index : ndarray of int64, shape (n_known,), or None
        Rows of the channels in the table of electrodes.
    n_times : int
        Samples of an epoch on the grid.
    """

    def __init__(self, signals: Signals, config: Any, *, owner: str, unknown: str | None) -> None:
        self.sfreq, self.target = signals.sfreq, config.sfreq
        self.plan = None
        if unknown is not None:
            if signals.ch_names is None:
                raise ValueError(
                    f"{owner} got {signals.n_chans} channel(s) without names: pass ch_names=[...]."
                )
            self.plan = plan_channels(
                signals.ch_names, positions=signals.positions, unknown=unknown, owner=owner
            )
        self.index = None if self.plan is None else self.plan.index
        self.n_times = whole_patches(
            resampled_length(signals.n_times, self.sfreq, self.target),
            config.patch_size,
            config.sfreq,
            owner,
            original_sfreq=signals.sfreq,
        )

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Microvolts ``(n_epochs, n_chans, n_times)`` on the grid, float32."""
        data = resample(data, self.sfreq, self.target)[..., : self.n_times]
        if self.plan is not None:
            data = self.plan.apply(data)
        return np.ascontiguousarray(data, dtype=np.float32)


class GridEpochs:
    """All epochs on the grid: made once from an array, on demand from files.

    Indexing with a slice or an array of numbers gives an array.
    """

    def __init__(self, signals: Signals, grid: Grid) -> None:
        self.grid = grid
        self.source = signals.data if signals.lazy else grid.apply(signals.data)
        self.lazy = signals.lazy
        self.shape = (signals.n_epochs, signals.n_chans, grid.n_times)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        block = self.source[index]
        return self.grid.apply(block) if self.lazy else block


def to_grid(
    signals: Signals, config: Any, *, unknown: str, owner: str
) -> tuple[np.ndarray, np.ndarray]:
    """Signals at the encoder's electrodes and rate, in whole patches.

    Returns
    -------
    data : ndarray of float32, shape (n_epochs, n_known, n_patches * patch_size)
    index : ndarray of int64, shape (n_known,)
        Rows of the channels in the table of electrodes.
    """
    grid = Grid(signals, config, owner=owner, unknown=unknown)
    return np.concatenate([grid.apply(block) for block in signals.blocks(256)]), grid.index
