"""DAREEmbedder: embeddings from a frozen encoder."""

import os
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..base.embed import LAYERS, POOLINGS, SHARED_CONSTRAINTS, Reading, features_of
from ..base.encoder import ENCODER_CONSTRAINTS, resolve_encoder
from ..base.features import fit_components, fitted_feature_names
from ..base.input import SignalInputMixin, whole_or_not_at_all
from ..base.state import PlainStateMixin, PushToHubMixin
from ..signals.grid import Windows
from ..training.device import resolve_device
from ..weights.load import save_model

# Parameters that the transformers with an encoder share.
EMBEDDING_CONSTRAINTS: dict = {
    **SHARED_CONSTRAINTS,
    "pooling": [StrOptions(set(POOLINGS))],
    "layer": [StrOptions(set(LAYERS)), Interval(Integral, 0, None, closed="left")],
    "compile": ["boolean"],
}


class EmbeddingMixin(SignalInputMixin, PushToHubMixin, PlainStateMixin, TransformerMixin):
    """``transform`` of what is fitted: ``encoder_``, ``electrodes_`` and ``_fitted_with``."""

    _refit = "fit it again"

    def transform(self, X: Any) -> np.ndarray:
        """Embed signals in the layout of ``fit``; after a pretraining on several layouts, in any.

        Gives float32 ``(n_epochs, n_features)``: principal components for "auto", ``embed_num *
        embed_dim`` features for "mean", twice as many for "mean_std", and ``n_patches`` times as
        many for "flatten", all that for each electrode with ``views="electrodes"``; for "tokens"
        ``(n_epochs, n_views, n_patches * embed_num * embed_dim)``.
        """
        check_is_fitted(self, "encoder_")
        with self._asking():
            windows = self._load(X)
            if self._fitted_with != self._learned_params():
                raise ValueError(
                    f"{type(self).__name__} has not learned what its views, pooling, layer or "
                    f"n_components need, or has learned it for other ones: {self._refit}."
                )
            return features_of(self, windows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`, such as ``dare_s0_d012``."""
        check_is_fitted(self, "encoder_")
        return fitted_feature_names(self)

    def _learned_params(self) -> tuple:
        """Parameters that cannot change once something was learned for them."""
        n_components = getattr(self, "n_components", None)
        learned = self.pooling in ("auto", "covariance") or n_components is not None
        return (self.views, self.pooling, self.layer, n_components) if learned else ()


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class DAREEmbedder(EmbeddingMixin, BaseEstimator):
    """Embeddings of EEG epochs from a frozen DARE-EEG encoder.

    By default they are the principal components of all that the default reading of
    `DAREClassifier` takes from an epoch, so that a linear model behind them knows little less,
    whether its target is in amplitudes, in time courses or in space.

    ``fit`` gets the encoder, which it does not train unless `encoder` is an unfitted
    `DAREPretrainer`, and learns scales and components from the epochs, without labels.
    ``transform`` takes epochs that lack some of the fitted channels (lost, or marked bad), and
    warns; for arrays, ``set_params(ch_names=...)`` says which are left. Lost electrodes are
    interpolated where electrodes are read separately, and left out where they are read together.

    Parameters
    ----------
    encoder : str, path, DAREPretrainer or None, default="nano"
        Shipped name, folder or ``.ckpt`` file, a pretrainer (an unfitted one is pretrained on the
        signals of ``fit``), or None for an untrained nano encoder. Dask's
        ``client.scatter(pretrainer)`` is sent to each worker once.
    ch_names, sfreq : sequence of str, and float, or None, default=None
        Channel names, and sampling rate in Hz, of arrays, which carry none.
    unit : {"auto", "uV", "V"}, default="auto"
        Unit of arrays and braindecode windows; "auto" decides from the amplitude and warns. MNE
        objects are in volts.
    unknown_channels : {"interpolate", "drop", "error"}, default="interpolate"
        How to handle channels that are not among the encoder's 62 electrodes: interpolate them onto
        the nearest of these that were not recorded (with a warning), drop or refuse them.
    views : {"joint", "electrodes"}, default="joint"
        Encode all electrodes of a patch (250 ms) together, or each electrode separately, which
        keeps where a signal was. Only with one pooling.
    pooling : {"auto", "mean", "mean_std", "flatten", "covariance", "power", "tokens"}, \
default="auto"
        "auto" are components of all blocks of `DAREClassifier`'s default reading, each of which is
        standardised and weighs the same, learned from at most 1,500 epochs of ``fit``, drawn at
        random. "mean" averages tokens over patches, "mean_std" adds their standard deviation,
        "flatten" keeps every patch, and with it the time course. Only with ``views="electrodes"``:
        "covariance" is the covariance of electrodes over patches and dimensions of their tokens
        (minus their mean over the epochs of ``fit``), as vectors of the tangent space at the mean
        of ``fit`` [1]_; "power" is the log-variance of the encoder's learned filters (its patch
        embedding) over overlapping patches. "tokens" keeps everything in three dimensions, for
        pyriemann's estimators.
    layer : {"last", "patch"} or int, default="last"
        The layer that is read: the last block after its layer norm, a block counted from 0, or,
        with ``views="electrodes"``, the patch embedding before any block.
    n_components : int or None, default=None
        Principal components, of the epochs of ``fit``, that features are reduced to. None reduces
        "auto" to 128 (or to one fewer than there are epochs), and no other pooling.
    batch_size : int, default=64
        Epochs that are embedded at once.
    cache : "memory", path or None, default=None
        Where embeddings are kept, so that searches compute each epoch's only once: in the memory of
        this process, or in a folder that processes share. They are found by the content of the
        epoch, the encoder and the parameters, and differ by rounding (1e-7) between batches.
    cache_mb : int, default=1000
        Bound of the cache in MB; what was used longest ago is dropped first.
    device : str, default="auto"
        Device of torch; "auto" takes CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the networks; "auto" is bfloat16 on GPUs that have it, and float32 elsewhere.
    compile : bool, default=False
        Run the encoder through ``torch.compile``. The first call takes 20 s or more and needs a C++
        compiler.
    random_state : int, RandomState or None, default=None
        Seeds an untrained encoder (``encoder=None``).
    verbose : int, default=0
        1 shows a progress bar while epochs are embedded.

    Attributes
    ----------
    encoder_, electrodes_ : Encoder, tuple of str
        The frozen encoder, and the electrodes that it reads, in the order of the views.
    space_, pca_
        Tangent spaces and scales of "auto" and "covariance", and principal components.
    ch_names_in_, sfreq_in_, n_chans_in_, n_times_in_, n_features_in_
        The layout of the signals.

    Raises
    ------
    ValueError, TypeError
        As `DAREPretrainer`.

    References
    ----------
    .. [1] Barachant, Bonnet, Congedo, Jutten (2012). Multiclass brain-computer interface
       classification by Riemannian geometry. IEEE Transactions on Biomedical Engineering.

    Examples
    --------
    >>> from dare_sklearn import DAREEmbedder, simulate_epochs
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=8, random_state=0)
    >>> DAREEmbedder("nano", n_components=4).fit_transform(epochs).shape
    (8, 4)
    >>> DAREEmbedder("nano", pooling="mean").fit_transform(epochs).shape
    (8, 64)
    """

    encoder: Any = "nano"
    _: KW_ONLY
    ch_names: Any = None
    sfreq: float | None = None
    unit: str = "auto"
    unknown_channels: str = "interpolate"
    views: str = "joint"
    pooling: str = "auto"
    layer: str | int = "last"
    n_components: int | None = None
    batch_size: int = 64
    cache: str | os.PathLike | None = None
    cache_mb: int = 1000
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    random_state: Any = None
    verbose: int = 0

    _takes_fewer_chans = True
    _parameter_constraints: ClassVar[dict] = {
        **EMBEDDING_CONSTRAINTS,
        "encoder": ENCODER_CONSTRAINTS,
        "pooling": [StrOptions({"auto", *POOLINGS})],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "cache": [str, os.PathLike, None],
        "cache_mb": [Interval(Integral, 1, None, closed="left")],
    }

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None) -> Self:
        """Get the encoder, and learn from `X`, as in `transform`, what the parameters need.

        The values are read only for "auto", "covariance" and `n_components`; `y` is not used.
        """
        windows = self._begin(X)
        if self._learned_params():
            fit_components(self, windows)
        return self

    def _begin(self, X: Any) -> Windows:
        """Read the layout and get the encoder; refuse now what `transform` could not read."""
        self._validate_params()
        resolve_device(self.device)
        for name in ("space_", "pca_"):
            vars(self).pop(name, None)
        if self.pooling == "auto" and (self.views, self.layer) != ("joint", "last"):
            raise ValueError(
                f"pooling='auto' reads both views and its own layers, got views={self.views!r} and "
                f"layer={self.layer!r}: leave them out, or choose one pooling, such as "
                "pooling='mean'."
            )
        if self.pooling == "tokens" and self.n_components is not None:
            raise ValueError("pooling='tokens' is not reduced: leave n_components out.")
        signals = self._read(X, reset=True)
        self.encoder_ = resolve_encoder(self, X)
        Reading.of(self).check(self.encoder_.config)
        windows = Windows(signals, self.encoder_.config, unknown=self.unknown_channels)
        self.electrodes_ = windows.electrodes
        self._fitted_with = self._learned_params()
        return windows

    @whole_or_not_at_all
    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit` and `transform` in one, reading `X` once."""
        return fit_components(self, self._begin(X))

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write the encoder as ``config.json`` and ``model.safetensors``; it holds no data."""
        check_is_fitted(self, "encoder_")
        save_model(folder, self.encoder_, kind="DAREEmbedder")

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike, **params: Any) -> Self:
        """An embedder of a saved encoder: the same as ``DAREEmbedder(source, **params)``."""
        return cls(source, **params)
