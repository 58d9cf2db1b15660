"""Networks of braindecode as rivals that take the same input."""

import json
import re
from dataclasses import KW_ONLY, dataclass
from inspect import signature
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import mne
import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..signals.electrodes import template_montage
from ..signals.errors import tell
from ..training.device import draw_seeds, resolve_device, run_in_batches, torch_seed
from ..transformers.classical import SignalArray
from ..weights.files import CONFIG_NAME, WEIGHTS_NAME, download, read_tensors

LAST = "final_layer"  # of all models of braindecode
# Rate in Hz that each network was published for, and microvolts per unit where that is known.
RATES: dict[str, tuple[float, float | None]] = {
    "eegnet": (128.0, None), "shallowfbcspnet": (250.0, None), "atcnet": (250.0, None),
    "eegpt": (256.0, 1000.0), "labram": (200.0, 100.0), "cbramod": (200.0, 100.0),
    "biot": (200.0, None), "signaljepa": (128.0, None), "reve": (200.0, None),
    "luna": (256.0, None),
}  # fmt: skip
_POSITIVE = Interval(Real, 0, None, closed="neither")
_WHOLE = Interval(Integral, 1, None, closed="left")


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class BraindecodeClassifier(ClassifierMixin, BaseEstimator):
    """A network of braindecode: trained from scratch, fine-tuned, or frozen before a classifier.

    It reads arrays; `rival` puts `SignalArray` before it, which takes every other input.

    Parameters
    ----------
    model : str, default="EEGNet"
        Name of a class in ``braindecode.models``.
    weights : str or None, default=None
        Hugging Face repository, or folder of the model's ``save_pretrained``; None draws random
        weights. The network is built for the layout of `X`, and takes all weights that fit.
    frozen : bool, default=False
        Do not train the network: its features, standardised, go into a logistic regression. They
        are its tokens (``return_features``), or else the input of its ``final_layer``.
    pooling : {"mean", "flatten"}, default="mean"
        How tokens of a frozen network are pooled, as in `DAREEmbedder`.
    C : float, default=1.0
        Inverse regularisation of the classifier behind a frozen network.
    model_params : dict or None, default=None
        Further arguments of the model's class; they override those saved with `weights`.
    ch_names, sfreq : sequence of str or None, float or None, default=None, None
        Names of the channels and sampling rate in Hz, for models that ask for them.
    scale : float or None, default=None
        Signals are divided by this (1000 turns µV into mV); None takes their standard deviation in
        the training epochs.
    max_epochs, batch_size : int, default=100, 32
    lr, weight_decay : float, default=1e-3, 1e-2
        Of AdamW, with a constant rate.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seeds weights, dropout and the order of the epochs.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    scale_ : float
        Divisor of the signals.
    net_ : braindecode.EEGClassifier
        With the network in ``net_.module_``.
    head_ : Pipeline
        The classifier behind a frozen network.
    n_chans_in_, n_times_in_, n_features_in_

    Raises
    ------
    ValueError
        If there is no such model, it has no features, epochs are too short, or `weights` lack a
        part of a frozen network.

    Examples
    --------
    >>> import numpy as np
    >>> from dare_sklearn.evaluation import BraindecodeClassifier
    >>> X = np.random.default_rng(0).normal(size=(8, 3, 128))
    >>> net = BraindecodeClassifier("EEGNet", max_epochs=1, random_state=0)
    >>> net.fit(X, ["feet", "hands"] * 4).predict_proba(X).shape
    (8, 2)
    """

    model: str = "EEGNet"
    _: KW_ONLY
    weights: str | None = None
    frozen: bool = False
    pooling: str = "mean"
    C: float = 1.0
    model_params: dict[str, Any] | None = None
    ch_names: Any = None
    sfreq: float | None = None
    scale: float | None = None
    max_epochs: int = 100
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-2
    device: str = "auto"
    random_state: Any = None

    _parameter_constraints: ClassVar[dict] = {
        "model": [str], "weights": [str, None], "frozen": ["boolean"], "model_params": [dict, None],
        "pooling": [StrOptions({"mean", "flatten"})], "C": [_POSITIVE],
        "ch_names": ["array-like", None], "sfreq": [_POSITIVE, None], "scale": [_POSITIVE, None],
        "max_epochs": [_WHOLE], "batch_size": [_WHOLE], "lr": [_POSITIVE], "device": [str],
        "weight_decay": [Interval(Real, 0, None, closed="left")], "random_state": ["random_state"],
    }  # fmt: skip

    def fit(self, X: Any, y: Any) -> Self:
        """Train on `X` ``(n_epochs, n_chans, n_times)`` and labels `y` ``(n_epochs,)``."""
        self._validate_params()
        X, y = validate_data(self, X, y, allow_nd=True, dtype=np.float32)
        check_classification_targets(y)
        if X.ndim != 3:
            raise ValueError(f"X must be 3-D, got shape {X.shape}: put SignalArray in front.")
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("BraindecodeClassifier needs two or more classes in y, got one class.")
        self.n_chans_in_, self.n_times_in_ = X.shape[1:]
        self.scale_ = float(self.scale or 1.0)
        if self.scale is None:
            self.scale_ = float(self._scaled(X).std()) or 1.0
        with torch_seed(draw_seeds(self.random_state, 1)[0]):
            self.net_ = self._net(self._build(), drop_last=len(X) % self.batch_size == 1)
            if self.frozen:
                self.net_.initialize()
                classifier = LogisticRegression(C=self.C, max_iter=5_000)
                self.head_ = make_pipeline(StandardScaler(), classifier)
                self.head_.fit(self._forward(X), y)
            else:
                self.net_.fit(self._scaled(X), targets.astype(np.int64))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``(n_epochs, n_classes)``."""
        check_is_fitted(self)
        X = validate_data(self, X, allow_nd=True, dtype=np.float32, reset=False)
        if X.shape[1:] != (self.n_chans_in_, self.n_times_in_):
            known = self.n_chans_in_, self.n_times_in_
            raise ValueError(f"X holds epochs of {X.shape[1:]}, but the fit was on {known}.")
        found = self._forward(X)
        return self.head_.predict_proba(found) if self.frozen else softmax(found, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The class of the highest probability, ``(n_epochs,)``."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.non_deterministic = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Arrays in place of the network: torch cannot pickle parametrized layers."""
        state = super().__getstate__()
        if "net_" in state:
            module = state["net_"].module_
            weights = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
            state = {**state, "net_": (module.get_config(), weights)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" in state:
            config, weights = state["net_"]
            with torch.random.fork_rng(devices=[]):  # construction draws initial weights
                module = _from_config(getattr(_braindecode().models, self.model), config)
            module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
            self.net_ = self._net(module).initialize()

    def _net(self, module: Any, drop_last: bool = False) -> Any:
        # by default braindecode drops the last batch, which may be the only one; we drop only a
        # batch of a single epoch, which has no variance for batch norm
        return _braindecode().EEGClassifier(
            module, optimizer=torch.optim.AdamW, lr=self.lr, max_epochs=self.max_epochs,
            optimizer__weight_decay=self.weight_decay, batch_size=self.batch_size,
            iterator_train__drop_last=drop_last, train_split=None, verbose=0,
            device=str(resolve_device(self.device)),
        )  # fmt: skip

    def _build(self) -> Any:
        network = getattr(_braindecode().models, self.model, None)
        if not isinstance(network, type):
            raise ValueError(f"braindecode.models has no class {self.model!r}.")
        shape = {"n_chans": self.n_chans_in_, "n_times": self.n_times_in_, "sfreq": self.sfreq}
        known = {**shape, "n_outputs": len(self.classes_), **(self.model_params or {})}
        if self.model == "EEGNet" and self.weights is None:  # braindecode deprecates its other head
            known.setdefault("final_layer_with_constraint", True)
        if self.ch_names is not None:
            info = mne.create_info(list(self.ch_names), 1.0, "eeg")
            info.set_montage(template_montage(), match_case=False, on_missing="ignore")
            known["chs_info"] = info["chs"]
        try:
            module = network(**known) if self.weights is None else self._pretrained(network, known)
        except ValueError as error:
            if "sfreq could not be inferred" not in str(error):
                raise
            raise ValueError(
                f"{self.model} is built for one sampling rate: pass sfreq= (of rival: rate=)."
            ) from error
        if self.frozen and not (_takes(network, "return_features") or hasattr(module, LAST)):
            raise ValueError(f"{self.model} of braindecode has no features: use frozen=False.")
        return module

    def _pretrained(self, network: type, known: dict[str, Any]) -> Any:
        """The network for the layout of X with the saved weights that fit it."""
        folder = Path(self.weights) if Path(self.weights).is_dir() else download(self.weights)
        path = folder / CONFIG_NAME
        config = json.loads(path.read_text()) if path.exists() else {}
        layout = {"chs_info": None, "input_window_seconds": None}  # not those that were saved
        try:
            module = _from_config(network, {**config, **layout, **known})
        except TypeError as error:
            raise ValueError(f"weights={self.weights!r} are of another model: {error}.") from error
        saved, own = read_tensors(folder / WEIGHTS_NAME), module.state_dict()
        saved = {(module.mapping or {}).get(name, name): value for name, value in saved.items()}
        fits = {k: v for k, v in saved.items() if k in own and v.shape == own[k].shape}
        parts = [name for name, _ in module.named_parameters() if LAST not in name]
        lacking = [name for name in parts if name not in fits]
        if lacking and (self.frozen or len(lacking) == len(parts)):
            raise ValueError(
                f"weights={self.weights!r} hold nothing that fits {', '.join(lacking[:5])} of "
                f"{self.model} for {self.n_chans_in_} channels and {self.n_times_in_} samples: "
                "take epochs like those of its pretraining (length, rate, channels), a class of "
                "braindecode that interpolates channels, or model_params."
            )
        if lacking:
            names = ", ".join(lacking)
            tell(f"parts of {self.model} are not in its weights, and start at random: {names}.")
        module.load_state_dict(fits, strict=False)
        return module

    def _forward(self, X: np.ndarray) -> np.ndarray:
        """Features of a frozen network, outputs of a trained one."""
        module = self.net_.module_.eval()
        run = self._features if self.frozen else module

        def forward(start: int, stop: int) -> np.ndarray:
            batch = torch.from_numpy(self._scaled(X[start:stop])).to(self.net_.device)
            return run(batch).cpu().numpy()

        with torch.inference_mode():  # skorch's own loop draws from torch's global generator
            return np.concatenate(run_in_batches(forward, len(X), self.batch_size))

    def _features(self, batch: Any) -> Any:
        """Pooled tokens ``(n_epochs, n_features)``, or the input of the network's last layer."""
        module, read = self.net_.module_, []
        if not _takes(type(module), "return_features"):
            last = getattr(module, LAST)
            with last.register_forward_pre_hook(lambda _, x: read.append(x[0])):
                module(batch)
            return read[0].flatten(1)
        names = {}
        if self.ch_names is not None and "ch_names" in signature(module.forward).parameters:
            names["ch_names"] = list(self.ch_names)
        tokens = module(batch, return_features=True, **names)["features"]
        tokens = tokens.reshape(len(batch), -1, tokens.shape[-1])
        return tokens.mean(dim=1) if self.pooling == "mean" else tokens.flatten(1)

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        """Epochs without their offsets, in units of `scale_`."""
        return (X - X.mean(axis=-1, keepdims=True)) / np.float32(self.scale_)


def _braindecode() -> Any:
    """The package, without the warning about a montage's old name that its import causes."""
    with mne.use_log_level("error"):
        import braindecode.models
    return braindecode


def _from_config(network: type, config: dict[str, Any]) -> Any:
    """An untrained network; a file can name classes of torch and braindecode only."""
    from braindecode.models.util import resolve_type_kwargs

    for name, value in config.items():
        path = isinstance(value, str) and re.fullmatch(r"\w+(\.[^\W\d]\w*)+", value)
        if path and not value.startswith(("torch.nn.", "braindecode.")):
            raise ValueError(f"{name}={value!r} of a configuration is not a class of torch.nn.")
    for base in network.__mro__[:2]:  # interpolating classes hide the arguments of their base
        resolve_type_kwargs(base, config)
    return network.from_config(config)


def _takes(network: type, name: str) -> bool:
    """Whether ``forward`` of the class, or of the one it interpolates for, has this argument."""
    own = [vars(base)["forward"] for base in network.__mro__ if "forward" in vars(base)]
    return any(name in signature(forward).parameters for forward in own)


def rival(
    model: str,
    *,
    rate: float | None = None,
    scale: float | None = None,
    ch_names: Any = None,
    sfreq: float | None = None,
    unit: str = "auto",
    **params: Any,
) -> Pipeline:
    """Make an unfitted pipeline around a braindecode network, for any input of this library.

    Parameters
    ----------
    model : str
        Name of a class in ``braindecode.models``.
    rate, scale : float or None, default=None
        Sampling rate (Hz) to which signals are brought, and microvolts per unit. None takes what
        the network was published for (`RATES`), or if it is not listed, the rate of the signals and
        their standard deviation. Some that are not listed need `rate`, for their filters.
    ch_names, sfreq, unit
        Layout of arrays; `ch_names` also of mne.Epochs, for networks that ask for electrodes.
    **params
        Parameters of `BraindecodeClassifier`: ``weights``, ``frozen``, ``max_epochs``, ...

    Examples
    --------
    A small EEGPT with random weights (for a pretrained one, pass ``weights``):

    >>> from dare_sklearn import simulate_epochs
    >>> from dare_sklearn.evaluation import compare, rival
    >>> epochs = simulate_epochs("motor", n_subjects=2, n_epochs=8, random_state=0)
    >>> small = {"embed_dim": 32, "depth": 1, "num_heads": 2}
    >>> eegpt = rival("EEGPT", ch_names=epochs.ch_names, frozen=True, model_params=small)
    >>> compare({"EEGPT": eegpt}, epochs, epochs.metadata["label"], cv=2)["accuracy"].count()
    np.int64(2)
    """
    published = RATES.get(model.removeprefix("Interpolated").lower(), (None, None))
    rate, scale = rate or published[0], scale or published[1]
    signals = SignalArray(ch_names=ch_names, sfreq=sfreq, unit=unit, resample=rate)
    net = BraindecodeClassifier(
        model, ch_names=ch_names, sfreq=rate or sfreq, scale=scale, **params
    )
    return Pipeline([("signals", signals), ("net", net)])
