"""Networks of braindecode as rivals that take the same input."""

from __future__ import annotations

from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

# Rate that each was published for, and its shape. EEGPT is brought to the size of DARE's nano: its
# own (25 million parameters) has no use for a few hundred epochs without pretraining.
_SMALL = {"embed_num": 1, "embed_dim": 64, "depth": 2, "num_heads": 4, "patch_stride": 64}
RIVALS: dict[str, tuple[float, dict[str, Any]]] = {
    "EEGNet": (128.0, {"final_layer_with_constraint": True}),
    "ShallowFBCSPNet": (250.0, {}),
    "EEGPT": (256.0, _SMALL),
}
_POSITIVE = Interval(Real, 0, None, closed="neither")
_WHOLE = Interval(Integral, 1, None, closed="left")


class BraindecodeClassifier(ClassifierMixin, BaseEstimator):
    """A network of braindecode: trained from scratch, fine-tuned, or frozen before a classifier.

    Reads arrays; put `SignalArray` in front (as `deep_pipelines` does) for every other input.

    Parameters
    ----------
    model : str, default="EEGNet"
        Name of a class in ``braindecode.models``.
    weights : str or None, default=None
        Hugging Face repository, or folder of the model's ``save_pretrained``; None draws them.
    frozen : bool, default=False
        Train nothing of the network: its features (the mean over tokens), standardised, go into a
        logistic regression. For models that offer features: LaBraM, EEGPT, BIOT, CBraMod, ...
    model_params : dict or None, default=None
        Further arguments of the model's class.
    ch_names : sequence of str or None, default=None
        Names of the channels, for models that ask which electrodes they see.
    sfreq : float or None, default=None
        Sampling rate in Hz, for models that ask for it.
    scale : float or None, default=None
        What signals are divided by (1000 turns µV into mV, for pretrained models that expect a
        unit); None takes the standard deviation of the training signals.
    max_epochs : int, default=100
    batch_size : int, default=32
    lr : float, default=1e-3
        Constant learning rate of AdamW.
    weight_decay : float, default=1e-2
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seeds weights, dropout and the order of the epochs.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    scale_ : float
        What signals are divided by.
    net_ : braindecode.EEGClassifier
        With the network in ``net_.module_``.
    head_ : Pipeline
        The classifier behind a frozen network.
    n_chans_in_, n_times_in_, n_features_in_

    Raises
    ------
    ValueError
        If braindecode has no such model, the model offers no features, or epochs are too short.

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
        "model": [str], "weights": [str, None], "frozen": ["boolean"], "model_params": [dict, None],
        "ch_names": ["array-like", None], "sfreq": [_POSITIVE, None], "scale": [_POSITIVE, None],
        "max_epochs": [_WHOLE], "batch_size": [_WHOLE], "lr": [_POSITIVE], "device": [str],
        "weight_decay": [Interval(Real, 0, None, closed="left")], "random_state": ["random_state"],
    }  # fmt: skip

    def __init__(
        self,
        model: str = "EEGNet",
        *,
        weights: str | None = None,
        frozen: bool = False,
        model_params: dict[str, Any] | None = None,
        ch_names=None,
        sfreq: float | None = None,
        scale: float | None = None,
        max_epochs: int = 100,
        batch_size: int = 32,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        device: str = "auto",
        random_state=None,
    ) -> None:
        self.model = model
        self.weights = weights
        self.frozen = frozen
        self.model_params = model_params
        self.ch_names = ch_names
        self.sfreq = sfreq
        self.scale = scale
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> BraindecodeClassifier:
        """Train the network, or the classifier behind a frozen one.

        Parameters
        ----------
        X : array, shape (n_epochs, n_chans, n_times)
        y : array-like, shape (n_epochs,)
        """
        from ..training.seeds import draw_seeds, torch_seed

        self._validate_params()
        X, y = validate_data(self, X, y, allow_nd=True, dtype=np.float32)
        check_classification_targets(y)
        if X.ndim != 3:
            raise ValueError(f"X must be 3-D, got shape {X.shape}: put SignalArray in front.")
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("BraindecodeClassifier needs two or more classes in y, got one class.")
        self.n_chans_in_, self.n_times_in_ = X.shape[1:]
        self.scale_ = 1.0 if self.scale is None else float(self.scale)
        if self.scale is None:
            self.scale_ = float(self._scaled(X).std()) or 1.0
        with torch_seed(draw_seeds(self.random_state, 1)[0]):
            self.net_ = self._net(self._build(), drop_last=len(X) % self.batch_size == 1)
            if self.frozen:
                self.net_.initialize()
                self.head_ = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5_000))
                self.head_.fit(self._forward(X), y)
            else:
                self.net_.fit(self._scaled(X), targets.astype(np.int64))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, shape (n_epochs, n_classes).

        Parameters
        ----------
        X : array, shape (n_epochs, n_chans, n_times)
        """
        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=np.float32, reset=False)
        if X.shape[1:] != (self.n_chans_in_, self.n_times_in_):
            known = self.n_chans_in_, self.n_times_in_
            raise ValueError(f"X holds epochs of {X.shape[1:]}, but the fit was on {known}.")
        found = self._forward(X)
        return self.head_.predict_proba(found) if self.frozen else softmax(found, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The class of the highest probability, shape (n_epochs,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.non_deterministic = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Arrays in place of the network, which torch does not pickle where it is constrained."""
        state = super().__getstate__()
        if "net_" in state:
            module = state["net_"].module_
            weights = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
            state = {**state, "net_": (module.get_config(), weights)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" in state:
            import torch

            config, weights = state["net_"]
            with torch.random.fork_rng(devices=[]):  # construction draws initial weights
                module = getattr(_braindecode().models, self.model).from_config(config)
            module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
            self.net_ = self._net(module).initialize()

    def _net(self, module: Any, drop_last: bool = False) -> Any:
        import torch

        from ..training.device import resolve_device

        # braindecode leaves out the last batch, which of few epochs is all of them; a single
        # epoch, though, has no variance for batch norm
        return _braindecode().EEGClassifier(
            module, optimizer=torch.optim.AdamW, lr=self.lr, max_epochs=self.max_epochs,
            optimizer__weight_decay=self.weight_decay, batch_size=self.batch_size,
            iterator_train__drop_last=drop_last, train_split=None, verbose=0,
            device=str(resolve_device(self.device)),
        )  # fmt: skip

    def _build(self) -> Any:
        import mne

        network = getattr(_braindecode().models, self.model, None)
        if not isinstance(network, type):
            raise ValueError(f"braindecode.models has no class {self.model!r}.")
        if self.frozen and "return_features" not in signature(network.forward).parameters:
            raise ValueError(f"{self.model} of braindecode offers no features: use frozen=False.")
        known = {"n_outputs": len(self.classes_), **(self.model_params or {})}
        if self.weights is not None:
            return network.from_pretrained(self.weights, **known)
        if self.ch_names is not None:
            info = mne.create_info(list(self.ch_names), 1.0, "eeg")
            info.set_montage("colin27_1005", match_case=False, on_missing="ignore")
            known["chs_info"] = info["chs"]
        shape = {"n_chans": self.n_chans_in_, "n_times": self.n_times_in_, "sfreq": self.sfreq}
        return network(**shape, **known)

    def _forward(self, X: np.ndarray) -> np.ndarray:
        """Features (their mean over tokens) of a frozen network, outputs of a trained one.

        skorch's own loop would draw from torch's generator.
        """
        import torch

        module, found = self.net_.module_.eval(), []
        options: dict[str, Any] = {"return_features": True} if self.frozen else {}
        takes_names = "ch_names" in signature(module.forward).parameters
        if self.frozen and takes_names and self.ch_names is not None:
            options["ch_names"] = list(self.ch_names)
        with torch.inference_mode():
            for start in range(0, len(X), self.batch_size):
                batch = torch.from_numpy(self._scaled(X[start : start + self.batch_size]))
                answer = module(batch.to(self.net_.device), **options)
                if self.frozen:
                    tokens = answer["features"]
                    answer = tokens.reshape(len(batch), -1, tokens.shape[-1]).mean(dim=1)
                found.append(answer.cpu().numpy())
        return np.concatenate(found)

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        """Offsets of the epochs removed, in units of `scale_`."""
        return (X - X.mean(axis=-1, keepdims=True)) / np.float32(self.scale_)


def _braindecode() -> Any:
    """The package, whose import has MNE tell of the old name of a montage."""
    import mne

    with mne.use_log_level("error"):
        import braindecode.models
    return braindecode


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
        Layout of arrays; mne.Epochs know their own.
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

    pipelines = {}
    for model, (rate, params) in RIVALS.items():
        signals = SignalArray(ch_names=ch_names, sfreq=sfreq, unit=unit, resample=rate)
        net = BraindecodeClassifier(
            model, model_params=dict(params), sfreq=rate, max_epochs=max_epochs,
            batch_size=batch_size, device=device, random_state=random_state,
        )  # fmt: skip
        name = f"{model} (untrained)" if model == "EEGPT" else model
        pipelines[name] = Pipeline([("signals", signals), ("net", net)])
    return pipelines
