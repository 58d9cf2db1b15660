"""Reading files of recordings, as mne does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..checks import SuiteError

RAW = {
    ".edf": "read_raw_edf",
    ".bdf": "read_raw_bdf",
    ".gdf": "read_raw_gdf",
    ".fif": "read_raw_fif",
    ".set": "read_raw_eeglab",
    ".vhdr": "read_raw_brainvision",
}
_EPOCHS = re.compile(r"[-_]epo\.fif(\.gz)?$")
# What clinical files write around the name of an electrode: "EEG FP1-REF"
_AROUND = re.compile(r"^EEG\s+|-(REF|LE|AR|AVG|A1|A2|M1|M2)$", re.IGNORECASE)


def is_recording(path: Path) -> bool:
    """Whether the name is that of a recording."""
    return path.suffix.lower() in RAW or path.name.lower().endswith(".fif.gz")


def holds_epochs(path: Path) -> bool:
    """Whether a file holds epochs, by mne's way of naming them."""
    return _EPOCHS.search(path.name.lower()) is not None


def find_recordings(sources: Iterable[Path]) -> list[Path]:
    """Files among these, and in the folders among these, in order of their names.

    Raises
    ------
    FileNotFoundError, ValueError
        If a path is missing, a file is of another kind, or there are none.
    """
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            found += sorted(path for path in source.rglob("*") if _is_first(path))
        elif not source.exists():
            raise FileNotFoundError(f"There is no {str(source)!r}.")
        elif is_recording(source):
            found.append(source)
        else:
            raise SuiteError(f"{source.name!r} is none of {', '.join(RAW)}.")
    if not found:
        raise SuiteError(
            f"No recordings ({', '.join(RAW)}) in {', '.join(str(s) for s in sources)}."
        )
    return list(dict.fromkeys(found))


def read_raw(path: Path, preload: bool = True) -> Any:
    """A continuous recording, its channels named as electrodes and placed on a head.

    Raises
    ------
    SuiteError
        If mne cannot read it.
    """
    import mne

    reader = getattr(mne.io, RAW[".fif" if path.name.endswith(".fif.gz") else path.suffix.lower()])
    try:
        raw = reader(path, preload=preload, verbose="error")
    except Exception as error:  # whatever a reader says of a damaged file
        raise SuiteError(f"{path.name} cannot be read: {_first_line(error)}") from error
    return tidy_channels(raw)


def read_epochs(path: Path) -> Any:
    """Epochs of a file, as `read_raw`."""
    import mne

    try:
        epochs = mne.read_epochs(path, preload=True, verbose="error")
    except Exception as error:
        raise SuiteError(f"{path.name} cannot be read: {_first_line(error)}") from error
    return tidy_channels(epochs)


def tidy_channels(inst: Any) -> Any:
    """Names of electrodes as mne spells them, and positions where the file has none."""
    import mne

    from ...simulation.head import template_montage

    montage = template_montage()
    spelling = {name.upper(): name for name in montage.ch_names}
    renamed = {}
    for name in inst.ch_names:
        plain = _AROUND.sub("", name.strip()).rstrip(".").strip()
        plain = spelling.get(plain.upper(), plain)
        if plain != name and plain not in inst.ch_names and plain not in renamed.values():
            renamed[name] = plain
    inst.rename_channels(renamed, verbose="error")
    picks = mne.pick_types(inst.info, eeg=True, exclude=[])
    if len(picks) and not any(inst.info["chs"][i]["loc"][:3].any() for i in picks):
        inst.set_montage(montage, on_missing="ignore", verbose="error")
    return inst


def rename(inst: Any, names: dict[str, str] | None) -> Any:
    """Other names for channels, such as an electrode for a bipolar derivation, and their places."""
    found = {old: new for old, new in (names or {}).items() if old in inst.ch_names}
    if not found:
        return inst
    inst.rename_channels(found, verbose="error")
    for ch in inst.info["chs"]:
        if ch["ch_name"] in found.values():
            ch["loc"][:3] = 0.0  # of the old name
    return tidy_channels(inst)


def pick_eeg(inst: Any, channels: list[str] | None, where: str) -> Any:
    """The EEG channels, or those named, in their order.

    Raises
    ------
    SuiteError
        If there are none, or one is missing or of another type.
    """
    import mne

    there = [inst.ch_names[i] for i in mne.pick_types(inst.info, eeg=True, exclude="bads")]
    if channels is not None:
        by_name = {name.upper(): name for name in inst.ch_names}
        missing = [name for name in channels if name.upper() not in by_name]
        if missing:
            raise SuiteError(
                f"{where} lacks the channels {', '.join(missing)}; it has {', '.join(there)}."
            )
        inst = inst.pick([by_name[name.upper()] for name in channels], verbose="error")
        kinds = dict(zip(inst.ch_names, inst.get_channel_types(), strict=True))
        if other := [f"{name} ({kind})" for name, kind in kinds.items() if kind != "eeg"]:
            raise SuiteError(
                f"{where} marks {', '.join(other)} as no EEG: leave it out of channels, or set its "
                "type to eeg in the recording."
            )
        return inst
    if not there:
        raise SuiteError(f"{where} has no EEG channels.")
    return inst.pick(there, verbose="error")


def _is_first(path: Path) -> bool:
    """Whether mne opens this file: parts of a split FIF file come with their first one."""
    return path.is_file() and is_recording(path) and not re.search(r"-\d+\.fif$", path.name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
