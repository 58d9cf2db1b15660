"""Recordings in files: finding them in folders, opening them, and their events.

NumPy and MNE are imported where they are used: the command line loads this file for its help.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import tell

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


def find_files(path: str | os.PathLike) -> list[Path]:
    """A file itself, or all recordings and files of epochs in and below a folder, by name.

    Left out are later parts of split FIF files (MNE reads them with the first), what is hidden
    (as copies in ``.git/annex`` are), and FIF files whose names say that they hold something else,
    such as ``-cov.fif``. A folder without any recording is refused.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"There is no file or folder {str(path)!r}.")
    found = sorted(
        file
        for file in _walk(path)
        if file.name.lower().endswith(SUFFIXES)
        and not _OTHER_FIF.search(file.name)
        and not any(
            _is_part_of(file.with_name(later.sub(first, file.name)), file)
            for later, first in _LATER_PARTS
        )
    )
    if not found:
        ends = ", ".join(SUFFIXES)
        raise ValueError(f"{str(path)!r} holds no recording: no file that ends in {ends}.")
    return found


def _walk(path: Path) -> Iterator[Path]:
    """The files in and below a folder; hidden folders, which may be large, are not entered."""
    for folder, inner, names in os.walk(path, onerror=_tell_unread):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if links := [name for name in inner if os.path.islink(os.path.join(folder, name))]:
            tell(f"{links} in {folder!r} are links to folders, and not searched: pass them too.")
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _tell_unread(error: OSError) -> None:
    tell(f"what the folder {error.filename!r} holds is left out ({error.strerror}).")


def _is_part_of(first: Path, file: Path) -> bool:
    """Whether MNE reads a file with another one, which it is named after."""
    if first == file or not first.exists():
        return False
    import mne

    try:
        raw = mne.io.read_raw_fif(first, on_split_missing="ignore", verbose="error")
    except Exception:  # epochs, or a damaged file, which its own reading reports
        return True
    return file.name in [Path(part).name for part in raw.filenames]


def holds_epochs(path: str | os.PathLike) -> bool:
    """Whether a file holds epochs, by MNE's way of naming them."""
    return _EPOCHS.search(Path(path).name) is not None


def open_epochs(path: str | os.PathLike) -> Any:
    """The epochs of a file, whose signals stay on disk; a ValueError if it is cut short."""
    import mne

    return _undamaged(lambda: mne.read_epochs(path, preload=False, verbose="warning"))


def open_file(path: str | os.PathLike) -> Any:
    """A recording, whose signals stay on disk (unless zipped); a ValueError if it is cut short."""
    import mne

    name = os.fspath(path).lower()
    preload = name.endswith(".gz")  # MNE would unpack it from its start for every piece
    brainvision = name.endswith(".vhdr")
    signs = (*_DAMAGE, "outside data range") if brainvision else _DAMAGE
    raw = _undamaged(lambda: mne.io.read_raw(path, preload=preload, verbose="warning"), signs)
    if brainvision:  # MNE reads as many samples as there are, and says nothing of an end that lacks
        header = Path(path).read_text(encoding="utf-8", errors="replace")
        stated = re.search(r"^DataPoints=(\d+)", header, re.M)
        wide = (2 if "BinaryFormat=INT_16" in header else 4) * len(raw.ch_names)
        uneven = "DataFormat=BINARY" in header and os.path.getsize(raw.filenames[0]) % wide
        if uneven or (stated and int(stated[1]) > raw.n_times):
            raise ValueError(
                f"the file is damaged or was cut short (it holds {raw.n_times} samples)"
            )
    return raw


def _undamaged(read: Callable[[], Any], signs: tuple[str, ...] = _DAMAGE) -> Any:
    """What `read` gives; where MNE warns that a file is cut short and reads on, an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read()
    for warning in caught:
        text = str(warning.message)
        if any(sign in text for sign in signs):
            raise ValueError(f"the file is damaged or was cut short ({text})")
        if "naming conventions" not in text:
            warnings.warn(text, warning.category, stacklevel=2)
    return found


def explain(error: BaseException) -> str:
    """The message of an error in one line, with its type where the message is short."""
    text = " ".join(str(error).split())
    if "read_epochs" in text:  # MNE knows better
        return text
    if isinstance(error, AttributeError | NameError | LookupError | TypeError):
        return f"it is damaged, or not what its name says ({type(error).__name__}: {text})"
    return text if len(text) > 20 else f"{type(error).__name__}: {text}".rstrip(": ")


def find_events(raw: Any) -> tuple[Any, list[str]]:
    """Events of a recording, MNE's ``(n_events, 3)``, all of number 1, and their labels.

    They come from a stim channel or, where there is none or it is empty, from annotations.
    """
    import mne
    import numpy as np

    events, labels = np.empty((0, 3), dtype=int), []
    if "stim" in raw.get_channel_types():
        events = mne.find_events(raw, shortest_event=1, consecutive=True, verbose="error")
        labels = [str(number) for number in events[:, 2]]
    if not len(events) and len(raw.annotations):
        events, numbers = mne.events_from_annotations(raw, verbose="error")
        names = {number: str(name) for name, number in numbers.items()}
        labels = [names[number] for number in events[:, 2]]
    events[:, 2] = 1
    return events, labels


def event_labels(epochs: Any) -> list[str]:
    """Names of the events that epochs were cut around."""
    names = {number: name for name, number in epochs.event_id.items()}
    return [names[number] for number in epochs.events[:, 2]]


def event_seconds(epochs: Any) -> Any:
    """Times of the events that epochs were cut around, an array in seconds.

    Events count samples of the recording, which had another rate if the epochs were resampled.
    """
    import numpy as np

    return epochs.events[:, 0] / np.ravel(getattr(epochs, "_raw_sfreq", epochs.info["sfreq"]))[0]
