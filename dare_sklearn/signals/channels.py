"""From a montage to rows of the encoder's table of electrodes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .electrodes import ELECTRODES, electrode_index
from .interpolation import directions, electrode_positions, spline_matrix, template_positions

UNKNOWN_CHANNELS = ("interpolate", "drop", "error")


@dataclass(frozen=True)
class ChannelPlan:
    """How the channels of one montage reach the encoder.

    Attributes
    ----------
    names : tuple of str
        Electrodes of the table that the encoder gets, in order.
    index : ndarray of int64, shape (n_known,)
        Their rows in the table.
    matrix : ndarray of float32, shape (n_known, n_chans), or None
        Map from the montage's channels to `names`; None if it is the identity.
    """

    names: tuple[str, ...]
    index: np.ndarray
    matrix: np.ndarray | None

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Map ``(n_epochs, n_chans, n_times)`` to ``(n_epochs, n_known, n_times)``."""
        return data if self.matrix is None else np.matmul(self.matrix, data)


def plan_channels(
    ch_names: Sequence[str],
    *,
    positions: Mapping[str, np.ndarray] | None = None,
    unknown: str = "interpolate",
    owner: str = "dare_sklearn",
) -> ChannelPlan:
    """Plan how a montage reaches the encoder; no channel is ever given another one's name.

    A channel that the encoder knows is passed on as it is. Every other one, where its position
    is known, stands for the nearest electrode of the table that was not recorded itself: the
    signal there is interpolated (spherical splines) from all channels of the montage.

    Parameters
    ----------
    ch_names : sequence of str
        Canonical names.
    positions : mapping of str to ndarray of shape (3,), optional
        Positions of the recording's own electrodes, for names outside the 10-05 system.
    unknown : {"interpolate", "drop", "error"}, default="interpolate"
        What becomes of channels that the encoder does not know.
    owner : str
        Who asks, for messages.

    Raises
    ------
    ValueError
        If channels are unknown and `unknown` is "error", their position is not known either, or
        no channel is left.
    """
    if unknown not in UNKNOWN_CHANNELS:
        raise ValueError(
            f"unknown_channels of {owner} must be one of {list(UNKNOWN_CHANNELS)}, got {unknown!r}."
        )
    strangers = [name for name in ch_names if electrode_index(name) is None]
    known = [name for name in ch_names if electrode_index(name) is not None]
    if not strangers:
        return ChannelPlan(tuple(ch_names), _rows(ch_names), None)
    if unknown == "error":
        raise ValueError(
            f"{owner} does not know the channels {_listed(strangers)} (unknown_channels='error')."
            " Drop them, rename them to electrodes of the 10-10 system, or pass "
            "unknown_channels='interpolate' or 'drop'."
        )
    if unknown == "drop":
        if not known:
            raise ValueError(
                f"{owner} knows none of the channels {_listed(strangers)}, so that "
                "unknown_channels='drop' leaves nothing: rename them to electrodes of the 10-10 "
                "system, or set a montage and pass unknown_channels='interpolate'."
            )
        _warn(f"{owner} leaves out channels that the encoder does not know: {', '.join(strangers)}")
        keep = [i for i, name in enumerate(ch_names) if name in known]
        return ChannelPlan(
            tuple(known), _rows(known), np.eye(len(ch_names), dtype=np.float32)[keep]
        )
    source = electrode_positions(ch_names, positions)
    lost = [name for name in strangers if name not in source]
    if lost:
        raise ValueError(
            f"{owner} knows neither the channels {_listed(lost)} nor their positions: set a "
            "montage on the MNE object, rename them to electrodes of the 10-10 system, or pass "
            "unknown_channels='drop'."
        )
    stand_ins = _nearest(strangers, source)
    moved, spare = {}, {}
    for name, target in stand_ins.items():  # closest first
        free = target not in known and target not in moved.values()
        (moved if free else spare)[name] = target
    message = f"{owner} interpolates channels that the encoder does not know: " + (
        ", ".join(f"{name} -> {target}" for name, target in moved.items()) or "none"
    )
    if spare:
        message += (
            f"; {', '.join(f'{name} ({target})' for name, target in spare.items())} only help to "
            "interpolate, since the nearest electrode of the table (in brackets) was recorded "
            "itself or is taken"
        )
    _warn(message)
    names = known + list(moved.values())
    template = template_positions()
    matrix = spline_matrix(source, {name: template[name] for name in names})
    return ChannelPlan(tuple(names), _rows(names), matrix)


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def _nearest(strangers: Sequence[str], source: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The table's electrode nearest to each stranger, the closest pair first."""
    template = template_positions()
    table = directions(np.stack([template[name] for name in ELECTRODES]))
    cosine = directions(np.stack([source[name] for name in strangers])) @ table.T
    by_distance = np.argsort(-cosine.max(axis=1), kind="stable")
    return {strangers[i]: ELECTRODES[cosine[i].argmax()] for i in by_distance}


def _rows(names: Sequence[str]) -> np.ndarray:
    return np.array([electrode_index(name) for name in names], dtype=np.int64)


def _warn(message: str) -> None:
    warnings.warn(
        message + ". Set unknown_channels to 'error' or 'drop' to treat them otherwise.",
        UserWarning,
        stacklevel=4,
    )
