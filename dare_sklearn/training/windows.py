"""The windows of a pretraining corpus, made once: in memory, or in files if X lies on disk."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_128

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..signals.errors import SignalError
from ..signals.grid import Grid
from ..signals.lazy import LazyEpochs
from ..signals.windows import cut_windows
from .corpus import MappedWindows, Montage, Stream
from .reading import How, OnError, Source, read_sources

BLOCK = 64  # epochs on disk that are read together
PART = ".part-"  # begins the name of a folder that is being written
MANIFEST = "windows.json"
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass
class Prepared:
    """All windows of a corpus, and what is told of them.

    Attributes
    ----------
    montages : list of Montage
    layout : Signals or None
        Of the first part, without its values.
    mixed : bool
        Whether there are continuous recordings or several layouts.
    content : str
        Hash of all signals.
    n_parts, n_bad : int
        Parts that were used, and windows that were left out for bad segments.
    skipped : dict of str to str
        Recordings that were left out, and why.
    """

    montages: list[Montage] = field(default_factory=list)
    layout: Signals | None = None
    mixed: bool = False
    content: str = ""
    n_parts: int = 0
    n_bad: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


class WindowStore:
    """Where windows go: into memory, and from the first that lay on disk on into files.

    Parameters
    ----------
    parent : Path or None
        Folder in which a folder for the files is made; None takes the system's temporary one.

    Attributes
    ----------
    folder : Path or None
        Of the files; it is gone when the store is closed, unless it was kept.
    """

    def __init__(self, parent: Path | None) -> None:
        self.parent, self.folder = parent, None
        self.blocks: dict[tuple, list[np.ndarray]] = {}
        self.counts: dict[tuple, int] = {}
        self.digests: dict[tuple, Any] = {}

    def add(self, key: tuple, windows: Sequence[np.ndarray], on_disk: bool, share: float) -> None:
        """Add windows ``(n_chans, n_times)`` of one montage.

        Parameters
        ----------
        key : tuple
            Number of the item of X, rows of the channels, samples of a window.
        windows : sequence of ndarray
        on_disk : bool
            Whether they lay on disk.
        share : float
            Share of the corpus that is done with these, for the message that the disk is full.

        Raises
        ------
        SignalError
            If the disk is full.
        """
        if not windows:
            return
        waiting = {key: [np.stack(windows)]} if self.folder is None and not on_disk else {}
        if self.folder is None and on_disk:
            self.folder = Path(tempfile.mkdtemp(prefix=PART, dir=self.parent))
            waiting, self.blocks = self.blocks, {}
        self.counts[key] = self.counts.get(key, 0) + len(windows)
        try:
            if self.folder is None:
                self.blocks.setdefault(key, []).extend(waiting[key])
                return
            for other, blocks in waiting.items():
                self._write(other, [window for block in blocks for window in block])
            self._write(key, windows)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            needed = sum(
                4 * n * len(rows) * n_times for (_, rows, n_times), n in self.counts.items()
            )
            raise SignalError(
                f"the disk of {str(self.folder.parent)!r} is full ({error.strerror}): the windows "
                f"of X need about {needed / share / 1e9:.2g} GB there. Make room, or pass a "
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
        """What was added."""
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

    def keep(self, target: Path, prepared: Prepared, made_of: Any) -> None:
        """Leave the files in a folder where `find_prepared` finds them again."""
        layout = prepared.layout
        manifest = {
            "made_of": made_of,
            "layout": {
                "ch_names": layout.ch_names, "sfreq": layout.sfreq, "unit": layout.unit,
                "ignored": layout.ignored, "typical": layout.typical, "shape": layout.data.shape,
            },
            "montages": [
                {"source": source, "rows": rows, "shape": [count, len(rows), n_times],
                 "digest": self.digests[source, rows, n_times].hexdigest()}
                for (source, rows, n_times), count in self.counts.items()
            ],
            **{name: getattr(prepared, name) for name in _PLAIN},
        }  # fmt: skip
        text = json.dumps(manifest, default=lambda number: number.item())
        shutil.rmtree(target, ignore_errors=True)
        try:
            (self.folder / MANIFEST).write_text(text, encoding="utf-8")
            os.replace(self.folder, target)
        except OSError:  # Windows renames no folder of files that are mapped; the disk may be full
            return
        for number, montage in enumerate(prepared.montages):
            montage.windows.file = _file_name(target, number)

    def close(self) -> None:
        """Remove the files, unless they are kept elsewhere by now."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


_PLAIN = ("mixed", "content", "n_parts", "n_bad", "skipped")


def _file_name(folder: Path, number: int) -> Path:
    return folder / f"{number}.f32"


def find_prepared(folder: Path, made_of: Any) -> Prepared | None:
    """Windows that an earlier run has kept, if they are of these files, and whole."""
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
        layout = found["layout"]
        n_epochs, n_chans, n_times = layout.pop("shape")
        layout = {k: tuple(v) if isinstance(v, list) else v for k, v in layout.items()}
        layout = Signals(LazyEpochs((), (n_epochs,), n_chans, n_times), **layout)
        return Prepared(montages, layout, **{name: found[name] for name in _PLAIN})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def prepare(
    sources: list[Source],
    how: How,
    *,
    window_s: float | Sequence[float],
    unknown: str,
    errors: OnError,
    store: WindowStore,
    n_workers: int = 0,
    verbose: int = 0,
) -> Prepared:
    """Bring every part onto the encoder's grid and cut it into windows, which are stored.

    Several lengths of windows cut each part once per length. One recording after the other is in
    memory. The hash of the content is of the values as they were read, before any processing that
    rounds differently on another machine.

    Raises
    ------
    SignalError
        If a part cannot be brought there (unless it may be left out), or none gives windows.
    """
    lengths = [_window_length(seconds, how.config) for seconds in np.atleast_1d(window_s)]
    done, digest = Prepared(), xxh3_128()
    layouts = set()
    parts = read_sources(sources, how, errors, n_workers=n_workers, verbose=verbose)
    for at, part in parts:
        layout = part.layout
        its_layout = layout.layout()
        layouts.add(its_layout)
        done.mixed |= part.name is not None
        if done.layout is None:
            n_epochs, n_chans, n_times = layout.data.shape
            gone = LazyEpochs((), (n_epochs,), n_chans, n_times)
            done.layout = Signals(**{**vars(layout), "data": gone})
        positions = sorted((name, list(map(float, p))) for name, p in layout.positions.items())
        digest.update(repr((its_layout, positions)).encode())
        if part.digest is not None:
            digest.update(repr((layout.unit, part.bad)).encode() + part.digest)
        grid = None
        with errors.guard(part.name):
            grid = Grid(part.signals, how.config, unknown=unknown)
            done.n_parts += 1
        done.n_bad += part.n_bad
        data, rows = part.signals.data, None if grid is None else tuple(grid.index.tolist())
        step = BLOCK if isinstance(data, LazyEpochs) else len(data)
        for start in range(0, len(data) if grid else 0, step):
            block = data[start : start + step]
            if part.digest is None:
                digest.update(np.ascontiguousarray(block, dtype=np.float32))
            block = grid.apply(block)
            # a part that is shorter than two lengths is cut once
            for length in dict.fromkeys(min(length, grid.n_times) for length in lengths):
                windows, n_bad = cut_windows(block, length, part.bad, how.config.sfreq)
                done.n_bad += n_bad
                key = part.number, rows, length
                store.add(key, windows, part.on_disk, (at + 1) / len(sources))
    done.montages, done.skipped, done.content = store.montages(), errors.skipped, digest.hexdigest()
    done.mixed |= len(layouts) > 1
    if not done.montages and done.n_bad:
        raise SignalError(
            f"X has no window that is free of segments annotated as bad ({done.n_bad} are not): "
            "correct the annotations, or pass a smaller window_s."
        )
    return done


def _window_length(seconds: float, config: DAREConfig) -> int:
    """Samples of a window, in whole patches."""
    length = round(seconds * config.sfreq) // config.patch_size * config.patch_size
    if length < config.patch_size:
        raise SignalError(
            f"window_s={seconds:g} is shorter than one patch of "
            f"{config.patch_size / config.sfreq:g} s."
        )
    return length


def describe(prepared: Prepared, streams: Sequence[Stream]) -> str:
    """What tells one corpus from another: windows and their layouts, a hash of all signals."""
    digest = xxh3_128(prepared.content.encode())
    for stream in streams:
        x, channels = stream.read(0)
        digest.update(repr((len(stream), stream.source)).encode() + channels.tobytes())
        digest.update(x.cpu().numpy())
    shapes = [montage.windows.shape for montage in prepared.montages]
    layouts = [f"{n} of {n_chans} channels x {n_times} samples" for n, n_chans, n_times in shapes]
    layouts += [f"a stream of {len(stream)} batches" for stream in streams]
    listed = ", ".join(layouts[:3]) + (", ..." if len(layouts) > 3 else "")
    total = sum(n for n, *_ in shapes)
    content = digest.hexdigest() if streams else prepared.content
    return f"{total} windows ({listed}), content {content}"
