"""DARERegressor: the probe with a continuous target."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import Interval

from ..base.input import score_of
from ..base.reading import KernelRegressor
from .base import ProbeEstimator


@dataclass(eq=False, repr=False, kw_only=True)
class DARERegressor(RegressorMixin, ProbeEstimator):
    """Predict a continuous target from EEG epochs, with a DARE-EEG encoder.

    The same as `DAREClassifier`, with the mean squared error as its loss and ridge regression for
    ``adaptation="linear"``. The target is standardised for the training and brought back in
    ``predict``.

    Parameters
    ----------
    encoder : str, path, DAREPretrainer or None, default="nano"
        As `DAREClassifier`.
    adaptation : {"conv-linear", "linear", "finetune"}, default="conv-linear"
        As `DAREClassifier`; "linear" is kernel ridge regression on frozen embeddings.
    ch_names, sfreq, unit, unknown_channels, target_channels, spatial_init, spatial_layers, \
temporal_kernel, views, pooling, cache, cache_mb, max_epochs, batch_size, lr, weight_decay, \
layer_decay, adapter_dropout, dropout, \
validation_fraction, patience, device, precision, callbacks, random_state, verbose
        As `DAREClassifier`.
    alpha : float, default=1.0
        For "linear" with one pooling: strength of the L2 penalty. "auto" chooses its own.

    Attributes
    ----------
    encoder_, module_, net_, linear_, history_, n_iter_, ch_names_in_, sfreq_in_, n_chans_in_, \
n_times_in_, n_features_in_
        As `DAREClassifier`.

    Raises
    ------
    ValueError, TypeError, FloatingPointError
        As `DAREClassifier`.

    Examples
    --------
    >>> from dare_sklearn import DARERegressor, simulate_epochs
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> amplitude = epochs.get_data().std(axis=(1, 2)) * 1e6
    >>> reg = DARERegressor(None, adaptation="linear", random_state=0).fit(epochs, amplitude)
    >>> reg.predict(epochs).shape
    (20,)
    """

    alpha: float = 1.0

    _parameter_constraints: ClassVar[dict] = {
        **ProbeEstimator._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, ``(n_epochs,)``."""
        scaled = self._answer(X, "predict")
        scaled = scaled if self.adaptation == "linear" else scaled[:, 0]
        return scaled * self.y_scale_ + self.y_mean_

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination; ``y=None`` takes the data set's own targets."""
        y = self._own_targets(X) if y is None else y
        return score_of(r2_score, y, self.predict(X), sample_weight)

    def _encode_targets(self, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            if y.dtype.kind not in "iufbOU":  # numbers as objects or text are fine
                raise TypeError
            y = y.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError("The target y must hold real numbers.") from None
        assert_all_finite(y, input_name="y", estimator_name=type(self).__name__)
        with np.errstate(over="ignore", invalid="ignore"):
            self.y_mean_ = float(np.average(y, weights=weight))
            variance = np.average((y - self.y_mean_) ** 2, weights=weight)
            self.y_scale_ = float(np.sqrt(variance)) or 1.0
        if not np.isfinite([self.y_mean_, self.y_scale_]).all():
            raise ValueError("The target y is too large: rescale it.")
        return (y - self.y_mean_) / self.y_scale_, weight

    def _kernel_model(self, targets: np.ndarray, weight: np.ndarray) -> KernelRegressor:
        return KernelRegressor()

    def _linear_model(self) -> Ridge:
        return Ridge(alpha=self.alpha)
