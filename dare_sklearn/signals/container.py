"""The one form in which all later layers see signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .lazy import LazyEpochs


@dataclass
class Signals:
    """Epochs of one montage, rate and length.

    Attributes
    ----------
    data : ndarray of float32 or LazyEpochs, shape (n_epochs, n_chans, n_times)
        Microvolts.
    sfreq : float
        Sampling rate in Hz.
    ch_names : tuple of str, or None
        Canonical channel names; None for an array that came without any.
    y : ndarray, shape (n_epochs,), or None
        The data set's own targets.
    unit : str
        "uV" or "V": what the values were read as.
    ignored : tuple of str
        Channels of the input that are no EEG (or marked bad) and were left out.
    positions : dict of str to ndarray, shape (3,)
        Electrode positions in metres (head coordinates) where the input has them.
    """

    data: np.ndarray | LazyEpochs
    sfreq: float
    ch_names: tuple[str, ...] | None
    y: np.ndarray | None = None
    unit: str = "uV"
    ignored: tuple[str, ...] = ()
    positions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def n_epochs(self) -> int:
        return self.data.shape[0]

    @property
    def n_chans(self) -> int:
        return self.data.shape[1]

    @property
    def n_times(self) -> int:
        return self.data.shape[2]

    @property
    def lazy(self) -> bool:
        """Whether the epochs still lie in their files."""
        return isinstance(self.data, LazyEpochs)

    def blocks(self, n_epochs: int) -> Iterator[np.ndarray]:
        """Arrays of at most `n_epochs` epochs, in order."""
        for start in range(0, self.n_epochs, n_epochs):
            yield self.data[start : start + n_epochs]

    def reorder(self, ch_names: Sequence[str]) -> Signals:
        """The same signals with the channels in the order of `ch_names`."""
        order = [self.ch_names.index(name) for name in ch_names]
        if order == list(range(self.n_chans)):
            return self
        ch_names = tuple(ch_names)
        data = self.data.take_channels(order, ch_names) if self.lazy else self.data[:, order]
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        return self.ch_names, self.n_chans, round(self.sfreq, 6), self.n_times
