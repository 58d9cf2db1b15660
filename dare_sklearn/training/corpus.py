"""What pretraining reads: windows of several montages, streams, and the order of their batches."""

import errno
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.electrodes import ELECTRODES
from ..signals.errors import SignalError, listed

BLOCK = 64  # epochs on disk that are read together
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass
class MappedWindows:
    """Float32 windows in a file, which is mapped for every batch: a kept map would be pickled."""

    file: Path
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, windows: np.ndarray) -> np.ndarray:
        return np.memmap(self.file, np.float32, "r", shape=self.shape)[windows]


@dataclass
class Montage:
    """Windows ``(n_windows, n_chans, n_times)`` that fit into one batch: microvolts on the grid."""

    windows: np.ndarray | MappedWindows
    rows: tuple[int, ...]  # of the channels in the table of electrodes
    source: int = 0  # number of the item of X


class Stream:
    """Batches that the user's object makes, checked.

    ``given.batch(step)`` returns microvolts ``(n_windows, n_chans, n_times)`` at the encoder's rate
    (an array, or a tensor on any device), and the rows of the channels in the table of electrodes.
    ``len(given)`` is the number of steps in an epoch.
    """

    def __init__(self, given: Any, config: DAREConfig, source: int = 0) -> None:
        self.given, self.config, self.source = given, config, source

    def __len__(self) -> int:
        return len(self.given)

    def read(self, step: int) -> tuple[torch.Tensor, np.ndarray]:
        """Batch number `step`; raise a SignalError if it is not valid."""
        x, channels = self.given.batch(step)
        if not isinstance(x, torch.Tensor):
            x = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        x, channels = x.float(), np.asarray(channels, np.int64)
        patch, n_rows, wrong = self.config.patch_size, len(ELECTRODES), None
        if x.ndim != 3 or 0 in x.shape or x.shape[2] % patch:
            wrong = (
                f"has the shape {tuple(x.shape)}: give (n_windows, n_chans, n_times) in whole "
                f"patches of {patch} samples at {self.config.sfreq:g} Hz"
            )
        elif channels.shape != x.shape[1:2] or len({*channels} & {*range(n_rows)}) < len(channels):
            wrong = (
                f"has {x.shape[1]} channels and the rows {channels}: give each channel another row "
                f"of the {n_rows} electrodes"
            )
        elif not torch.isfinite(x).all():
            wrong = "holds NaN or infinite values"
        if wrong:
            raise SignalError(f"batch({step}) of the stream {wrong}.")
        return x, channels

    def layout(self) -> Signals:
        """The first batch as signals."""
        x, channels = self.read(0)
        x = x.cpu().numpy()
        return Signals(x, tuple(ELECTRODES[i] for i in channels), self.config.sfreq, unit="uV")


@dataclass
class Corpus(Dataset):
    """All windows and streams; the keys of its items come from `MontageBatches`."""

    montages: list[Montage] = field(default_factory=list)
    streams: Sequence[Stream] = ()
    layout: Signals | None = None  # of the first part, without its values
    mixed: bool = False  # whether there are continuous recordings, streams or several layouts
    content: str = ""  # a hash of all signals
    n_parts: int = 0  # that were used
    n_bad: int = 0  # windows left out for bad segments
    skipped: dict[str, str] = field(default_factory=dict)  # recordings left out, and why
    rank: int = 0  # this process's number, of so many that train together
    n_ranks: int = 1

    @property
    def parts(self) -> list[Montage | Stream]:
        return [*self.montages, *self.streams]

    @property
    def sizes(self) -> list[int]:
        return [len(montage.windows) for montage in self.montages]

    @cached_property
    def n_windows(self) -> int:
        """Windows of signals, and of one epoch of each stream."""
        made = (len(stream) * len(stream.read(0)[0]) for stream in self.streams)
        return sum(self.sizes) + sum(made)

    @property
    def is_seen(self) -> bool:
        """Whether this process sees the files that hold windows."""
        try:
            return all(len(montage.windows[:1]) for montage in self.montages)
        except FileNotFoundError:
            return False

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, key: tuple) -> tuple:
        """This process's windows of a batch, their rows, and the numbers of its own and of all.

        A process without any gets a window that does not count.
        """
        number, windows = key
        part = self.parts[number]
        if isinstance(part, Stream):
            x, rows = part.read(windows)
            windows = np.arange(len(x))
        else:
            x, rows = part.windows, part.rows
        own = np.array_split(windows, self.n_ranks)[self.rank]
        x = torch.as_tensor(x[own if len(own) else windows[:1]])
        return x, torch.as_tensor(rows), (len(own), len(windows))

    def describe(self) -> str:
        """A text that identifies it: windows and their layouts, and a hash of all signals."""
        digest = xxh3_128(self.content.encode())
        for stream in self.streams:
            x, channels = stream.read(0)
            digest.update(repr((len(stream), stream.source)).encode() + channels.tobytes())
            digest.update(x.cpu().numpy())
        shapes = [montage.windows.shape for montage in self.montages]
        layouts = [f"{n} of {chans} channels x {times} samples" for n, chans, times in shapes]
        layouts += [f"a stream of {len(stream)} batches" for stream in self.streams]
        shown = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
        content = digest.hexdigest() if self.streams else self.content
        return f"{len(self)} windows ({shown}), content {content}"


class WindowStore:
    """A store of windows: in memory, or in files as soon as some of the signals are on disk.

    The files are in a new folder inside `parent` (None: the system's temporary folder), which is
    removed when the store is closed.
    """

    def __init__(self, parent: Path | None) -> None:
        self.parent, self.folder = parent, None
        # by number of the item of X, rows of the channels, and samples of a window
        self.waiting: dict[tuple, list[np.ndarray]] = {}  # in memory
        self.counts: dict[tuple, int] = {}

    def add(self, key: tuple, windows: Sequence[np.ndarray], on_disk: bool, share: float) -> None:
        """Add windows ``(n_chans, n_times)`` of one montage; `share` of the corpus is done then."""
        if not windows:
            return
        self.counts[key] = self.counts.get(key, 0) + len(windows)
        self.waiting.setdefault(key, []).extend(windows)
        if self.folder is None and not on_disk:
            return
        try:
            if self.folder is None:
                # a run that is finished needs no folder that can be written to
                place = self.parent if self.parent and os.access(self.parent, os.W_OK) else None
                self.folder = Path(tempfile.mkdtemp(prefix=".part-", dir=place))
            while self.waiting:
                key, windows = self.waiting.popitem()
                with self._file(key).open("ab") as file:
                    for window in windows:
                        file.write(np.ascontiguousarray(window, np.float32).data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            n_values = sum(n * len(rows) * length for (_, rows, length), n in self.counts.items())
            raise SignalError(
                f"the disk of {str(self.folder.parent)!r} is full ({error.strerror}): the windows "
                f"of X need about {4 * n_values / share / 1e9:.2g} GB there. Make room, or pass a "
                "checkpoint_dir on a larger disk."
            ) from error

    def _file(self, key: tuple) -> Path:
        return self.folder / f"{list(self.counts).index(key)}.f32"

    def montages(self) -> list[Montage]:
        """The montages that were added."""
        done = []
        for key, count in self.counts.items():
            source, rows, n_times = key
            if self.folder is None:
                windows = np.stack(self.waiting.pop(key))
            else:
                windows = MappedWindows(self._file(key), (count, len(rows), n_times))
            done.append(Montage(windows, rows, source))
        return done

    def close(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class MontageBatches(Sampler):
    """Shuffled batches, each within one part of a corpus; their number is the same in every epoch.

    Gives the number of the part and, of a montage, the windows, or, of a stream, the number of the
    step in the run. Without `shares`, an epoch goes through all windows and streams once. With
    `shares` of the items of X, batches are drawn: an item with too few windows for its share
    repeats some, and one with more leaves some for the next epoch.
    """

    def __init__(
        self,
        corpus: Corpus,
        batch_size: int,
        rng: np.random.Generator,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.rng, self.shares, self.sizes = rng, shares, corpus.sizes
        streams = [len(stream) for stream in corpus.streams]
        self.counts = [*(-(-size // batch_size) for size in self.sizes), *streams]
        sources = [part.source for part in corpus.parts]
        n_items = 0 if shares is None else len(shares)
        self.members = [np.flatnonzero(np.equal(sources, i)) for i in range(n_items)]
        if empty := [item for item, its in enumerate(self.members) if not len(its)]:
            raise SignalError(
                f"shares needs windows of every item of X, and item(s) {listed(empty)}, counted "
                "from 0, have none: leave them out of X and of shares."
            )
        self.n_skipped, self.n_epochs = 0, 0

    @property
    def state(self) -> dict[str, Any]:
        """The generator's state; between epochs it decides the next one's order."""
        return self.rng.bit_generator.state

    def resume(self, state: dict[str, Any], n_done: int, n_epochs: int) -> None:
        """Let the next epoch be the one that began in this state, after its first batches."""
        self.rng.bit_generator.state = state
        self.n_skipped, self.n_epochs = n_done, n_epochs

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple]:
        order = self._mixed() if self.members else self._batches(range(len(self.counts)))
        first, self.n_skipped = self.n_skipped, 0
        begin, self.n_epochs = self.n_epochs * len(self), self.n_epochs + 1
        for number, (part, windows) in enumerate(order):
            if number >= first:
                yield part, begin + number if windows is None else windows

    def _batches(self, numbers: Sequence[int]) -> list[tuple]:
        """All batches of some parts, in a random order."""
        batches: list[tuple] = []
        for number in numbers:
            count = self.counts[number]
            if number >= len(self.sizes):
                batches += [(number, None)] * count
                continue
            # of even sizes, so that no batch is a single window with nothing to contrast
            order = self.rng.permutation(self.sizes[number])
            batches += [(number, windows) for windows in np.array_split(order, count)]
        return [batches[i] for i in self.rng.permutation(len(batches))]

    def _mixed(self) -> Iterator[tuple]:
        waiting: list[list[tuple]] = [[] for _ in self.members]
        for item in self.rng.choice(len(self.members), len(self), p=self.shares):
            if not waiting[item]:
                waiting[item] = self._batches(self.members[item])
            yield waiting[item].pop()


def worker_options(n_workers: int) -> dict[str, Any]:
    """Arguments of a torch DataLoader with this many workers."""
    # of its own, since the state of torch's global generator is part of a checkpoint
    options: dict[str, Any] = {"generator": torch.Generator()}
    # a daemonic process (of a pool, or of Dask) may not have children, and reads by itself
    if n_workers and not multiprocessing.current_process().daemon:
        options |= {"num_workers": n_workers, "persistent_workers": True}
        options["worker_init_fn"] = _leave_signals_alone
    return options


def _leave_signals_alone(number: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which workers receive too: the main process ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
