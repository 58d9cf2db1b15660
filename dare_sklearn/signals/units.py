"""Microvolts, whatever the values came in."""

from __future__ import annotations

import warnings

import numpy as np

UNITS = ("auto", "uV", "V")

# Spread (median over channels and epochs of the standard deviation) that EEG can have, in
# microvolts: from z-scored or heavily filtered signals up to unfiltered ones with drifts and
# movement.
PLAUSIBLE_UV = (0.05, 5_000.0)


def decide_unit(size: float, unit: str, owner: str, *, volts_by_definition: bool = False) -> str:
    """Unit of the values: as told, or decided from their amplitude.

    Parameters
    ----------
    size : float
        Typical standard deviation of the values: median over epochs and channels.
    unit : {"auto", "uV", "V"}
    owner : str
        Who asks, for messages.
    volts_by_definition : bool, default=False
        Whether "auto" means volts, as it does for MNE objects.

    Returns
    -------
    str
        "uV" or "V".

    Raises
    ------
    ValueError
        If the amplitude fits neither unit, or not the one that was told.
    """
    if unit not in UNITS:
        raise ValueError(f"unit of {owner} must be one of {list(UNITS)}, got {unit!r}.")
    low, high = PLAUSIBLE_UV
    fits = {"uV": low <= size <= high, "V": low <= size * 1e6 <= high}
    if volts_by_definition and fits["V"]:
        return "V"  # `unit` tells of arrays
    if volts_by_definition and not (unit == "uV" and fits["uV"]):
        hint = " These look like microvolts: pass unit='uV'." if fits["uV"] else ""
        raise ValueError(
            f"{owner} got an MNE object whose signals have a typical standard deviation of "
            f"{size:.3g} V, which is not EEG: expected {low} to {high:g} µV.{hint}"
        )
    if unit == "auto":
        for name in ("uV", "V"):
            if fits[name]:
                warnings.warn(
                    f"{owner} read the values as {name} (unit='auto'): their typical standard "
                    f"deviation is {size:.3g}. Pass unit={name!r} to confirm, or the right unit.",
                    UserWarning,
                    stacklevel=3,
                )
                return name
        raise ValueError(
            f"{owner} cannot tell the unit of the values (unit='auto'): their typical standard "
            f"deviation of {size:.3g} fits neither EEG in microvolts ({low} to {high:g}) nor in "
            "volts. Scale them to one of the two and pass unit='uV' or unit='V'."
        )
    if not fits[unit]:
        raise ValueError(
            f"{owner} was told unit={unit!r}, but the values have a typical standard deviation of "
            f"{size:.3g} {unit}, which is not EEG: expected {low} to {high:g} µV. "
            "Pass the right unit, or scale the values."
        )
    return unit


def check_fitted_unit(size: float, unit: str, owner: str) -> str:
    """Unit of later values: that of ``fit``, unless their amplitude says that it is the other one.

    A quiet or noisy epoch alone is no reason to refuse it: only values that would be EEG in the
    other unit are.
    """
    low, high = PLAUSIBLE_UV
    other = "V" if unit == "uV" else "uV"
    if low <= size * (1e6 if other == "V" else 1.0) <= high:
        raise ValueError(
            f"X looks like {other} (typical standard deviation {size:.3g}), but {owner} reads "
            f"arrays as {unit}, as in fit: scale X, or pass the right unit."
        )
    return unit


def to_microvolts(data: np.ndarray, unit: str, owner: str) -> np.ndarray:
    """A float32 array in microvolts; never the caller's own memory.

    Raises
    ------
    ValueError
        If a value does not fit float32.
    """
    with np.errstate(over="ignore"):
        if unit == "V":
            data = np.multiply(data, 1e6, dtype=np.float64)
        result = np.array(data, dtype=np.float32, order="C")
    if not np.isfinite(result).all():
        raise ValueError(f"{owner} got values beyond the range of float32 (infinite there).")
    return result
