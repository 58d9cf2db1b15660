"""What the classical transformers share: any input as float64 microvolts, block by block.

They learn nothing but the layout of the signals, so none of them can leak.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ...base.input import SignalInputMixin
from ...base.state import PlainStateMixin, whole_or_not_at_all
from ...signals.container import Signals
from ...signals.validation import UNITS

BLOCK = 256  # epochs that are computed together, so that signals on disk stay there
RATE = Interval(Real, 0, None, closed="neither")


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class SignalTransformer(SignalInputMixin, PlainStateMixin, TransformerMixin, BaseEstimator):
    """A fixed function of every epoch; subclasses write `_prepare` and `_compute`."""

    _: KW_ONLY
    ch_names: Any = None
    sfreq: float | None = None
    unit: str = "auto"

    _needs_ch_names = False
    _fitted_attribute = "n_chans_in_"
    _parameter_constraints: ClassVar[dict] = {
        "ch_names": ["array-like", tuple, None],
        "sfreq": [RATE, None],
        "unit": [StrOptions(set(UNITS))],
    }

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None) -> SignalTransformer:
        """Read the layout of the signals.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set
            Signals, in any of the library's input types.
        y : ignored

        Returns
        -------
        SignalTransformer
            Itself.
        """
        self._fit_layout(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of epochs in the fitted layout, float64.

        Parameters
        ----------
        X : array, mne.Epochs, list of them, or braindecode data set

        Returns
        -------
        ndarray, shape (n_epochs, n_features), or (n_epochs, n_chans, n_times) of `SignalArray`
        """
        check_is_fitted(self)
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
        for start in range(0, signals.n_epochs, BLOCK):
            block = signals.data[start : start + BLOCK].astype(np.float64, order="C")
            done.append(self._compute(block).astype(np.float64, copy=False))
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _prepare(self) -> None:
        """Refuse parameters that do not fit the layout."""

    def _compute(self, data: np.ndarray) -> np.ndarray:
        """The answer to ``(n_epochs, n_chans, n_times)`` in microvolts."""
        raise NotImplementedError

    def _names(self, kinds: Iterable[str]) -> np.ndarray:
        """Names of features of these kinds, for every channel."""
        check_is_fitted(self)
        channels = self.ch_names_in_ or [f"ch{i}" for i in range(self.n_chans_in_)]
        return np.array([f"{ch}_{kind}" for ch in channels for kind in kinds], dtype=object)

    def _refuse(self, what: str, advice: str) -> None:
        raise ValueError(
            f"{type(self).__name__} {what}, with epochs of {self.n_times_in_ / self.sfreq_in_:.3g} "
            f"s at {self.sfreq_in_:g} Hz: {advice}."
        )


def check_band(band: Any, what: str, *, open_ends: bool = False) -> None:
    """Refuse what is not two rising frequencies; with `open_ends` either may be None."""
    pair = isinstance(band, list | tuple) and len(band) == 2
    edges = [edge for edge in band if not (open_ends and edge is None)] if pair else []
    if not pair or not all(
        isinstance(e, Real) and not isinstance(e, bool) and e >= 0 for e in edges
    ):
        none = ", either of them None" if open_ends else ""
        raise ValueError(f"{what} must be two frequencies (low, high) in Hz{none}, got {band!r}.")
    if sorted(set(edges)) != list(edges):
        raise ValueError(f"{what} must rise from low to high, got {band!r}.")
