"""Data sets of MOABB, which downloads them; or its fake data set in their place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import checks
from ..checks import Keys, SuiteError
from ._base import Context, Cut, Recordings, assemble

PARADIGMS = ("LeftRightImagery", "MotorImagery", "P300", "SSVEP")
REHEARSAL = {"n_subjects": 3, "n_events": 24, "sfreq": 256.0}
REHEARSAL_CHANNELS = ("Fz", "C3", "Cz", "C4", "Pz", "Oz")


@dataclass(frozen=True)
class Moabb:
    """A data set of MOABB through one of its paradigms; subjects are loaded one by one.

    The window of the suite counts from the start of the task interval that MOABB gives the data
    set, as MOABB's own ``tmin`` and ``tmax`` do.
    """

    dataset: str
    params: dict[str, Any]
    paradigm: str
    subjects_: tuple[int, ...]
    sessions: tuple[str, ...]  # names of the fixed split, for a rehearsal

    @classmethod
    def read(cls, keys: Keys) -> Moabb:
        """From the keys of a data set."""
        return cls(
            dataset=keys.take("dataset", checks.text),
            params=keys.take("dataset_params", checks.mapping, {}),
            paradigm=keys.take("paradigm", checks.one_of(*PARADIGMS)),
            subjects_=tuple(keys.take("subjects", checks.integers, [])),
            sessions=tuple(keys.take("sessions", checks.names, [])),
        )

    def subjects(self, context: Context) -> list[str]:
        """Numbers of the people, as text."""
        numbers = self._dataset(context).subject_list
        if self.subjects_ and not context.rehearse:
            numbers = [number for number in numbers if number in self.subjects_]
        return [str(number) for number in numbers[: context.n_subjects]]

    def load(self, cut: Cut, context: Context, subjects: Sequence[str] | None) -> Recordings:
        """Download if need be, filter, and cut."""
        import mne

        dataset = self._dataset(context)
        paradigm = self._paradigm(dataset, cut, context)
        wanted = [int(name) for name in (subjects or self.subjects(context))]
        with mne.use_log_level("error"):
            epochs, labels, meta = paradigm.get_data(dataset, subjects=wanted, return_epochs=True)
        start, stop = epochs.tmin, epochs.tmax
        n_times = round((stop - start) * epochs.info["sfreq"])
        if n_times and len(epochs.times) == n_times + 1:  # MOABB keeps the last sample too
            epochs.crop(start, stop, include_tmax=False)
        meta = meta.astype(str)
        meta["recording"] = meta["subject"] + "/" + meta["session"] + "/" + meta["run"]
        if context.rehearse and self.sessions:
            there = sorted(meta["session"].unique())
            meta["session"] = meta["session"].map(dict(zip(there, self.sessions, strict=False)))
        return assemble(epochs, labels, meta, cut)

    def _dataset(self, context: Context) -> Any:
        real = _make_dataset(self.dataset, json.dumps(self.params, sort_keys=True))
        return _fake(real, self.paradigm, len(self.sessions) or 2) if context.rehearse else real

    def _paradigm(self, dataset: Any, cut: Cut, context: Context) -> Any:
        from moabb import paradigms

        band = cut.band or (None, None)
        settings: dict[str, Any] = {"channels": cut.channels, "resample": cut.sfreq}
        if None not in band:
            settings |= {"fmin": band[0], "fmax": band[1]}
        elif cut.band is not None:
            raise SuiteError("MOABB's paradigms need both ends of the band.")
        if cut.window is not None:
            settings |= {"tmin": cut.window[0], "tmax": cut.window[1]}
        if context.rehearse:
            settings["channels"] = [
                name for name in dataset.channels if cut.channels is None or name in cut.channels
            ]
        if self.paradigm in ("MotorImagery", "SSVEP"):
            labels = list(cut.classes or dataset.event_id)
            settings |= {"events": labels, "n_classes": len(labels)}
        return getattr(paradigms, self.paradigm)(**settings)


@lru_cache(maxsize=32)
def _make_dataset(name: str, params: str) -> Any:
    try:
        import moabb.datasets
        import moabb.datasets.fake
    except ImportError as error:
        raise ImportError("This suite needs MOABB: pip install moabb") from error
    make = getattr(moabb.datasets, name, None) or getattr(moabb.datasets.fake, name, None)
    if not isinstance(make, type):
        raise SuiteError(f"MOABB has no data set {name!r}.")
    try:
        return make(**json.loads(params))
    except TypeError as error:
        raise SuiteError(f"dataset_params of {name} are wrong: {error}.") from None


@lru_cache(maxsize=32)
def _fake(real: Any, paradigm: str, n_sessions: int) -> Any:
    """MOABB's fake data set with the events, the interval and the paradigm of a real one."""
    from moabb.datasets.fake import FakeDataset

    events = list(real.event_id)
    if paradigm == "LeftRightImagery":
        events = ["left_hand", "right_hand"]
    start, stop = real.interval
    n_events = max(REHEARSAL["n_events"], 6 * len(events))
    fake = FakeDataset(
        event_list=events,
        n_subjects=REHEARSAL["n_subjects"],
        n_sessions=n_sessions,
        n_runs=2,
        n_events=n_events // 2,
        duration=int(np.ceil((n_events // 2) * 1.5 + stop + 5)),
        paradigm=real.paradigm,
        channels=REHEARSAL_CHANNELS,
        sfreq=REHEARSAL["sfreq"],
        code=f"Rehearsal{real.code.replace('_', '').replace('-', '')}",
        seed=1,
    )
    fake.interval = [start, stop]
    return fake
