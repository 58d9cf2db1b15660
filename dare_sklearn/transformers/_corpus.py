"""A pretraining corpus: windows of several montages and lengths, batched within one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.windows import cut_windows
from ._grid import to_grid


@dataclass
class Montage:
    """Windows that can stand in one batch."""

    data: np.ndarray  # (n_windows, n_chans, n_times), float32 microvolts
    index: np.ndarray  # (n_chans,), rows of the table of electrodes


class Corpus(Dataset):
    """All windows; an item is asked for by (montage, list of window numbers)."""

    def __init__(self, montages: list[Montage]) -> None:
        self.montages = montages
        self.channels = [torch.from_numpy(montage.index) for montage in montages]

    def __len__(self) -> int:
        return sum(len(montage.data) for montage in self.montages)

    def __getitem__(self, key: tuple[int, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        montage, windows = key
        return torch.from_numpy(self.montages[montage].data[windows]), self.channels[montage]


class MontageBatches(Sampler):
    """Shuffled batches, each within one montage; their number is the same in every epoch."""

    def __init__(self, sizes: list[int], batch_size: int, rng: np.random.Generator) -> None:
        self.sizes = sizes
        self.counts = [-(-size // batch_size) for size in sizes]
        self.rng = rng

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        batches = [
            (montage, windows)
            for montage, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True))
            # of even sizes, so that no batch is left with a single window and nothing to contrast
            for windows in np.array_split(self.rng.permutation(size), count)
        ]
        for i in self.rng.permutation(len(batches)):
            yield batches[i]


def make_loader(corpus: Corpus, batch_size: int, rng: np.random.Generator) -> DataLoader:
    """Loader of (x, channels) batches."""
    sampler = MontageBatches([len(m.data) for m in corpus.montages], batch_size, rng)
    return DataLoader(corpus, sampler=sampler, batch_size=None)


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
    groups: dict[tuple, list[np.ndarray]] = {}
    for signals in parts:
        data, index = to_grid(signals, config, unknown=unknown, owner=owner)
        windows = cut_windows(data, window)
        groups.setdefault((tuple(index), windows.shape[-1]), []).append(windows)
    return Corpus(
        [
            Montage(np.concatenate(blocks), np.array(index, dtype=np.int64))
            for (index, _), blocks in groups.items()
        ]
    )
