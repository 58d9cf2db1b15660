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


class _Once:
    """Notes that the user gave the option, and refuses a second one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        given = vars(namespace).setdefault("given", {})
        if option_string is not None and self.dest in given:
            parser.error(f"argument {option_string}: it was given twice")
        given[self.dest] = option_string
        super().__call__(parser, namespace, values, option_string)


class _Store(_Once, argparse._StoreAction):
    pass


class _StoreTrue(_Once, argparse._StoreTrueAction):
    pass


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes every option once and in full.

    The parsed arguments have the attribute ``given``: the options that the user gave, by ``dest``.
    """

    def __init__(self, **params: Any) -> None:
        params.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **params)
        self.register("action", None, _Store)
        self.register("action", "store", _Store)
        self.register("action", "store_true", _StoreTrue)
        self.set_defaults(given={})

    def error(self, message: str) -> None:
        """One line, and where to read more."""
        self.exit(2, f"{self.prog}: error: {message}\nSee {self.prog} --help.\n")


def refuse(args: Any, names: Iterable[str], why: str) -> None:
    """Refuse options that were given and have no effect here."""
    given = [args.given[name] for name in names if name in args.given]
    if given:
        verb, them = ("has", "it") if len(given) == 1 else ("have", "them")
        raise UsageError(f"{' and '.join(given)} {verb} no effect {why}: leave {them} out.")


def _real(what: str, fits: Callable[[float], bool] = math.isfinite) -> Callable[[str], float]:
    """Finite numbers that fit."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not fits(value):
            raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}")
        return value

    return check


number = _real("a finite number")
positive = _real("a finite number above 0", lambda value: value > 0)
share = _real("a number between 0 and 1", lambda value: 0 < value < 1)
length = _real(f"{PATCH} s (one patch) or more", lambda seconds: seconds >= PATCH)


def edge(text: str) -> float | None:
    """One end of a band in Hz; 'none' is an open end."""
    return None if text.lower() == "none" else positive(text)


def whole(low: int, high: int = 2**32 - 1) -> Callable[[str], int]:
    """Integers from `low` to `high`."""

    def check(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {low} or more (to {high}), got {text}")
        return value

    return check


def text(value: str) -> str:
    """A text that is not empty."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return value


def path(value: str) -> Path:
    """A path that is not empty."""
    return Path(text(value))


def folder(value: str) -> Path:
    """A path that is no file."""
    if path(value).exists() and not path(value).is_dir():
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
