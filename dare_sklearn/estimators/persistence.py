"""Fitted probes as ``config.json`` and ``model.safetensors``."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Self

import numpy as np

from ..base.state import PushToHubMixin
from ..signals.electrodes import ELECTRODES, canonical_names
from ..signals.grid import resampled_length
from ..signals.readers import PLAUSIBLE_HZ
from ..training.net import history_frame
from ..weights.files import MAX_TEXT_BYTES, read_folder, shorten, write_folder
from ..weights.load import PROBES, load_encoder, locate, make_network

_COUNTS = ("n_chans_in_", "n_times_in_", "n_features_in_")
_LAYOUT = ("ch_names_in_", "sfreq_in_", "unit_", "n_iter_", *_COUNTS)
_TARGET = ("classes_", "y_mean_", "y_scale_")
_CHECKS = ("ignored_ch_names_", "_amplitude", "_event_codes")  # which later signals are held to
# Not plain data, or nothing that a stranger should choose: a loaded probe takes its encoder from
# its own folder.
_NOT_SAVED = {"encoder", "callbacks", "cache"}
_MOST_VIRTUAL = 10_000  # electrodes
_MOST = 2**31  # channels, or samples of an epoch
# what reading values of the wrong kind raises
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


class FilesMixin(PushToHubMixin):
    """Probes to and from files, which may be anybody's."""

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write the fitted estimator as ``config.json`` and ``model.safetensors``.

        The files hold no training data and can run no code. Raises ValueError for
        ``adaptation="linear"``, whose scikit-learn part has no such form.
        """
        self._check_unchanged()
        if self.adaptation == "linear":
            raise ValueError(
                "adaptation='linear' ends in a scikit-learn model, which has no safetensors form: "
                "save it with skops or joblib, or use adaptation='conv-linear'."
            )
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _NOT_SAVED}
        if not isinstance(params["random_state"], Integral):
            params["random_state"] = None
        spec = self.module_.spec()
        config = {
            "kind": type(self).__name__,
            "model": self.encoder_.config.to_dict(),
            "params": {k: _plain(v) for k, v in params.items()},
            "fitted": {
                k: _plain(v) for k, v in vars(self).items() if k in (*_LAYOUT, *_TARGET, *_CHECKS)
            },
            "n_patches": spec["n_patches"],
        }
        if "readings" in spec:
            config["virtual"] = {name: spec[name] for name in ("targets", "readings")}
        try:
            write_folder(folder, config, self.module_.state_dict())
        except TypeError as error:
            raise ValueError(
                f"{type(self).__name__} holds a parameter or label that JSON cannot hold ({error}):"
                " save it with skops, or use plain numbers and strings."
            ) from None

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike, **params: Any) -> Self:
        """A fitted estimator from a folder that `save_pretrained` wrote.

        Of the name, folder or ``.ckpt`` of an encoder, an unfitted estimator on that encoder.
        `params` replace the saved ones.
        """
        folder = locate(source)
        config, tensors = ({}, {}) if folder.is_file() else read_folder(folder)
        kind = config.get("kind")
        if kind not in PROBES:
            load_encoder(folder)  # refuse now what fit could not read
            return cls(source, **params)
        if kind != cls.__name__:
            raise ValueError(
                f"{str(source)!r} holds a {kind}, not a {cls.__name__}: call "
                f"{kind}.from_pretrained."
            )
        with _reading(source):
            saved = {name: _from_plain(value) for name, value in config["params"].items()}
            strange = sorted(saved.keys() - (set(cls._get_param_names()) - _NOT_SAVED))
            if strange:
                raise ValueError(f"{kind} has no such parameters to save: {strange[:3]}")
            adaptation = saved["adaptation"]
            if adaptation not in ("conv-linear", "finetune"):
                raise ValueError(f"adaptation={adaptation!r} is never saved")
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
        shape = config["model"]
        with _reading(source):
            vars(probe).update(_learned(kind, config["fitted"]))
            n_patches = config["n_patches"]
            n_times = resampled_length(probe.n_times_in_, probe.sfreq_in_, shape.sfreq)
            _check(type(n_patches) is int and n_patches == n_times // shape.patch_size)
            spec = {**probe._probe_spec(), "n_chans": probe.n_chans_in_, "n_patches": n_patches}
            if "virtual" in config:
                shared = ("n_chans", "n_patches", "n_outputs", "train_encoder")
                spec = {**_virtual(config["virtual"]), **{name: spec[name] for name in shared}}
        network = "VirtualProbe" if "virtual" in config else "ConvLinearProbe"
        probe.module_ = make_network(network, shape, spec, tensors, repr(str(source)))
        with _reading(source):
            _check(probe.module_.targets.tolist() == spec["targets"])
        probe.encoder_ = probe.module_.encoder
        probe.history_ = history_frame([], {"train_loss": "loss"})
        probe._fitted_with = probe._fixed_params()
        probe._fitted_on_table = False
        return probe


@contextmanager
def _reading(source: str | os.PathLike) -> Iterator[None]:
    """One sentence for whatever a malformed configuration raises."""
    try:
        yield
    except _MALFORMED as error:
        raise ValueError(
            f"The configuration in {str(source)!r} is incomplete or wrong: {shorten(error)}."
        ) from None


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("what fit learned contradicts itself")


def _virtual(saved: dict[str, Any]) -> dict[str, Any]:
    """Targets and readings of a probe with virtual electrodes."""
    targets, readings = saved["targets"], saved["readings"]
    n = len(targets)
    _check(n <= _MOST_VIRTUAL and len(readings) <= _MOST_VIRTUAL)
    _check(all(type(row) is int and 0 <= row < len(ELECTRODES) for row in targets))
    for kind, i, j in readings:
        _check(kind in ("tokens", "power", "evoked"))
        _check(type(i) is type(j) is int and 0 <= i < j <= n)
    return {"targets": targets, "readings": readings}


def _learned(kind: str, fitted: dict[str, Any]) -> dict[str, Any]:
    """What ``fit`` learned of the signals and the targets."""
    values = {name: _from_plain(fitted[name]) for name in _LAYOUT}
    names, sfreq, n_iter = values["ch_names_in_"], values["sfreq_in_"], values["n_iter_"]
    _check(all(type(values[name]) is int and 1 <= values[name] < _MOST for name in _COUNTS))
    _check(type(n_iter) is int and n_iter >= 0 and values["unit_"] in ("uV", "V"))
    _check(type(sfreq) in (int, float) and PLAUSIBLE_HZ[0] <= sfreq <= PLAUSIBLE_HZ[1])
    if names is not None:
        _check(list(canonical_names(names)) == names and len(names) == values["n_chans_in_"])
    checks = {name: _from_plain(fitted[name]) for name in _CHECKS if name in fitted}
    values |= {"ignored_ch_names_": [], **checks}
    _check(all(type(name) is str for name in values["ignored_ch_names_"]))
    _check(0 < checks.get("_amplitude", 1.0) < np.inf)
    codes = checks.get("_event_codes", {})
    _check(all(type(name) is str and type(code) is int for name, code in codes.items()))
    if kind == "DAREClassifier":
        values["classes_"] = classes = _from_plain(fitted["classes_"])
        _check(isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) >= 2)
        _check(len(set(classes.tolist())) == len(classes))
    else:
        values |= {name: float(fitted[name]) for name in ("y_mean_", "y_scale_")}
        _check(np.isfinite(values["y_mean_"]) and 0 < values["y_scale_"] < np.inf)
    return values


def _plain(value: Any) -> Any:
    """JSON form of a parameter or attribute; arrays keep their dtype."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, dict):
        return {"items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if hasattr(value, "tolist"):  # numbers of NumPy, pandas' columns
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict) and "array" in value:
        items, kind = value["array"], value["dtype"]
        if not re.fullmatch(r"[<>|=]?[biufUO]\d{0,6}", kind):
            raise ValueError(f"{kind!r} is not a kind of parameter or label")
        if any(isinstance(item, list) for item in items):
            raise ValueError("an array of more than one dimension is never saved")
        if len(items) * np.dtype(kind).itemsize > MAX_TEXT_BYTES:
            raise ValueError("an array takes more than its items")
        return np.array(items, dtype=kind)
    if isinstance(value, dict) and "items" in value:
        return {k: _from_plain(v) for k, v in value["items"]}
    return value
