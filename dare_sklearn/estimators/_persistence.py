"""Fitted probes as ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

from ..modules.config import DAREConfig
from ..signals.container import Signals
from ..transformers.pretrainer import fresh_encoder
from ..weights.files import CONFIG_NAME, load_strict, read_folder, write_folder
from ..weights.load import locate

_LAYOUT = (
    "ch_names_in_",
    "sfreq_in_",
    "n_chans_in_",
    "n_times_in_",
    "n_features_in_",
    "unit_",
    "n_iter_",
)
_TARGET = ("classes_", "y_mean_", "y_scale_")
# Not plain data. A loaded probe takes its encoder from its own folder.
_NOT_SAVED = {"encoder", "callbacks", "cache"}


def save_probe(folder: str | os.PathLike, probe: Any) -> None:
    """Write a fitted probe."""
    if probe.adaptation == "linear":
        raise ValueError(
            "adaptation='linear' ends in a scikit-learn model, which has no safetensors form: "
            "save it with skops or joblib, or use adaptation='conv-linear'."
        )
    probe._check_unchanged()
    params = {k: v for k, v in probe.get_params(deep=False).items() if k not in _NOT_SAVED}
    if not isinstance(params["random_state"], int):
        params["random_state"] = None
    fitted = {k: _plain(getattr(probe, k)) for k in (*_LAYOUT, *_TARGET) if hasattr(probe, k)}
    n_patches = probe.module_.head.output.in_features // probe.module_.head.per_patch.out_features
    config = {
        "kind": type(probe).__name__,
        "model": probe.encoder_.config.to_dict(),
        "params": {k: _plain(v) for k, v in params.items()},
        "fitted": fitted,
        "n_patches": n_patches,
    }
    try:
        write_folder(folder, config, probe.module_.state_dict())
    except TypeError as error:
        raise ValueError(
            f"{type(probe).__name__} holds a parameter or label that JSON cannot hold ({error}): "
            "save it with skops, or use plain numbers and strings."
        ) from None


def load_probe(cls: type, source: str | os.PathLike, params: dict[str, Any]) -> Any:
    """Read a fitted probe; an encoder's source gives an unfitted one."""
    folder = locate(source)
    if not (folder / CONFIG_NAME).is_file():
        return cls(source, **params)
    config, tensors = read_folder(folder)
    if config.get("kind") not in {"DAREClassifier", "DARERegressor"}:
        return cls(source, **params)
    kind = config["kind"]
    if kind != cls.__name__:
        raise ValueError(
            f"{str(source)!r} holds a {kind}, not a {cls.__name__}: call {kind}.from_pretrained."
        )
    try:
        saved, fitted, n_patches = config["params"], config["fitted"], int(config["n_patches"])
        saved = {k: _from_plain(v) for k, v in saved.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The configuration in {str(source)!r} is incomplete: {error}.") from None
    if params.get("adaptation", saved["adaptation"]) != saved["adaptation"]:
        raise ValueError(
            f"{str(source)!r} holds a {kind} fitted with adaptation={saved['adaptation']!r}, which "
            f"from_pretrained cannot turn into {params['adaptation']!r}: pass the folder as "
            f"encoder= to {kind} and fit it."
        )
    probe = cls(**{"encoder": os.fspath(source), **saved, **params})
    try:
        for name in fitted.keys() & {*_LAYOUT, *_TARGET}:
            setattr(probe, name, _from_plain(fitted[name]))
        probe._fitted_with = probe._fixed_params()
        probe._fitted_on_table = False
        names, needed = probe.ch_names_in_, _TARGET[:1] if kind == "DAREClassifier" else _TARGET[1:]
        if (
            probe.unit_ not in {"uV", "V"}
            or any(not hasattr(probe, name) for name in needed)
            or (names is not None and len(names) != probe.n_chans_in_)
        ):
            raise KeyError("what fit learned contradicts itself")
        probe.encoder_ = fresh_encoder(0, DAREConfig.from_dict(config["model"]))
        layout = Signals(
            np.empty((0, probe.n_chans_in_, probe.n_times_in_), np.float32),
            probe.sfreq_in_,
            None if probe.ch_names_in_ is None else tuple(probe.ch_names_in_),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The configuration in {str(source)!r} is incomplete: {error}.") from None
    module = probe._make_probe(layout, n_patches * probe.encoder_.config.patch_size)
    load_strict(module, tensors, repr(str(source)))
    probe.module_ = module.eval()
    probe.encoder_ = module.encoder
    probe.ignored_ch_names_ = []
    return probe


def _plain(value: Any) -> Any:
    """JSON form of a parameter or attribute; arrays keep their dtype."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if isinstance(value, pd.Index | pd.Series):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict) and "array" in value:
        dtype = np.dtype(value["dtype"])
        return np.array(value["array"], dtype=dtype)
    if isinstance(value, dict) and "items" in value:
        return {k: _from_plain(v) for k, v in value["items"]}
    return value
