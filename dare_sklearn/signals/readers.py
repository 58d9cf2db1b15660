"""One reader for every kind of input, to float32 microvolts with names and rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .container import Signals
from .electrodes import canonical_names
from .lazy import LazyEpochs, defer, join
from .sources import Defaults, Layout, find_sources
from .units import check_fitted_unit, decide_unit, to_microvolts
from .validation import BLOCK, Summary, check_values, summarize

PLAUSIBLE_HZ = (1.0, 200_000.0)


def read_signals(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Layout | None = None,
    owner: str = "dare_sklearn",
    summary_of: Callable[[Any, str], Summary] | None = None,
) -> Signals:
    """Read any accepted input that has one montage, rate and length.

    Parameters
    ----------
    X : see `dare_sklearn.signals.sources.ACCEPTED`
    ch_names, sfreq : optional
        Channel names and sampling rate (Hz) of inputs that do not carry their own.
    unit : {"auto", "uV", "V"}
        Unit of the values. MNE objects hold volts, and "auto" takes them so.
    like : Layout, optional
        What an earlier ``fit`` saw: names, rate and unit of inputs that do not carry their own.
    owner : str
        Who asks, for messages.
    summary_of : callable, optional
        In place of `summarize`: one that remembers epochs. With it, values in memory stay as they
        are until they are asked for, and carry hashes.

    Returns
    -------
    Signals

    Raises
    ------
    TypeError
        If `X` is of no accepted kind.
    ValueError
        If its parts do not share one layout, or the values are no EEG.
    """
    parts = read_parts(
        X,
        ch_names=ch_names,
        sfreq=sfreq,
        unit=unit,
        like=like,
        owner=owner,
        continuous=False,
        summary_of=summary_of,
    )
    return merge(list(parts), owner)


def warn_ignored(signals: Signals, owner: str) -> None:
    """Name the channels that were left out."""
    if signals.ignored:
        warnings.warn(
            f"{owner} uses EEG channels only, without those marked bad: left out "
            f"{', '.join(signals.ignored)}.",
            UserWarning,
            stacklevel=2,
        )


def merge(parts: Sequence[Signals], owner: str) -> Signals:
    """Join parts that share one layout into one array.

    Raises
    ------
    ValueError
        If they differ in channels, rate or length.
    """
    if not parts:
        raise ValueError(f"{owner} got 0 sample(s), and at least 1 is required.")
    first = parts[0]
    for part in parts[1:]:
        if part.layout() != first.layout():
            what = _difference(first, part)
            raise ValueError(
                f"{owner} got epochs that differ in {what}: bring them to one montage, sampling "
                "rate and length first (DAREPretrainer.fit alone takes a mixed corpus)."
            )
    if len(parts) == 1:
        return first
    targets = [part.y for part in parts]
    return Signals(
        data=_join([part.data for part in parts]),
        sfreq=first.sfreq,
        ch_names=first.ch_names,
        y=None if any(y is None for y in targets) else np.concatenate(targets),
        unit=first.unit,
        ignored=tuple(dict.fromkeys(name for part in parts for name in part.ignored)),
        positions=first.positions,
    )


def _difference(a: Signals, b: Signals) -> str:
    if a.ch_names != b.ch_names or a.n_chans != b.n_chans:
        return f"channels ({a.n_chans} and {b.n_chans}: {a.ch_names} and {b.ch_names})"
    if a.sfreq != b.sfreq:
        return f"sampling rate ({a.sfreq:g} and {b.sfreq:g} Hz)"
    return f"length ({a.n_times} and {b.n_times} samples)"


def read_parts(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Layout | None = None,
    owner: str = "dare_sklearn",
    continuous: bool = True,
    summary_of: Callable[[Any, str], Summary] | None = None,
) -> Iterator[Signals]:
    """Read any accepted input, part by part; the parts may differ in layout.

    Beside what `read_signals` takes, continuous ``mne.io.Raw`` objects and braindecode's
    ``RawDataset`` are read here, as one long epoch each, unless `continuous` is False.
    """
    for source in find_sources(X, Defaults(ch_names, sfreq, like), owner, continuous=continuous):
        values = source.values
        names = None
        if source.ch_names is not None:
            names = canonical_names(source.ch_names, f"The input of {owner}")
        _check_rate(source.sfreq, owner)
        _check_agreement(names, source.sfreq, ch_names, sfreq, owner)
        in_files = isinstance(values, LazyEpochs)
        if summary_of is not None and not in_files:
            values = defer(values)
        lazy = isinstance(values, LazyEpochs)
        if lazy:
            values = replace(values, ch_names=names, owner=owner)
        # what a fitted model gets from files is read once, so one block speaks for all of it here
        look = values[:BLOCK] if in_files and like is not None else values
        summary = (summary_of or summarize)(look, owner)
        check_values(summary, names, owner, fitted=like is not None)
        if like is not None and like.unit != "auto" and not source.volts:
            told = like.unit if unit == "auto" else unit
            decided = check_fitted_unit(summary.typical, told, owner)
        else:
            decided = decide_unit(summary.typical, unit, owner, volts_by_definition=source.volts)
        signals = Signals(
            data=replace(values, unit=decided) if lazy else to_microvolts(values, decided, owner),
            sfreq=float(source.sfreq),
            ch_names=names,
            y=source.targets,
            unit=decided,
            ignored=source.ignored,
            positions=source.positions,
        )
        if ch_names is not None and names is not None:  # the order that the parameter gives
            signals = signals.reorder(canonical_names(ch_names))
        yield signals


def _join(blocks: Sequence[np.ndarray | LazyEpochs]) -> np.ndarray | LazyEpochs:
    lazy = all(isinstance(block, LazyEpochs) for block in blocks)
    if lazy and len({(block.unit, block.order) for block in blocks}) == 1:
        return join(blocks)
    return np.concatenate([block[:] for block in blocks])


def _check_rate(sfreq: float, owner: str) -> None:
    low, high = PLAUSIBLE_HZ
    if isinstance(sfreq, bool) or not low <= sfreq <= high:
        raise ValueError(
            f"sfreq of {owner} must be from {low:g} to {high:g} Hz, got {sfreq!r}: pass Hz, not "
            "kHz."
        )


def _check_agreement(names, own_sfreq, ch_names, sfreq, owner) -> None:
    """Refuse parameters that contradict what the input says of itself."""
    if sfreq is not None and not np.isclose(own_sfreq, sfreq):
        raise ValueError(
            f"{owner} has sfreq={sfreq:g}, but X was sampled at {own_sfreq:g} Hz: resample X, or "
            "leave sfreq=None to take the rate that X carries."
        )
    if ch_names is not None and names is not None:
        told = set(canonical_names(ch_names))
        if told != set(names):
            raise ValueError(
                f"ch_names of {owner} and the channels of X differ in "
                f"{', '.join(sorted(told ^ set(names)))}: pick the channels of X first, or leave "
                "ch_names=None to take those that X carries."
            )
