"""What makes signals unusable, in one sentence each; and microvolts, whatever they came in."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .errors import SignalError, listed, tell

BLOCK = 256  # epochs that are read together, from files too
N_AT_ONCE = 2**17  # values that are looked at together: they fit the processor's cache
MOST_LEVELS = 32  # of a trigger channel
LOOKED_FOR_TRIGGERS = 64  # epochs
UNITS = ("auto", "uV", "V")

# Spread (median over channels and epochs of the standard deviation) that EEG can have, in
# microvolts: from heavily filtered signals up to unfiltered ones with drifts and movement.
PLAUSIBLE_UV = (0.05, 5_000.0)

A_MILLION = (1e5, 1e7)  # between microvolts and volts of different people
FAR = 100.0  # of an epoch that is so much larger than the others, something is wrong

_LIKE_Z_SCORES = (0.5, 2.0)
_Z_SCORES = (
    "which is that of z-scores, not of EEG in volts: the encoder needs the amplitude, so pass "
    "signals from before the standardisation."
)


@dataclass(frozen=True)
class Summary:
    """What is asked of signals before they are used, mostly ``(n_epochs, n_chans)``."""

    finite: np.ndarray  # whether all samples are finite
    flat: np.ndarray  # whether all samples are the same
    spread: np.ndarray  # standard deviation in time, in the unit of the values
    # (n_chans,), whether a channel looks like a trigger; not looked for in recordings
    stepped: np.ndarray = field(default_factory=partial(np.zeros, 0, bool), kw_only=True)
    # a hash of every epoch, where they were made
    digests: tuple[bytes, ...] | None = field(default=None, kw_only=True)

    @property
    def typical(self) -> float:
        """Median spread over epochs and channels."""
        return float(np.median(self.spread))

    @property
    def faultless(self) -> bool:
        """Whether `check_values` has nothing to say."""
        wrong = (~self.finite, self.flat, self.stepped, self.of_another_unit, self.too_large,
                 self.far)  # fmt: skip
        return not any(its.any() for its in wrong)

    @property
    def too_large(self) -> np.ndarray:
        """Which channels of which epochs no amplifier records beside the others."""
        there = self.spread[self.spread > 0]
        least = A_MILLION[0] * np.median(there) if there.size else np.inf
        return self.spread > least

    @property
    def far(self) -> np.ndarray:
        """Which epochs are, in most channels, a hundred times as large as is typical."""
        size = np.median(self.spread, axis=1)
        there = size[size > 0]
        return size > FAR * (np.median(there) if len(there) else np.inf)

    @property
    def of_another_unit(self) -> np.ndarray:
        """Which epochs are about a million times as large as the others."""
        size = np.median(self.spread, axis=1)
        order = np.sort(size[size > 0])
        if len(order) < 2:
            return np.zeros(len(size), dtype=bool)
        at = 1 + np.argmax(order[1:] / order[:-1])
        low, high = A_MILLION
        apart = low < np.median(order[at:]) / np.median(order[:at]) < high
        return (size >= order[at]) & apart & (order[at] / order[at - 1] > low / 10)


def summarize(data: Any) -> Summary:
    """Summary of ``(n_epochs, n_chans, n_times)``: an array, or `LazyEpochs`."""
    if data.shape[-1] < 2:
        raise SignalError("X has epochs of a single sample (n_features = 1): cut longer ones.")
    lazy, numbers = hasattr(data, "read"), np.arange(len(data))
    parts, looked_at = [], []
    every = -(-len(data) // LOOKED_FOR_TRIGGERS)
    few = max(1, N_AT_ONCE // (data.shape[1] * data.shape[2]))
    for start in range(0, len(data), BLOCK):
        block = slice(start, start + BLOCK)
        values = refuse_complex(data.read(numbers[block]) if lazy else data[block])
        looked_at.append(values[-start % every :: every].copy())
        parts += [_look(values[at : at + few]) for at in range(0, len(values), few)]
    parts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Summary(*parts, stepped=_stepped(np.concatenate(looked_at)))


def _look(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`finite`, `flat` and `spread` of a `Summary`, for a few epochs."""
    with np.errstate(invalid="ignore", over="ignore"):  # the caller refuses infinite values
        centred = values.astype(np.float64)
        mean = centred.mean(axis=-1, keepdims=True)
        centred -= mean
        spread = np.sqrt(np.vecdot(centred, centred) / values.shape[-1])
        # one pass tells both of nearly all signals; the others are looked at again
        finite, flat = np.isfinite(spread), spread <= 1e-6 * np.abs(mean[..., 0])
        if not finite.all():
            finite = np.isfinite(values).all(axis=-1)
        if flat.any():
            flat = np.ptp(values, axis=-1) == 0
    return finite, flat, spread


def refuse_complex(values: np.ndarray) -> np.ndarray:
    """The values, if they are real."""
    if np.iscomplexobj(values):
        raise SignalError(
            "X holds complex numbers, as apply_hilbert gives them: pass the signals themselves."
        )
    return values


def _stepped(values: np.ndarray) -> np.ndarray:
    """Which channels of ``(n_epochs, n_chans, n_times)`` have a few levels, with steps between."""
    same = values[..., 1:] == values[..., :-1]
    stays = np.count_nonzero(same, axis=(0, 2)) / same[:, 0].size
    levels = (len(np.unique(values[:, i])) if stays[i] > 0.8 else 0 for i in range(len(stays)))
    return np.array([2 <= n_levels <= MOST_LEVELS for n_levels in levels])


def check_finite(
    finite: np.ndarray, ch_names: tuple[str, ...] | None, numbers: np.ndarray | None = None
) -> None:
    """Refuse NaN and infinite values, by ``(n_epochs, n_chans)`` of epochs with these numbers."""
    if finite.all():
        return
    bad_epochs = np.flatnonzero(~finite.all(axis=1))
    bad_epochs = bad_epochs if numbers is None else numbers[bad_epochs]
    raise SignalError(
        f"X has NaN or infinite values (inf) in {_names(~finite.all(axis=0), ch_names)}, "
        f"epochs {listed(bad_epochs, 6)}: drop these epochs or interpolate the channels first."
    )


def check_values(
    summary: Summary, ch_names: tuple[str, ...] | None, *, fitted: bool = False
) -> None:
    """Refuse NaN, infinite values and channels without any signal; report what looks like triggers.

    A model that is fitted predicts a single epoch with a flat channel, as it does among others.
    """
    check_finite(summary.finite, ch_names)
    if (larger := np.flatnonzero(summary.of_another_unit)).size:
        raise SignalError(
            f"X has epochs ({listed(larger, 6)}) that are a million times as large as the others, "
            "as if they were in microvolts and those in volts: bring all to one unit, or drop what "
            "was not recorded."
        )
    if (too_large := summary.too_large).any():
        epochs = np.flatnonzero(too_large.any(axis=1))
        raise SignalError(
            f"X has a signal in {_names(too_large.any(axis=0), ch_names)}, epochs "
            f"{listed(epochs, 6)}, that is {A_MILLION[0]:,.0f} or more times as large as is typical"
            " of X: leave out what is not EEG or in another unit, and drop damaged epochs."
        )
    if (far := np.flatnonzero(summary.far)).size:
        tell(
            f"X has epochs ({listed(far, 6)}) that are {FAR:g} or more times as large as is "
            "typical of X: check whether their recordings have another unit (a file that says "
            "microvolts for millivolts, say), or hold no EEG.",
            "far",
        )
    flat = summary.flat
    if flat.all(axis=0).any() and not (fitted and len(flat) == 1):
        raise SignalError(
            f"X has a constant signal in {_names(flat.all(axis=0), ch_names)}: drop or interpolate "
            "what was not recorded."
        )
    if flat.any():
        tell(
            f"X has {int(flat.any(axis=1).sum())} of {len(flat)} epochs with a constant signal in "
            f"{_names(flat.any(axis=0), ch_names)}: consider dropping them."
        )
    if summary.stepped.any():
        tell(
            f"{_names(summary.stepped, ch_names)} of X hold a few levels with steps between them, "
            "as a trigger channel does, which may hold the labels: leave it out of X."
        )


def _names(which: np.ndarray, ch_names: tuple[str, ...] | None) -> str:
    index = np.flatnonzero(which)
    return "channels " + listed(index if ch_names is None else [ch_names[i] for i in index], 6)


def decide_unit(
    size: float, unit: str, volts_by_definition: bool = False, fitted: bool = False
) -> str:
    """Unit of the values, "uV" or "V": the one that was passed, or decided from their amplitude.

    `size` is their typical standard deviation. MNE objects are in volts by definition. Of a
    `fitted` unit, no quiet or noisy epoch is refused, only values that would be EEG in the other.
    """
    low, high = PLAUSIBLE_UV
    fits = {"uV": low <= size <= high, "V": low <= size * 1e6 <= high}
    z_scores = _LIKE_Z_SCORES[0] <= size <= _LIKE_Z_SCORES[1]
    if fitted:
        other = "V" if unit == "uV" else "uV"
        if not fits[other]:
            return unit
        if other == "uV" and z_scores:
            raise SignalError(f"X has a typical standard deviation of {size:.3g}, {_Z_SCORES}")
        raise SignalError(
            f"X looks like {other} (typical standard deviation {size:.3g}), but arrays are read as "
            f"{unit}, as in fit: scale X, or pass the right unit."
        )
    if volts_by_definition and fits["V"]:
        return "V"  # `unit` speaks of arrays
    if volts_by_definition and not (unit == "uV" and fits["uV"]):
        hint = f"which is not EEG: expected {low} to {high:g} µV."
        if z_scores:
            hint = _Z_SCORES
        elif fits["uV"]:
            hint += " These look like microvolts: pass unit='uV'."
        raise SignalError(
            f"X is an MNE object whose signals have a typical standard deviation of {size:.3g} V, "
            f"{hint}"
        )
    if unit == "auto":
        if not any(fits.values()):
            raise SignalError(
                "cannot tell the unit of X (unit='auto'): the typical standard deviation of "
                f"{size:.3g} fits EEG neither in microvolts ({low} to {high:g}) nor in volts. "
                "Scale X to one of the two and pass unit='uV' or unit='V'."
            )
        unit = "uV" if fits["uV"] else "V"
        doubt = " (as of z-scores, which have lost their amplitude)" if z_scores else ""
        tell(
            f"read the values as {unit} (unit='auto'): their typical standard deviation is "
            f"{size:.3g}{doubt}. Pass unit={unit!r} to confirm, or the right unit.",
            f"unit={unit}",
        )
        return unit
    if not fits[unit]:
        raise SignalError(
            f"unit={unit!r}, but the values of X have a typical standard deviation of {size:.3g} "
            f"{unit}, which is not EEG: expected {low} to {high:g} µV. Pass the right unit, or "
            "scale the values."
        )
    return unit


def to_microvolts(data: np.ndarray, unit: str) -> np.ndarray:
    """A float32 array in microvolts, which rounds by 0.004 µV at 100 mV; a copy in any case."""
    data = refuse_complex(data)
    with np.errstate(over="ignore"):
        if unit == "V":
            data = np.multiply(data, 1e6, dtype=np.float64)
        result = np.array(data, dtype=np.float32, order="C")
    if not np.isfinite(result).all():
        raise SignalError("X has values beyond the range of float32 (infinite there).")
    return result
