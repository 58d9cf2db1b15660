"""Any folder of recordings, with a small map from labels, and from names of files to people."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import checks
from ..checks import Keys, SuiteError
from ._base import Context, Cut, Recordings, assemble
from .events import EVENTS, event_labels, find_events
from .files import find_recordings, holds_epochs, pick_eeg, read_epochs, read_raw, rename

_FIELD = re.compile(r"\{(\w+)\}|(\*\*/?)|(\*)|(\?)")


@dataclass(frozen=True)
class Files:
    """Files below the folder of ``--data``.

    Attributes
    ----------
    pattern : str
        Path of the files below the folder; ``{subject}``, ``{session}`` and ``{run}`` stand for
        those parts of a name, other words in braces for parts that `keep` chooses among.
    keep : dict of str to list of str
        Values of parts of a name.
    events : str
        Where labels stand: annotations, the stim channel, a table beside the file (CSV or TSV with
        the columns onset and label), or the metadata of epochs.
    column, subject_column : str or None
        Columns of the metadata.
    reject_uv : float or None
        Epochs with a larger peak-to-peak amplitude in any channel (µV) are left out.
    """

    pattern: str
    keep: dict[str, list[str]]
    events: str
    column: str | None
    subject_column: str | None
    stim_channel: str | None
    reject_uv: float | None

    @classmethod
    def read(cls, keys: Keys) -> Files:
        """From the keys of a data set."""
        keep = keys.take("keep", checks.mapping, {})
        try:
            keep = {name: checks.names(values) for name, values in keep.items()}
        except SuiteError as error:
            raise SuiteError(f"{keys.where}: keep must name parts with {error}.") from None
        return cls(
            pattern=keys.take("files", checks.text),
            keep=keep,
            events=keys.take("events", checks.one_of(*EVENTS), "auto"),
            column=keys.take("label_column", checks.text, None),
            subject_column=keys.take("subject_column", checks.text, None),
            stim_channel=keys.take("stim_channel", checks.text, None),
            reject_uv=keys.take("reject_uv", checks.positive, None),
        )

    def subjects(self, context: Context) -> None:
        """All people come at once: they may stand in the metadata of a file."""
        return None

    def load(self, cut: Cut, context: Context, subjects: Sequence[str] | None) -> Recordings:
        """Read and cut all files."""
        import mne

        parts, labels, rows, used, n_rejected, n_overlapping = [], [], [], [], 0, 0
        people: dict[str, None] = {}
        lost: Counter[str] = Counter()
        for path, fields in self._find(context.folder("A suite of recordings")):
            if fields["subject"] not in people and len(people) == context.n_subjects:
                continue
            people[fields["subject"]] = None
            epochs, found, near = self._cut(path, cut, lost)
            n_overlapping += near
            if self.reject_uv is not None and len(epochs):
                before = epochs.selection
                epochs.drop_bad({"eeg": self.reject_uv * 1e-6}, verbose="error")
                n_rejected += len(before) - len(epochs)
                found = [found[i] for i in np.flatnonzero(np.isin(before, epochs.selection))]
            if not len(epochs):
                continue
            meta = pd.DataFrame(fields, index=range(len(epochs)))
            if self.subject_column is not None:
                meta["subject"] = _column(epochs, self.subject_column, path)
            with mne.use_log_level("error"):
                epochs.metadata = None
            parts.append(epochs)
            labels += found
            rows.append(meta)
            used.append(path)
        if not parts:
            raise SuiteError(f"{self.pattern!r}: no events with the labels asked for were found.")
        _check_layouts(parts, used)
        notes = []
        missing = [label for label in cut.classes or () if label not in set(labels)]
        if missing and context.n_subjects is None:
            empty = set(cut.class_names()) - {cut.classes[label] for label in set(labels)}
            text = f"No epoch has the label(s) {missing} that classes names."
            if empty:
                raise SuiteError(text)
            notes.append(text)  # other labels of the same class are there
        if lost:
            why = ", ".join(f"{count} {reason}" for reason, count in lost.items())
            notes.append(f"{lost.total()} events gave no epoch ({why}).")
        if n_rejected:
            notes.append(
                f"{n_rejected} epochs above {self.reject_uv:g} µV peak to peak were left out."
            )
        epochs = mne.concatenate_epochs(parts, verbose="error") if len(parts) > 1 else parts[0]
        meta = pd.concat(rows, ignore_index=True)
        if context.n_subjects is not None:  # of the metadata of one file
            wanted = list(dict.fromkeys(meta["subject"]))[: context.n_subjects]
            chosen = np.flatnonzero(meta["subject"].isin(wanted).to_numpy())
            epochs, meta = epochs[chosen], meta.iloc[chosen]
            labels = [labels[i] for i in chosen]
        data = assemble(epochs, labels, meta, cut, notes)
        data.n_overlapping = n_overlapping
        return data

    def _find(self, folder: Path) -> list[tuple[Path, dict[str, str]]]:
        expression = _as_regex(self.pattern)
        found, n_matched, seen = [], 0, defaultdict(set)
        paths = find_recordings([folder])
        for path in paths:
            name = path.relative_to(folder).as_posix()
            match = expression.fullmatch(name)
            if match is None:
                continue
            fields = match.groupdict()
            for part in self.keep:
                if part not in fields:
                    raise SuiteError(f"keep names {part!r}, which is not in {self.pattern!r}.")
            n_matched += 1
            for part, value in fields.items():
                seen[part].add(value)
            if any(fields[part] not in values for part, values in self.keep.items()):
                continue
            known = {k: v for k, v in fields.items() if k in ("subject", "session", "run")}
            found.append((path, {"subject": "1", "recording": name, **known}))
        for part, values in self.keep.items():
            unknown = [value for value in values if value not in seen[part]]
            if n_matched and unknown:
                raise SuiteError(f"keep names {part} {unknown}, which no file has.")
        if not found:
            why = (
                f"{n_matched} match, but keep leaves none of them"
                if n_matched
                else f"it holds, for example, {paths[0].relative_to(folder).as_posix()}"
            )
            raise SuiteError(f"No file below {str(folder)!r} matches {self.pattern!r}: {why}.")
        return found

    def _cut(self, path: Path, cut: Cut, lost: Counter[str]) -> tuple[Any, list[str], int]:
        """Epochs, their labels, and how many of them overlap; counts lost events by reason."""
        if holds_epochs(path):
            return *self._read_cut(path, cut), 0
        import mne

        raw = rename(read_raw(path), cut.rename)
        raw = pick_and_keep_stim(raw, cut.channels, path.name, self.stim_channel)
        events, labels = find_events(raw, path, self.events, self.stim_channel)
        if cut.band is not None:
            raw.filter(*cut.band, picks="eeg", verbose="error")
        if cut.window is None:
            raise SuiteError(f"{path.name} is continuous: say which window around an event to cut.")
        if cut.classes is None and (unnamed := labels.count("")):
            lost["without a label"] += unnamed
        wanted = [
            i
            for i, label in enumerate(labels)
            if (label in cut.classes if cut.classes is not None else label)
        ]
        events, labels = events[wanted], [labels[i] for i in wanted]
        start, stop = cut.window
        epochs = (
            mne.Epochs(
                raw,
                events,
                tmin=start,
                tmax=stop - 1 / raw.info["sfreq"],
                baseline=None,
                picks="eeg",
                preload=True,
                reject_by_annotation=True,
                event_repeated="drop",
                verbose="error",
            )
            if len(events)
            else []
        )
        near = 0
        if len(events):
            lost.update(why[0] for why in epochs.drop_log if why and why[0] != "IGNORED")
        if len(epochs):
            labels = [labels[i] for i in epochs.selection]
            near = _count_overlapping(epochs)
            _resample(epochs, cut.sfreq)
        return epochs, labels, near

    def _read_cut(self, path: Path, cut: Cut) -> tuple[Any, list[str]]:
        """Epochs that were cut before."""
        if cut.band is not None:
            raise SuiteError(
                f"{path.name} holds epochs, which are too short to filter: leave band out, or "
                "start from the continuous recording."
            )
        epochs = pick_eeg(rename(read_epochs(path), cut.rename), cut.channels, path.name)
        if self.column is not None:
            labels = _column(epochs, self.column, path)
        else:
            labels = event_labels(epochs)
        if cut.classes is not None:
            wanted = np.flatnonzero([label in cut.classes for label in labels])
            epochs, labels = epochs[wanted], [labels[i] for i in wanted]
        if cut.window is not None:
            period = 1 / epochs.info["sfreq"]
            first, last = epochs.tmin, epochs.tmax + period
            # samples need not lie on the window's edges
            if cut.window[0] < first - period / 2 or cut.window[1] > last + period / 2:
                raise SuiteError(
                    f"{path.name} holds epochs from {first:g} to {last:g} s, and the window is "
                    f"{cut.window[0]:g} to {cut.window[1]:g} s."
                )
            start = max(cut.window[0], first)
            if cut.window[1] >= last - period / 2:
                epochs.crop(start, None, verbose="error")
            else:
                epochs.crop(start, cut.window[1], include_tmax=False, verbose="error")
        _resample(epochs, cut.sfreq)
        return epochs, labels


def describe_folder(folder: Path) -> tuple[list[Path], Counter]:
    """Recordings in a folder, and the labels in the first few of them."""
    files = find_recordings([folder])
    labels: Counter = Counter()
    for path in files[:5]:
        if holds_epochs(path):
            labels.update(event_labels(read_epochs(path)))
        else:
            labels.update(filter(None, find_events(read_raw(path), path)[1]))
    return files, labels


def pick_and_keep_stim(raw: Any, channels: list[str] | None, where: str, stim: str | None) -> Any:
    """The EEG channels, and beside them those that hold the events."""
    import mne

    events = (
        raw.copy().pick([raw.ch_names[i] for i in mne.pick_types(raw.info, stim=True)])
        if ("stim" in raw.get_channel_types())
        else None
    )
    if stim is not None and stim not in raw.ch_names:
        raise SuiteError(f"{where} has no channel {stim!r}.")
    if stim is not None and (events is None or stim not in events.ch_names):
        events = raw.copy().pick([stim]).set_channel_types({stim: "stim"}, verbose="error")
    raw = pick_eeg(raw, channels, where)
    return raw if events is None else raw.add_channels([events], force_update_info=True)


def _column(epochs: Any, name: str, path: Path) -> list[str]:
    there = [] if epochs.metadata is None else list(epochs.metadata.columns)
    if name not in there:
        raise SuiteError(
            f"{path.name} has no column {name!r} in its metadata; it has "
            f"{', '.join(map(str, there)) or 'none'}."
        )
    return epochs.metadata[name].astype(str).tolist()


def _resample(epochs: Any, sfreq: float | None) -> None:
    if sfreq is not None and abs(sfreq - epochs.info["sfreq"]) > 1e-6:
        epochs.resample(sfreq, method="polyphase", verbose="error")


def _count_overlapping(epochs: Any) -> int:
    """Epochs of one recording that share samples with the one before or after them."""
    near = np.diff(np.sort(epochs.events[:, 0])) < len(epochs.times)
    return int((np.r_[near, False] | np.r_[False, near]).sum())


def _check_layouts(parts: list, paths: list[Path]) -> None:
    first = parts[0]
    for part, path in zip(parts, paths, strict=False):
        if part.ch_names != first.ch_names:
            common = [name for name in first.ch_names if name in part.ch_names]
            raise SuiteError(
                f"{path.name} has other channels than {paths[0].name}. Name those to use, for "
                f"example channels: [{', '.join(common)}]."
            )
        if part.info["sfreq"] != first.info["sfreq"]:
            raise SuiteError(
                f"{path.name} has {part.info['sfreq']:g} Hz and {paths[0].name} "
                f"{first.info['sfreq']:g} Hz: say which rate to use (sfreq)."
            )
        shift = abs(part.tmin - first.tmin)
        if shift and shift <= 0.5 / first.info["sfreq"]:  # rounded to samples of another rate
            part.shift_time(first.tmin, relative=False)
        if len(part.times) != len(first.times) or abs(part.tmin - first.tmin) > 1e-6:
            raise SuiteError(
                f"{path.name} has epochs of {len(part.times)} samples from {part.tmin:g} s and "
                f"{paths[0].name} of {len(first.times)} from {first.tmin:g} s: say which window to "
                "use."
            )


def _as_regex(pattern: str) -> re.Pattern:
    """A regular expression of a pattern with ``{name}``, ``*`` and ``**``."""
    pieces, position, named = [], 0, set()
    for match in _FIELD.finditer(pattern):
        pieces.append(re.escape(pattern[position : match.start()]))
        name, deep, star, _ = match.groups()
        if name:
            pieces.append(f"(?P={name})" if name in named else f"(?P<{name}>[^/]+?)")
            named.add(name)
        else:
            pieces.append(".*" if deep else "[^/]*" if star else "[^/]")
        position = match.end()
    pieces.append(re.escape(pattern[position:]))
    return re.compile("".join(pieces))
