"""Recorded signals of one layout: the form in which every kind of input is read."""

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
    data : ndarray or LazyEpochs, shape (n_epochs, n_chans, n_times)
        Float32 microvolts, once `unit` is decided.
    ch_names : tuple of str, or None
        Canonical channel names; None for an array that came without any.
    sfreq : float
        Sampling rate in Hz.
    y : ndarray, shape (n_epochs,), or None
        The data set's own targets.
    unit : {"uV", "V", "auto"}
        What the values were read as; "auto" until it is decided.
    ignored : tuple of str
        Channels of the input that are not EEG (or marked bad) and were left out.
    bads : tuple of str
        Those of them that are marked bad, by canonical name.
    positions : dict of str to ndarray, shape (3,)
        Electrode positions in metres (head coordinates) where the input has them.
    tmin : float or None
        Time in seconds of the first sample of an epoch, where the input says.
    name : str
        File that the epochs come from, where it is known.
    typical : float
        Median over epochs and channels of the standard deviation, in microvolts.
    """

    data: np.ndarray | LazyEpochs
    ch_names: tuple[str, ...] | None
    sfreq: float
    y: np.ndarray | None = None
    unit: str = "auto"
    ignored: tuple[str, ...] = ()
    bads: tuple[str, ...] = ()
    positions: dict[str, np.ndarray] = field(default_factory=dict)
    tmin: float | None = None
    name: str = ""
    typical: float = float("nan")

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
        """Whether the epochs are still in their files."""
        return isinstance(self.data, LazyEpochs)

    def blocks(self, n_epochs: int) -> Iterator[np.ndarray]:
        """Arrays of at most `n_epochs` epochs, in order."""
        for start in range(0, self.n_epochs, n_epochs):
            yield self.data[start : start + n_epochs]

    def reorder(self, ch_names: Sequence[str]) -> Signals:
        """The same signals with these of their channels, in this order."""
        order = [self.ch_names.index(name) for name in ch_names]
        if order == list(range(self.n_chans)):
            return self
        ch_names = tuple(ch_names)
        data = self.data.take_channels(order, ch_names) if self.lazy else self.data[:, order]
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        return self.ch_names, self.n_chans, round(self.sfreq, 6), self.n_times
