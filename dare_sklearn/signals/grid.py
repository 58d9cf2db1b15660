"""From recorded signals to windows on the encoder's grid: electrodes, rate, whole patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xxhash import xxh3_128

from .container import Signals
from .electrodes import ELECTRODES, electrode_index, electrode_rows, is_pair
from .errors import SignalError, listed, tell
from .interpolation import NEAR, directions, place, spline_matrix, template_positions
from .resampling import resample, whole_patches

BLOCK = 256
UNKNOWN_CHANNELS = ("interpolate", "drop", "error")
_OTHERWISE = " Set unknown_channels to 'error' or 'drop' to treat them otherwise."


class Windows:
    """Epochs on the encoder's grid: float32 microvolts at its rate, in whole patches.

    Indexing with a slice or an array of numbers reads those epochs, ``(n, n_chans, n_times)``, from
    memory or from their files. `unknown` says how to handle channels outside the table of
    electrodes ("interpolate", "drop" or "error"); None keeps all as they were recorded. `rows`
    ``(n_chans,)`` are those of the channels in the table (None: as they were recorded), `y` are the
    data set's own targets, or None, and `shape` is ``(n_epochs, n_chans, n_times)``.
    """

    def __init__(self, signals: Signals, config: Any, *, unknown: str | None) -> None:
        self.signals, self.y, self.target = signals, signals.y, config.sfreq
        self.rows, self.matrix = None, None
        if unknown is not None:
            if signals.ch_names is None:
                raise SignalError(
                    f"X has {signals.n_chans} channel(s) without names: pass ch_names=[...]."
                )
            names, self.matrix = plan_channels(
                signals.ch_names, positions=signals.positions, unknown=unknown
            )
            self.rows = electrode_rows(names)
        n_times = whole_patches(signals.n_times, signals.sfreq, config, signals.tmin)
        n_chans = signals.n_chans if self.rows is None else len(self.rows)
        self.shape = (signals.n_epochs, n_chans, n_times)
        self._data: np.ndarray | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        if self._data is not None:
            return self._data[index]
        return self.bring(self.signals.data[index])

    def bring(self, data: np.ndarray) -> np.ndarray:
        """Microvolts ``(n, n_chans, n_times)`` as they were recorded, on the grid, float32."""
        data = resample(data, self.signals.sfreq, self.target)[..., : self.shape[2]]
        if self.matrix is not None:
            data = np.matmul(self.matrix, data)
        return np.ascontiguousarray(data, dtype=np.float32)

    def digest(self) -> bytes:
        """A hash of how recorded epochs are brought to the grid."""
        how = (self.signals.sfreq, self.target, self.shape[1:])
        matrix = b"" if self.matrix is None else np.ascontiguousarray(self.matrix).tobytes()
        return xxh3_128(repr(how).encode() + matrix).digest()

    def keep(self) -> Windows:
        """Itself; what is in memory is brought to the grid once, for a caller that reads often."""
        if not self.signals.lazy:
            self._data = self.bring(self.signals.data)
        return self

    def load(self) -> np.ndarray:
        """All of them as one array, block by block."""
        return np.concatenate([self[at : at + BLOCK] for at in range(0, len(self), BLOCK)])


def plan_channels(
    ch_names: Sequence[str],
    *,
    positions: Mapping[str, np.ndarray] | None = None,
    unknown: str = "interpolate",
    choice: bool = True,
) -> tuple[list[str], np.ndarray | None]:
    """Plan how a montage (canonical names) reaches the encoder; no channel gets another one's name.

    A channel that the encoder knows is passed on as it is. Every other one, if its position is
    known, stands for the nearest electrode of the table that was not recorded itself: the signal
    there is interpolated (spherical splines) from all channels of the montage. The recording's own
    `positions` count where names contradict them. Messages advise another `unknown` if the user has
    the `choice`. Returns the electrodes of the table that the encoder gets, and the map
    ``(n_electrodes, n_chans)`` that makes their signals (None: identity).
    """
    source, distrusted = place(ch_names, positions, 0.0 if unknown == "interpolate" else NEAR)
    known = [n for n in ch_names if electrode_index(n) is not None and n not in distrusted]
    strangers = [name for name in ch_names if name not in known]
    if not strangers:
        return list(ch_names), None
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
        return known, keep
    lost = [name for name in strangers if name not in source]
    if lost:
        drop = "pass unknown_channels='drop' to leave them out" if choice else "leave them out"
        raise SignalError(
            f"the encoder knows neither the channels {listed(lost)} nor their positions (X)."
            f"{_about_pairs(lost)} Set a montage on the MNE object, name channels by electrodes of "
            f"the 10-10 system, or {drop}."
        )
    template, moved, spare = template_positions(), {}, {}
    table = directions([template[name] for name in ELECTRODES])
    cosine = directions([source[name] for name in strangers]) @ table.T
    for i in np.argsort(-cosine.max(axis=1), kind="stable"):  # closest first
        name, target = strangers[i], ELECTRODES[cosine[i].argmax()]
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
    tell("; ".join(parts) + "." + _OTHERWISE * choice)
    names = known + list(moved.values())
    return names, spline_matrix(source, names, distrusted)


def _about_pairs(names: Sequence[str]) -> str:
    pairs = [name for name in names if is_pair(name)]
    if not pairs:
        return ""
    return (
        f" {listed(pairs)} {'are bipolar pairs' if len(pairs) > 1 else 'is a bipolar pair'}, one "
        "electrode against another, which no row of the encoder stands for: "
        "adaptation='conv-linear' of DAREClassifier and DARERegressor takes pairs as recorded."
    )
