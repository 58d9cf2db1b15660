"""Signals from the files on the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._options import UsageError, doing, edge, path, refuse, rising, text


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
    """All files in `sources`, with names relative to the folder that was searched.

    If two names would be the same, all are paths as the user wrote them.
    """
    from ..signals.files import find_files, holds_epochs

    found: dict[Path, str] = {}
    seen: set[Path] = set()
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
            if file.resolve() in seen:  # by another path
                continue
            seen.add(file.resolve())
            found[file] = file.relative_to(source).as_posix() if file != source else file.name
    if len(set(found.values())) < len(found):
        found = {file: file.as_posix() for file in found}
    return found


def find(args: Any) -> dict[Path, str]:
    """The recordings of the command; refuse --band if it has no effect on one of them."""
    rising(args, "band")
    if args.band == [None, None]:
        refuse(args, ["band"], "with two open ends")
    if any(source.is_dir() for source in args.files):
        doing("Looking for recordings")
    from ..signals.files import holds_epochs

    found = name_files(args.files)
    for file, name in found.items():
        if holds_epochs(file):
            refuse(args, ["band"], f"on epochs, which are too short to filter ({name})")
    return found


def open_recording(file: Path, args: Any, *, keep: bool = False) -> Any:
    """Open a recording or epochs (on disk, unless filtered); `keep` keeps all channels."""
    from ..signals.files import explain, holds_epochs, open_epochs, open_file

    try:
        inst = open_epochs(file) if holds_epochs(file) else open_file(file)
    except Exception as error:
        raise ValueError(f"{file} cannot be read: {explain(error)}") from error
    return inst if keep else pick_and_filter(inst, file, args)


def pick_and_filter(inst: Any, file: Path, args: Any) -> Any:
    """The EEG channels or those of --channels, in the pass band of --band."""
    import mne

    from ..signals.files import holds_epochs

    eeg = [inst.ch_names[i] for i in mne.pick_types(inst.info, eeg=True, exclude="bads")]
    picked = eeg if args.channels is None else _named(args.channels, inst, eeg, file)
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

    by_name = {electrode_name(name): name for name in reversed(inst.ch_names)}
    picked = []
    for name in wanted:
        found = name if name in inst.ch_names else by_name.get(electrode_name(name))
        if found not in eeg:
            raise UsageError(
                f"--channels: {file} has no EEG channel {name} that is not marked bad; it has "
                f"{', '.join(eeg)}."
            )
        picked.append(found)
    return list(dict.fromkeys(picked))
