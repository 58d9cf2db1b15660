"""What pretraining reads: windows of several montages, and streams.

Windows are made once: in memory, or in files if X is on disk.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import LazyEpochs, Signals
from ..signals.electrodes import ELECTRODES
from ..signals.errors import SignalError, tell
from ..signals.files import stamps
from ..signals.grid import Windows, cut_windows
from ..signals.readers import tell_ignored
from .checkpoint import plain
from .processes import Ranks
from .reading import Reader, Source, find_sources, read_sources, tell_skipped, without_values

BLOCK = 64  # epochs on disk that are read together
MANIFEST = "windows.json"
_OF_LAYOUT = ("ch_names", "sfreq", "unit", "ignored", "typical")
_OF_CORPUS = ("mixed", "content", "n_parts", "n_bad", "skipped")
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class MappedWindows:
    """Float32 windows that are stored one after the other in a file.

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
    """Windows ``(n_windows, n_chans, n_times)`` that fit into one batch: microvolts on the grid.

    `rows` are the rows of the channels in the table of electrodes, `source` is the number of the
    item of X.
    """

    windows: np.ndarray | MappedWindows
    rows: tuple[int, ...]
    source: int = 0


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
        """The first batch as signals."""
        x, channels = self.read(0)
        x = x.cpu().numpy()
        return Signals(x, tuple(ELECTRODES[i] for i in channels), self.config.sfreq, unit="uV")


@dataclass
class Corpus(Dataset):
    """All windows and streams; the keys of its items come from `MontageBatches`.

    `layout` is that of the first part, without its values; `mixed` says whether there are
    continuous recordings, streams or several layouts; `content` is a hash of all signals; `n_parts`
    counts the parts that were used, `n_bad` the windows left out for bad segments; `skipped` says
    which recordings were left out, and why.
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
        """Windows of signals, and of one epoch of each stream."""
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
        if share:  # rank and number of processes, if several train together
            rank, n_ranks = share
            mine = torch.tensor_split(x, n_ranks)[rank]
            x, share = mine if len(mine) else x[:1], [(len(mine), len(x))]
        return x, torch.from_numpy(channels), *share


class WindowStore:
    """A store of windows: in memory, or in files as soon as some of the signals are on disk.

    The files are in a new folder inside `parent` (None: the system's temporary folder), which is
    removed when the store is closed, unless it was kept.
    """

    def __init__(self, parent: Path | None) -> None:
        self.parent, self.folder = parent, None
        self.blocks: dict[tuple, list[np.ndarray]] = {}
        self.counts: dict[tuple, int] = {}
        self.digests: dict[tuple, Any] = {}

    def add(self, key: tuple, windows: Sequence[np.ndarray], on_disk: bool, share: float) -> None:
        """Add windows ``(n_chans, n_times)`` of one montage.

        `key` holds the number of the item of X, the rows of the channels and the samples of a
        window; `on_disk` says whether the signals are on disk; `share` is the part of the corpus
        done so far, for the message that the disk is full.
        """
        if not windows:
            return
        self.counts[key] = self.counts.get(key, 0) + len(windows)
        if self.folder is None and not on_disk:
            self.blocks.setdefault(key, []).append(np.stack(windows))
            return
        try:
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix=".part-", dir=self.parent))
            while self.blocks:
                other, blocks = self.blocks.popitem()
                self._write(other, np.concatenate(blocks))
            self._write(key, windows)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            n_values = sum(n * len(rows) * length for (_, rows, length), n in self.counts.items())
            raise SignalError(
                f"the disk of {str(self.folder.parent)!r} is full ({error.strerror}): the windows "
                f"of X need about {4 * n_values / share / 1e9:.2g} GB there. Make room, or pass a "
                "checkpoint_dir on a larger disk."
            ) from error

    def _write(self, key: tuple, windows: Sequence[np.ndarray]) -> None:
        digest = self.digests.setdefault(key, xxh3_128())
        with self._file(key).open("ab") as file:
            for window in windows:
                window = np.ascontiguousarray(window, np.float32)
                digest.update(window)
                file.write(window.data)

    def _file(self, key: tuple) -> Path:
        return _file_name(self.folder, list(self.counts).index(key))

    def montages(self) -> list[Montage]:
        """The montages that were added."""
        done = []
        for key, count in self.counts.items():
            source, rows, n_times = key
            if self.folder is None:
                blocks = self.blocks.pop(key)
                windows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
            else:
                windows = MappedWindows(self._file(key), (count, len(rows), n_times))
            done.append(Montage(windows, rows, source))
        return done

    def keep(self, target: Path, corpus: Corpus, made_of: Any) -> None:
        """Move the files to a folder where `find_prepared` finds them again."""
        layout = {name: getattr(corpus.layout, name) for name in _OF_LAYOUT}
        digests = [self.digests[key].hexdigest() for key in self.counts]
        manifest = {
            "made_of": made_of,
            "layout": {**layout, "shape": corpus.layout.data.shape},
            "montages": [
                {"source": m.source, "rows": m.rows, "shape": m.windows.shape, "digest": digest}
                for m, digest in zip(corpus.montages, digests, strict=True)
            ],
            **{name: getattr(corpus, name) for name in _OF_CORPUS},
        }
        text = json.dumps(manifest, default=lambda number: number.item())
        shutil.rmtree(target, ignore_errors=True)
        try:
            (self.folder / MANIFEST).write_text(text, encoding="utf-8")
            os.replace(self.folder, target)
        except OSError:  # Windows cannot rename a folder of mapped files; the disk may be full
            return
        for number, montage in enumerate(corpus.montages):
            montage.windows.file = _file_name(target, number)

    def close(self) -> None:
        """Remove the files, unless they were kept."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _file_name(folder: Path, number: int) -> Path:
    return folder / f"{number}.f32"


def find_prepared(folder: Path, made_of: Any) -> Corpus | None:
    """The windows that an earlier run kept, if they are complete and of these files."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if found["made_of"] != made_of:
            return None
        montages = []
        for number, its in enumerate(found["montages"]):
            windows = MappedWindows(_file_name(folder, number), tuple(its["shape"]))
            digest = xxh3_128()
            for start in range(0, len(windows), BLOCK):
                digest.update(np.ascontiguousarray(windows[start : start + BLOCK]))
            if digest.hexdigest() != its["digest"]:
                return None
            montages.append(Montage(windows, tuple(its["rows"]), its["source"]))
        layout = {k: tuple(v) if isinstance(v, list) else v for k, v in found["layout"].items()}
        n_epochs, *size = layout.pop("shape")
        layout = Signals(LazyEpochs((), (n_epochs,), *size), **layout)
        return Corpus(montages, layout=layout, **{name: found[name] for name in _OF_CORPUS})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def prepare(
    sources: list[Source],
    reader: Reader,
    store: WindowStore,
    *,
    window_s: float | Sequence[float],
    unknown: str,
    n_workers: int = 0,
    verbose: int = 0,
) -> Corpus:
    """Bring every part onto the encoder's grid, cut it into windows, and store them.

    Each part is cut once per length of windows. Only one recording at a time is in memory. The hash
    of the content is that of the values as they were read, before any processing that may round
    differently on another machine.
    """
    config = reader.config
    lengths = [_window_length(seconds, config) for seconds in np.atleast_1d(window_s)]
    done, digest, layouts = Corpus(), xxh3_128(), set()
    for at, part in read_sources(sources, reader, n_workers, verbose):
        layout, kind = part.layout, part.layout.layout()
        positions = sorted((name, list(map(float, p))) for name, p in layout.positions.items())
        digest.update(repr((kind, positions)).encode())
        if part.digest is not None:
            digest.update(repr((layout.unit, part.bad)).encode() + part.digest)
        done.n_bad += part.n_bad
        grid = None
        with reader.guard(part.name):
            grid = Windows(part.signals, config, unknown=unknown)
        if grid is None:
            continue
        layouts.add(kind)
        done.mixed |= part.name is not None or len(layouts) > 1
        if done.layout is None:
            done.layout = without_values(layout)
        done.n_parts += 1
        data, rows = part.signals.data, tuple(grid.rows.tolist())
        step = BLOCK if isinstance(data, LazyEpochs) else len(data)
        for start in range(0, len(data), step):
            block = data[start : start + step]
            if part.digest is None:
                digest.update(np.ascontiguousarray(block, dtype=np.float32))
            block = grid.bring(block)
            # lengths above that of the part are cut once
            for length in dict.fromkeys(min(length, grid.shape[2]) for length in lengths):
                windows, n_bad = cut_windows(block, length, part.bad, config.sfreq)
                done.n_bad += n_bad
                key = part.number, rows, length
                store.add(key, windows, part.on_disk, (at + 1) / len(sources))
    done.montages, done.skipped, done.content = store.montages(), reader.skipped, digest.hexdigest()
    if not done.montages and done.n_bad:
        raise SignalError(
            f"X has no window without segments annotated as bad (all {done.n_bad} have some): "
            "correct the annotations, or pass a smaller window_s."
        )
    return done


def _window_length(seconds: float, config: DAREConfig) -> int:
    """Samples of a window, in whole patches."""
    length = round(seconds * config.sfreq) // config.patch_size * config.patch_size
    if length < config.patch_size:
        patch = config.patch_size / config.sfreq
        raise SignalError(f"window_s={seconds:g} is shorter than one patch of {patch:g} s.")
    return length


def read_corpus(
    recipe: Any,
    items: list[Any],
    config: DAREConfig,
    ranks: Ranks,
    store: WindowStore,
    kept: Path | None,
) -> tuple[Corpus, Any]:
    """The corpus, and the files that it was made of (None if X is not only files).

    The first process reads the files for all; each process holds what is in memory itself. `kept`
    is where windows of an earlier run may be.
    """
    how = ("ch_names", "sfreq", "unit", "robust_scale", "on_error")
    how = {name: getattr(recipe, name) for name in how}
    params = {"window_s": recipe.window_s, "unknown": recipe.unknown_channels}
    reader = Reader(config, **how)
    sources, streams, paths, only_paths = find_sources(items, reader)
    ranks.check_same(paths, "The list of files in X")
    made_of = None
    if kept is not None and paths and only_paths:
        numbers = [source.number for source in sources]
        grid = (config.patch_size, config.sfreq)
        made_of = plain([paths, numbers, stamps(paths), grid, how, params])

    def make() -> Corpus:
        found = None if made_of is None else find_prepared(kept, made_of)
        work = {"n_workers": recipe.n_workers, "verbose": recipe.verbose}
        return found or prepare(sources, reader, store, **params, **work)

    corpus = ranks.first(make) if paths else make()
    corpus.streams = [Stream(stream, config, number) for stream, number in streams if len(stream)]
    tell_skipped(corpus.skipped, corpus.n_parts)
    if not corpus.montages and not corpus.streams:
        raise SignalError("X has 0 sample(s), and at least 1 is required.")
    if corpus.layout is not None:
        tell_ignored(corpus.layout)
    if corpus.streams:
        corpus.layout, corpus.mixed = corpus.layout or corpus.streams[0].layout(), True
    try:  # maps the files before the first process renames their folder
        sees_all = all(len(montage.windows[:1]) for montage in corpus.montages)
    except FileNotFoundError:
        sees_all = False
    if not all(ranks.gather(sees_all)):
        raise SignalError(
            "some of the processes that train together do not see the windows that the first one "
            "has written: pass a checkpoint_dir on a drive that all machines share."
        )
    ranks.check_same(corpus.sizes, "The number of windows of X")
    if recipe.mask_alignment and 1 in (corpus.n_windows, recipe.batch_size):
        tell(
            "every batch is a single window: mask alignment has nothing to contrast it with. Pass "
            "more epochs, a smaller window_s or a larger batch_size."
        )
    return corpus, made_of


def describe(corpus: Corpus) -> str:
    """A text that identifies a corpus: windows and their layouts, and a hash of all signals."""
    digest = xxh3_128(corpus.content.encode())
    for stream in corpus.streams:
        x, channels = stream.read(0)
        digest.update(repr((len(stream), stream.source)).encode() + channels.tobytes())
        digest.update(x.cpu().numpy())
    shapes = [montage.windows.shape for montage in corpus.montages]
    layouts = [f"{n} of {n_chans} channels x {n_times} samples" for n, n_chans, n_times in shapes]
    layouts += [f"a stream of {len(stream)} batches" for stream in corpus.streams]
    listed = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
    content = digest.hexdigest() if corpus.streams else corpus.content
    return f"{sum(corpus.sizes)} windows ({listed}), content {content}"
