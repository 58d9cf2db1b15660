"""What makes signals unusable, in one sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import SignalError, listed, tell

BLOCK = 256  # epochs that are looked at together
MOST_LEVELS = 32  # of a trigger channel
LOOKED_FOR_TRIGGERS = 64  # epochs


@dataclass(frozen=True)
class Summary:
    """What is asked of signals before they are used, mostly ``(n_epochs, n_chans)``."""

    finite: np.ndarray  # whether all samples are finite
    flat: np.ndarray  # whether all samples are the same
    spread: np.ndarray  # standard deviation in time, in the unit of the values
    # (n_chans,), whether a channel looks like a trigger; None for recordings
    stepped: np.ndarray | None

    @property
    def typical(self) -> float:
        """Median spread over epochs and channels."""
        return float(np.median(self.spread))


def summarize(data: Any) -> Summary:
    """Summary of ``(n_epochs, n_chans, n_times)``: an array, or `LazyEpochs`."""
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
    return Summary(*parts, _stepped(np.concatenate(looked_at)))


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
    return "channels " + listed(index if ch_names is None else [ch_names[i] for i in index], 6)
