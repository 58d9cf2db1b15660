"""DAREClassifier: conv-linear probe, default reading or fine-tuning of an encoder."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from ..base.input import score_of
from ..base.reading import KernelClassifier
from .base import ProbeEstimator


@dataclass(eq=False, repr=False, kw_only=True)
class DAREClassifier(ClassifierMixin, ProbeEstimator):
    """Classify EEG epochs with a frozen or fine-tuned DARE-EEG encoder.

    Parameters stand in four groups: those that every `adaptation` reads (`encoder` to `verbose`),
    those of "linear" (`unknown_channels` to `cache_mb`), those of the convolutions of "conv-linear"
    and "finetune" (`target_channels` to `temporal_kernel`), and those of gradient steps
    (`max_epochs` to `callbacks`), which "finetune" takes, and "conv-linear" with
    ``spatial_init="spline"`` or "random", or with ``validation_fraction > 0``. ``fit`` warns of
    changed parameters that its mode does not read.

    Parameters
    ----------
    encoder : str, path, DAREPretrainer or None, default="nano"
        As in `DAREEmbedder`.
    adaptation : {"conv-linear", "linear", "finetune"}, default="conv-linear"
        "conv-linear" fits a spatial (and optionally temporal) convolution before the frozen encoder
        and a linear head after it [1]_ (see `spatial_init`). "linear" reads the frozen encoder in
        closed form (see `pooling`). "finetune" trains the encoder too, lower layers more slowly.
    ch_names, sfreq, unit : default=None, None, "auto"
        How arrays are read, as in `DAREEmbedder`. Only "linear" needs names.
    class_weight : {"balanced", "smooth"}, dict or None, default=None
        Weights of the classes. "smooth" is the paper's (mean frequency / frequency) ** 0.5, with a
        mean of 1. For "linear" they weigh the decision only, sample weights also the scaling.
    device, precision : str, default="auto"
        As in `DAREEmbedder`.
    batch_size : int, default=64
        Epochs in a batch: of gradient steps, and of what is embedded or predicted at once.
    random_state : int, RandomState or None, default=None
        Seeds initial weights, order of epochs, dropout and the validation split.
    verbose : int, default=0
        1 shows a progress bar while epochs are embedded, or one with a line of losses per pass.
    unknown_channels : {"interpolate", "drop", "error"}, default="interpolate"
        How to handle channels that the encoder does not know. Other modes take them as they are.
    views : {"joint", "electrodes"}, default="joint"
        As in `DAREEmbedder`. Not used by ``pooling="auto"``.
    pooling : {"auto", "mean", "mean_std", "flatten", "covariance", "power"}, default="auto"
        "auto" is the default reading, which suits any paradigm: joint tokens and those of every
        electrode at every patch, the covariance of electrodes, their power, their signals at a
        low rate, covariances in the encoder's principal filters, one by one and together, and
        rhythms (in epochs of 2 s or more), weighed by predictions of held-out training epochs (of
        whole ``groups`` of ``fit``).
        The others are one pooling, as in `DAREEmbedder`, with `C`.
    C : float, default=1.0
        With one pooling: inverse strength of the L2 penalty. "auto" chooses its own.
    cache, cache_mb : default=None, 1000
        Where embeddings are kept between fits, and its bound in MB, as in `DAREEmbedder`.
    target_channels : sequence of str or None, default=None
        Electrodes that the spatial convolution maps to; None: the 19 of the 10-20 system.
    spatial_init : {"auto", "csp", "xdawn", "spline", "random"}, default="auto"
        "spline" and "random" are the paper's probe, trained by gradient: its spatial convolution
        starts by spherical-spline interpolation (where positions are known), or at random. The
        others are **not the paper's**: the encoder reads virtual electrodes one by one. They are
        common spatial patterns of 8 to 30 Hz ("csp"; for numbers SPoC), Xdawn filters of each class
        ("xdawn"), or both and the spline's ("auto"), fitted by MNE on training epochs; with fewer
        than five epochs of a class, the spline's only. One linear map reads their tokens, and power
        and time courses of their patch embedding: a sum of ridge regressions, weighed by
        cross-validation that fits the filters anew. Gradient steps follow with
        ``validation_fraction > 0``, kept if they lower the loss of the held-out epochs, and with
        "finetune", which trains filters, encoder and map [2]_. Channels may be missing in
        ``predict``: the filters are refitted to those left. "auto" means "spline" for several
        spatial layers, a temporal kernel, and beyond 5,000 training epochs (kernels fill memory).
    spatial_layers : int, default=1
        Number of pointwise convolutions; two or more start at random.
    temporal_kernel : int or None, default=None
        Odd length in samples (at 256 Hz) of a depthwise temporal convolution after the spatial
        one, with batch norm and GELU (15 in the paper); None: no such layer.
    max_epochs : int, default=100
        Passes through the training epochs.
    lr, weight_decay : float or None, default=None
        Peak of the learning rate, and AdamW's decay. None: 5e-3 and 0.01 for "conv-linear", where
        the paper's rate of 5e-4 suits thousands of epochs, and ends near the start on a few dozen;
        for "finetune" 5e-4 (1e-4 from a start with labels) and 0.05.
    layer_decay : float, default=0.75
        For "finetune": ratio of the rates of neighbouring encoder layers.
    adapter_dropout, dropout : float, default=0.0, 0.5
        Between the convolutions and the encoder, and before the head.
    label_smoothing : float, default=0.0
        Share of every label that is spread over all classes; the paper goes up to 0.1.
    validation_fraction, patience : float, int, default=0.0, 20
        Share of the training epochs (or ``groups`` of ``fit``) that is held out to stop early,
        after so many passes without improvement, and keep the best weights.
    callbacks : list of skorch callbacks or None, default=None
        Called during training beside our own.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    encoder_ : Encoder
        The encoder; fine-tuned for "finetune", otherwise as it came.
    module_, net_ : ConvLinearProbe or VirtualProbe, skorch.NeuralNet
        Not for "linear": the fitted network, and the net that trained it, where there were gradient
        steps; pickles leave that out.
    linear_ : KernelClassifier or sklearn.pipeline.Pipeline
        For "linear": the reading of all blocks, with their shares as ``weights_``, or scaler and
        logistic regression.
    history_, n_iter_ : pandas.DataFrame, int
        One row per pass of gradient steps: epoch, loss, valid_loss where held out, lr, seconds; and
        their number, for "linear" that of the solver's iterations.
    ch_names_in_, sfreq_in_, n_chans_in_, n_times_in_, n_features_in_
        The layout of the training signals.

    Raises
    ------
    ValueError, TypeError
        If signals or labels are unusable, in one sentence that says which and what to do.
    FloatingPointError
        From ``fit``, if the loss becomes NaN: lower `lr`.

    References
    ----------
    .. [1] Shao, Gong, Dai, Zhang (2026). DARE-EEG. arXiv:2605.18298.
    .. [2] Kumar, Raghunathan, Jones, Ma, Liang (2022). Fine-tuning can distort pretrained features
       and underperform out-of-distribution. ICLR.

    Examples
    --------
    >>> from dare_sklearn import DAREClassifier, simulate_epochs
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    >>> y = epochs.metadata["label"].to_numpy()
    >>> clf = DAREClassifier(None, random_state=0).fit(epochs, y)
    >>> clf.predict_proba(epochs).shape
    (20, 2)
    """

    C: float = 1.0
    class_weight: Any = None
    label_smoothing: float = 0.0

    _parameter_constraints: ClassVar[dict] = {
        **ProbeEstimator._parameter_constraints,
        "C": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [StrOptions({"balanced", "smooth"}), dict, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    def predict(self, X: Any) -> np.ndarray:
        """Labels, ``(n_epochs,)``, as they stood in the `y` of ``fit``."""
        best = self.predict_proba(X).argmax(axis=1)  # checks that it is fitted
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``(n_epochs, n_classes)`` in the order of ``classes_``."""
        found = self._answer(X, "predict_proba")
        return found if self.adaptation == "linear" else softmax(found, axis=1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores: ``(n_epochs,)`` for two classes (positive: the second), else one per class."""
        found = self._answer(X, "decision_function")
        if self.adaptation == "linear" or len(self.classes_) > 2:
            return found
        return found[:, 1] - found[:, 0]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean accuracy; ``y=None`` takes the data set's own labels."""
        y = self._own_targets(X) if y is None else y
        return score_of(accuracy_score, y, self.predict(X), sample_weight)

    def _own_targets(self, X: Any) -> np.ndarray:
        y = super()._own_targets(X)
        strange = sorted(set(y.tolist()) - set(self.classes_.tolist()), key=str)
        if strange:
            raise ValueError(
                f"score got y=None, and the labels that X carries ({strange}) are not those that "
                f"DAREClassifier was fitted on ({self.classes_.tolist()}): pass y."
            )
        return y

    def _encode_targets(self, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            check_classification_targets(y)
            self.classes_, codes = np.unique(y, return_inverse=True)
        except ValueError as error:
            raise ValueError(f"y holds no classes. {error}") from None
        except TypeError as error:  # they cannot be ordered
            raise ValueError(
                f"y mixes labels of several types ({error}): make them all strings, or all numbers."
            ) from None
        if len(self.classes_) < 2:
            raise ValueError(
                f"DAREClassifier needs samples of at least 2 classes in the data, but y contains "
                f"only one class: {self.classes_.tolist()[0]!r}."
            )
        given = self.class_weight if isinstance(self.class_weight, dict) else {}
        unknown = sorted(set(given) - set(self.classes_.tolist()), key=str)
        if unknown:
            raise ValueError(f"class_weight names classes that y lacks: {unknown}.")
        if not all(isinstance(w, Real) and 0 < w < np.inf for w in given.values()):
            raise ValueError(f"class_weight must hold positive numbers, got {given!r}.")
        codes = codes.astype(np.int64)
        return codes, weight * self._class_weights(codes, weight)[codes]

    def _class_weights(self, y: np.ndarray, sample_weight: np.ndarray) -> np.ndarray:
        """Weight of each class, in the order of ``classes_``; an epoch of weight 2 counts twice."""
        counts = np.bincount(y, weights=sample_weight, minlength=len(self.classes_))
        if not counts.all():
            raise ValueError(
                "sample_weight is zero for all epochs of class "
                f"{self.classes_.tolist()[counts.argmin()]!r}: leave the class out of y."
            )
        if isinstance(self.class_weight, dict):
            return np.array([self.class_weight.get(label, 1.0) for label in self.classes_.tolist()])
        if self.class_weight is None:
            return np.ones(len(self.classes_))
        ratio = counts.mean() / counts
        if self.class_weight == "balanced":
            return ratio
        smooth = np.sqrt(ratio)
        return smooth / smooth.mean()

    def _kernel_model(self, targets: np.ndarray, weight: np.ndarray) -> KernelClassifier:
        return KernelClassifier(class_weight=dict(enumerate(self._class_weights(targets, weight))))

    def _linear_model(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=5_000)
