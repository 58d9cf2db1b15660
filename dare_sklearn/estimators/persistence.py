"""Fitted probes as ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pandas as pd

from ..signals.electrodes import ELECTRODES, canonical_names
from ..signals.readers import PLAUSIBLE_HZ
from ..signals.resampling import resampled_length
from ..weights.files import MAX_TEXT_BYTES, read_folder, shorten, write_folder
from ..weights.load import PROBES, load_encoder, locate, model_config
from ..weights.plain import make_network

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
# Not plain data, or nothing that a stranger should choose: a loaded probe takes its encoder from
# its own folder.
_NOT_SAVED = {"encoder", "callbacks", "cache"}
_MOST_VIRTUAL = 10_000  # electrodes
_SHARED = ("n_chans", "n_patches", "n_outputs")
_MOST = 2**31  # channels, or samples of an epoch
_CONTRADICTION = "what fit learned contradicts itself"
# what reading values of the wrong kind raises
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


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
    config = {
        "kind": type(probe).__name__,
        "model": probe.encoder_.config.to_dict(),
        "params": {k: _plain(v) for k, v in params.items()},
        "fitted": fitted,
        "n_patches": probe.module_.spec()["n_patches"],
    }
    spec = probe.module_.spec()
    if "readings" in spec:
        config["virtual"] = {name: spec[name] for name in ("targets", "readings")}
    try:
        write_folder(folder, config, probe.module_.state_dict())
    except TypeError as error:
        raise ValueError(
            f"{type(probe).__name__} holds a parameter or label that JSON cannot hold ({error}): "
            "save it with skops, or use plain numbers and strings."
        ) from None


def load_probe(cls: type, source: str | os.PathLike, params: dict[str, Any]) -> Any:
    """Read a fitted probe; an encoder's source gives an unfitted one.

    Everything in ``config.json`` is checked: it may come from anybody.
    """
    folder = locate(source)
    if folder.is_file():
        load_encoder(folder)  # refuse now what fit could not read
        return cls(source, **params)
    config, tensors = read_folder(folder)
    kind = config.get("kind")
    if kind not in PROBES:
        load_encoder(folder)
        return cls(source, **params)
    if kind != cls.__name__:
        raise ValueError(
            f"{str(source)!r} holds a {kind}, not a {cls.__name__}: call {kind}.from_pretrained."
        )
    try:
        saved = {name: _from_plain(value) for name, value in config["params"].items()}
        strange = sorted(saved.keys() - (set(cls._get_param_names()) - _NOT_SAVED))
        if strange:
            raise ValueError(f"{kind} has no such parameters to save: {strange[:3]}")
        adaptation = saved["adaptation"]
        if adaptation not in ("conv-linear", "finetune"):
            raise ValueError(f"adaptation={adaptation!r} is never saved")
    except _MALFORMED as error:
        raise ValueError(_incomplete(source, error)) from None
    if params.get("adaptation", adaptation) != adaptation:
        raise ValueError(
            f"{str(source)!r} holds a {kind} fitted with adaptation={adaptation!r}, which "
            f"from_pretrained cannot turn into {params['adaptation']!r}: pass the folder as "
            f"encoder= to {kind} and fit it."
        )
    probe = cls(**{"encoder": os.fspath(source), **saved, **params})
    try:
        probe._validate_params()
    except ValueError as error:
        raise ValueError(shorten(error)) from None
    shape = model_config(config, folder)
    try:
        _restore_layout(probe, config["fitted"])
        _restore_targets(probe, config["fitted"])
        n_patches = config["n_patches"]
        n_times = resampled_length(probe.n_times_in_, probe.sfreq_in_, shape.sfreq)
        if type(n_patches) is not int or n_patches != n_times // shape.patch_size:
            raise ValueError(_CONTRADICTION)
        spec = {"n_chans": probe.n_chans_in_, "n_patches": n_patches, **probe._probe_spec()}
        network = "ConvLinearProbe"
        if "virtual" in config:
            spec = {**_virtual(config["virtual"]), **{k: spec[k] for k in _SHARED}}
            network = "VirtualProbe"
    except _MALFORMED as error:
        raise ValueError(_incomplete(source, error)) from None
    module = make_network(network, shape, spec, tensors, repr(str(source)))
    if module.targets.tolist() != spec["targets"]:
        raise ValueError(_incomplete(source, _CONTRADICTION))
    probe.module_ = module
    probe.encoder_ = module.encoder
    probe.ignored_ch_names_ = []
    probe._fitted_with = probe._fixed_params()
    probe._fitted_on_table = False
    return probe


def _virtual(saved: dict[str, Any]) -> dict[str, Any]:
    """Targets and readings of a probe with virtual electrodes."""
    targets, readings = saved["targets"], saved["readings"]
    n = len(targets)
    if (
        n > _MOST_VIRTUAL
        or len(readings) > _MOST_VIRTUAL
        or not all(type(row) is int and 0 <= row < len(ELECTRODES) for row in targets)
        or not all(
            kind in ("tokens", "power") and type(i) is type(j) is int and 0 <= i < j <= n
            for kind, i, j in readings
        )
    ):
        raise ValueError(_CONTRADICTION)
    return {"targets": targets, "readings": readings}


def _restore_layout(probe: Any, fitted: dict[str, Any]) -> None:
    """Set what ``fit`` learned of the signals."""
    values = {name: _from_plain(fitted[name]) for name in _LAYOUT}
    names, sfreq = values["ch_names_in_"], values["sfreq_in_"]
    counts = [values[name] for name in ("n_chans_in_", "n_times_in_", "n_features_in_")]
    low, high = PLAUSIBLE_HZ
    if (
        not all(type(count) is int and 1 <= count < _MOST for count in counts)
        or not (type(values["n_iter_"]) is int and values["n_iter_"] >= 0)
        or not (type(sfreq) in (int, float) and low <= sfreq <= high)
        or values["unit_"] not in ("uV", "V")
        or (names is not None and list(canonical_names(names)) != names)
        or (names is not None and len(names) != counts[0])
    ):
        raise ValueError(_CONTRADICTION)
    for name, value in values.items():
        setattr(probe, name, value)


def _restore_targets(probe: Any, fitted: dict[str, Any]) -> None:
    """Set what ``fit`` learned of the targets."""
    if type(probe).__name__ == "DAREClassifier":
        probe.classes_ = classes = _from_plain(fitted["classes_"])
        if not (isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) >= 2):
            raise ValueError(_CONTRADICTION)
        if len(set(classes.tolist())) < len(classes):
            raise ValueError(_CONTRADICTION)
        return
    probe.y_mean_, probe.y_scale_ = (float(fitted[name]) for name in ("y_mean_", "y_scale_"))
    if not (np.isfinite(probe.y_mean_) and 0 < probe.y_scale_ < np.inf):
        raise ValueError(_CONTRADICTION)


def _incomplete(source: str | os.PathLike, reason: object) -> str:
    return f"The configuration in {str(source)!r} is incomplete or wrong: {shorten(reason)}."


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
        items, kind = value["array"], value["dtype"]
        if not re.fullmatch(r"[<>|=]?[biufUO]\d{0,6}", kind):
            raise ValueError(f"{kind!r} is no kind of parameter or label")
        if any(isinstance(item, list) for item in items):
            raise ValueError("an array of more than one dimension is never saved")
        if len(items) * np.dtype(kind).itemsize > MAX_TEXT_BYTES:
            raise ValueError("an array takes more than its items")
        return np.array(items, dtype=kind)
    if isinstance(value, dict) and "items" in value:
        return {k: _from_plain(v) for k, v in value["items"]}
    return value
