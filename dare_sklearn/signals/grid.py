"""From recorded signals to windows on the encoder's grid: electrodes, rate, whole patches."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any, Self

import numpy as np
from scipy.signal import firwin, resample_poly
from xxhash import xxh3_128

from .container import Signals
from .electrodes import electrode_rows, plan_channels
from .errors import SignalError, tell

EVOKED_RATE = 32.0  # Hz, as of the field's plain features of evoked potentials


class Windows:
    """Epochs on the encoder's grid: float32 microvolts at its rate, in whole patches.

    Indexing with a slice or an array of numbers reads those epochs, ``(n, n_chans, n_times)``, from
    memory or from their files. `unknown` says how to handle channels outside the table of
    electrodes ("interpolate", "drop" or "error"); None keeps all as they were recorded. Then
    `electrodes` and `rows` ``(n_chans,)``, those of the table, are None.
    """

    def __init__(self, signals: Signals, config: Any, *, unknown: str | None) -> None:
        self.signals, self.target = signals, config.sfreq
        self.electrodes, self.rows, self.matrix = None, None, None
        n_epochs, n_chans, n_times = signals.data.shape
        if unknown is not None:
            if signals.ch_names is None:
                raise SignalError(
                    f"X has {n_chans} channel(s) without names: pass ch_names=[...], one electrode "
                    "name per channel (or mne.Epochs, which carry them)."
                )
            names, self.matrix = plan_channels(
                signals.ch_names, positions=signals.positions, unknown=unknown
            )
            self.electrodes, self.rows = tuple(names), electrode_rows(names)
            n_chans = len(self.rows)
        n_times = whole_patches(n_times, signals.sfreq, config, signals.tmin)
        self.shape = (n_epochs, n_chans, n_times)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self.bring(self.signals.data[index])

    def bring(self, data: np.ndarray) -> np.ndarray:
        """Microvolts ``(n, n_chans, n_times)`` as they were recorded, on the grid, float32."""
        data = resample(data, self.signals.sfreq, self.target)[..., : self.shape[2]]
        data = data if self.matrix is None else np.matmul(self.matrix, data)
        return np.ascontiguousarray(data, dtype=np.float32)

    def digest(self) -> bytes:
        """A hash of how recorded epochs are brought to the grid."""
        how = (self.signals.sfreq, self.target, self.shape[1:])
        matrix = b"" if self.matrix is None else np.ascontiguousarray(self.matrix).tobytes()
        return xxh3_128(repr(how).encode() + matrix).digest()

    def keep(self) -> np.ndarray | Self:
        """What a caller that reads often indexes: what is in memory is brought to the grid once."""
        data = self.signals.data
        return self.bring(data) if isinstance(data, np.ndarray) else self


def cut_windows(
    data: np.ndarray, length: int, bad: Sequence[tuple[float, float]] = (), sfreq: float = 1.0
) -> tuple[list[np.ndarray], int]:
    """Cut epochs ``(n_epochs, n_chans, n_times)`` into windows of `length` that cover all of them.

    Windows stand side by side; where they do not fill the epoch, a last one ends with it and
    overlaps its neighbour. Returns views of `data`, without the windows that overlap one of the
    segments `bad` (start and end in seconds), and how many these are.
    """
    n_times = data.shape[-1]
    starts = np.arange(0, max(n_times - length, 0) + 1, length)
    if starts[-1] + length < n_times:
        starts = np.append(starts, n_times - length)
    length = min(length, n_times)
    left_out = overlapping(bad, starts / sfreq, (starts + length) / sfreq)
    kept = starts[~left_out].tolist()
    views = [epoch[:, start : start + length] for epoch in data for start in kept]
    return views, len(data) * int(left_out.sum())


def overlapping(
    segments: Sequence[tuple[float, float]], starts: np.ndarray, stops: np.ndarray
) -> np.ndarray:
    """Which of the windows from `starts` to `stops` overlap one of the segments."""
    found = np.zeros(len(starts), dtype=bool)
    for first, last in segments:
        found |= (first < stops) & (last > starts)
    return found


def resample(data: np.ndarray, sfreq: float, target: float) -> np.ndarray:
    """Anti-aliased resampling along the last axis (`scipy.signal.resample_poly`).

    Sample k of the answer ``(..., ceil(n_times * target / sfreq))``, float32, lies at exactly
    k / target seconds. Epochs are continued at both ends by their reflection through the end point.
    Offsets and slow drifts of electrodes pass as they are, however large (see `_low_pass`).
    """
    up, down = _ratio(sfreq, target).as_integer_ratio()
    if up == down:  # also of rates that files state with rounding errors
        return data
    return resample_poly(
        data, up, down, axis=-1, padtype="antireflect", window=_low_pass(up, down)
    ).astype(np.float32, copy=False)


@lru_cache(maxsize=32)
def _low_pass(up: int, down: int) -> np.ndarray:
    """The filter of `scipy.signal.resample_poly`, corrected so that lines pass unchanged.

    Scipy's weights of an output sample (a phase of the filter) add up to 1 only within 0.1 %, so
    that an electrode's offset of 20 mV becomes a periodic artefact of 6 µV (at 250 Hz). Here those
    of every phase do, with no delay.
    """
    half = 10 * max(up, down)  # as in scipy
    taps = firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 5.0))
    time = np.arange(-half, half + 1.0) / half
    for phase in range(up):
        h, t = taps[phase::up], time[phase::up]
        bump = h**2  # what is added stays near the output sample
        moments = np.array([[bump.sum(), bump @ t], [bump @ t, bump @ t**2]])
        # to the sum 1 / up and the mean time 0
        a, b = np.linalg.solve(moments, [1 / up - h.sum(), -h @ t])
        taps[phase::up] += bump * (a + b * t)
    taps.setflags(write=False)
    return taps


def evoked_rate(sfreq: float) -> float:
    """The low rate that suffices for evoked potentials, of signals at `sfreq`, in Hz."""
    return min(EVOKED_RATE, sfreq)


def resampled_length(n_times: int, sfreq: float, target: float) -> int:
    """Number of samples that `resample` makes of `n_times`."""
    return ceil(n_times * _ratio(sfreq, target))


def _ratio(sfreq: float, target: float) -> Fraction:
    return Fraction(target / sfreq).limit_denominator(10_000)


def whole_on_grid(values: np.ndarray, sfreq: float, config: Any) -> np.ndarray:
    """A recording (n_chans, n_times) at the encoder's rate, without the end that fills no patch.

    One that is shorter than a patch keeps its length. Memory holds one channel in double precision.
    """
    n_times = resampled_length(values.shape[1], sfreq, config.sfreq)
    n_times = n_times // config.patch_size * config.patch_size or n_times
    done = np.empty((len(values), n_times), np.float32)
    for row, channel in zip(done, values, strict=True):
        row[:] = resample(channel, sfreq, config.sfreq)[:n_times]
    return done


def whole_patches(n_times: int, sfreq: float, config: Any, tmin: float | None = None) -> int:
    """Samples on the encoder's grid, in whole patches, of an epoch of `n_times` at `sfreq`.

    A warning names an end that does not fill one, but for one sample, which MNE's inclusive
    ``tmax`` brings. `tmin` is the time of the first sample.
    """
    n_resampled = resampled_length(n_times, sfreq, config.sfreq)
    n_patches, rest = divmod(n_resampled, config.patch_size)
    patch, seconds = config.patch_size / config.sfreq, n_resampled / config.sfreq
    if n_patches == 0:
        raise SignalError(
            f"X has epochs of {seconds:.3g} s (n_features = {n_times} samples at {sfreq:g} Hz), "
            f"shorter than one patch of {patch:g} s: cut longer epochs."
        )
    if rest > np.ceil(config.sfreq / sfreq):
        longer, shorter = (n_patches + 1) * patch, n_patches * patch
        advice = f"tmax = tmin + {longer:g} (or + {shorter:g})"
        if tmin is not None:
            advice = f"tmax={tmin + longer:.4g} (or {tmin + shorter:.4g})"
        tell(
            f"the encoder reads whole patches of {patch:g} s, so the last {rest / config.sfreq:.3g}"
            f" s of every epoch of {seconds:.4g} s are not used: {advice} avoids it."
        )
    return n_patches * config.patch_size
