"""What a pretraining loader reads: windows of several montages, and streams of more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.electrodes import ELECTRODES
from ..signals.errors import SignalError


class MappedWindows:
    """Float32 windows that lie side by side in a file.

    Each process maps the file for itself when it first reads: pickling `numpy.memmap` would copy
    all of it.
    """

    def __init__(self, file: Path, shape: tuple[int, int, int]) -> None:
        self.file, self.shape = file, shape

    @cached_property
    def data(self) -> np.memmap:
        return np.memmap(self.file, np.float32, "r", shape=self.shape)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "shape": self.shape}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        return self.data[windows]


@dataclass
class Montage:
    """Windows ``(n_windows, n_chans, n_times)`` that can stand in one batch: microvolts on the
    grid.

    `rows` are those of the channels in the table of electrodes, `source` is the number of the item
    of X.
    """

    windows: np.ndarray | MappedWindows
    rows: tuple[int, ...]
    source: int = 0


class Stream:
    """Batches that an object of the user makes, checked.

    ``given.batch(step)`` gives microvolts ``(n_windows, n_chans, n_times)`` at the encoder's rate,
    in an array or a tensor, also one that lies on the device already, and the rows of the channels
    in the table of electrodes. ``len(given)`` is the steps of an epoch.
    """

    def __init__(self, given: Any, config: DAREConfig, source: int = 0) -> None:
        self.given, self.config, self.source = given, config, source

    def __len__(self) -> int:
        return len(self.given)

    def read(self, step: int) -> tuple[torch.Tensor, np.ndarray]:
        """Batch number `step`; a SignalError if it is not such a batch."""
        x, channels = self.given.batch(step)
        if not isinstance(x, torch.Tensor):
            x = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        x, channels = x.float(), np.asarray(channels, np.int64)
        patch, wrong = self.config.patch_size, None
        if x.ndim != 3 or not len(x) or x.shape[2] % patch or not x.shape[2]:
            wrong = (
                f"has the shape {tuple(x.shape)}: give (n_windows, n_chans, n_times) in whole "
                f"patches of {patch} samples at {self.config.sfreq:g} Hz"
            )
        elif (
            channels.shape != tuple(x.shape[1:2])
            or len(np.unique(channels)) != len(channels)
            or not np.isin(channels, np.arange(len(ELECTRODES))).all()
        ):
            wrong = (
                f"has {x.shape[1]} channels and the rows {channels}: give each channel another row "
                f"of the {len(ELECTRODES)} electrodes"
            )
        elif not torch.isfinite(x).all():
            wrong = "holds NaN or infinite values"
        if wrong:
            raise SignalError(f"batch({step}) of the stream {wrong}.")
        return x, channels

    def layout(self) -> Signals:
        """The first batch, as signals of its electrodes."""
        x, channels = self.read(0)
        x = x.cpu().numpy()
        return Signals(x, tuple(ELECTRODES[i] for i in channels), self.config.sfreq, unit="uV")


@dataclass
class Corpus(Dataset):
    """All windows, and streams of more; an item is asked for as `MontageBatches` gives it.

    `layout` is that of the first part, without its values; `mixed` says whether there are
    continuous recordings, streams or several layouts; `content` is a hash of all signals; `n_parts`
    were used, `n_bad` windows left out for bad segments, and `skipped` says which recordings were
    left out, and why.
    """

    montages: list[Montage] = field(default_factory=list)
    streams: Sequence[Stream] = ()
    layout: Signals | None = None
    mixed: bool = False
    content: str = ""
    n_parts: int = 0
    n_bad: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        return [len(montage.windows) for montage in self.montages]

    @property
    def n_windows(self) -> int:
        """Of signals, and of an epoch of each stream."""
        made = (len(stream) * len(stream.read(0)[0]) for stream in self.streams)
        return sum(self.sizes) + sum(made)

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, key: tuple) -> tuple:
        source, windows, *share = key
        if source < len(self.montages):
            montage = self.montages[source]
            return torch.from_numpy(montage.windows[windows]), torch.tensor(montage.rows), *share
        x, channels = self.streams[source - len(self.montages)].read(windows)
        if share:  # rank and number of the processes, where several train together
            rank, n_ranks = share
            mine = torch.tensor_split(x, n_ranks)[rank]
            x, share = mine if len(mine) else x[:1], [(len(mine), len(x))]
        return x, torch.from_numpy(channels), *share
