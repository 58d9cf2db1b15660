"""SignalArray: the bridge from any input to what other libraries take."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from ...signals.resampling import resample
from ._base import RATE, SignalTransformer, check_band


@dataclass(eq=False, repr=False)
class SignalArray(SignalTransformer):
    """Any input as one float64 array in microvolts, filtered and resampled if asked for.

    The first step in front of what takes arrays only: CSP of mne, covariances of pyriemann.

    Parameters
    ----------
    band : (low, high) or None, default=None
        Pass band in Hz of a zero-phase Butterworth filter of order 4, run forwards and backwards
        over every epoch (`mne.filter.filter_data`). ``(None, high)`` is a low-pass, ``(low,
        None)`` a high-pass. None leaves the signals as they are.
    resample : float or None, default=None
        New sampling rate in Hz, after the filter: polyphase and anti-aliased.
    ch_names : sequence of str or None, default=None
        Channel names of arrays, which carry none (not needed here).
    sfreq : float or None, default=None
        Sampling rate in Hz of arrays, which carry none.
    unit : {"auto", "uV", "V"}, default="auto"
        Unit of arrays; "auto" decides from the amplitude and warns. MNE objects are in volts.

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
    The filter sees one epoch at a time, continued by reflection at its ends. Filter slow
    frequencies in the continuous recording: a high-pass at 1 Hz needs some seconds on either side.

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
        check_band(self.band, "The 'band' parameter of SignalArray", open_ends=True)
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
