"""What the classifier and the regressor share: reading, training and running a probe."""

import copy
import os
from dataclasses import KW_ONLY, dataclass
from inspect import signature
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..base.embed import POOLINGS, SHARED_CONSTRAINTS, features_of
from ..base.encoder import ENCODER_CONSTRAINTS, resolve_encoder
from ..base.features import fit_features
from ..base.input import (
    SignalInputMixin,
    read_groups,
    read_targets,
    read_weights,
    whole_or_not_at_all,
)
from ..base.state import PlainStateMixin
from ..modules.probe import ConvLinearProbe, VirtualProbe
from ..signals.electrodes import electrode_rows, spline_start, target_electrodes
from ..signals.errors import tell
from ..signals.grid import Windows
from ..signals.objects import event_codes
from ..training.device import (
    autocast,
    compute_threads,
    draw_seeds,
    n_threads_of,
    resolve_device,
    run_in_batches,
    torch_seed,
)
from ..training.net import history_frame, hold_out_groups, train_probe
from .persistence import FilesMixin
from .starts import MOST_EPOCHS, VIRTUAL_INITS, start_probe

ADAPTATIONS = ("conv-linear", "linear", "finetune")
PAPER_INITS = ("spline", "random")  # starts of the paper's probe
SPATIAL_INITS = (*PAPER_INITS, *VIRTUAL_INITS)
SMALL_WEIGHT = 0.1  # mean of weights, such as of those that sum to 1
# The groups of parameters in the docstring of `DAREClassifier`; every mode reads all the others.
LINEAR = ("unknown_channels", "views", "pooling", "C", "alpha", "cache", "cache_mb")
_FROM_ONE, _SHARE = Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="left")
ONE = ("views", "C", "alpha")  # of a single pooling
CONVOLUTIONS = ("target_channels", "spatial_init", "spatial_layers", "temporal_kernel")
STEPS = (
    "max_epochs", "lr", "weight_decay", "layer_decay", "adapter_dropout", "dropout",
    "label_smoothing", "validation_fraction", "patience", "callbacks",
)  # fmt: skip


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class ProbeEstimator(SignalInputMixin, FilesMixin, PlainStateMixin, BaseEstimator):
    """Base of `DAREClassifier` and `DARERegressor`; not for users.

    A subclass has ``_encode_targets`` (what the networks read, and the weight of each epoch in the
    decision; stores what ``predict`` needs), and for "linear" ``_linear_model`` (one pooling) and
    ``_kernel_model`` ("auto").
    """

    encoder: Any = "nano"
    _: KW_ONLY
    adaptation: str = "conv-linear"
    ch_names: Any = None
    sfreq: float | None = None
    unit: str = "auto"
    unknown_channels: str = "interpolate"
    target_channels: Any = None
    spatial_init: str = "auto"
    spatial_layers: int = 1
    temporal_kernel: int | None = None
    views: str = "joint"
    pooling: str = "auto"
    cache: str | os.PathLike | None = None
    cache_mb: int = 1000
    max_epochs: int = 100
    batch_size: int = 64
    lr: float | None = None
    weight_decay: float | None = None
    layer_decay: float = 0.75
    adapter_dropout: float = 0.0
    dropout: float = 0.5
    validation_fraction: float = 0.0
    patience: int = 20
    device: str = "auto"
    precision: str = "auto"
    callbacks: list | None = None
    random_state: Any = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        **SHARED_CONSTRAINTS,
        "encoder": ENCODER_CONSTRAINTS, "adaptation": [StrOptions(set(ADAPTATIONS))],
        "target_channels": ["array-like", None], "spatial_init": [StrOptions(set(SPATIAL_INITS))],
        "spatial_layers": [Interval(Integral, 1, 4, closed="both")],
        "temporal_kernel": [_FROM_ONE, None],
        "pooling": [StrOptions({"auto", *POOLINGS} - {"tokens"})],
        "cache": [str, os.PathLike, None], "cache_mb": [_FROM_ONE], "max_epochs": [_FROM_ONE],
        "lr": [Interval(Real, 0, 1e100, closed="right"), None],
        "weight_decay": [Interval(Real, 0, 1e100, closed="both"), None],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "adapter_dropout": [_SHARE], "dropout": [_SHARE], "validation_fraction": [_SHARE],
        "patience": [_FROM_ONE], "callbacks": [list, None],
    }  # fmt: skip

    # groups that a meta-estimator is given reach `fit` without being asked for
    __metadata_request__fit = {"groups": True}

    @property
    def _takes_fewer_chans(self) -> bool:
        return self.adaptation == "linear" or isinstance(vars(self).get("module_"), VirtualProbe)

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None):
        """Fit on labelled epochs.

        Parameters
        ----------
        X : array, mne.Epochs or braindecode data set
            Signals, in any of the library's input types.
        y : array-like, shape (n_epochs,), or None
            Targets; None takes those of the data set (the event codes of ``mne.Epochs``).
        sample_weight : array-like, shape (n_epochs,), or None
            Weight of each epoch in the loss: one of weight 2 counts as two. A mean of 1 leaves
            penalties as they are; weights that sum to 1 are too small, with a warning.
        groups : array-like, shape (n_epochs,), or None
            Subject, session or recording of each epoch. With ``validation_fraction > 0`` whole
            groups are held out. Through cross-validation they come by scikit-learn's metadata
            routing (``sklearn.set_config(enable_metadata_routing=True)``).

        Notes
        -----
        `KeyboardInterrupt` during the training leaves a usable object, with a warning; before it,
        and for "linear", it leaves the object as it was.
        """
        self._validate_params()
        linear = self.adaptation == "linear"
        more_layers = self.spatial_layers > 1 or self.temporal_kernel
        if more_layers and not linear and self.spatial_init in ("csp", "xdawn"):
            raise ValueError(
                f"spatial_init={self.spatial_init!r} is a probe of its own, with one spatial "
                "layer: leave spatial_layers=1 and temporal_kernel=None, or take "
                "spatial_init='auto'."
            )
        signals = self._read(X, reset=True)
        self._event_codes = event_codes(X, {}) if y is None else {}
        n_epochs = len(signals.data)
        y = read_targets(signals.y if y is None else y, n_epochs)
        weight = read_weights(sample_weight, signals.data)
        groups = None if groups is None else read_groups(groups, n_epochs)
        targets, decision = self._encode_targets(y, weight)
        self.encoder_ = resolve_encoder(self, X)
        unknown = self.unknown_channels if linear else None
        windows = Windows(signals, self.encoder_.config, unknown=unknown)
        ridge = linear or self._spatial_kind(n_epochs) in VIRTUAL_INITS
        if ridge and (typical := weight[weight > 0].mean()) < SMALL_WEIGHT:
            tell(
                f"sample_weight has a mean of {typical:.2g}: these {n_epochs} epochs count as "
                f"{weight.sum():.2g}, and the penalties outweigh them. Scale the weights to a mean "
                "of 1, unless that is meant."
            )
        self._fitted_with = self._fixed_params()
        for name in ("net_", "module_", "linear_", "space_", "electrodes_"):
            vars(self).pop(name, None)
        columns = {"train_loss": "loss"}
        if linear:
            self._fit_linear(windows, targets, weight, decision, groups)
            self.history_ = history_frame([], columns)
            return self
        history = self._fit_probe(windows, targets, decision, groups)
        if self.validation_fraction:
            columns["valid_loss"] = "valid_loss"
        self.history_ = history_frame(history, columns)
        self.n_iter_ = len(self.history_)
        if hasattr(self, "net_") and (len(history) > self.n_iter_ or not self.n_iter_):
            tell(
                f"the fit was interrupted in epoch {self.n_iter_ + 1} of {self.max_epochs}: it "
                "keeps what it has learned until then."
            )
        return self

    def _fit_linear(
        self, windows: Windows, targets: np.ndarray, weight: np.ndarray, decision: np.ndarray,
        groups: np.ndarray | None,
    ) -> None:  # fmt: skip
        tell_unread(self, steps=False, virtual=False)
        self.electrodes_ = windows.electrodes
        features = fit_features(self, windows, weight)
        with compute_threads(n_threads_of(self.encoder_.config)):
            if self.pooling == "auto":
                model = self.linear_ = self._kernel_model(targets, weight)
                model.fit(features, targets, sample_weight=weight, groups=groups)
            else:
                features = features.astype(np.float64)
                # class weights shape the decision, not the scale of the features
                scaler = StandardScaler().fit(features, sample_weight=weight / weight.max())
                model = self._linear_model()
                model.fit(scaler.transform(features), targets, sample_weight=decision)
                self.linear_ = make_pipeline(scaler, model)
        self.n_iter_ = int(np.max(getattr(model, "n_iter_", None) or 1))

    def _fit_probe(
        self, windows: Windows, targets: np.ndarray, weight: np.ndarray,
        groups: np.ndarray | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Fit ``module_``; gives skorch's history of the gradient steps, if there were any."""
        device = resolve_device(self.device)
        init_seed, order_seed, split_seed = draw_seeds(self.random_state, 3)
        # an epoch without weight is none, in no batch and no fold
        train, valid = (part[weight[part] > 0] for part in self._split(targets, groups, split_seed))
        if not len(train) or (self.validation_fraction and not len(valid)):
            raise ValueError(
                "sample_weight is zero for all epochs that validation_fraction holds out, or for "
                "all others: pass other weights, or validation_fraction=0."
            )
        kind = self._spatial_kind(len(train))
        virtual = kind in VIRTUAL_INITS
        steps = bool(len(valid)) or not virtual or self.adaptation == "finetune"
        tell_unread(self, steps=steps, virtual=virtual)
        _, n_chans, n_times = windows.shape
        spec = {**self._probe_spec(), "n_patches": n_times // self.encoder_.config.patch_size}
        signals, x, spline = windows.signals, windows.keep(), None
        if self.spatial_init != "random" and self.spatial_layers == 1 and signals.ch_names:
            names = target_electrodes(self.target_channels)
            spline = spline_start(signals.ch_names, signals.positions, names, learns=not virtual)
        with torch_seed(init_seed), compute_threads(n_threads_of(self.encoder_.config)):
            encoder = copy.deepcopy(self.encoder_)  # the probe may train it, and others share it
            if virtual:
                spline = np.eye(n_chans, dtype=np.float32) if spline is None else spline
                groups = None if groups is None else groups[train]
                data = x[train], targets[train], weight[train]
                module = start_probe(encoder, spec, kind, *data, spline, groups, init_seed)
            else:
                start = None if spline is None else torch.from_numpy(spline)
                module = ConvLinearProbe(encoder, n_chans=n_chans, spatial_start=start, **spec)
            if not steps:  # the start is the closed-form optimum
                self.module_ = module
                return []
            data = x, targets, weight
            net = train_probe(self, module, data, train, valid, order_seed, device, virtual)
        self.net_, self.module_ = net, net.module_.eval()
        if self.adaptation == "finetune":
            self.encoder_ = self.module_.encoder
        return net.history

    def _split(
        self, targets: np.ndarray, groups: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation epochs; whole groups where they are known."""
        everything, share = np.arange(len(targets)), self.validation_fraction
        if not share:
            return everything, everything[:0]
        if groups is None:
            tell(
                f"validation_fraction={share:g} holds out epochs at random, so that training and "
                "validation share subjects: pass groups to fit (in cross-validation, "
                "sklearn.set_config(enable_metadata_routing=True) and params={'groups': groups} "
                "bring them there)."
            )
        strata = None if targets.dtype.kind == "f" else targets
        try:
            if groups is not None:
                return hold_out_groups(groups, strata, share, seed)
            return train_test_split(everything, test_size=share, random_state=seed, stratify=strata)
        except ValueError as error:
            raise ValueError(
                f"validation_fraction={share:g} cannot split {len(targets)} epochs: {error}"
            ) from None

    def _spatial_kind(self, n_epochs: int) -> str:
        """`spatial_init`, where "auto" is "spline" for what virtual electrodes cannot do."""
        too_much = self.spatial_layers > 1 or self.temporal_kernel or n_epochs > MOST_EPOCHS
        return "spline" if self.spatial_init == "auto" and too_much else self.spatial_init

    def _probe_spec(self) -> dict[str, Any]:
        """What the parameters and the targets say of the probe, for `ConvLinearProbe`."""
        names = ("spatial_layers", "temporal_kernel", "adapter_dropout", "dropout")
        spec: dict[str, Any] = {name: getattr(self, name) for name in names}
        spec["n_outputs"] = len(self.classes_) if isinstance(self, ClassifierMixin) else 1
        spec["train_encoder"] = self.adaptation == "finetune"
        spec["targets"] = electrode_rows(target_electrodes(self.target_channels)).tolist()
        return spec

    # predict -----------------------------------------------------------------------------------

    def _check_unchanged(self) -> None:
        check_is_fitted(self, "encoder_")
        if self._fitted_with != self._fixed_params():
            raise ValueError(
                f"adaptation, views, pooling or unknown_channels of {type(self).__name__} was "
                f"changed after its fit (fitted with {self._fitted_with}): fit it again."
            )

    def _fixed_params(self) -> tuple[str, ...]:
        """Parameters that a fitted estimator cannot change."""
        return self.adaptation, self.views, self.pooling, self.unknown_channels

    def _own_targets(self, X: Any) -> np.ndarray:
        with self._asking():
            event_codes(X, vars(self).get("_event_codes", {}))  # those of the fit
            y = self._read(X, reset=False).y
        if y is None:
            raise ValueError("score needs y: X carries no targets of its own.")
        return y

    def _scores(self, X: Any) -> np.ndarray:
        """Outputs of the probe's network, ``(n_epochs, n_outputs)``."""
        device = resolve_device(self.device)
        context = autocast(device, self.precision)
        with self._asking(), compute_threads(n_threads_of(self.encoder_.config)):
            windows = self._load(X)
            module = self._network(windows)
            module = module if device.type == "cpu" else copy.deepcopy(module).to(device)

            def score(start: int, stop: int) -> torch.Tensor:
                with torch.inference_mode(), context:
                    return module(torch.from_numpy(windows[start:stop]).to(device)).float().cpu()

            scores = torch.cat(run_in_batches(score, len(windows), self.batch_size))
        if not torch.isfinite(scores).all():
            raise FloatingPointError(
                "The probe gives NaN or infinite scores: its training diverged (lower lr), or X "
                "holds values of extreme size."
            )
        return scores.double().numpy()

    def _network(self, windows: Windows) -> ConvLinearProbe | VirtualProbe:
        """The fitted network, for those of the fitted channels that windows have."""
        if windows.shape[1] == self.n_chans_in_:
            return self.module_
        module = copy.deepcopy(self.module_)
        module.refit_to([self.ch_names_in_.index(name) for name in windows.signals.ch_names])
        return module

    def _answer(self, X: Any, method: str) -> np.ndarray:
        """What a method of ``linear_`` says of epochs, or the outputs of the probe's network."""
        self._check_unchanged()
        if self.adaptation != "linear":
            return self._scores(X)
        model = getattr(self.linear_, method)
        with self._asking():  # they are embedded batch by batch
            windows = self._load(X)
            if self.pooling == "auto":
                return features_of(self, windows, model)
            return features_of(self, windows, lambda rows: model(rows.astype(np.float64)))


def tell_unread(estimator: Any, *, steps: bool, virtual: bool) -> None:
    """Warn of changed parameters that a fit with these gradient steps and electrodes ignores."""
    mode = f"adaptation={estimator.adaptation!r}"
    if virtual:
        mode += f" and spatial_init={estimator.spatial_init!r}"
    linear, finetune = (estimator.adaptation == name for name in ("linear", "finetune"))
    unread = (
        (linear, "adaptation='conv-linear' or 'finetune'", CONVOLUTIONS),
        (linear and estimator.pooling == "auto", "one pooling, such as pooling='flatten'", ONE),
        (not linear, "adaptation='linear'", LINEAR),
        (not steps, "gradient steps, as of adaptation='finetune' or spatial_init='spline'", STEPS),
        (steps and virtual, "spatial_init='spline' or 'random'", ("adapter_dropout", "dropout")),
        (steps and not finetune, "adaptation='finetune'", ("layer_decay",)),
        (steps and not estimator.validation_fraction, "validation_fraction > 0", ("patience",)),
    )
    known, clauses = signature(type(estimator)).parameters, []
    for ignored, readers, names in unread:
        own = {name: getattr(estimator, name) for name in names if ignored and name in known}
        changed = [
            f"{name}={shortened(value)}"
            for name, value in own.items()
            if not np.array_equal(value, known[name].default)
        ]
        if changed:
            clauses.append(f"{', '.join(changed)} (read only with {readers})")
    if clauses:
        tell(
            f"parameters that have no effect with {mode}: {', '.join(clauses)}. Leave them out, or "
            "choose a mode that reads them."
        )
