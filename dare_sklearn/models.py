"""The conv-linear probe on a DARE-EEG encoder, as a braindecode model."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from braindecode.models.base import EEGModuleMixin
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from torch import Tensor, nn

from .modules.config import DAREConfig, get_config
from .modules.networks import Encoder, init_weights
from .modules.probe import ConvLinearProbe, LinearHead, project_max_norm
from .signals.electrodes import (
    canonical_names,
    electrode_rows,
    info_positions,
    plan_channels,
    spline_start,
    target_electrodes,
)
from .signals.errors import SignalError, about, tell
from .signals.grid import resample, whole_patches
from .signals.validation import decide_unit
from .weights.load import load_encoder

__all__ = ["DAREModel"]

# braindecode makes a class of configurations from these
Adaptation = Literal["conv-linear", "finetune", "linear"]
Views = Literal["joint", "electrodes"]
SpatialInit = Literal["spline", "random"]
Unit = Literal["uV", "V"]
_FROM_ONE = Interval(Integral, 1, None, closed="left")
_CONSTRAINTS = {
    "adaptation": [StrOptions(set(get_args(Adaptation)))],
    "views": [StrOptions(set(get_args(Views)))],
    "spatial_init": [StrOptions(set(get_args(SpatialInit)))],
    "unit": [StrOptions(set(get_args(Unit)))],
    "spatial_layers": [_FROM_ONE],
    "temporal_kernel": [_FROM_ONE, None],
}


class DAREModel(EEGModuleMixin, nn.Module):
    """DARE-EEG encoder with adapters and a linear head, for braindecode's trainers.

    A learned spatial convolution maps the input ``(batch, n_chans, n_times)`` onto the encoder's
    electrodes, and a fixed polyphase filter onto its sampling rate. A head of two linear maps reads
    the encoder's tokens [1]_. `DAREClassifier` trains the same network with the paper's schedule.

    Parameters
    ----------
    n_outputs, n_chans, chs_info, n_times, input_window_seconds, sfreq : optional
        As of all models of braindecode: classes or targets; channels, or ``info["chs"]`` of an
        ``mne.Info``, with their names and positions; samples or seconds of a window; sampling rate
        in Hz, which trainers read off ``mne.Epochs``, but not off arrays and data sets.
    encoder : str, Path or None, default=None
        Name or path of a pretrained encoder, as in `dare_sklearn.load_encoder`; None is an
        untrained one.
    size : str or dict, default="nano"
        Size of an untrained encoder: "nano", "light", "small", "base", "deep", or its whole
        configuration. Not used with `encoder`.
    adaptation : {"conv-linear", "finetune", "linear"}, default="conv-linear"
        "conv-linear" keeps the encoder frozen and in evaluation mode behind trained adapters,
        "finetune" trains it too. "linear" trains only a head: the encoder reads the channels of
        `chs_info` (those outside its table are interpolated). Its weights fit every montage, rate
        and length.
    views : {"joint", "electrodes"}, default="joint"
        Tokens of all electrodes together, or with "linear" those of every electrode alone.
    target_channels : list of str or None, default=None
        Electrodes that the spatial convolution leads to; None is the 19 of the 10-20 system.
    spatial_layers, spatial_init : int and {"spline", "random"}, default=1 and "spline"
        Number of spatial convolutions, and the start of a single one: interpolation onto the
        targets where `chs_info` tells names or positions; elsewhere "random".
    temporal_kernel : int or None, default=None
        Length, odd, of a depthwise temporal convolution at the encoder's rate; None leaves it out.
    adapter_dropout, drop_prob : float, default=0.0 and 0.5
        Dropout between the adapters and the encoder, and in the head.
    unit : {"uV", "V"}, default="uV"
        Unit of the input. braindecode's trainers turn ``mne.Epochs`` into microvolts, but windows
        of its data sets stay in volts (``module__unit="V"``), unless a preprocessor scaled them.

    Raises
    ------
    ValueError
        If a parameter is missing or wrong, or the window is shorter than one patch of the encoder
        (250 ms).

    Notes
    -----
    The resampling filter is a matrix of ``n_times`` by the samples at 256 Hz (4 MB for 4 s at 250
    Hz, 92 MB for 30 s at 100 Hz), which is not saved.

    References
    ----------
    .. [1] Shao, Gong, Dai, Zhang (2026). DARE-EEG. arXiv:2605.18298.

    Examples
    --------
    >>> import torch
    >>> from dare_sklearn.models import DAREModel
    >>> model = DAREModel(n_outputs=2, n_chans=22, n_times=1000, sfreq=250.0)
    >>> model(10 * torch.randn(8, 22, 1000)).shape
    torch.Size([8, 2])
    """

    # braindecode would append its own, which import the model from braindecode
    _HUB_NOTES_TEMPLATE = ""

    resampling: Tensor | None

    def __init__(
        self,
        n_outputs: int | None = None,
        n_chans: int | None = None,
        chs_info: list[dict[str, Any]] | None = None,
        n_times: int | None = None,
        input_window_seconds: float | None = None,
        sfreq: float | None = None,
        *,
        encoder: str | Path | None = None,
        size: str | dict[str, Any] = "nano",
        adaptation: Adaptation = "conv-linear",
        views: Views = "joint",
        target_channels: list[str] | None = None,
        spatial_init: SpatialInit = "spline",
        spatial_layers: int = 1,
        temporal_kernel: int | None = None,
        adapter_dropout: float = 0.0,
        drop_prob: float = 0.5,
        unit: Unit = "uV",
    ) -> None:
        super().__init__(
            n_outputs=n_outputs, n_chans=n_chans, chs_info=chs_info, n_times=n_times,
            input_window_seconds=input_window_seconds, sfreq=sfreq,
        )  # fmt: skip
        del n_outputs, n_chans, chs_info, n_times, input_window_seconds, sfreq
        own = locals()
        params = {name: own[name] for name in _CONSTRAINTS}
        validate_parameter_constraints(_CONSTRAINTS, params, "DAREModel")
        if views == "electrodes" and adaptation != "linear":
            raise ValueError("views='electrodes' of DAREModel needs adaptation='linear'.")
        self.drop_prob = drop_prob
        self.unit = unit
        self._scale_checked = False

        if encoder is None:
            config = DAREConfig.from_dict(size) if isinstance(size, dict) else get_config(size)
            network = Encoder(config)
            init_weights(network)
        else:
            network = load_encoder(encoder)
            config = network.config
            # what is saved of this model, on another machine, has its weights in the state dict
            for saved in (self._braindecode_init_kwargs, getattr(self, "_hub_mixin_config", None)):
                if saved is not None:
                    saved.update(encoder=None, size=config.to_dict())

        self.n_samples = whole_patches(self.n_times, self.sfreq, config)
        self.register_buffer(
            "resampling",
            _resampling_matrix(self.n_times, self.sfreq, config.sfreq, self.n_samples),
            persistent=False,
        )
        self._n_tokens = self.n_samples // config.patch_size
        if adaptation == "linear":
            self.backbone = _FrozenReading(network, self._chs_info, views)
            self._n_tokens *= len(self.backbone.rows) if views == "electrodes" else 1
        else:
            targets = target_electrodes(target_channels)
            start = None
            if spatial_init == "spline" and spatial_layers == 1 and self._chs_info is not None:
                names = canonical_names([its["ch_name"] for its in self._chs_info], "chs_info")
                with about("DAREModel"):
                    start = spline_start(names, info_positions(self._chs_info), targets)
                start = None if start is None else torch.from_numpy(start)
            self.backbone = ConvLinearProbe(
                network, n_chans=self.n_chans, targets=electrode_rows(targets).tolist(),
                n_patches=self._n_tokens, n_outputs=self.n_outputs, spatial_layers=spatial_layers,
                spatial_start=start, temporal_kernel=temporal_kernel,
                adapter_dropout=adapter_dropout, dropout=drop_prob,
                train_encoder=adaptation == "finetune",
            )  # fmt: skip
            self.backbone.head = nn.Identity()
        # braindecode finds the head of every model under the name final_layer
        self.reset_head(self.n_outputs)
        self.train()

    def reset_head(self, n_outputs: int) -> None:
        """Replace the head by a fresh one for another number of outputs."""
        self._set_n_outputs(n_outputs)
        config, weight = self.backbone.encoder.config, self.backbone.encoder.norm.weight
        width = config.embed_num * config.embed_dim
        head = LinearHead(self._n_tokens, width, n_outputs, dropout=self.drop_prob)
        project_max_norm(head)
        self.final_layer = head.to(weight.device, weight.dtype).train(self.training)

    def load_state_dict(self, state_dict: Any, strict: bool = True, **options: Any) -> Any:
        """As torch does; without `strict`, a head that was made for other windows is left out."""
        own, head = self.state_dict(), "final_layer."
        saved = {k: v for k, v in state_dict.items() if k.startswith(head) and k in own}
        other = any(own[k].shape != value.shape for k, value in saved.items())
        if other and not strict:
            tell(
                "the head of DAREModel starts anew: the saved one is for windows of another "
                "length, another montage, or other outputs."
            )
            state_dict = {k: v for k, v in state_dict.items() if not k.startswith(head)}
        return super().load_state_dict(state_dict, strict, **options)

    def train(self, mode: bool = True) -> DAREModel:
        project_max_norm(self)  # after the last optimizer step, before the model is used
        return super().train(mode)

    def forward(
        self, x: Tensor, return_features: bool = False
    ) -> Tensor | dict[str, Tensor | None]:
        """Scores ``(batch, n_outputs)`` of `x` ``(batch, n_chans, n_times)`` in `unit`.

        With `return_features` a dictionary instead: "features", the encoder's tokens ``(batch,
        n_tokens, embed_num * embed_dim)``, and "cls_token", which is None. A token is a patch, or
        with ``views="electrodes"`` a patch of one electrode.
        """
        if x.ndim != 3 or x.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"DAREModel was made for input of shape (batch, {self.n_chans} channels, "
                f"{self.n_times} samples), got {tuple(x.shape)}."
            )
        if self.training:
            # braindecode's trainer has no place for it after each step; parametrizations cannot be
            # pickled
            project_max_norm(self)
            if not self._scale_checked and not torch.compiler.is_compiling():
                self._scale_checked = True
                _warn_of_scale(x, self.unit)
        x = x * 1e6 if self.unit == "V" else x
        # (B, C, T) -> (B, C, N * P)
        x = x[..., : self.n_samples] if self.resampling is None else x @ self.resampling
        tokens = self.backbone(x)  # (B, N, E, D)
        if return_features:
            return {"features": tokens.flatten(2), "cls_token": None}
        return self.final_layer(tokens)


class _FrozenReading(nn.Module):
    """An encoder on the electrodes of its own table, which a montage is brought to."""

    def __init__(self, encoder: Encoder, chs_info: list[dict[str, Any]] | None, views: Views):
        super().__init__()
        if chs_info is None:
            raise ValueError("adaptation='linear' of DAREModel needs the channels: pass chs_info.")
        names = canonical_names([channel["ch_name"] for channel in chs_info], "chs_info")
        with about("DAREModel"):
            names, matrix = plan_channels(names, positions=info_positions(chs_info), choice=False)
        self.encoder, self.views = encoder.requires_grad_(False), views
        matrix = None if matrix is None else torch.from_numpy(matrix)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("rows", torch.from_numpy(electrode_rows(names)), persistent=False)

    def train(self, mode: bool = True) -> _FrozenReading:
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T) -> (B, N, E, D) or (B, C * N, E, D)
        x = self.encoder.normalize(x if self.matrix is None else self.matrix @ x)
        if self.views == "joint":
            return self.encoder(x, self.rows)
        return self.encoder.forward_electrodes(x, self.rows).flatten(1, 2)


def _resampling_matrix(n_times: int, sfreq: float, target: float, n_samples: int) -> Tensor | None:
    """What `resample` does, which is linear, as a matrix; None where the rates are the same."""
    if np.isclose(sfreq, target, rtol=1e-9):  # as in `resample`
        return None
    matrix = np.empty((n_times, n_samples), dtype=np.float32)
    for start in range(0, n_times, 512):  # in blocks, since long windows make it large
        rows = np.eye(min(512, n_times - start), n_times, k=start, dtype=np.float32)
        matrix[start : start + 512] = resample(rows, sfreq, target)[:, :n_samples]
    return torch.from_numpy(matrix)


def _warn_of_scale(x: Tensor, unit: str) -> None:
    """Say that the first batch of training is no EEG in `unit`."""
    spread = float(x.detach().float().std(dim=-1, correction=0).median())
    try:
        if spread:
            decide_unit(spread, unit)
    except SignalError as error:
        tell(f"DAREModel: {error}")
