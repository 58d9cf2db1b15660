"""A pretraining corpus: windows of several montages and lengths, batched within one of them.

What MNE or braindecode has not loaded stays on disk, and is read batch by batch, by background
workers where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.grid import Grid
from ..signals.lazy import LazyRecording, overlapping
from ..signals.recordings import resampled_span
from ..signals.resampling import resampled_length, whole_patches
from ..signals.windows import cut_windows, window_starts
from .processes import Ranks
from .stream import OnError, Part
from .workers import worker_options

BLOCK = 64  # windows of a recording in memory that are cut together


@dataclass
class Montage:
    """Windows that can stand in one batch."""

    blocks: list[np.ndarray | LazyWindows | RecordingWindows]  # float32 microvolts
    index: np.ndarray  # (n_chans,), rows of the table of electrodes
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
    """All windows; an item is asked for by (montage, list of window numbers).

    Attributes
    ----------
    montages : list of Montage
    n_bad : int
        Windows that were left out, because they overlap segments annotated as bad.
    """

    def __init__(self, montages: list[Montage], n_bad: int = 0) -> None:
        self.montages, self.n_bad = montages, n_bad
        self.channels = [torch.from_numpy(montage.index) for montage in montages]

    @property
    def sizes(self) -> list[int]:
        return [len(montage) for montage in self.montages]

    @property
    def lazy(self) -> bool:
        """Whether some windows still lie in their files."""
        return any(
            not isinstance(block, np.ndarray)
            for montage in self.montages
            for block in montage.blocks
        )

    def __len__(self) -> int:
        return sum(len(montage) for montage in self.montages)

    def __getitem__(self, key: tuple) -> tuple:
        montage, windows, *share = key
        return torch.from_numpy(self.montages[montage][windows]), self.channels[montage], *share


class MontageBatches(Sampler):
    """Shuffled batches, each within one montage; their number is the same in every epoch.

    Where several processes train together, each gets its share of every batch, and with it how
    many windows of the batch are its own and how many there are. One that gets none (of a montage
    with fewer windows than processes) gets one that does not count.

    Parameters
    ----------
    sizes : list of int
        Windows of each montage.
    batch_size : int
        Windows in a batch of all processes together.
    rng : numpy.random.Generator
    rank, n_ranks : int, default=0, 1
    """

    def __init__(
        self,
        sizes: list[int],
        batch_size: int,
        rng: np.random.Generator,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        self.sizes = sizes
        self.counts = [-(-size // batch_size) for size in sizes]
        self.rng = rng
        self.rank, self.n_ranks = rank, n_ranks
        self.n_skipped = 0

    @property
    def state(self) -> dict[str, Any]:
        """Of the generator: between epochs, what the next one's order comes from."""
        return self.rng.bit_generator.state

    def resume(self, state: dict[str, Any], n_done: int) -> None:
        """Make the next epoch the one that began in this state, without its first batches."""
        self.rng.bit_generator.state = state
        self.n_skipped = n_done

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple]:
        batches = [
            (montage, windows)
            for montage, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True))
            # of even sizes, so that no batch is left with a single window and nothing to contrast
            for windows in np.array_split(self.rng.permutation(size), count)
        ]
        first, self.n_skipped = self.n_skipped, 0
        for i in self.rng.permutation(len(batches))[first:]:
            yield batches[i] if self.n_ranks == 1 else self._share(*batches[i])

    def _share(self, montage: int, windows: np.ndarray) -> tuple:
        mine = np.array_split(windows, self.n_ranks)[self.rank]
        read = mine if len(mine) else windows[:1]
        return montage, read, (len(mine), len(windows))


def make_loader(
    corpus: Corpus,
    batch_size: int,
    rng: np.random.Generator,
    *,
    n_workers: int = 0,
    ranks: Ranks | None = None,
) -> DataLoader:
    """Loader of (x, channels) batches; workers where something is to be read."""
    ranks = ranks or Ranks()
    sampler = MontageBatches(corpus.sizes, batch_size * ranks.size, rng, ranks.rank, ranks.size)
    options = worker_options(n_workers if corpus.lazy else 0)
    return DataLoader(corpus, sampler=sampler, batch_size=None, **options)


def build_corpus(
    parts: Iterable[Part],
    config: DAREConfig,
    *,
    window_s: float,
    unknown: str,
    owner: str,
    errors: OnError,
) -> Corpus:
    """Bring every part onto the encoder's grid, cut windows, and group them by layout.

    Raises
    ------
    ValueError
        If a part cannot be brought there (or is left out, as `errors` says), or none gives windows.
    """
    window = round(window_s * config.sfreq) // config.patch_size * config.patch_size
    if window < config.patch_size:
        raise ValueError(
            f"window_s={window_s:g} of {owner} is shorter than one patch of "
            f"{config.patch_size / config.sfreq:g} s."
        )
    groups: dict[tuple, list] = {}
    grids: dict[tuple, Grid] = {}
    n_bad = 0
    for part in parts:
        with errors.guard(part.name):
            signals = part.signals
            if part.name is not None:
                grid = _window_grid(signals, config, window, owner, unknown, grids)
                windows = RecordingWindows(part, grid, window, config.patch_size)
                n_bad += windows.n_bad
                length = windows.length
                if signals.data.loaded:
                    windows = _cut_all(windows, len(grid.index))
            else:
                grid = Grid(signals, config, owner=owner, unknown=unknown)
                length = min(window, grid.n_times)
                windows = (
                    LazyWindows(signals, grid, window)
                    if signals.lazy
                    else cut_windows(grid.apply(signals.data), window)
                )
            if len(windows):
                groups.setdefault((tuple(grid.index), length), []).append(windows)
    if not groups and n_bad:
        raise ValueError(
            f"{owner} got no window that is free of segments annotated as bad ({n_bad} are not): "
            "correct the annotations, or pass a smaller window_s."
        )
    return Corpus(
        [
            Montage(_join_arrays(blocks), np.array(index, dtype=np.int64))
            for (index, _), blocks in groups.items()
        ],
        n_bad,
    )


def _window_grid(
    signals: Signals, config: DAREConfig, window: int, owner: str, unknown: str, known: dict
) -> Grid:
    """The grid of one window of a recording; recordings of one layout share it."""
    n_times = resampled_length(signals.n_times, signals.sfreq, config.sfreq)
    if n_times < config.patch_size:  # which it tells
        rates = {"original_sfreq": signals.sfreq}
        whole_patches(n_times, config.patch_size, config.sfreq, owner, **rates)
    places = tuple((name, place.tobytes()) for name, place in signals.positions.items())
    key = signals.ch_names, signals.sfreq, places
    if key not in known:
        n_times = round(window * signals.sfreq / config.sfreq)
        one = replace(signals, data=replace(signals.data, n_times=n_times))
        known[key] = Grid(one, config, owner=owner, unknown=unknown)
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
    layouts = [
        f"{len(montage)} of {len(montage.index)} channels x {montage.n_times} samples"
        for montage in corpus.montages
    ]
    listed = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
    return f"{len(corpus)} windows ({listed}), content {digest.hexdigest()}"


def _join_arrays(blocks: list) -> list:
    """The same blocks, with neighbours that lie in memory as one array."""
    joined = []
    for in_memory, run in groupby(blocks, key=lambda block: isinstance(block, np.ndarray)):
        run = list(run)
        joined += [np.concatenate(run)] if in_memory and len(run) > 1 else run
    return joined
