"""Recordings in files: finding them in folders, and opening them when they are read."""

from __future__ import annotations

import os
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

SUFFIXES = (".edf", ".bdf", ".gdf", ".fif", ".fif.gz", ".set", ".vhdr", ".cnt")
# MNE's names for files of epochs, and for FIF files that hold no signals.
_EPOCHS = re.compile(r"[-_]epo\.fif(\.gz)?$", re.I)
_OTHER_FIF = re.compile(
    r"[-_](ave|cov|eve|proj|trans|fwd|inv|src|bem|sol|ica|noise)\.fif(\.gz)?$", re.I
)
# How MNE and BIDS name the later parts of a split file, and what the first one is called then.
_LATER_PARTS = (
    (re.compile(r"-[1-9]\d*(?=\.fif$)", re.I), ""),
    (re.compile(r"(?<=_split-)0*(?:[2-9]|1\d)\d*(?=_)", re.I), "01"),
)
# What MNE warns of where the file is shorter than it says, and reads on.
_DAMAGE = ("does not match the file size", "Invalid tag")

MOST_OPEN = 64
MOST_LOADED = 256e6  # bytes, of formats that MNE can only load (.set files that hold their data)


class Stamp(NamedTuple):
    """Identifies one version of a file."""

    path: str
    n_bytes: int
    modified: int


def find_files(path: str | os.PathLike) -> list[Path]:
    """A file itself, or all recordings and files of epochs in a folder and the folders below it.

    Files come in order of their names. Left out are later parts of split FIF files (MNE reads them
    with the first), hidden files, and FIF files whose names say that they hold something else, such
    as ``-cov.fif``.

    Raises
    ------
    ValueError
        If there is no such file or folder, or the folder holds no recording.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"There is no file or folder {str(path)!r}.")
    found = sorted(
        file
        for file in path.rglob("*")
        if file.name.lower().endswith(SUFFIXES)
        and not file.name.startswith(".")
        and not _OTHER_FIF.search(file.name)
        and not _is_later_part(file)
        and not file.is_dir()
    )
    if not found:
        raise ValueError(
            f"The folder {str(path)!r} holds no recording: no file that ends in "
            f"{', '.join(SUFFIXES)}."
        )
    return found


def holds_epochs(path: str | os.PathLike) -> bool:
    """Whether a file holds epochs, by MNE's way of naming them."""
    return _EPOCHS.search(Path(path).name) is not None


def read_epochs(path: str | os.PathLike) -> Any:
    """The epochs of a file (``mne.Epochs``); their signals stay on disk until they are read.

    Raises
    ------
    ValueError
        If the file is shorter than it says, or MNE cannot read it.
    """
    import mne

    try:
        return _undamaged(lambda: mne.read_epochs(path, preload=False, verbose="warning"))
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {explain(error)}") from error


def open_file(path: str | os.PathLike) -> tuple[Any, Stamp]:
    """A recording (``mne.io.Raw``, not loaded) and the stamp with which `read_file` reads it.

    Raises
    ------
    ValueError
        If the file is shorter than it says. What MNE itself raises is passed on.
    """
    stamp = _stamp(path)
    return _OPEN.get(stamp), stamp


def read_file(stamp: Stamp, picks: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Values ``(n_chans, stop - start)`` of a file, which is opened where it is not.

    Raises
    ------
    ValueError
        If the file is another one by now, or can no longer be read.
    """
    try:
        raw = _OPEN.get(stamp, again=True)
        return raw.get_data(picks, start, stop, verbose="error")
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise ValueError(f"{stamp.path} cannot be read: {explain(error)}") from error


def close_files() -> None:
    """Forget what this process has opened."""
    _OPEN.clear()


class _OpenFiles:
    """The recordings that were read last: their headers, and the values of those that MNE loads."""

    def __init__(self) -> None:
        self._raws: OrderedDict[Stamp, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, stamp: Stamp, *, again: bool = False) -> Any:
        with self._lock:
            if stamp in self._raws:
                self._raws.move_to_end(stamp)
                return self._raws[stamp]
        if again and _stamp(stamp.path) != stamp:
            raise ValueError("it has changed since it was opened first")
        raw = _open(stamp.path, quiet=again)
        with self._lock:
            self._raws[stamp] = raw
            while len(self._raws) > MOST_OPEN or self._n_bytes() > MOST_LOADED:
                if len(self._raws) == 1:
                    break
                self._raws.popitem(last=False)
        return raw

    def after_fork(self) -> None:
        """A thread that held the lock did not come along into the forked process."""
        self._lock = Lock()

    def clear(self) -> None:
        with self._lock:
            self._raws.clear()

    def _n_bytes(self) -> int:
        return sum(
            8 * raw.n_times * len(raw.ch_names) for raw in self._raws.values() if raw.preload
        )


_OPEN = _OpenFiles()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OPEN.after_fork)


def _is_later_part(file: Path) -> bool:
    return any(
        pattern.search(file.name) and file.with_name(pattern.sub(first, file.name)).exists()
        for pattern, first in _LATER_PARTS
    )


def _stamp(path: str | os.PathLike) -> Stamp:
    path = os.path.abspath(path)
    state = os.stat(path)
    return Stamp(path, state.st_size, state.st_mtime_ns)


def _open(path: str, *, quiet: bool) -> Any:
    import mne

    # a compressed file would be unpacked from its start for every window
    preload = path.lower().endswith(".gz")
    brainvision = path.lower().endswith(".vhdr")
    signs = (*_DAMAGE, "outside data range") if brainvision else _DAMAGE
    raw = _undamaged(
        lambda: mne.io.read_raw(path, preload=preload, verbose="warning"), quiet, signs
    )
    if brainvision:
        _check_brainvision(path, raw)
    return raw


def _check_brainvision(path: str, raw: Any) -> None:
    """Refuse a BrainVision file without its end: MNE reads as many samples as there are."""
    header = Path(path).read_text(encoding="utf-8", errors="replace")
    stated = re.search(r"^DataPoints=(\d+)", header, re.M)
    wide = 2 if "BinaryFormat=INT_16" in header else 4
    n_bytes = os.path.getsize(raw.filenames[0])
    uneven = "DataFormat=BINARY" in header and n_bytes % (wide * len(raw.ch_names))
    if uneven or (stated and int(stated[1]) > raw.n_times):
        raise ValueError(f"the file is damaged or was cut short (it holds {raw.n_times} samples)")


def _undamaged(
    read: Callable[[], Any], quiet: bool = False, signs: tuple[str, ...] = _DAMAGE
) -> Any:
    """What `read` gives; where MNE warns that a file is cut short and reads on, an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read()
    for warning in caught:
        text = str(warning.message)
        if any(sign in text for sign in signs):
            raise ValueError(f"the file is damaged or was cut short ({text})")
        if not quiet and "naming conventions" not in text:
            warnings.warn(text, warning.category, stacklevel=2)
    return found


def explain(error: BaseException) -> str:
    """The message of an error in one line, with its type where the message is short."""
    text = " ".join(str(error).split())
    if isinstance(error, AttributeError | NameError | LookupError | TypeError):
        return f"it is damaged, or not what its name says ({type(error).__name__}: {text})"
    return text if len(text) > 20 else f"{type(error).__name__}: {text}".rstrip(": ")
