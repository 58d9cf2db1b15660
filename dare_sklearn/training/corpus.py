"""A pretraining corpus: windows of several montages and lengths, batched within one of them.

What MNE or braindecode has not loaded stays on disk, and is read batch by batch, by background
workers where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.electrodes import ELECTRODES
from ..signals.grid import Grid
from ..signals.lazy import LazyRecording, overlapping
from ..signals.recordings import resampled_span
from ..signals.resampling import resampled_length, whole_patches
from ..signals.windows import cut_windows, window_starts
from .stream import OnError, Part

BLOCK = 64  # windows of a recording in memory that are cut together


@dataclass
class Montage:
    """Windows that can stand in one batch."""

    blocks: list[np.ndarray | LazyWindows | RecordingWindows]  # float32 microvolts
    index: np.ndarray  # (n_chans,), rows of the table of electrodes
    source: int = 0  # number of the item of X, where these are mixed with stated shares
    ends: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.ends = np.cumsum([len(block) for block in self.blocks])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def n_times(self) -> int:
        block = self.blocks[0]
        return block.shape[2] if isinstance(block, np.ndarray) else block.length

    @property
    def n_values(self) -> int:
        """Of one window."""
        return len(self.index) * self.n_times

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        """Windows of these numbers, ``(n_windows, n_chans, n_times)``."""
        if len(self.blocks) == 1:
            return self.blocks[0][windows]
        done = np.empty((len(windows), len(self.index), self.n_times), dtype=np.float32)
        numbers = np.searchsorted(self.ends, windows, side="right")
        for number in np.unique(numbers):
            block, rows = self.blocks[number], np.flatnonzero(numbers == number)
            done[rows] = block[windows[rows] - (self.ends[number] - len(block))]
        return done


class LazyWindows:
    """Windows of epochs that stay in their files; indexing with an array of numbers reads them."""

    def __init__(self, signals: Signals, grid: Grid, length: int) -> None:
        self.data, self.grid = signals.data, grid
        self.length = min(length, grid.n_times)
        self.starts = window_starts(grid.n_times, self.length)

    def __len__(self) -> int:
        return len(self.data) * len(self.starts)

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        epochs, numbers = np.divmod(windows, len(self.starts))
        read, rows = np.unique(epochs, return_inverse=True)
        data = self.grid.apply(self.data[read])
        starts = [self.starts[number] for number in numbers]
        return np.stack(
            [data[row, :, at : at + self.length] for row, at in zip(rows, starts, strict=True)]
        )


class RecordingWindows:
    """Windows of a continuous recording, without those that overlap its bad segments.

    Cut from the recording as it is on the encoder's grid, of which each window is made when it is
    read: from the samples that it needs.

    Parameters
    ----------
    part : Part
    grid : Grid
        Of one window.
    length : int
        Samples of a window on the grid; a shorter recording is one window.
    patch_size : int
    """

    def __init__(self, part: Part, grid: Grid, length: int, patch_size: int) -> None:
        self.data: LazyRecording = part.signals.data
        self.grid, self.scale = grid, part.scale
        n_times = resampled_length(self.data.n_times, grid.sfreq, grid.target)
        n_times = n_times // patch_size * patch_size  # what is left over is less than a patch
        self.length = min(length, n_times)
        starts = np.array(window_starts(n_times, self.length))
        bad = overlapping(self.data.bad, starts / grid.target, (starts + self.length) / grid.target)
        self.starts, self.n_bad = starts[~bad], int(bad.sum())

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        rates = self.grid.sfreq, self.grid.target
        data = np.stack(
            [
                resampled_span(self.data, *rates, at, at + self.length)
                for at in self.starts[windows].tolist()
            ]
        )
        if self.scale is not None:
            data = self.scale.apply(data)
        if self.grid.plan is not None:
            data = self.grid.plan.apply(data)
        return np.ascontiguousarray(data, dtype=np.float32)


class Corpus(Dataset):
    """All windows, and streams of more; an item is asked for as `MontageBatches` gives it.

    Attributes
    ----------
    montages : list of Montage
    n_bad : int
        Windows that were left out, because they overlap segments annotated as bad.
    streams : list of Stream
    """

    def __init__(
        self, montages: list[Montage], n_bad: int = 0, streams: Sequence[Stream] = ()
    ) -> None:
        self.montages, self.n_bad, self.streams = montages, n_bad, list(streams)
        self.channels = [torch.from_numpy(montage.index) for montage in montages]

    @property
    def sizes(self) -> list[int]:
        return [len(montage) for montage in self.montages]

    @property
    def lazy(self) -> bool:
        """Whether some windows still lie in their files, or have to be made."""
        return bool(self.streams) or any(
            not isinstance(block, np.ndarray)
            for montage in self.montages
            for block in montage.blocks
        )

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, key: tuple) -> tuple:
        source, windows, *share = key
        if source < len(self.montages):
            x, channels = self.montages[source][windows], self.channels[source]
            return torch.from_numpy(x), channels, *share
        x, channels = self.streams[source - len(self.montages)].read(windows)
        if share:  # rank and number of the processes, where several train together
            rank, n_ranks = share
            mine = np.array_split(x, n_ranks)[rank]
            x, share = mine if len(mine) else x[:1], [(len(mine), len(x))]
        return torch.from_numpy(x), torch.from_numpy(channels), *share


class Stream:
    """Batches that an object of the user makes, checked.

    Parameters
    ----------
    given : object
        ``batch(step)`` gives microvolts ``(n_windows, n_chans, n_times)`` at the encoder's rate and
        the rows of the channels in the table of electrodes; ``len`` is the steps of an epoch.
    config : DAREConfig
    source : int, default=0
    """

    def __init__(self, given: Any, config: DAREConfig, source: int = 0) -> None:
        self.given, self.config, self.source = given, config, source

    def __len__(self) -> int:
        return len(self.given)

    def read(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`.

        Raises
        ------
        ValueError
            If it is not such a batch.
        """
        x, channels = self.given.batch(step)
        x, channels = np.ascontiguousarray(x, np.float32), np.asarray(channels, np.int64)
        patch = self.config.patch_size
        if x.ndim != 3 or not len(x) or x.shape[2] % patch or not x.shape[2]:
            raise ValueError(
                f"batch({step}) of the stream has the shape {x.shape}: give (n_windows, n_chans, "
                f"n_times) in whole patches of {patch} samples at {self.config.sfreq:g} Hz."
            )
        if (
            channels.shape != x.shape[1:2]
            or len(np.unique(channels)) != len(channels)
            or not np.isin(channels, np.arange(len(ELECTRODES))).all()
        ):
            raise ValueError(
                f"batch({step}) of the stream has {x.shape[1]} channels and the rows {channels}: "
                f"give each channel another row of the {len(ELECTRODES)} electrodes."
            )
        if not np.isfinite(x).all():
            raise ValueError(f"batch({step}) of the stream holds NaN or infinite values.")
        return x, channels


def build_corpus(
    parts: Iterable[Part],
    config: DAREConfig,
    *,
    window_s: float | Sequence[float],
    unknown: str,
    owner: str,
    errors: OnError,
    streams: Sequence[Stream] = (),
) -> Corpus:
    """Bring every part onto the encoder's grid, cut windows, and group them by layout.

    Several lengths of windows cut each part once per length.

    Raises
    ------
    ValueError
        If a part cannot be brought there (or is left out, as `errors` says), or none gives windows.
    """
    lengths = [_window_length(seconds, config, owner) for seconds in np.atleast_1d(window_s)]
    groups: dict[tuple, list] = {}
    grids: dict[tuple, Grid] = {}
    n_bad = 0
    for part in parts:
        seen: set[int] = set()  # a part that is shorter than two lengths is cut once
        for window in lengths:
            with errors.guard(part.name):
                grid, windows, length = _windows_of(part, config, window, unknown, grids)
                if length in seen:
                    continue
                seen.add(length)
                if isinstance(windows, RecordingWindows):
                    n_bad += windows.n_bad
                    if part.signals.data.loaded:
                        windows = _cut_all(windows, len(grid.index))
                if len(windows):
                    key = part.source, tuple(grid.index), length
                    groups.setdefault(key, []).append(windows)
    if not groups and n_bad:
        raise ValueError(
            f"{owner} got no window that is free of segments annotated as bad ({n_bad} are not): "
            "correct the annotations, or pass a smaller window_s."
        )
    return Corpus(
        [
            Montage(_join_arrays(blocks), np.array(index, dtype=np.int64), source)
            for (source, index, _), blocks in groups.items()
        ],
        n_bad,
        streams,
    )


def _window_length(seconds: float, config: DAREConfig, owner: str) -> int:
    """Samples of a window, in whole patches."""
    length = round(seconds * config.sfreq) // config.patch_size * config.patch_size
    if length < config.patch_size:
        raise ValueError(
            f"window_s={seconds:g} of {owner} is shorter than one patch of "
            f"{config.patch_size / config.sfreq:g} s."
        )
    return length


def _windows_of(
    part: Part, config: DAREConfig, window: int, unknown: str, grids: dict
) -> tuple[Grid, Any, int]:
    """The grid of a part, its windows, and their length."""
    signals = part.signals
    if part.name is not None:
        grid = _window_grid(signals, config, window, unknown, grids)
        windows = RecordingWindows(part, grid, window, config.patch_size)
        return grid, windows, windows.length
    grid = Grid(signals, config, unknown=unknown)
    length = min(window, grid.n_times)
    if signals.lazy:
        return grid, LazyWindows(signals, grid, window), length
    return grid, cut_windows(grid.apply(signals.data), window), length


def _window_grid(
    signals: Signals, config: DAREConfig, window: int, unknown: str, known: dict
) -> Grid:
    """The grid of one window of a recording; recordings of one layout share it."""
    n_times = resampled_length(signals.n_times, signals.sfreq, config.sfreq)
    if n_times < config.patch_size:  # which it tells
        rates = {"original_sfreq": signals.sfreq}
        whole_patches(n_times, config.patch_size, config.sfreq, **rates)
    places = tuple((name, place.tobytes()) for name, place in signals.positions.items())
    key = signals.ch_names, signals.sfreq, places, window
    if key not in known:
        n_times = round(window * signals.sfreq / config.sfreq)
        one = replace(signals, data=replace(signals.data, n_times=n_times))
        known[key] = Grid(one, config, unknown=unknown)
    return known[key]


def _cut_all(windows: RecordingWindows, n_chans: int) -> np.ndarray:
    """All windows of a recording that lies in memory."""
    done = np.empty((len(windows), n_chans, windows.length), dtype=np.float32)
    for at in range(0, len(windows), BLOCK):
        some = np.arange(at, min(at + BLOCK, len(windows)))
        done[some] = windows[some]
    return done


def describe_corpus(parts: Iterable[Part], corpus: Corpus) -> str:
    """What tells one corpus from another: number and layout of windows, a hash of all signals.

    The hash is of the values as they were read, before any processing that rounds differently on
    another machine. Epochs on disk are read through for it once; recordings have been.
    """
    digest = xxh3_128()
    for part in parts:
        signals = part.signals
        positions = sorted((name, list(map(float, p))) for name, p in signals.positions.items())
        digest.update(repr((signals.layout(), positions)).encode())
        if part.digest is not None:
            digest.update(repr((signals.unit, signals.data.bad)).encode() + part.digest)
            continue
        for block in signals.blocks(64):
            digest.update(np.ascontiguousarray(block, dtype=np.float32))
    for stream in corpus.streams:
        x, channels = stream.read(0)
        digest.update(repr((len(stream), stream.source)).encode() + channels.tobytes())
        digest.update(x)
    layouts = [
        f"{len(montage)} of {len(montage.index)} channels x {montage.n_times} samples"
        for montage in corpus.montages
    ]
    layouts += [f"a stream of {len(stream)} batches" for stream in corpus.streams]
    listed = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
    return f"{len(corpus)} windows ({listed}), content {digest.hexdigest()}"


def _join_arrays(blocks: list) -> list:
    """The same blocks, with neighbours that lie in memory as one array."""
    joined = []
    for in_memory, run in groupby(blocks, key=lambda block: isinstance(block, np.ndarray)):
        run = list(run)
        joined += [np.concatenate(run)] if in_memory and len(run) > 1 else run
    return joined
