"""Options with strict types, and the messages of commands, each warning once."""

import argparse
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes
PATCH = 0.25  # seconds


class UsageError(ValueError):
    """A mistake in how the command was called."""


def refuse(args: Any, names: Iterable[str], why: str) -> None:
    """Refuse options that would have no effect here."""
    options = [f"--{name.replace('_', '-')}" for name in names]
    given = [option for option in options if option in args.given]
    if given:
        verb, them = ("has", "it") if len(given) == 1 else ("have", "them")
        raise UsageError(f"{' and '.join(given)} {verb} no effect {why}: leave {them} out.")


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
    pair = getattr(args, name)
    if pair is not None and None not in pair and pair[0] >= pair[1]:
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


def say(text: str) -> None:
    """Print a line on standard error, above a progress bar if there is one."""
    bars = sys.modules.get("tqdm")
    if bars is not None:
        bars.tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)


def doing(text: str) -> None:
    """Print on standard output what begins now."""
    print(f"{text} ...", flush=True)


class Warnings:
    """Show warnings as lines, without deprecations.

    Texts that differ only in numbers are shown once (folds repeat them), with the file that they
    are about; `finish` counts the other files.
    """

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}  # by text
        self._said: dict[str, str] = {}  # the first text, by its form without numbers
        self._file = ""

    def install(self) -> None:
        """Replace Python's own display of warnings."""
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = self._show

    @contextmanager
    def about(self, file: str) -> Iterator[None]:
        """Warnings inside are about this file."""
        self._file = file
        try:
            yield
        finally:
            self._file = ""

    def finish(self) -> None:
        """Say how many other files had a warning that was shown already."""
        for text, files in self.files.items():
            if len(files) > 1:
                say(f"warning: the same in {len(files) - 1} other file(s): {text:.57}...")

    def _show(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = " ".join(str(message).split())
        if self._file:
            text = text.replace(f"{Path(self._file).name}: ", "")
        text = self._said.setdefault(re.sub(r"\b\d+\b", "", text), text)
        if text not in self.files:
            say(f"warning: {self._file}: {text}" if self._file else f"warning: {text}")
        self.files.setdefault(text, set()).add(self._file)
