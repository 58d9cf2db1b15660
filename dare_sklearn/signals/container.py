"""Recorded signals of one layout: the form in which every kind of input is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .lazy import LazyEpochs


@dataclass
class Signals:
    """Epochs of one montage, rate and length."""

    data: np.ndarray | LazyEpochs  # (n_epochs, n_chans, n_times), float32 µV once `unit` is decided
    ch_names: tuple[str, ...] | None  # canonical; None for an array that came without any
    sfreq: float  # in Hz
    y: np.ndarray | None = None  # (n_epochs,), the data set's own targets
    unit: str = "auto"  # "uV" or "V", what the values were read as
    ignored: tuple[str, ...] = ()  # channels of the input that are not EEG or marked bad
    bads: tuple[str, ...] = ()  # those of them that are marked bad, by canonical name
    # electrode positions (3,) in metres, head coordinates, where the input has them
    positions: dict[str, np.ndarray] = field(default_factory=dict)
    tmin: float | None = None  # time in seconds of an epoch's first sample, if it is known
    name: str = ""  # of the file that the epochs come from, if it is known
    typical: float = float("nan")  # median over epochs and channels of the deviation, in µV

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

    def reorder(self, ch_names: Sequence[str]) -> Signals:
        """The same signals with only these channels, in this order."""
        ch_names = tuple(ch_names)
        if ch_names == self.ch_names:
            return self
        order = [self.ch_names.index(name) for name in ch_names]
        data = self.data.take_channels(order, ch_names) if self.lazy else self.data[:, order]
        return replace(self, data=data, ch_names=ch_names)

    def layout(self) -> tuple[Any, ...]:
        """What epochs must share to stand in one array."""
        return self.ch_names, self.n_chans, round(self.sfreq, 6), self.n_times
