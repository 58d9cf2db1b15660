"""From a montage to rows of the encoder's table of electrodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .electrodes import ELECTRODES, is_pair, known_electrodes
from .errors import SignalError, listed, tell
from .interpolation import directions, place, spline_matrix, template_positions

UNKNOWN_CHANNELS = ("interpolate", "drop", "error")
_OTHERWISE = " Set unknown_channels to 'error' or 'drop' to treat them otherwise."


@dataclass(frozen=True)
class ChannelPlan:
    """How the channels of one montage reach the encoder."""

    names: tuple[str, ...]  # electrodes of the table that the encoder gets, in order
    index: np.ndarray  # (n_known,), their rows in the table
    matrix: np.ndarray | None  # (n_known, n_chans), None for the identity

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Map ``(n_epochs, n_chans, n_times)`` to ``(n_epochs, n_known, n_times)``."""
        return data if self.matrix is None else np.matmul(self.matrix, data)


def plan_channels(
    ch_names: Sequence[str],
    *,
    positions: Mapping[str, np.ndarray] | None = None,
    unknown: str = "interpolate",
) -> ChannelPlan:
    """Plan how a montage (canonical names) reaches the encoder; no channel gets another one's name.

    A channel that the encoder knows is passed on as it is. Every other one, if its position is
    known, stands for the nearest electrode of the table that was not recorded itself: the signal
    there is interpolated (spherical splines) from all channels of the montage. The recording's own
    `positions` count where names contradict them.
    """
    if unknown not in UNKNOWN_CHANNELS:
        raise SignalError(
            f"unknown_channels must be one of {list(UNKNOWN_CHANNELS)}, got {unknown!r}."
        )
    source, distrusted = place(ch_names, positions)
    known = [name for name in known_electrodes(ch_names) if name not in distrusted]
    strangers = [name for name in ch_names if name not in known]
    if not strangers:
        return ChannelPlan(tuple(ch_names), _rows(ch_names), None)
    if unknown == "error":
        raise SignalError(
            f"the encoder does not know the channels {listed(strangers)} of X "
            f"(unknown_channels='error').{_about_pairs(strangers)} Drop them, or pass "
            "unknown_channels='interpolate' or 'drop'."
        )
    if unknown == "drop":
        if not known:
            raise SignalError(
                f"the encoder knows none of the channels {listed(strangers)} of X, so that "
                f"unknown_channels='drop' leaves nothing.{_about_pairs(strangers)} Name channels "
                "by electrodes of the 10-10 system, or set a montage and pass "
                "unknown_channels='interpolate'."
            )
        tell(f"channels that the encoder does not know are left out: {', '.join(strangers)}.")
        keep = np.eye(len(ch_names), dtype=np.float32)[[name in known for name in ch_names]]
        return ChannelPlan(tuple(known), _rows(known), keep)
    lost = [name for name in strangers if name not in source]
    if lost:
        raise SignalError(
            f"the encoder knows neither the channels {listed(lost)} nor their positions (X)."
            f"{_about_pairs(lost)} Set a montage on the MNE object, name channels by electrodes of "
            "the 10-10 system, or pass unknown_channels='drop' to leave them out."
        )
    moved, spare = {}, {}
    for name, target in _nearest(strangers, source).items():  # closest first
        free = target not in known and target not in moved.values()
        (moved if free else spare)[name] = target
    parts = []
    if moved:
        pairs = ", ".join(f"{name} -> {target}" for name, target in moved.items())
        parts.append(f"channels that the encoder does not know are interpolated: {pairs}")
    if spare:
        there = ", ".join(f"{name} ({target})" for name, target in spare.items())
        part = f"no electrode of the encoder's table is free near {there}: left out"
        parts.append(f"{part} but as sources of that interpolation" if moved else part)
    tell("; ".join(parts) + "." + _OTHERWISE)
    names = known + list(moved.values())
    return ChannelPlan(tuple(names), _rows(names), spline_matrix(source, names, distrusted))


def _about_pairs(names: Sequence[str]) -> str:
    pairs = [name for name in names if is_pair(name)]
    if not pairs:
        return ""
    return (
        f" {listed(pairs)} {'are bipolar pairs' if len(pairs) > 1 else 'is a bipolar pair'}, one "
        "electrode against another, which no row of the encoder stands for: "
        "adaptation='conv-linear' of DAREClassifier and DARERegressor takes pairs as recorded."
    )


def _nearest(strangers: Sequence[str], source: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The table's electrode nearest to each stranger, the closest pair first."""
    template = template_positions()
    table = directions(np.stack([template[name] for name in ELECTRODES]))
    cosine = directions(np.stack([source[name] for name in strangers])) @ table.T
    by_distance = np.argsort(-cosine.max(axis=1), kind="stable")
    return {strangers[i]: ELECTRODES[cosine[i].argmax()] for i in by_distance}


def _rows(names: Sequence[str]) -> np.ndarray:
    return np.array(list(known_electrodes(names).values()), dtype=np.int64)
