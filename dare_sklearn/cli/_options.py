"""Options of the command line, read strictly: every value is checked under the option's name."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes
PATCH = 0.25  # seconds


class UsageError(ValueError):
    """Something that the user has to say differently."""


def refuse(args: Any, names: Iterable[str], why: str) -> None:
    """Refuse options that were given and have no effect here."""
    options = [f"--{name.replace('_', '-')}" for name in names]
    given = [option for option in options if option in args.given]
    if given:
        verb, them = ("has", "it") if len(given) == 1 else ("have", "them")
        raise UsageError(f"{' and '.join(given)} {verb} no effect {why}: leave {them} out.")


def _checked(what: str, kind: Callable, fits: Callable) -> Callable[[str], Any]:
    """Finite numbers that fit."""

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
        raise argparse.ArgumentTypeError("it is empty")
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


def check_device(device: str) -> None:
    """Refuse a device that this machine lacks, before anything is computed."""
    from ..training.device import resolve_device

    try:
        resolve_device(device)
    except ValueError as error:
        raise UsageError(f"--device {device}: {error}") from None


def check_encoder(source: str, name: str) -> None:
    """Refuse an encoder that cannot be loaded, before any file is blamed for it."""
    from ..weights import load_encoder

    try:
        load_encoder(source)
    except (ValueError, OSError) as error:
        raise UsageError(f"--{name}: {error}") from None
