"""Clinical corpora and sleep through braindecode's data sets, windowed by its own functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .. import checks
from ..checks import Keys, SuiteError
from ._base import META, Context, Cut, Recordings, assemble
from .files import pick_eeg, rename, tidy_channels

DATASETS = ("TUHAbnormal", "TUHEvents", "SleepPhysionet")
FROM_FOLDER = ("TUHAbnormal", "TUHEvents")  # not free to download: the user's own copy
EVENTS = "events"
REHEARSAL_CHANNELS = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()


@dataclass(frozen=True)
class Braindecode:
    """Windows of a braindecode data set.

    Attributes
    ----------
    target : str
        Column of its description that holds the label of a recording, or "events": annotations do.
    columns : dict of str to str
        Our names (subject, session, run, set) and columns of the description.
    window_s : float
    max_windows : int or None
        Of each recording and label, spread evenly over it.
    """

    dataset: str
    params: dict[str, Any]
    target: str
    columns: dict[str, str]
    window_s: float
    max_windows: int | None

    @classmethod
    def read(cls, keys: Keys) -> Braindecode:
        """From the keys of a data set."""
        source = cls(
            dataset=keys.take("dataset", checks.one_of(*DATASETS)),
            params=keys.take("dataset_params", checks.mapping, {}),
            target=keys.take("target", checks.text),
            columns=keys.take("columns", checks.mapping, {"subject": "subject"}),
            window_s=keys.take("window_s", checks.positive),
            max_windows=keys.take("max_windows", checks.at_least(1), None),
        )
        unknown = set(source.columns) - set(META)
        if unknown:
            raise SuiteError(
                f"{keys.where}: columns names {sorted(unknown)}, of {', '.join(META)}."
            )
        return source

    def subjects(self, context: Context) -> None:
        """All people come at once."""
        return None

    def load(self, cut: Cut, context: Context, subjects: Sequence[str] | None) -> Recordings:
        """Window every recording, one after the other."""
        import mne

        people: list[str] = []
        blocks, labels, rows, info = [], [], [], None
        for dataset in self._recordings(cut, context):
            fields = {
                ours: str(dataset.description[theirs])
                for ours, theirs in self.columns.items()
                if theirs in dataset.description
            }
            if "subject" not in fields:
                raise SuiteError(f"{self.dataset}: no column {self.columns.get('subject')!r}.")
            if fields["subject"] not in people:
                if context.n_subjects is not None and len(people) >= context.n_subjects:
                    continue
                people.append(fields["subject"])
            data, found, raw_info = self._window(dataset, cut)
            if not len(data):
                continue
            info = info or raw_info
            if raw_info.ch_names != info.ch_names:
                raise SuiteError(
                    f"{self.dataset}: recordings differ in their channels: name those to use."
                )
            blocks.append(data)
            labels += found
            number = str(len(rows))
            rows.append(pd.DataFrame({"recording": number, **fields}, index=range(len(found))))
        if not blocks:
            raise SuiteError(f"{self.dataset}: no windows with the labels asked for were found.")
        epochs = mne.EpochsArray(np.concatenate(blocks), info, verbose="error")
        return assemble(epochs, labels, pd.concat(rows, ignore_index=True), cut)

    def _recordings(self, cut: Cut, context: Context) -> Iterator[Any]:
        from braindecode import datasets

        if context.rehearse:
            yield from _fake(self, cut)
            return
        params = dict(self.params)
        if self.dataset in FROM_FOLDER:
            params["path"] = str(context.folder(self.dataset))
        yield from getattr(datasets, self.dataset)(**params).datasets

    def _window(self, dataset: Any, cut: Cut) -> tuple[np.ndarray, list[str], Any]:
        """Windows ``(n, n_chans, n_times)`` in volts, their labels, and what mne knows of them."""
        from braindecode.datasets import BaseConcatDataset, RawDataset
        from braindecode.preprocessing import (
            create_fixed_length_windows,
            create_windows_from_events,
        )

        raw = dataset.raw.copy().load_data(verbose="error")
        raw = pick_eeg(rename(tidy_channels(raw), cut.rename), cut.channels, self.dataset)
        if cut.band is not None:
            raw.filter(*cut.band, verbose="error")
        if cut.sfreq is not None and raw.info["sfreq"] != cut.sfreq:
            raw.resample(cut.sfreq, method="polyphase", verbose="error")
        size = round(self.window_s * raw.info["sfreq"])
        if raw.n_times < size:
            return np.empty(0), [], raw.info
        one = BaseConcatDataset([RawDataset(raw, dataset.description)])
        shape = {"window_size_samples": size, "window_stride_samples": size, "preload": True}
        if self.target == EVENTS:
            there = set(raw.annotations.description)
            wanted = sorted(there & set(cut.classes or there))
            mapping = {name: number for number, name in enumerate(wanted)}
            if not mapping:
                return np.empty(0), [], raw.info
            # an event is at least one window, from its start on, and ends with the recording
            events = raw.annotations.copy()
            events.duration = np.maximum(events.duration, self.window_s)
            first = raw.first_time if events.orig_time is not None else 0.0
            raw.set_annotations(events[events.onset - first + events.duration <= raw.duration])
            windows = create_windows_from_events(
                one,
                mapping=mapping,
                on_last_window="drop",
                on_overlapping_events="ignore",
                on_missing="ignore",
                **shape,
            )
            numbers = [int(item[1]) for item in windows]
            labels = [wanted[number] for number in numbers]
        else:
            windows = create_fixed_length_windows(one, on_last_window="drop", **shape)
            labels = [str(dataset.description[self.target])] * len(windows)
        rows = _spread(labels, self.max_windows)
        data = np.stack([np.asarray(windows[i][0]) for i in rows]) if len(rows) else np.empty(0)
        return data, [labels[i] for i in rows], raw.info


def _spread(labels: Sequence[str], most: int | None) -> list[int]:
    """Up to `most` rows of each label, evenly over all of them."""
    if most is None:
        return list(range(len(labels)))
    rows: list[int] = []
    for label in dict.fromkeys(labels):
        mine = [i for i, other in enumerate(labels) if other == label]
        chosen = np.unique(np.linspace(0, len(mine) - 1, min(most, len(mine))).round().astype(int))
        rows += [mine[i] for i in chosen]
    return sorted(rows)


def _fake(source: Braindecode, cut: Cut) -> Iterator[Any]:
    """Noise in the shape of the real data set: its channels, labels and columns."""
    import mne
    from braindecode.datasets import RawDataset

    rng = np.random.default_rng(1)
    there = {ours: theirs for theirs, ours in (cut.rename or {}).items()}
    names = [there.get(name, name) for name in cut.channels or REHEARSAL_CHANNELS]
    labels = list(cut.classes or {"False": "False", "True": "True"})
    info = mne.create_info(names, 128.0, "eeg", verbose="error")
    for number in range(12):
        n_windows = 4 * len(labels)
        n_times = round(n_windows * source.window_s * 128) + 128
        raw = mne.io.RawArray(2e-5 * rng.normal(size=(len(names), n_times)), info, verbose="error")
        description = {theirs: number // 2 for theirs in source.columns.values()}
        if "set" in source.columns:
            first, last = {"train": (True, False), "split": ("train", "eval")}[
                source.columns["set"]
            ]
            description[source.columns["set"]] = last if (number // 2) % 2 else first
        if source.target == EVENTS:
            raw.set_annotations(
                mne.Annotations(
                    np.arange(n_windows) * source.window_s,
                    source.window_s,
                    [labels[i % len(labels)] for i in range(n_windows)],
                )
            )
        else:
            description[source.target] = labels[number % len(labels)]
        yield RawDataset(raw, pd.Series(description))
