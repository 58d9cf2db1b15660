"""Networks of braindecode, trained from scratch, as rivals that take the same input."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

# Rate that each was published for, and its shape. EEGPT is brought to the size of DARE's nano: its
# own (25 million parameters) has no use for a few hundred epochs without pretraining.
RIVALS: dict[str, tuple[float, dict[str, Any]]] = {
    "EEGNet": (128.0, {"final_layer_with_constraint": True}),
    "ShallowFBCSPNet": (250.0, {}),
    "EEGPT": (
        256.0,
        {"embed_num": 1, "embed_dim": 64, "depth": 2, "num_heads": 4, "patch_stride": 64},
    ),
}


class BraindecodeClassifier(ClassifierMixin, BaseEstimator):
    """A network of braindecode, trained from scratch by its own `EEGClassifier`.

    Reads arrays; put `SignalArray` in front (as `deep_pipelines` does) for every other input.
    Numbers of channels, samples and classes are taken from the training data of each ``fit``.

    Parameters
    ----------
    model : str, default="EEGNet"
        Name of a class in ``braindecode.models``.
    model_params : dict or None, default=None
        Further arguments of that class.
    sfreq : float or None, default=None
        Sampling rate in Hz, for models that ask for it.
    max_epochs : int, default=100
    batch_size : int, default=32
    lr : float, default=1e-3
        Constant learning rate of AdamW.
    weight_decay : float, default=1e-2
    device : str, default="auto"
        Device of torch; "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seeds weights, dropout and the order of the epochs.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    scale_ : float
        Standard deviation of the training signals, which are divided by it.
    weights_ : dict of str to ndarray
        The trained network.
    n_chans_in_, n_times_in_, n_features_in_

    Raises
    ------
    ValueError
        If braindecode has no such model, or epochs are too short for it.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.evaluation import BraindecodeClassifier
    >>> X = np.random.default_rng(0).normal(size=(8, 3, 128))
    >>> y = np.array(["feet", "hands"] * 4)
    >>> linear = {"final_layer_with_constraint": True}
    >>> net = BraindecodeClassifier("EEGNet", model_params=linear, max_epochs=1, random_state=0)
    >>> net.fit(X, y).predict_proba(X).shape
    (8, 2)
    """

    _parameter_constraints: dict = {
        "model": [str],
        "model_params": [dict, None],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        model: str = "EEGNet",
        *,
        model_params: dict[str, Any] | None = None,
        sfreq: float | None = None,
        max_epochs: int = 100,
        batch_size: int = 32,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        device: str = "auto",
        random_state=None,
    ) -> None:
        self.model = model
        self.model_params = model_params
        self.sfreq = sfreq
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> BraindecodeClassifier:
        """Train the network.

        Parameters
        ----------
        X : array, shape (n_epochs, n_chans, n_times)
        y : array-like, shape (n_epochs,)

        Returns
        -------
        BraindecodeClassifier
            Itself.
        """
        import torch
        from braindecode import EEGClassifier

        from ..training.device import resolve_device
        from ..training.seeds import draw_seeds, torch_seed

        self._validate_params()
        X, y = validate_data(self, X, y, allow_nd=True, dtype=np.float32)
        check_classification_targets(y)
        if X.ndim != 3:
            raise ValueError(
                f"BraindecodeClassifier takes (n_epochs, n_chans, n_times), got {X.shape}: put "
                "SignalArray in front of it."
            )
        labels = LabelEncoder().fit(y)
        if len(labels.classes_) < 2:
            raise ValueError("BraindecodeClassifier needs two or more classes in y, got one class.")
        self.classes_ = labels.classes_
        self.n_chans_in_, self.n_times_in_ = X.shape[1:]
        self.scale_ = float((X - X.mean(axis=-1, keepdims=True)).std()) or 1.0
        (seed,) = draw_seeds(self.random_state, 1)
        with torch_seed(seed):
            net = EEGClassifier(
                self._build(),
                optimizer=torch.optim.AdamW,
                lr=self.lr,
                optimizer__weight_decay=self.weight_decay,
                max_epochs=self.max_epochs,
                batch_size=self.batch_size,
                # braindecode leaves out the last batch, which of few epochs is all of them; one
                # epoch alone, though, has no variance for batch norm
                iterator_train__drop_last=len(X) % self.batch_size == 1 and len(X) > 1,
                train_split=None,
                device=str(resolve_device(self.device)),
                verbose=0,
            )
            net.fit(self._scaled(X), labels.transform(y).astype(np.int64))
        self.weights_ = {
            name: value.detach().cpu().numpy() for name, value in net.module_.state_dict().items()
        }
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array, shape (n_epochs, n_chans, n_times)

        Returns
        -------
        ndarray of float32, shape (n_epochs, n_classes)
        """
        import torch

        from ..training.device import resolve_device

        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=np.float32, reset=False)
        if X.shape[1:] != (self.n_chans_in_, self.n_times_in_):
            raise ValueError(
                f"X holds epochs of shape {X.shape[1:]}, but BraindecodeClassifier was fitted on "
                f"{(self.n_chans_in_, self.n_times_in_)}."
            )
        device = resolve_device(self.device)
        with torch.random.fork_rng(devices=[]):  # construction draws initial weights
            module = self._build()
        module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in self.weights_.items()})
        module.eval().to(device)
        with torch.inference_mode():
            logits = [
                module(torch.from_numpy(self._scaled(X[i : i + self.batch_size])).to(device)).cpu()
                for i in range(0, len(X), self.batch_size)
            ]
            return torch.cat(logits).softmax(dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The class of the highest probability, shape (n_epochs,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.non_deterministic = True
        return tags

    def _build(self) -> Any:
        from braindecode import models

        network = getattr(models, self.model, None)
        if not isinstance(network, type):
            raise ValueError(f"braindecode.models has no class {self.model!r}.")
        return network(
            n_outputs=len(self.classes_),
            n_chans=self.n_chans_in_,
            n_times=self.n_times_in_,
            sfreq=self.sfreq,
            **(self.model_params or {}),
        )

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        """Offsets of the epochs removed, and of unit variance over the training data."""
        return (X - X.mean(axis=-1, keepdims=True)) / np.float32(self.scale_)


def deep_pipelines(
    *,
    ch_names: Any = None,
    sfreq: float | None = None,
    unit: str = "auto",
    max_epochs: int = 100,
    batch_size: int = 32,
    device: str = "auto",
    random_state: Any = None,
) -> dict[str, Pipeline]:
    """Unfitted pipelines of braindecode's networks, trained from scratch, by name.

    EEGNet [1]_ at 128 Hz, ShallowFBCSPNet [2]_ at 250 Hz, and EEGPT [3]_, the nearest relative of
    DARE-EEG, untrained, at 256 Hz and in the size of DARE's nano encoder.

    Parameters
    ----------
    ch_names, sfreq, unit
        What arrays do not tell of themselves; mne.Epochs need none of them.
    max_epochs, batch_size, device, random_state
        As in `BraindecodeClassifier`.

    Returns
    -------
    dict of str to Pipeline
        Each takes any input of the library, can be cloned, searched and pickled.

    References
    ----------
    .. [1] Lawhern et al. (2018). EEGNet. Journal of Neural Engineering 15(5).
    .. [2] Schirrmeister et al. (2017). Deep learning with convolutional neural networks for EEG
       decoding and visualization. Human Brain Mapping 38(11).
    .. [3] Wang et al. (2024). EEGPT. Advances in Neural Information Processing Systems 37.

    Examples
    --------
    >>> from dare_sklearn.evaluation import deep_pipelines
    >>> list(deep_pipelines())
    ['EEGNet', 'ShallowFBCSPNet', 'EEGPT (untrained)']
    """
    from ..transformers.classical import SignalArray

    layout = {"ch_names": ch_names, "sfreq": sfreq, "unit": unit}
    pipelines = {}
    for model, (rate, model_params) in RIVALS.items():
        net = BraindecodeClassifier(
            model,
            model_params=dict(model_params),
            sfreq=rate,
            max_epochs=max_epochs,
            batch_size=batch_size,
            device=device,
            random_state=random_state,
        )
        name = f"{model} (untrained)" if model == "EEGPT" else model
        pipelines[name] = Pipeline(
            [("signals", SignalArray(resample=rate, **layout)), ("net", net)]
        )
    return pipelines
