"""From X to a corpus: its parts one by one, the recordings that cannot be used, and its windows."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import LazyEpochs, Signals
from ..signals.errors import SignalError, about, listed, tell
from ..signals.files import explain, open_epochs
from ..signals.grid import Windows, cut_windows, whole_on_grid
from ..signals.objects import is_path, split_corpus, without_bad_windows
from ..signals.readers import read_parts, tell_ignored
from .corpus import BLOCK, Corpus, Stream, WindowStore, worker_options
from .processes import Ranks

# Signals to read, whether they are a recording, and the number of their item of X.
Source = tuple[Any, bool, int]


@dataclass
class Part:
    """Signals of one layout; a continuous recording is one long epoch at the encoder's rate."""

    signals: Signals
    layout: Signals  # what was read, without its values
    on_disk: bool
    n_bad: int = 0  # windows that were left out already
    # of a recording: its name, the hash of its values, and its bad segments
    name: str | None = None
    digest: bytes | None = None
    bad: tuple[tuple[float, float], ...] = ()


@dataclass
class Reader:
    """How to read signals for an encoder, by the parameters of `DAREPretrainer`."""

    config: DAREConfig
    given: dict[str, Any]  # parameters that `read_parts` takes
    window_s: float | Sequence[float] = 4.0
    unknown_channels: str = "interpolate"
    robust_scale: float | None = None
    on_error: str = "raise"
    n_workers: int = 0
    verbose: int = 0
    skipped: dict[str, str] = field(default_factory=dict)  # recordings left out, and why

    def note(self, name: str, reason: str, cause: BaseException | None = None) -> None:
        """Raise a SignalError, or record the reason."""
        if self.on_error == "raise":
            raise SignalError(
                f"cannot use the recording {name}: {reason.rstrip('.')}. Pass on_error='skip' to "
                "leave such recordings out."
            ) from cause
        self.skipped[name] = reason

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Attribute errors inside to the recording of that name."""
        try:
            yield
        except Exception as error:
            if isinstance(error, MemoryError | Warning):
                raise
            self.note(name, explain(error), error)

    def open_epochs(self, path: Path) -> Any:
        """Open a file of epochs; None if it cannot be used and is left out."""
        with self.guard(str(path)):
            epochs = open_epochs(path)
            if self.on_error == "skip":  # then its content must be usable, too
                with about("", set()), warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    list(read_parts(epochs))
            return epochs
        return None


def find_sources(items: list[Any], reader: Reader) -> tuple[list[Source], list[Stream], list[str]]:
    """The signals in the items of X, in order; the streams; and the paths."""
    sources, streams, paths = [], [], []
    for number, item in enumerate(items):
        members = item if isinstance(item, list | tuple) else [item]
        rest = [x for x in members if not _is_stream(x)]
        given = [x for x in members if _is_stream(x) and len(x)]
        streams += [Stream(x, reader.config, number) for x in given]
        paths += [str(Path(x).absolute()) for x in rest if is_path(x)]
        if len(rest) < len(members):  # an item without streams stays as it is
            item = rest[0] if len(rest) == 1 else rest
        if rest or not members:
            found = split_corpus(item, reader.open_epochs)
            sources += [(x, is_recording, number) for x, is_recording in found]
    return sources, streams, paths


def _is_stream(x: Any) -> bool:
    return callable(getattr(x, "batch", None)) and hasattr(x, "__len__")


def read_sources(sources: list[Source], reader: Reader) -> Iterator[tuple[int, Part]]:
    """All parts in order, one at a time, each with the number of its source."""
    paths = [item for item, *_ in sources if is_path(item)]
    outcomes = _read_files(paths, reader)
    remarks = []
    for at, (item, is_recording, _) in enumerate(sources):
        parts: Any = []
        if is_path(item):
            name, part, reason, its_remarks = next(outcomes)
            if its_remarks:
                remarks.append(f"{name} ({'; '.join(dict.fromkeys(its_remarks))})")
            if reason is not None:
                reader.note(name, reason)
            parts = [] if part is None else [part]
        elif is_recording:
            names = (str(file) for file in getattr(item, "raw", item).filenames if file)
            number = f"number {at} of {'the recordings in ' * bool(paths)}X"
            name = next(names, number)
            if name in reader.skipped:  # parts of one file
                name = f"{name} ({number})"
            with reader.guard(name):
                parts = [read_recording(item, reader, name)]
        else:
            parts = _read_epochs(item, reader)
        for part in parts:
            yield at, part
    if remarks:
        said = listed(remarks, between="; ")
        tell(f"opened {len(remarks)} of {len(paths)} files with remarks of MNE: {said}.")


def _read_files(paths: list[Any], reader: Reader) -> Iterator[tuple]:
    """What `_read_file` says of each."""
    options = worker_options(reader.n_workers)
    if "num_workers" in options:
        options["prefetch_factor"] = 1  # each worker holds one recording in memory
    read = partial(_read_file, reader=reader)
    loader = DataLoader(paths, batch_size=None, collate_fn=read, **options)
    # a disabled bar would start a thread too
    yield from tqdm(loader, "reading files", leave=False) if reader.verbose else loader


def _read_epochs(item: Any, reader: Reader) -> Iterator[Part]:
    if reader.robust_scale is not None:
        raise SignalError(
            "robust_scale is for continuous recordings, and X holds epochs or windows, whose "
            "recordings are unknown: pass recordings, or scale the epochs first and leave "
            "robust_scale=None."
        )
    item, n_bad = without_bad_windows(item)
    for signals in read_parts(item, **reader.given):
        yield Part(signals, without_values(signals), isinstance(signals.data, LazyEpochs), n_bad)
        n_bad = 0


def read_recording(item: Any, reader: Reader, name: str) -> Part:
    """Read a whole recording, scale it, and bring it to the encoder's rate, in whole patches."""
    (signals,) = read_parts(item, **reader.given)
    recording, values = signals.data, signals.data.values
    if signals.unit != "V":
        values *= np.float32(1e-6)
    if reader.robust_scale is not None:
        channels = (channel[recording.good].astype(np.float64) for channel in values)
        low, middle, high = np.transpose([np.percentile(its, [25, 50, 75]) for its in channels])
        spread = float(np.median(high - low))
        if spread <= 0:
            raise SignalError("its interquartile range is zero, so robust_scale cannot scale it")
        values -= middle[:, None].astype(np.float32)
        values *= np.float32(reader.robust_scale / spread)
    data = whole_on_grid(values, signals.sfreq, reader.config)[None]
    whole = replace(signals, data=data, sfreq=float(reader.config.sfreq))
    on_disk = is_path(item) or recording.on_disk
    return Part(
        whole, without_values(signals), on_disk,
        name=name, digest=recording.digest, bad=recording.bad,
    )  # fmt: skip


def without_values(signals: Signals) -> Signals:
    """The layout of signals, without their values."""
    return replace(signals, data=np.empty((0, *signals.data.shape[1:]), np.float32))


def _read_file(path: Any, reader: Reader) -> tuple[str, Part | None, str | None, list[str]]:
    """The name of a file, its content or why it cannot be used, and MNE's remarks."""
    name, part = os.path.abspath(path), None
    here = replace(reader, on_error="skip", skipped={})  # the main process may raise
    # what was said of another file is said again
    with about("", set()), warnings.catch_warnings(record=True) as caught, here.guard(name):
        warnings.simplefilter("always")
        part = read_recording(path, reader, name)
    return name, part, here.skipped.get(name), [str(warning.message) for warning in caught]


def prepare(sources: list[Source], reader: Reader, store: WindowStore) -> Corpus:
    """Bring every part onto the encoder's grid, cut it at each length of windows, and store them.

    Only one recording at a time is in memory. The hash of the content is that of the values as they
    were read, before any processing that may round differently on another machine.
    """
    config, lengths = reader.config, []
    for seconds in np.atleast_1d(reader.window_s):
        lengths.append(round(seconds * config.sfreq) // config.patch_size * config.patch_size)
        if not lengths[-1]:
            patch = config.patch_size / config.sfreq
            raise SignalError(f"window_s={seconds:g} is shorter than one patch of {patch:g} s.")
    done, digest, layouts = Corpus(skipped=reader.skipped), xxh3_128(), set()
    for at, part in read_sources(sources, reader):
        layout, (*_, number) = part.layout, sources[at]
        positions = sorted((name, list(map(float, p))) for name, p in layout.positions.items())
        kind = layout.layout()
        digest.update(repr((kind, positions)).encode())
        if part.digest is not None:
            digest.update(repr((layout.unit, part.bad)).encode() + part.digest)
        done.n_bad += part.n_bad
        grid = None
        with nullcontext() if part.name is None else reader.guard(part.name):
            grid = Windows(part.signals, config, unknown=reader.unknown_channels)
        if grid is None:
            continue
        layouts.add(kind)
        done.mixed |= part.name is not None or len(layouts) > 1
        done.layout = done.layout or layout
        done.n_parts += 1
        data, rows = part.signals.data, tuple(grid.rows.tolist())
        # lengths above that of the part are cut once
        cuts = dict.fromkeys(np.minimum(lengths, grid.shape[2]).tolist())
        step = BLOCK if isinstance(data, LazyEpochs) else len(data)
        for start in range(0, len(data), step):
            block = data[start : start + step]
            if part.digest is None:
                digest.update(np.ascontiguousarray(block, dtype=np.float32))
            block = grid.bring(block)
            for length in cuts:
                windows, n_bad = cut_windows(block, length, part.bad, config.sfreq)
                done.n_bad += n_bad
                store.add((number, rows, length), windows, part.on_disk, (at + 1) / len(sources))
    done.montages, done.content = store.montages(), digest.hexdigest()
    if not done.montages and done.n_bad:
        raise SignalError(
            f"X has no window without segments annotated as bad (all {done.n_bad} have some): "
            "correct the annotations, or pass a smaller window_s."
        )
    return done


def read_corpus(
    recipe: Any, items: list[Any], config: DAREConfig, ranks: Ranks, store: WindowStore
) -> Corpus:
    """The corpus; the first process reads files for all."""
    given = {name: getattr(recipe, name) for name in ("ch_names", "sfreq", "unit")}
    how = ("window_s", "unknown_channels", "robust_scale", "on_error")
    how = {name: getattr(recipe, name) for name in how}
    reader = Reader(config, given, **how, n_workers=recipe.n_workers, verbose=recipe.verbose)
    sources, streams, paths = find_sources(items, reader)
    ranks.check_same(paths, "The list of files in X")

    make = partial(prepare, sources, reader, store)
    corpus = ranks.first(make) if paths else make()
    if corpus.layout is not None:
        tell_ignored(corpus.layout)
    corpus.rank, corpus.n_ranks = ranks.rank, ranks.size
    corpus.streams = streams
    if n_skipped := len(corpus.skipped):
        reasons = [f"{name} ({reason.rstrip('.')})" for name, reason in corpus.skipped.items()]
        left_out = listed(reasons, between="; ")
        if not corpus.n_parts:
            raise SignalError(f"could use none of the recordings: {left_out}.")
        tell(
            f"left out {n_skipped} recording(s) that it could not use, of "
            f"{n_skipped + corpus.n_parts}: {left_out}. The attribute skipped_ names them all."
        )
    if not corpus.montages and not corpus.streams:
        raise SignalError("X has 0 sample(s), and at least 1 is required.")
    if corpus.streams:
        corpus.layout, corpus.mixed = corpus.layout or corpus.streams[0].layout(), True
    is_seen = corpus.is_seen
    ranks.check_same(corpus.sizes, "The number of windows of X")
    if not all(ranks.gather(is_seen)):
        raise SignalError(
            "some of the processes that train together do not see the windows that the first one "
            "has written: pass a checkpoint_dir on a drive that all machines share."
        )
    return corpus
