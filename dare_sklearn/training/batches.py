"""The order of batches in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler


class MontageBatches(Sampler):
    """Shuffled batches, each within one montage; their number is the same in every epoch.

    `sizes` are the windows of each montage, and `streams` the batches of each stream in an epoch. A
    stream is asked for the number of the step in the run. With `shares` (of the items of X, from
    which `sources` says that each montage and stream comes), batches are drawn: windows come again
    where an item has too few for its share, and wait for another epoch where it has more. Without,
    an epoch goes through all windows and streams once.

    Where several processes train together, `batch_size` is that of all, and each gets its share of
    every batch, with the numbers of windows that are its own and that there are. A process that
    gets none (of a montage with fewer windows than processes) gets a window that does not count.
    """

    def __init__(
        self,
        sizes: list[int],
        batch_size: int,
        rng: np.random.Generator,
        rank: int = 0,
        n_ranks: int = 1,
        *,
        streams: Sequence[int] = (),
        sources: Sequence[int] | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.sizes, self.streams, self.rng = sizes, streams, rng
        self.counts = [*(-(-size // batch_size) for size in sizes), *streams]
        self.rank, self.n_ranks = rank, n_ranks
        self.sources, self.shares = sources, shares
        self.n_skipped, self.n_epochs = 0, 0

    @property
    def state(self) -> dict[str, Any]:
        """Of the generator: between epochs, what the next one's order comes from."""
        return self.rng.bit_generator.state

    def resume(self, state: dict[str, Any], n_done: int, n_epochs: int) -> None:
        """Make the next epoch the one that began in this state, without its first batches."""
        self.rng.bit_generator.state = state
        self.n_skipped, self.n_epochs = n_done, n_epochs

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple]:
        order = self._mixed() if self.shares is not None else self._once()
        first, self.n_skipped = self.n_skipped, 0
        begin, self.n_epochs = self.n_epochs * len(self), self.n_epochs + 1
        for number, (source, windows) in enumerate(order):
            if number < first:
                continue
            if windows is None:
                share = () if self.n_ranks == 1 else (self.rank, self.n_ranks)
                yield source, begin + number, *share
            elif self.n_ranks == 1:
                yield source, windows
            else:
                mine = np.array_split(windows, self.n_ranks)[self.rank]
                yield source, mine if len(mine) else windows[:1], (len(mine), len(windows))

    def _batches(self, numbers: Sequence[int]) -> list[tuple]:
        """All batches of some montages and streams, in a random order."""
        batches: list[tuple] = []
        for number in numbers:
            count = self.counts[number]
            if number >= len(self.sizes):
                batches += [(number, None)] * count
                continue
            # of even sizes, so that no batch is left with a single window and nothing to contrast
            order = self.rng.permutation(self.sizes[number])
            batches += [(number, windows) for windows in np.array_split(order, count)]
        return [batches[i] for i in self.rng.permutation(len(batches))]

    def _once(self) -> list[tuple]:
        return self._batches(range(len(self.counts)))

    def _mixed(self) -> Iterator[tuple]:
        members = [np.flatnonzero(np.equal(self.sources, i)) for i in range(len(self.shares))]
        waiting: list[list[tuple]] = [[] for _ in members]
        for item in self.rng.choice(len(members), len(self), p=self.shares):
            if not waiting[item]:
                waiting[item] = self._batches(members[item])
            yield waiting[item].pop()
