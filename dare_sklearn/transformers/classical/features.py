"""Any input as an array for other libraries, and features without labels.

Signals are read as float64 microvolts, block by block. These transformers learn nothing but the
layout of the signals, so none of them can leak.
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.linalg import orth
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ...base.input import (
    SIGNAL_CONSTRAINTS,
    SignalInputMixin,
    SignalOutputMixin,
    whole_or_not_at_all,
)
from ...signals.container import Signals
from ...signals.grid import resample, resampled_length

BLOCK = 256  # epochs that are computed together, so that signals on disk stay there
RATE = Interval(Real, 0, None, closed="neither")
BANDS = {
    "delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}  # fmt: skip
# 2 Hz wide: rhythms and flicker of neighbouring frequencies stay apart
NARROW = {f"{center} Hz": (center - 1.0, center + 1.0) for center in range(2, 45, 2)}
# Below what any amplifier resolves (1 nV): the logarithm of a flat channel stays finite.
FLOOR_UV2 = 1e-6
RANK = 1e-5  # of the strongest direction: less is rounding, as an average reference leaves it


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class SignalTransformer(SignalInputMixin, TransformerMixin, BaseEstimator):
    """A fixed function of every epoch.

    A subclass writes ``_prepare()``, which refuses parameters that do not fit the layout, and
    ``_compute(data)``, the answer to ``(n_epochs, n_chans, n_times)`` in microvolts.
    """

    _: KW_ONLY
    ch_names: Any = None
    sfreq: float | None = None
    unit: str = "auto"

    _fitted_attribute = "n_chans_in_"
    _parameter_constraints: ClassVar[dict] = SIGNAL_CONSTRAINTS

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None) -> Self:
        """Read the layout of the signals, as in `transform`; `y` is not used."""
        self._fit_layout(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features ``(n_epochs, n_features)``, float64, or signals in three dimensions.

        `X` is an array, mne.Epochs, a list of them, or a braindecode data set, as in ``fit``.
        """
        check_is_fitted(self)
        with self._asking():
            return self._run(self._read(X, reset=False))

    @whole_or_not_at_all
    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> np.ndarray:
        """`fit` and `transform` in one, reading `X` once."""
        return self._run(self._fit_layout(X))

    def _fit_layout(self, X: Any) -> Signals:
        self._validate_params()
        signals = self._read(X, reset=True)
        self._prepare()
        return signals

    def _run(self, signals: Signals) -> np.ndarray:
        self._prepare()  # parameters may have been set since
        done = []
        for start in range(0, len(signals.data), BLOCK):
            block = signals.data[start : start + BLOCK].astype(np.float64, order="C")
            done.append(self._compute(block).astype(np.float64, copy=False))
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _names(self, kinds: Iterable[str]) -> np.ndarray:
        """Names of features of these kinds, for every channel."""
        channels = self.ch_names_in_ or [f"ch{i}" for i in range(self.n_chans_in_)]
        return np.array([f"{ch}_{kind}" for ch in channels for kind in kinds], dtype=object)

    def _refuse(self, what: str, advice: str) -> None:
        raise ValueError(
            f"{type(self).__name__} {what}, with epochs of {self.n_times_in_ / self.sfreq_in_:.3g} "
            f"s at {self.sfreq_in_:g} Hz: {advice}."
        )


@dataclass(eq=False, repr=False)
class SignalArray(SignalOutputMixin, SignalTransformer):
    """Any input as one float64 array in microvolts, filtered and resampled if asked for.

    The first step in front of what takes arrays only: CSP of mne, covariances of pyriemann.

    Parameters
    ----------
    band : (low, high) or None, default=None
        Pass band in Hz of a zero-phase Butterworth filter of order 4 (`mne.filter.filter_data`),
        which sees one epoch at a time, continued by reflection at its ends: filter slow frequencies
        in the continuous recording. ``(None, high)`` is a low-pass, ``(low, None)`` a high-pass.
    resample : float or None, default=None
        New sampling rate in Hz, after the filter: polyphase and anti-aliased.
    ch_names, sfreq, unit : default=None, None, "auto"
        How arrays are read, as in `DAREEmbedder`. Names are not needed.

    Attributes
    ----------
    sfreq_out_ : float
        Sampling rate in Hz of what comes out.
    ch_names_in_, sfreq_in_, n_chans_in_, n_times_in_, n_features_in_
        The layout of the signals.

    Raises
    ------
    ValueError
        If signals are unusable (NaN, a constant channel), or `band` does not fit their rate.

    Notes
    -----
    Signals are read as float32. An average reference, or an interpolated channel, then leaves a
    direction of rounding errors only, where a covariance without shrinkage makes filters of huge
    weights: use ``CSP(reg="oas")`` and ``Covariances("oas")``.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.transformers.classical import SignalArray
    >>> X = 10 * np.random.default_rng(0).normal(size=(6, 3, 256))
    >>> SignalArray(band=(8, 30), resample=64, sfreq=128, unit="uV").fit_transform(X).shape
    (6, 3, 128)
    """

    band: tuple[float | None, float | None] | None = None
    _: KW_ONLY
    resample: float | None = None

    _parameter_constraints: ClassVar[dict] = {
        "band": [tuple, list, None],
        "resample": [RATE, None],
        **SignalTransformer._parameter_constraints,
    }

    def _prepare(self) -> None:
        self.sfreq_out_ = self.sfreq_in_ if self.resample is None else float(self.resample)
        if self.band is None:
            return
        _check_band(self.band, "The 'band' parameter of SignalArray", open_ends=True)
        nyquist = self.sfreq_in_ / 2
        if not all(edge is None or 0 < edge < nyquist for edge in self.band):
            self._refuse(
                f"got the band {self.band!r}",
                f"frequencies must lie above 0 and below {nyquist:g} Hz",
            )

    def _compute(self, data: np.ndarray) -> np.ndarray:
        if self.band is not None and tuple(self.band) != (None, None):
            from mne.filter import filter_data

            butterworth = {"order": 4, "ftype": "butter", "output": "sos"}
            data = filter_data(
                data, self.sfreq_in_, *self.band, method="iir", iir_params=butterworth,
                phase="zero", copy=False, verbose="error",
            )  # fmt: skip
        if self.resample is not None:
            data = resample(data, self.sfreq_in_, self.resample)
        return data


@dataclass(eq=False, repr=False)
class BandPower(SignalTransformer):
    """Power of every channel in frequency bands, by Welch's method [1]_.

    Parameters
    ----------
    bands : dict of str to (low, high), "narrow" or None, default=None
        Bands in Hz; ``low`` belongs to a band, ``high`` to the next. None takes delta (1 to 4),
        theta (to 8), alpha (to 13), beta (to 30) and gamma (to 45 Hz), and "narrow" bands of 2 Hz
        from 1 to 45 Hz, both without those that the sampling rate and the length of the epochs do
        not resolve.
    scale : {"log", "relative", "absolute"}, default="log"
        "absolute" is power in µV², "log" its natural logarithm, and "relative" its share of the
        power from the lowest to the highest frequency of the bands.
    window_s : float, default=2.0
        Length in seconds of Welch's windows, which overlap by half; shorter epochs are one window.
    ch_names, sfreq, unit
        As in `SignalArray`, and so are the fitted attributes of the layout.

    Attributes
    ----------
    bands_ : dict of str to (low, high)
        The bands of the features.

    Raises
    ------
    ValueError
        If signals are unusable, or a band of `bands` holds no frequency of these epochs.

    References
    ----------
    .. [1] Welch (1967). IEEE Transactions on Audio and Electroacoustics 15(2).

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.transformers.classical import BandPower
    >>> X = 10 * np.random.default_rng(0).normal(size=(6, 2, 256))
    >>> power = BandPower(ch_names=["C3", "C4"], sfreq=128, unit="uV")
    >>> power.fit_transform(X).shape
    (6, 10)
    >>> [str(name) for name in power.get_feature_names_out()[:2]]
    ['C3_delta', 'C3_theta']
    """

    bands: dict[str, tuple[float, float]] | str | None = None
    _: KW_ONLY
    scale: str = "log"
    window_s: float = 2.0

    _parameter_constraints: ClassVar[dict] = {
        "bands": [Mapping, StrOptions({"narrow"}), None],
        "scale": [StrOptions({"log", "relative", "absolute"})],
        "window_s": [RATE],
        **SignalTransformer._parameter_constraints,
    }

    @property
    def _segment(self) -> int:
        """Samples in a window of Welch's method."""
        return int(min(self.n_times_in_, max(2, round(self.window_s * self.sfreq_in_))))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names such as ``C3_alpha``; ``ch0_alpha`` where channels have no names."""
        check_is_fitted(self)
        return self._names(self.bands_)

    def _prepare(self) -> None:
        freqs = np.fft.rfftfreq(self._segment, 1 / self.sfreq_in_)
        if self.bands is None or isinstance(self.bands, str):
            bands = (BANDS if self.bands is None else NARROW).items()
            self.bands_ = {n: b for n, b in bands if b[1] <= freqs[-1] and _in(freqs, b).any()}
            if not self.bands_:
                self._refuse("resolves none of its bands", "pass bands=")
            return
        for name, band in self.bands.items():
            _check_band(band, f"Band {name!r} of BandPower")
            if band[1] > self.sfreq_in_ / 2 or not _in(freqs, band).any():
                self._refuse(
                    f"finds no power in the band {name!r} {tuple(band)}",
                    f"frequencies are {freqs[1]:.3g} Hz apart and end at {freqs[-1]:g} Hz",
                )
        if not self.bands:
            raise ValueError("BandPower got no bands: pass one or more, or None for the usual.")
        self.bands_ = {str(name): tuple(band) for name, band in self.bands.items()}

    def _compute(self, data: np.ndarray) -> np.ndarray:
        from mne.time_frequency import psd_array_welch

        n = self._segment
        psd, freqs = psd_array_welch(
            data, self.sfreq_in_, n_fft=n, n_per_seg=n, n_overlap=n // 2, verbose="error"
        )
        psd *= freqs[1]  # µV²/Hz to µV² per frequency
        power = np.stack([psd[..., _in(freqs, b)].sum(-1) for b in self.bands_.values()], axis=-1)
        if self.scale == "log":
            power = np.log(np.maximum(power, FLOOR_UV2))
        elif self.scale == "relative":
            edges = np.array(list(self.bands_.values()))
            whole = psd[..., _in(freqs, (edges.min(), edges.max()))].sum(-1)
            power /= np.maximum(whole, FLOOR_UV2)[..., None]
        return power.reshape(len(data), -1)


@dataclass(eq=False, repr=False)
class DownsampledSignals(SignalTransformer):
    """Samples of all channels at a low rate, as one row: the plain features of evoked potentials.

    With a shrinkage LDA this is the baseline of the field [1]_.

    Parameters
    ----------
    resample : float, default=32.0
        Rate in Hz, polyphase and anti-aliased: it leaves frequencies below half of it. Signals of
        a lower rate keep theirs.
    center : bool, default=True
        Remove each channel's mean over the epoch, which in unfiltered recordings is drift.
    ch_names, sfreq, unit
        As in `SignalArray`, and so are the fitted attributes of the layout.

    Attributes
    ----------
    sfreq_out_ : float
        Rate of the features in Hz.

    References
    ----------
    .. [1] Blankertz et al. (2011). NeuroImage 56(2).

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.transformers.classical import DownsampledSignals
    >>> X = 10 * np.random.default_rng(0).normal(size=(6, 2, 128))
    >>> DownsampledSignals(16, sfreq=128, unit="uV").fit_transform(X).shape
    (6, 32)
    """

    resample: float = 32.0
    _: KW_ONLY
    center: bool = True

    _parameter_constraints: ClassVar[dict] = {
        "resample": [RATE],
        "center": ["boolean"],
        **SignalTransformer._parameter_constraints,
    }

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names such as ``CZ_0.250s``, the time from the start of the epoch."""
        check_is_fitted(self)
        n_times = resampled_length(self.n_times_in_, self.sfreq_in_, self.sfreq_out_)
        return self._names([f"{i / self.sfreq_out_:.3f}s" for i in range(n_times)])

    def _prepare(self) -> None:
        self.sfreq_out_ = min(float(self.resample), self.sfreq_in_)

    def _compute(self, data: np.ndarray) -> np.ndarray:
        if self.center:
            data = data - data.mean(axis=-1, keepdims=True)
        data = resample(data, self.sfreq_in_, self.sfreq_out_)
        return data.reshape(len(data), -1)


@dataclass(eq=False, repr=False)
class FlickerCCA(SignalTransformer):
    """Canonical correlation of an epoch with flicker of each frequency and its harmonics [1]_.

    Parameters
    ----------
    frequencies : sequence of float
        Of the flicker, in Hz.
    n_harmonics : int, default=2
        Sines and cosines at multiples of a frequency, from 1; those at or above half the sampling
        rate are left out.
    ch_names, sfreq, unit
        As in `SignalArray`, and so are the fitted attributes of the layout.

    Raises
    ------
    ValueError
        If signals are unusable, or a frequency does not lie below half the sampling rate.

    References
    ----------
    .. [1] Lin et al. (2006). IEEE Transactions on Biomedical Engineering 53(12).

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.transformers.classical import FlickerCCA
    >>> X = 10 * np.random.default_rng(0).normal(size=(6, 2, 256))
    >>> FlickerCCA([10, 12, 15], sfreq=128, unit="uV").fit_transform(X).shape
    (6, 3)
    """

    frequencies: Any = ()
    _: KW_ONLY
    n_harmonics: int = 2

    _parameter_constraints: ClassVar[dict] = {
        "frequencies": ["array-like"],
        "n_harmonics": [Interval(Integral, 1, None, closed="left")],
        **SignalTransformer._parameter_constraints,
    }

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names such as ``cca_12Hz``."""
        check_is_fitted(self)
        return np.array([f"cca_{frequency:g}Hz" for frequency in self.frequencies], dtype=object)

    def _prepare(self) -> None:
        frequencies = np.asarray(self.frequencies, dtype=float)
        nyquist = self.sfreq_in_ / 2
        if frequencies.ndim != 1 or not len(frequencies):
            raise ValueError("The 'frequencies' parameter of FlickerCCA must hold numbers in Hz.")
        if not ((frequencies > 0) & (frequencies < nyquist)).all():
            self._refuse(
                f"got the frequencies {frequencies.tolist()}",
                f"they must lie above 0 and below {nyquist:g} Hz",
            )

    def _compute(self, data: np.ndarray) -> np.ndarray:
        times = np.arange(data.shape[-1]) / self.sfreq_in_
        order = np.arange(1, self.n_harmonics + 1)
        centred = (data - data.mean(axis=-1, keepdims=True)).transpose(0, 2, 1)
        bases = [_basis(x, np.abs(epoch).max()) for x, epoch in zip(centred, data, strict=True)]
        answer = np.empty((len(data), len(self.frequencies)))
        for column, frequency in enumerate(self.frequencies):
            harmonics = frequency * order[frequency * order < self.sfreq_in_ / 2]
            turn = 2 * np.pi * times[:, None] * harmonics
            flicker = np.c_[np.sin(turn), np.cos(turn)]
            flicker = orth(flicker - flicker.mean(axis=0))
            # canonical correlations are the singular values; a flat epoch has none
            found = [np.linalg.svd(basis.T @ flicker, compute_uv=False) for basis in bases]
            answer[:, column] = [values.max(initial=0.0) for values in found]
        return answer


def _basis(x: np.ndarray, largest: float) -> np.ndarray:
    """Directions ``(n_times, n_directions)`` of a centred epoch, without those of rounding only."""
    directions, sizes, _ = np.linalg.svd(x, full_matrices=False)
    rounding = np.finfo(np.float32).eps * largest * np.sqrt(len(x))  # offsets are rounded too
    return directions[:, sizes > max(RANK * sizes[0], rounding)]


def _check_band(band: Any, what: str, *, open_ends: bool = False) -> None:
    """Refuse what is not two rising frequencies; with `open_ends` either may be None."""
    pair = isinstance(band, list | tuple) and len(band) == 2
    edges = [edge for edge in band if not (open_ends and edge is None)] if pair else []
    numbers = all(isinstance(e, Real) and not isinstance(e, bool) and e >= 0 for e in edges)
    if not pair or not numbers or sorted(set(edges)) != edges:
        none = ", either of them None" if open_ends else ""
        raise ValueError(
            f"{what} must be two rising frequencies (low, high) in Hz{none}, got {band!r}."
        )


def _in(freqs: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    low, high = np.round(band, 9)
    freqs = freqs.round(9)  # MNE's 30 Hz may be 29.999999999999996
    return (freqs >= low) & (freqs < high)
