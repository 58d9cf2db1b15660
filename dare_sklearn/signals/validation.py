"""What makes signals unusable, in one sentence each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 256  # epochs that are looked at together


@dataclass(frozen=True)
class Summary:
    """What is asked of signals before they are used, per epoch and channel.

    Attributes
    ----------
    finite, flat : ndarray of bool, shape (n_epochs, n_chans)
        Whether all samples are finite, and whether they are all the same.
    spread : ndarray of float, shape (n_epochs, n_chans)
        Standard deviation in time, offsets left out, in the unit of the values.
    """

    finite: np.ndarray
    flat: np.ndarray
    spread: np.ndarray

    @property
    def typical(self) -> float:
        """Median spread over epochs and channels."""
        return float(np.median(self.spread))


def summarize(data: Any, owner: str) -> Summary:
    """Summary of ``(n_epochs, n_chans, n_times)``: an array, or something that reads slices.

    Raises
    ------
    ValueError
        If an epoch is a single sample.
    """
    if data.shape[-1] < 2:
        raise ValueError(
            f"{owner} got epochs of a single sample (n_features = 1): cut longer ones."
        )
    read = data.read if hasattr(data, "read") else data.__getitem__
    blocks = []
    for start in range(0, len(data), BLOCK):
        values = read(np.arange(start, min(start + BLOCK, len(data))))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values are told below
            spread = values.std(axis=-1, dtype=np.float64)
            flat = np.ptp(values, axis=-1) == 0
        blocks.append((np.isfinite(values).all(axis=-1), flat, spread))
    return Summary(*(np.concatenate(part) for part in zip(*blocks, strict=True)))


def check_finite(
    finite: np.ndarray,
    ch_names: tuple[str, ...] | None,
    owner: str,
    numbers: np.ndarray | None = None,
) -> None:
    """Refuse NaN and infinite values.

    Parameters
    ----------
    finite : ndarray of bool, shape (n_epochs, n_chans)
    ch_names : tuple of str, or None
    owner : str
        Who asks, for messages.
    numbers : ndarray of int, shape (n_epochs,), optional
        Numbers of the epochs.
    """
    if finite.all():
        return
    bad_epochs = np.flatnonzero(~finite.all(axis=1))
    bad_epochs = bad_epochs if numbers is None else numbers[bad_epochs]
    raise ValueError(
        f"{owner} got NaN or infinite values (inf) in {_names(~finite.all(axis=0), ch_names)}, "
        f"epochs {_short(bad_epochs)}: drop these epochs or interpolate the channels first."
    )


def check_values(
    summary: Summary, ch_names: tuple[str, ...] | None, owner: str, *, fitted: bool = False
) -> None:
    """Refuse NaN, infinite values and channels without any signal.

    Parameters
    ----------
    summary : Summary
    ch_names : tuple of str, or None
    owner : str
        Who asks, for messages.
    fitted : bool, default=False
        Whether a model is there already: a single epoch with a flat channel is predicted with a
        warning then, as it would be among others.

    Raises
    ------
    ValueError
        Naming the channels.
    """
    check_finite(summary.finite, ch_names, owner)
    flat = summary.flat
    if flat.all(axis=0).any() and not (fitted and len(flat) == 1):
        raise ValueError(
            f"{owner} got a constant signal in {_names(flat.all(axis=0), ch_names)}: drop or "
            "interpolate what was not recorded."
        )
    if flat.any():
        warnings.warn(
            f"{owner} got {int(flat.any(axis=1).sum())} of {len(flat)} epochs with a constant "
            f"signal in {_names(flat.any(axis=0), ch_names)}: consider dropping them.",
            UserWarning,
            stacklevel=2,
        )


def _names(which: np.ndarray, ch_names: tuple[str, ...] | None) -> str:
    index = np.flatnonzero(which)
    if ch_names is None:
        return f"channels {_short(index)}"
    return f"channels {_short([ch_names[i] for i in index])}"


def _short(values, most: int = 6) -> str:
    values = [v if isinstance(v, str) else int(v) for v in values]
    shown = ", ".join(str(v) for v in values[:most])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > most else shown
