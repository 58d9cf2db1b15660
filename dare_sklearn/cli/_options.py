"""Options with strict types and the files that they name; messages, each warning once."""

import argparse
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..signals.files import explain, find_files, holds_epochs, open_epochs, open_file

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes
PATCH = 0.25  # seconds


class UsageError(ValueError):
    """A mistake in how the command was called."""


def refuse(args: Any, names: Iterable[str], why: str) -> None:
    """Refuse options that would have no effect here."""
    options = (f"--{name.replace('_', '-')}" for name in names)
    if given := [option for option in options if option in args.given]:
        raise UsageError(f"no effect {why}: leave out {' and '.join(given)}.")


def _checked(what: str, kind: Callable, fits: Callable) -> Callable[[str], Any]:
    """A type of option: finite numbers that fit."""

    def check(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not fits(value):
            raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}")
        return value

    return check


number = _checked("a finite number", float, math.isfinite)
positive = _checked("a finite number above 0", float, lambda value: value > 0)
share = _checked("a number between 0 and 1", float, lambda value: 0 < value < 1)
length = _checked(f"{PATCH} s (one patch) or more", float, lambda seconds: seconds >= PATCH)


def edge(text: str) -> float | None:
    """One end of a band in Hz; 'none' is an open end."""
    return None if text.lower() == "none" else positive(text)


def whole(low: int, high: int = 2**32 - 1) -> Callable[[str], int]:
    """Integers from `low` to `high`."""
    return _checked(f"an integer from {low} to {high}", int, lambda value: low <= value <= high)


def text(value: str) -> str:
    """A text that is not empty."""
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return value


def path(value: str) -> Path:
    """A path that is not empty."""
    return Path(text(value))


def folder(value: str) -> Path:
    """A path that is not a file."""
    if path(value).is_file():
        raise argparse.ArgumentTypeError(f"{value!r} is a file, not a folder")
    return path(value)


def rising(args: Any, name: str) -> None:
    """Refuse a pair of numbers that does not rise."""
    pair = getattr(args, name) or (None,)
    if None not in pair and pair[0] >= pair[1]:
        raise UsageError(f"--{name} must rise, got {pair[0]:g} and {pair[1]:g}.")


def check_network(device: str, encoder: str | None, option: str = "encoder") -> None:
    """Refuse, before any work, a missing device and an encoder that cannot be loaded."""
    from ..training.device import resolve_device
    from ..weights import load_encoder

    try:
        resolve_device(device)
    except ValueError as error:
        raise UsageError(f"--device {device}: {error}") from None
    try:
        if encoder not in (None, "untrained"):
            load_encoder(encoder)
    except (ValueError, OSError) as error:
        raise UsageError(f"--{option}: {error}") from None


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that read recordings."""
    # fmt: off
    add = parser.add_argument
    add("files", nargs="+", type=path,
        help="recordings (EDF, BDF, GDF, FIF, SET, VHDR, CNT), *-epo.fif, or folders of them")
    add("--channels", nargs="+", type=text, metavar="NAME", help="only these channels")
    add("--unknown-channels", choices=("interpolate", "drop", "error"), default="interpolate",
        help="channels outside the encoder's 62 electrodes (%(default)s)")
    add("--band", nargs=2, type=edge, metavar=("LOW", "HIGH"),
        help="pass band in Hz for continuous recordings; 'none' is an open end")
    add("--on-error", choices=("raise", "skip"), default="raise",
        help="stop at a file that cannot be used, or leave it out (%(default)s)")
    add("--device", type=text, default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("-q", "--quiet", action="store_true", help="no progress bars")
    # fmt: on


def name_files(sources: Sequence[Path], *, only_epochs: bool = False) -> dict[Path, str]:
    """All files by their names in the searched folder, or by their paths if two are alike."""
    found: dict[Path, tuple[Path, str]] = {}  # by path without links and dots
    for source in sources:
        try:
            files = find_files(source)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if only_epochs and source.is_dir():
            files = [file for file in files if holds_epochs(file)]
            if not files:
                raise UsageError(f"The folder {str(source)!r} holds no *-epo.fif.")
        for file in files:
            name = file.relative_to(source).as_posix() if file != source else file.name
            found.setdefault(file.resolve(), (file, name))
    names = dict(found.values())
    unique = len(set(names.values())) == len(names)
    return names if unique else {file: file.as_posix() for file in names}


def find(args: Any) -> dict[Path, str]:
    """The recordings of the command; refuse --band if it has no effect on one of them."""
    rising(args, "band")
    if args.band == [None, None]:
        refuse(args, ["band"], "with two open ends")
    doing("Looking for recordings")
    found = name_files(args.files)
    for file, name in found.items():
        if holds_epochs(file):
            refuse(args, ["band"], f"on epochs, which are too short to filter ({name})")
    return found


def open_recording(file: Path) -> Any:
    """A recording or epochs, whose signals stay on disk."""
    try:
        return open_epochs(file) if holds_epochs(file) else open_file(file)
    except Exception as error:
        raise ValueError(f"{file} cannot be read: {explain(error)}") from error


def pick_and_filter(inst: Any, file: Path, args: Any) -> Any:
    """The EEG channels or those of --channels, in the pass band of --band."""
    import mne

    eeg = [inst.ch_names[i] for i in mne.pick_types(inst.info, eeg=True, exclude="bads")]
    others = [name for name in inst.ch_names if name not in eeg]
    picked = eeg
    if args.channels is not None:
        picked = _named(args.channels, inst, eeg, file)
    elif others and eeg:
        words = f"left out {', '.join(others)}: channels that are not EEG, or are marked bad."
        warnings.warn(words, UserWarning, stacklevel=2)
    if picked and picked != inst.ch_names:  # without any EEG, the library's readers say what to do
        if holds_epochs(file):
            inst.load_data()
        inst.pick(picked, verbose="error")
    if args.band is not None:
        try:
            inst.load_data(verbose="error").filter(*args.band, verbose="error")
        except ValueError as error:
            raise ValueError(f"--band does not suit {file}: {error}") from None
    return inst


def _named(wanted: list[str], inst: Any, eeg: list[str], file: Path) -> list[str]:
    """The channels of a file by name, or by the electrode that a name means."""
    from ..signals.electrodes import electrode_name

    known = {electrode_name(name): name for name in reversed(inst.ch_names)}
    known |= {name: name for name in inst.ch_names}
    found = {name: known.get(name, known.get(electrode_name(name))) for name in wanted}
    if lacking := [name for name in wanted if found[name] not in eeg]:
        which = f"no EEG channel {', '.join(lacking)} that is not marked bad"
        raise UsageError(f"--channels: {file} has {which}; it has {', '.join(eeg)}.")
    return list(dict.fromkeys(found.values()))


def say(text: str) -> None:
    """Print a line on standard error, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def doing(text: str) -> None:
    """Print on standard output what begins now."""
    print(f"{text} ...", flush=True)


class Warnings:
    """Show warnings as lines, without deprecations.

    Texts that differ only in numbers are shown once (folds repeat them), with the `file` that they
    are about; `finish` counts the other files.
    """

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}  # by text
        self.file = ""
        self._said: dict[str, str] = {}  # the first text, by its form without numbers

    def install(self) -> None:
        """Replace Python's own display of warnings."""
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = self._show

    def finish(self) -> None:
        """Say how many other files had a warning that was shown already."""
        for text, files in self.files.items():
            if len(files) > 1:
                say(f"warning: the same in {len(files) - 1} other file(s): {text:.57}...")

    def _show(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = " ".join(str(message).split())
        if self.file:
            text = text.replace(f"{Path(self.file).name}: ", "")
        text = self._said.setdefault(re.sub(r"\b\d+\b", "", text), text)
        if text not in self.files:
            say(": ".join(filter(None, ["warning", self.file, text])))
        self.files.setdefault(text, set()).add(self.file)
