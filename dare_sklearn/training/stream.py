"""How a pretraining corpus is read: recording by recording, with a report on unusable ones.

Every recording is read through once before training: its values, its unit, flat channels, and a
hash. Files are shared out between background workers, and between the processes that train.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..signals.container import Signals
from ..signals.corpora import split_corpus, without_bad_windows
from ..signals.files import explain
from ..signals.lazy import LazyRecording
from ..signals.readers import read_parts
from ..signals.recordings import Contents, look_through
from ..signals.validation import Summary
from .processes import Ranks
from .workers import worker_options

N_NAMED = 10  # files in a message


class How(NamedTuple):
    """Parameters of the pretrainer that say how signals are read."""

    ch_names: Any
    sfreq: float | None
    unit: str
    robust_scale: float | None
    owner: str


@dataclass(frozen=True)
class Scale:
    """Each channel's median of a recording, and the factor that gives it a stated spread."""

    center: np.ndarray  # (n_chans, 1), float32 microvolts
    gain: np.float32

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Scale ``(n_windows, n_chans, n_times)``."""
        return (data - self.center) * self.gain


@dataclass
class Part:
    """Signals of one layout; of a continuous recording also its name, hash and scale."""

    signals: Signals
    name: str | None = None
    digest: bytes | None = None
    scale: Scale | None = None
    source: int = 0  # number of the item of X, where these are mixed with stated shares


class OnError:
    """What becomes of a recording that cannot be used: an error that names it, or left out.

    Attributes
    ----------
    skipped : dict of str to str
        Names of the recordings that were left out, and why.
    """

    def __init__(self, action: str, owner: str) -> None:
        self.action, self.owner = action, owner
        self.skipped: dict[str, str] = {}

    def note(self, name: str, reason: str, cause: BaseException | None = None) -> None:
        """Raise, or remember.

        Raises
        ------
        ValueError
        """
        if self.action == "raise":
            raise ValueError(
                f"{self.owner} cannot use the recording {name}: {reason.rstrip('.')}. Pass "
                "on_error='skip' to leave such recordings out."
            ) from cause
        self.skipped[name] = reason

    @contextmanager
    def guard(self, name: str | None) -> Iterator[None]:
        """What fails inside is held against the recording of that name; None is no recording."""
        try:
            yield
        except Exception as error:
            if name is None or isinstance(error, MemoryError | Warning):
                raise
            self.note(name, explain(error), error)

    def tell(self, n_used: int) -> None:
        """Warn of what was left out.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        if not self.skipped:
            return
        listed = _list([f"{name} ({reason})" for name, reason in self.skipped.items()])
        if not n_used:
            raise ValueError(f"{self.owner} could use none of the recordings: {listed}.")
        warnings.warn(
            f"{self.owner} left out {len(self.skipped)} recording(s) that it could not use, of "
            f"{len(self.skipped) + n_used}: {listed}. The attribute skipped_ names them all.",
            UserWarning,
            stacklevel=3,
        )


def read_sources(
    items: list[Any], how: How, errors: OnError, **params: Any
) -> tuple[list[Part], list[tuple[Any, int]], int]:
    """Parts and streams of several corpora, with the number of their item; bad windows.

    Parameters and errors are those of `read_corpus`.
    """
    parts, streams, n_bad = [], [], 0
    for source, item in enumerate(items):
        members = item if isinstance(item, list | tuple) else [item]
        found = [x for x in members if is_stream(x)]
        streams += [(stream, source) for stream in found]
        if len(found) == len(members) and found:
            continue
        rest = [x for x in members if not is_stream(x)] if found else item
        if found and len(rest) == 1:
            (rest,) = rest
        its_parts, its_bad = read_corpus(rest, how, errors, **params)
        parts += [replace(part, source=source) for part in its_parts]
        n_bad += its_bad
    return parts, streams, n_bad


def is_stream(x: Any) -> bool:
    """Whether an object makes batches by the step (see `corpus.Stream`)."""
    return callable(getattr(x, "batch", None)) and hasattr(x, "__len__")


def read_corpus(
    X: Any, how: How, errors: OnError, *, n_workers: int, ranks: Ranks, verbose: int
) -> tuple[list[Part], int]:
    """All parts of a corpus in order, and how many windows of data sets were bad.

    Raises
    ------
    ValueError
        If a recording cannot be used and `errors` says so. Every process raises the same.
    """
    items = split_corpus(X)
    files = {i: x for i, (x, _) in enumerate(items) if isinstance(x, str | os.PathLike)}
    outcomes = _read_files(files, how, n_workers, ranks, verbose)
    _tell_remarks(outcomes, how.owner)
    parts, n_bad, shared = [], 0, {}
    for number, (item, is_recording) in enumerate(items):
        if number in outcomes:
            outcome = outcomes[number]
            if outcome.reason is not None:
                errors.note(outcome.name, outcome.reason)
            parts += [_share(part, shared) for part in outcome.parts]
        elif is_recording:
            with errors.guard(_name(item, number)):
                parts.append(read_recording(item, how))
        else:
            if how.robust_scale is not None:
                raise ValueError(
                    f"robust_scale of {how.owner} is for continuous recordings, and X holds "
                    "epochs or windows, which do not tell what recording they are from: pass "
                    "recordings, or scale the epochs first and leave robust_scale=None."
                )
            item, its_bad = without_bad_windows(item)
            n_bad += its_bad
            parts += [Part(signals) for signals in _read(item, how)]
    return parts, n_bad


def read_recording(item: Any, how: How) -> Part:
    """A continuous recording, which is read through once."""
    seen: list[tuple[Contents, tuple[str, ...]]] = []

    def look(recording: LazyRecording) -> Summary:
        contents = look_through(recording, quartiles=how.robust_scale is not None)
        seen.append((contents, recording.ch_names))
        return contents

    (signals,) = _read(item, how, summary_of=look)
    ((contents, ch_names),) = seen
    scale = None
    if how.robust_scale is not None:
        order = [ch_names.index(name) for name in signals.ch_names]
        quartiles = contents.quartiles[:, order] * (1e6 if signals.unit == "V" else 1.0)
        spread = float(np.median(quartiles[2] - quartiles[0]))
        if spread <= 0:
            raise ValueError("its interquartile range is zero, so robust_scale cannot scale it")
        center = quartiles[1][:, None].astype(np.float32)
        scale = Scale(center, np.float32(how.robust_scale / spread))
    return Part(signals, signals.data.name, contents.digest, scale)


def _read(item: Any, how: How, **params: Any) -> Iterator[Signals]:
    return read_parts(item, ch_names=how.ch_names, sfreq=how.sfreq, unit=how.unit, **params)


class _Outcome(NamedTuple):
    """What came of a file."""

    name: str
    parts: list[Part]
    reason: str | None
    remarks: list[str]


class _Files(Dataset):
    """Files that are read through when they are asked for."""

    def __init__(self, paths: list[Any], how: How) -> None:
        self.paths, self.how = paths, how

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> _Outcome:
        name, parts, reason = os.path.abspath(self.paths[number]), [], None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                parts = [read_recording(self.paths[number], self.how)]
            except MemoryError:
                raise
            except Exception as error:
                reason = explain(error)
        return _Outcome(name, parts, reason, [str(warning.message) for warning in caught])


def _read_files(
    files: dict[int, Any], how: How, n_workers: int, ranks: Ranks, verbose: int
) -> dict[int, _Outcome]:
    """What came of every file, whoever read it."""
    mine = list(files)[ranks.rank :: ranks.size]
    dataset = _Files([files[i] for i in mine], how)
    loader = DataLoader(dataset, batch_size=None, collate_fn=_as_it_is, **worker_options(n_workers))
    shown = loader
    if verbose and files:  # a bar that is switched off starts its thread too
        shown = tqdm(loader, "looking through files", leave=False)
    outcomes = dict(zip(mine, shown, strict=True))
    return {i: outcome for some in ranks.gather(outcomes) for i, outcome in some.items()}


def _as_it_is(x: Any) -> Any:
    return x


def _share(part: Part, shared: dict) -> Part:
    """The same part, with one object for the names and positions of all that agree in them."""
    signals = part.signals
    key = signals.ch_names, tuple((n, p.tobytes()) for n, p in signals.positions.items())
    ch_names, positions = shared.setdefault(key, (signals.ch_names, signals.positions))
    data = replace(signals.data, ch_names=ch_names)
    return replace(
        part, signals=replace(signals, data=data, ch_names=ch_names, positions=positions)
    )


def _tell_remarks(outcomes: dict[int, _Outcome], owner: str) -> None:
    told = [outcome for _, outcome in sorted(outcomes.items()) if outcome.remarks]
    if told:
        listed = _list([f"{o.name} ({'; '.join(dict.fromkeys(o.remarks))})" for o in told])
        warnings.warn(
            f"{owner} opened {len(told)} of {len(outcomes)} files with remarks of MNE: {listed}.",
            UserWarning,
            stacklevel=3,
        )


def _name(item: Any, number: int) -> str:
    """Of a recording that is an object: its file where it has one."""
    raw = getattr(item, "raw", item)
    file = next((str(file) for file in raw.filenames if file), None)
    return f"number {number} of X" if file is None else file


def _list(texts: list[str]) -> str:
    shown = "; ".join(texts[:N_NAMED])
    return shown if len(texts) <= N_NAMED else f"{shown}; ... ({len(texts)} in all)"
