"""A pretraining corpus: windows of several montages and lengths, batched within one of them.

What MNE or braindecode has not loaded stays on disk, and is read batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.windows import cut_windows, window_starts
from ._grid import Grid


@dataclass
class Montage:
    """Windows that can stand in one batch."""

    blocks: list[np.ndarray | LazyWindows]  # (n_windows, n_chans, n_times), float32 microvolts
    index: np.ndarray  # (n_chans,), rows of the table of electrodes

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def n_times(self) -> int:
        block = self.blocks[0]
        return block.shape[2] if isinstance(block, np.ndarray) else block.length

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        if len(self.blocks) == 1:
            return self.blocks[0][windows]
        done: list[np.ndarray | None] = [None] * len(windows)
        start = 0
        for block in self.blocks:
            rows = np.flatnonzero((windows >= start) & (windows < start + len(block)))
            if len(rows):
                for row, window in zip(rows, block[windows[rows] - start], strict=True):
                    done[row] = window
            start += len(block)
        return np.stack(done)


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


class Corpus(Dataset):
    """All windows; an item is asked for by (montage, list of window numbers)."""

    def __init__(self, montages: list[Montage]) -> None:
        self.montages = montages
        self.channels = [torch.from_numpy(montage.index) for montage in montages]

    def __len__(self) -> int:
        return sum(len(montage) for montage in self.montages)

    def __getitem__(self, key: tuple[int, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        montage, windows = key
        return torch.from_numpy(self.montages[montage][windows]), self.channels[montage]


class MontageBatches(Sampler):
    """Shuffled batches, each within one montage; their number is the same in every epoch."""

    def __init__(self, sizes: list[int], batch_size: int, rng: np.random.Generator) -> None:
        self.sizes = sizes
        self.counts = [-(-size // batch_size) for size in sizes]
        self.rng = rng
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

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        batches = [
            (montage, windows)
            for montage, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True))
            # of even sizes, so that no batch is left with a single window and nothing to contrast
            for windows in np.array_split(self.rng.permutation(size), count)
        ]
        first, self.n_skipped = self.n_skipped, 0
        for i in self.rng.permutation(len(batches))[first:]:
            yield batches[i]


def make_loader(corpus: Corpus, batch_size: int, rng: np.random.Generator) -> DataLoader:
    """Loader of (x, channels) batches."""
    sampler = MontageBatches([len(m) for m in corpus.montages], batch_size, rng)
    # it draws a seed for its workers in each epoch: from here, so that torch's own generator,
    # whose state a checkpoint keeps, is not moved
    return DataLoader(corpus, sampler=sampler, batch_size=None, generator=torch.Generator())


def build_corpus(
    parts: list[Signals], config: DAREConfig, *, window_s: float, unknown: str, owner: str
) -> Corpus:
    """Bring every part onto the encoder's grid, cut windows, and group them by layout."""
    window = round(window_s * config.sfreq) // config.patch_size * config.patch_size
    if window < config.patch_size:
        raise ValueError(
            f"window_s={window_s:g} of {owner} is shorter than one patch of "
            f"{config.patch_size / config.sfreq:g} s."
        )
    groups: dict[tuple, list[np.ndarray | LazyWindows]] = {}
    for signals in parts:
        grid = Grid(signals, config, owner=owner, unknown=unknown)
        if signals.lazy:
            windows = LazyWindows(signals, grid, window)
        else:
            windows = cut_windows(grid.apply(signals.data), window)
        key = (tuple(grid.index), min(window, grid.n_times))
        groups.setdefault(key, []).append(windows)
    return Corpus(
        [
            Montage(_join_arrays(blocks), np.array(index, dtype=np.int64))
            for (index, _), blocks in groups.items()
        ]
    )


def describe_corpus(parts: list[Signals], corpus: Corpus) -> str:
    """What tells one corpus from another: number and layout of windows, a hash of all signals.

    The hash is of the values as they were read, before any processing that rounds differently on
    another machine. Signals on disk are read through for it once.
    """
    digest = xxh3_128()
    for signals in parts:
        positions = sorted((name, list(map(float, p))) for name, p in signals.positions.items())
        digest.update(repr((signals.layout(), positions)).encode())
        for block in signals.blocks(64):
            digest.update(np.ascontiguousarray(block, dtype=np.float32))
    layouts = [
        f"{len(montage)} of {len(montage.index)} channels x {montage.n_times} samples"
        for montage in corpus.montages
    ]
    listed = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
    return f"{len(corpus)} windows ({listed}), content {digest.hexdigest()}"


def _join_arrays(blocks: list[np.ndarray | LazyWindows]) -> list[np.ndarray | LazyWindows]:
    arrays = [block for block in blocks if isinstance(block, np.ndarray)]
    lazy = [block for block in blocks if not isinstance(block, np.ndarray)]
    return ([np.concatenate(arrays)] if arrays else []) + lazy
