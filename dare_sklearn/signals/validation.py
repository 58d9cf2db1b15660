"""What makes signals unusable, in one sentence each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import SignalError, tell

BLOCK = 256  # epochs that are looked at together
MOST_LEVELS = 32  # of a trigger channel
LOOKED_FOR_TRIGGERS = 64  # epochs


@dataclass(frozen=True)
class Summary:
    """What is asked of signals before they are used, per epoch and channel.

    Attributes
    ----------
    finite, flat : ndarray of bool, shape (n_epochs, n_chans)
        Whether all samples are finite, and whether they are all the same.
    spread : ndarray of float, shape (n_epochs, n_chans)
        Standard deviation in time, offsets left out, in the unit of the values.
    stepped : ndarray of bool, shape (n_chans,), or None
        Whether a channel looks like a trigger: a few levels, with steps between them.
    """

    finite: np.ndarray
    flat: np.ndarray
    spread: np.ndarray
    stepped: np.ndarray | None = field(default=None, kw_only=True)

    @property
    def typical(self) -> float:
        """Median spread over epochs and channels."""
        return float(np.median(self.spread))


def summarize(data: Any) -> Summary:
    """Summary of ``(n_epochs, n_chans, n_times)``: an array, or something that reads slices.

    Raises
    ------
    SignalError
        If an epoch is a single sample.
    """
    if data.shape[-1] < 2:
        raise SignalError("X has epochs of a single sample (n_features = 1): cut longer ones.")
    read = data.read if hasattr(data, "read") else data.__getitem__
    blocks, looked_at = [], []
    every = -(-len(data) // LOOKED_FOR_TRIGGERS)
    for start in range(0, len(data), BLOCK):
        values = read(np.arange(start, min(start + BLOCK, len(data))))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values are refused below
            spread = values.std(axis=-1, dtype=np.float64)
            flat = np.ptp(values, axis=-1) == 0
        blocks.append((np.isfinite(values).all(axis=-1), flat, spread))
        looked_at.append(values[-start % every :: every].copy())
    parts = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return Summary(*parts, stepped=_stepped(np.concatenate(looked_at)))


def _stepped(values: np.ndarray) -> np.ndarray:
    """Which channels of ``(n_epochs, n_chans, n_times)`` have a few levels, with steps between."""
    stays = np.mean(values[..., 1:] == values[..., :-1], axis=(0, 2))
    return np.array(
        [
            share > 0.8 and 2 <= len(np.unique(values[:, i])) <= MOST_LEVELS
            for i, share in enumerate(stays)
        ]
    )


def check_finite(
    finite: np.ndarray, ch_names: tuple[str, ...] | None, numbers: np.ndarray | None = None
) -> None:
    """Refuse NaN and infinite values.

    Parameters
    ----------
    finite : ndarray of bool, shape (n_epochs, n_chans)
    ch_names : tuple of str, or None
    numbers : ndarray of int, shape (n_epochs,), optional
        Numbers of the epochs.
    """
    if finite.all():
        return
    bad_epochs = np.flatnonzero(~finite.all(axis=1))
    bad_epochs = bad_epochs if numbers is None else numbers[bad_epochs]
    raise SignalError(
        f"X has NaN or infinite values (inf) in {_names(~finite.all(axis=0), ch_names)}, "
        f"epochs {_short(bad_epochs)}: drop these epochs or interpolate the channels first."
    )


def check_values(
    summary: Summary, ch_names: tuple[str, ...] | None, *, fitted: bool = False
) -> None:
    """Refuse NaN, infinite values and channels without any signal; report what looks like triggers.

    Parameters
    ----------
    summary : Summary
    ch_names : tuple of str, or None
    fitted : bool, default=False
        Whether a model is there already: a single epoch with a flat channel is predicted with a
        warning then, as it would be among others.

    Raises
    ------
    SignalError
        Naming the channels.
    """
    check_finite(summary.finite, ch_names)
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
    if summary.stepped is not None and summary.stepped.any():
        tell(
            f"{_names(summary.stepped, ch_names)} of X hold a few levels with steps between them, "
            "as a trigger channel does, which may hold the labels and is not EEG: leave it out of "
            "X."
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
