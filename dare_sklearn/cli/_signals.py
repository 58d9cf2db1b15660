"""Files on the command line as signals."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """What commands that read recordings have in common."""
    parser.add_argument(
        "files", nargs="+", type=Path, help="recordings (EDF, BDF, GDF, FIF, SET, VHDR), or folders"
    )
    parser.add_argument("--channels", nargs="+", metavar="NAME", help="only these channels")
    parser.add_argument(
        "--band", nargs=2, type=_edge, metavar=("LOW", "HIGH"),
        help="pass band in Hz, of continuous recordings; 'none' is an open end",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="of torch: auto, cpu, cuda, mps")


def find_files(sources: Sequence[Path]) -> list[Path]:
    """All recordings among files and folders."""
    import mne

    from ..benchmark.sources.files import find_recordings

    mne.set_log_level("error")
    return find_recordings(sources)


def check_band(band: Sequence[float | None] | None) -> tuple[float | None, float | None] | None:
    """The pass band, which must rise."""
    from . import UsageError

    if band is None:
        return None
    low, high = band
    if low is not None and high is not None and low >= high:
        raise UsageError(f"--band must rise, got {low:g} and {high:g}.")
    return low, high


def read_file(path: Path, channels: list[str] | None, band: Any, *, preload: bool = True) -> Any:
    """A recording, or epochs, with its EEG channels.

    Raises
    ------
    SuiteError
        If it cannot be read, or lacks a channel.
    """
    from ..benchmark.checks import SuiteError
    from ..benchmark.sources.files import holds_epochs, pick_eeg, read_epochs, read_raw

    if holds_epochs(path):
        if band is not None:
            raise SuiteError(f"{path.name} holds epochs, too short to filter: leave --band out.")
        return pick_eeg(read_epochs(path), channels, path.name)
    raw = pick_eeg(read_raw(path, preload=preload or band is not None), channels, path.name)
    if band is not None:
        raw.filter(*band, verbose="error")
    return raw


def _edge(text: str) -> float | None:
    if text.lower() == "none":
        return None
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("frequencies must be positive")
    return value
