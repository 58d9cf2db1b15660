"""Microvolts, whatever the values came in."""

from __future__ import annotations

import numpy as np

from .errors import SignalError, tell

UNITS = ("auto", "uV", "V")

# Spread (median over channels and epochs of the standard deviation) that EEG can have, in
# microvolts: from heavily filtered signals up to unfiltered ones with drifts and movement.
PLAUSIBLE_UV = (0.05, 5_000.0)

# Later signals whose spread differs from that of `fit` by more than this factor are reported.
# People, caps and filters differ by two to five; a single epoch may be quieter or noisier.
FAR_FROM_FIT = 10.0
FAR_OF_ONE_EPOCH = 30.0

_LIKE_Z_SCORES = (0.5, 2.0)
_Z_SCORES = (
    "which is that of z-scores, not of EEG in volts: the encoder needs the amplitude, so pass "
    "signals from before the standardisation."
)


def decide_unit(size: float, unit: str, *, volts_by_definition: bool = False) -> str:
    """Unit of the values, "uV" or "V": the one that was passed, or decided from their amplitude.

    `size` is their typical standard deviation. MNE objects are in volts by definition.
    """
    if unit not in UNITS:
        raise SignalError(f"unit must be one of {list(UNITS)}, got {unit!r}.")
    low, high = PLAUSIBLE_UV
    fits = {"uV": low <= size <= high, "V": low <= size * 1e6 <= high}
    z_scores = _LIKE_Z_SCORES[0] <= size <= _LIKE_Z_SCORES[1]
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
        unit = next((name for name in fits if fits[name]), None)
        if unit is None:
            raise SignalError(
                "cannot tell the unit of X (unit='auto'): the typical standard deviation of "
                f"{size:.3g} fits EEG neither in microvolts ({low} to {high:g}) nor in volts. "
                "Scale X to one of the two and pass unit='uV' or unit='V'."
            )
        doubt = " (as of z-scores, which have lost their amplitude)" if z_scores else ""
        tell(
            f"read the values as {unit} (unit='auto'): their typical standard deviation is "
            f"{size:.3g}{doubt}. Pass unit={unit!r} to confirm, or the right unit.",
            "unit",
        )
        return unit
    if not fits[unit]:
        raise SignalError(
            f"unit={unit!r}, but the values of X have a typical standard deviation of {size:.3g} "
            f"{unit}, which is not EEG: expected {low} to {high:g} µV. Pass the right unit, or "
            "scale the values."
        )
    return unit


def check_fitted_unit(size: float, unit: str) -> str:
    """Unit of later values: that of ``fit``.

    A quiet or noisy epoch is not refused; only values that would be EEG in the other unit are.
    """
    low, high = PLAUSIBLE_UV
    other = "V" if unit == "uV" else "uV"
    if low <= size * (1e6 if other == "V" else 1.0) <= high:
        if other == "uV" and _LIKE_Z_SCORES[0] <= size <= _LIKE_Z_SCORES[1]:
            raise SignalError(f"X has a typical standard deviation of {size:.3g}, {_Z_SCORES}")
        raise SignalError(
            f"X looks like {other} (typical standard deviation {size:.3g}), but arrays are read as "
            f"{unit}, as in fit: scale X, or pass the right unit."
        )
    return unit


def check_fitted_amplitude(size: float, fitted: float, n_epochs: int) -> None:
    """Report microvolts that are far larger or smaller than those of ``fit``."""
    far = FAR_FROM_FIT if n_epochs > 1 else FAR_OF_ONE_EPOCH
    if size > 0 and fitted > 0 and not 1 / far <= size / fitted <= far:
        factor, how = max(size / fitted, fitted / size), "larger" if size > fitted else "smaller"
        tell(
            f"X is {factor:.3g} times {how} than the signals of fit (typical standard deviation "
            f"{size:.3g} µV, there {fitted:.3g} µV): check its unit, reference and filter.",
            f"{how} than in fit",
        )


def to_microvolts(data: np.ndarray, unit: str) -> np.ndarray:
    """A float32 array in microvolts; never the caller's own memory.

    At an electrode's offset of 100 mV, the rounding of float32 is 0.004 µV: below the noise of any
    amplifier.
    """
    with np.errstate(over="ignore"):
        if unit == "V":
            data = np.multiply(data, 1e6, dtype=np.float64)
        result = np.array(data, dtype=np.float32, order="C")
    if not np.isfinite(result).all():
        raise SignalError("X has values beyond the range of float32 (infinite there).")
    return result
