"""One reader for every kind of input: float32 microvolts with names and a rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .container import LazyEpochs, Signals, join
from .electrodes import canonical_names, not_eeg
from .errors import SignalError, about, listed, tell
from .sources import Defaults, Layout, find_sources
from .validation import (
    BLOCK,
    Summary,
    check_fitted_unit,
    check_values,
    decide_unit,
    summarize,
    to_microvolts,
)

PLAUSIBLE_HZ = (1.0, 200_000.0)
# What encoders are pretrained on: rhythms up to beta and faster, and amplitudes of scalp EEG. No
# length or choice of electrodes is unusual, since patches are encoded one by one, from any choice.
BETA_HZ = 30.0
USUAL_UV = (0.5, 500.0)


def read_signals(X: Any, **how: Any) -> Signals:
    """Read any accepted input that has one montage, rate and length, as `read_parts`."""
    return merge(list(read_parts(X, continuous=False, **how)))


def tell_ignored(signals: Signals) -> None:
    """Name the channels that were left out."""
    if signals.ignored:
        tell(
            f"left out {', '.join(signals.ignored)}: channels that are not EEG, by their type or "
            "name, or are marked bad."
        )


def tell_unusual(signals: Signals) -> None:
    """Warn of signals that are far from those that encoders are pretrained on."""
    if signals.sfreq / 2 < BETA_HZ:
        tell(
            f"X was sampled at {signals.sfreq:g} Hz, so it holds nothing above "
            f"{signals.sfreq / 2:g} Hz, and encoders are pretrained on faster rhythms too: pass it "
            "at the rate at which it was recorded."
        )
    low, high = USUAL_UV
    if signals.typical < low or signals.typical > high:
        tell(
            f"X has a typical standard deviation of {signals.typical:.3g} µV, and encoders are "
            f"pretrained on scalp EEG of {low:g} to {high:g} µV: check its unit and filter."
        )


def merge(parts: Sequence[Signals]) -> Signals:
    """Join parts of one layout; channels that are marked bad in some are left out of all."""
    if not parts:
        raise SignalError("X has 0 sample(s), and at least 1 is required.")
    parts = _without_bads_of_some(parts)
    first = parts[0]
    for part in parts[1:]:
        if part.layout() != first.layout():
            raise SignalError(
                f"X has epochs that differ in {_difference(first, part)}: bring them to one "
                "montage, sampling rate and length first (only DAREPretrainer.fit takes a mixed "
                "corpus)."
            )
    if len(parts) == 1:
        return first
    targets = [part.y for part in parts]
    if all(part.lazy for part in parts) and len({part.data.unit for part in parts}) == 1:
        data = join([part.data for part in parts])
    else:
        data = np.concatenate([part.data[:] for part in parts])
    return replace(
        first,
        data=data,
        y=None if any(y is None for y in targets) else np.concatenate(targets),
        ignored=tuple(dict.fromkeys(name for part in parts for name in part.ignored)),
        bads=tuple(dict.fromkeys(name for part in parts for name in part.bads)),
        typical=float(np.median([part.typical for part in parts])),
    )


def _without_bads_of_some(parts: Sequence[Signals]) -> Sequence[Signals]:
    if len({part.ch_names for part in parts}) == 1 or any(part.ch_names is None for part in parts):
        return parts
    bads = {name for part in parts for name in part.bads}
    common = [n for n in parts[0].ch_names if all(n in part.ch_names for part in parts)]
    lost = list(dict.fromkeys(n for part in parts for n in part.ch_names if n not in common))
    if not common or not set(lost) <= bads:
        return parts
    tell(f"left out of all epochs are the channels that are marked bad in some: {', '.join(lost)}.")
    return [part.reorder(common) for part in parts]


def _difference(a: Signals, b: Signals) -> str:
    if a.ch_names is not None and b.ch_names is not None and a.ch_names != b.ch_names:
        only = [n for n in (*a.ch_names, *b.ch_names) if (n in a.ch_names) != (n in b.ch_names)]
        return f"channels ({listed(only)} only in some)" if only else "the order of channels"
    if a.n_chans != b.n_chans:
        return f"channels ({a.n_chans} and {b.n_chans})"
    if a.sfreq != b.sfreq:
        return f"sampling rate ({a.sfreq:.10g} and {b.sfreq:.10g} Hz)"
    return f"length ({a.n_times} and {b.n_times} samples)"


def read_parts(
    X: Any,
    *,
    ch_names: Sequence[str] | None = None,
    sfreq: float | None = None,
    unit: str = "auto",
    like: Layout | None = None,
    continuous: bool = True,
    summary_of: Callable[[Any], Summary] = summarize,
) -> Iterator[Signals]:
    """Read any accepted input, part by part; the parts may differ in layout.

    `X` is what `sources.ACCEPTED` says; if `continuous`, also ``mne.io.Raw`` objects and
    files, each as one long epoch. `ch_names`, `sfreq` and `unit` are those
    of inputs that do not carry their own, and `like` is what an earlier ``fit`` saw, which such
    inputs are taken to share. `summary_of` looks through the values. Raises SignalTypeError if `X`
    is of no accepted kind, and SignalError if it holds no EEG, or lacks names or a rate.
    """
    given = Defaults(ch_names, sfreq, like, unit)
    for source in find_sources(X, given, continuous=continuous):
        with about(source.name):
            signals = _read_part(source, given, summary_of)
        yield signals


def _read_part(source: Signals, given: Defaults, summary_of: Callable[[Any], Summary]) -> Signals:
    ch_names, sfreq, like, unit = given
    if source.ch_names is not None:
        source = replace(source, ch_names=canonical_names(source.ch_names, "the channels of X"))
    wanted = None if ch_names is None else canonical_names(ch_names)
    low, high = PLAUSIBLE_HZ
    if isinstance(source.sfreq, bool) or not low <= source.sfreq <= high:
        raise SignalError(
            f"sfreq must be from {low:g} to {high:g} Hz, got {source.sfreq!r}: pass Hz, not kHz."
        )
    source = _without_other_sensors(source)
    _check_agreement(source, wanted, sfreq)
    data, names = source.data, source.ch_names
    if source.lazy:
        data = replace(data, ch_names=names)
    # what a fitted model gets from files is read once, so one block speaks for all of it here
    summary = summary_of(data[:BLOCK] if source.lazy and like is not None else data)
    check_values(summary, names, fitted=like is not None)
    if like is not None and like.unit != "auto" and source.unit != "V":
        passed = like.unit if unit == "auto" else unit
        unit = check_fitted_unit(summary.typical, passed)
    else:
        unit = decide_unit(summary.typical, unit, volts_by_definition=source.unit == "V")
    if source.lazy:
        data = replace(data, unit=unit)
    elif summary.digests is not None:  # they may be known, so that nobody needs their microvolts
        reader, count, shape = data.__getitem__, len(data), data.shape[1:]
        data = LazyEpochs((reader,), (count,), *shape, unit, names, summary.digests)
    else:
        data = to_microvolts(data, unit)
    signals = replace(
        source,
        data=data,
        sfreq=float(source.sfreq),
        unit=unit,
        typical=summary.typical * (1e6 if unit == "V" else 1.0),
    )
    if wanted is not None and names is not None:  # the order that the parameter gives
        signals = signals.reorder([name for name in wanted if name in names])
    return signals


def _without_other_sensors(source: Signals) -> Signals:
    """Without the channels whose names say that they are triggers, eyes, muscles or the like."""
    others = not_eeg(source.ch_names or ())
    if not others:
        return source
    if len(others) == len(source.ch_names):
        raise SignalError(f"X has no EEG channel: {', '.join(others)} are not EEG, by their names.")
    kept = source.reorder([name for name in source.ch_names if name not in others])
    return replace(kept, ignored=(*source.ignored, *others))


def _check_agreement(source: Signals, wanted: Sequence[str] | None, sfreq: float | None) -> None:
    """Refuse parameters that contradict what the input says of itself."""
    if sfreq is not None and not np.isclose(source.sfreq, sfreq):
        raise SignalError(
            f"sfreq={sfreq:g}, but X was sampled at {source.sfreq:g} Hz: resample X, or "
            "leave sfreq=None to take the rate that X carries."
        )
    if wanted is not None and source.ch_names is not None:
        wanted = set(wanted) - {*source.bads, *not_eeg(wanted)}
        if wanted != set(source.ch_names):
            raise SignalError(
                "ch_names and the channels of X differ in "
                f"{', '.join(sorted(wanted ^ set(source.ch_names)))}: pick the channels of X "
                "first, or leave ch_names=None to take those that X carries."
            )
