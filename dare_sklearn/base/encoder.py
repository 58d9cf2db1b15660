"""From an ``encoder`` parameter to an encoder."""

import os
import threading
from typing import Any

from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods

from ..modules.config import SIZES, DAREConfig, get_config
from ..modules.networks import Encoder
from ..signals.errors import tell
from ..training.device import draw_seeds, resolve_device, torch_seed
from ..weights.load import load_encoder, shipped_names


class _Pretrainer(HasMethods):
    """Any `DAREPretrainer`; see `is_pretrainer`."""

    def __str__(self) -> str:
        return "a DAREPretrainer"


def is_pretrainer(encoder: Any) -> bool:
    """Whether it is a `DAREPretrainer`, without importing its trainer."""
    return hasattr(encoder, "_is_fitted_for_use")


_FUTURE = HasMethods(["bind_client", "result"])
_RECEIVED: dict[str, Any] = {}
_RECEIVING = threading.Lock()
ENCODER_CONSTRAINTS = [str, os.PathLike, _Pretrainer(["_is_fitted_for_use"]), _FUTURE, None]


def resolve_encoder(estimator: Any, X: Any) -> Encoder:
    """The frozen encoder of an estimator with an ``encoder`` parameter.

    A name or path is loaded, and None is an untrained nano encoder. A fitted pretrainer gives its
    encoder. An unfitted one is cloned and pretrained on `X`, the estimator's training data, with
    the estimator's names, rate, unit, unknown_channels and seed where it has none of its own. A
    future by which Dask has sent a pretrainer to its workers stands for that pretrainer.
    Encoders may be shared: copy one before training it.
    """
    encoder = estimator.encoder
    if hasattr(encoder, "bind_client"):
        encoder = _received(encoder)
        if not is_pretrainer(encoder):
            raise TypeError(
                f"The encoder is the future of a {type(encoder).__name__}: scatter a fitted "
                "DAREPretrainer."
            )
    if encoder is None:
        (seed,) = draw_seeds(estimator.random_state, 1)
        return fresh_encoder(seed, get_config("nano"))
    if not is_pretrainer(encoder):
        is_size = isinstance(encoder, str) and encoder in SIZES
        if is_size and encoder not in shipped_names() and not os.path.exists(encoder):
            raise ValueError(
                f"encoder={encoder!r} is a size, not the name of a shipped encoder "
                f"({', '.join(shipped_names())}): pass encoder=DAREPretrainer({encoder!r}), which "
                "is pretrained on X, or a folder that save_pretrained wrote."
            )
        return load_encoder(encoder)
    if encoder._is_fitted_for_use():
        return encoder.encoder_
    if hasattr(encoder, "encoder_"):
        tell(
            "the pretrainer was changed after its fit (set_params), so it is pretrained anew on "
            "the training data."
        )
    inherited = {
        name: getattr(estimator, name)
        for name in ("ch_names", "sfreq")
        if getattr(encoder, name) is None
    }
    if encoder.unit == "auto":
        inherited["unit"] = estimator.unit
    if encoder.unknown_channels == "interpolate":  # its default
        inherited["unknown_channels"] = estimator.unknown_channels
    if encoder.random_state is None and estimator.random_state is not None:
        (inherited["random_state"],) = draw_seeds(estimator.random_state, 1)
    resolve_device(estimator.device)  # the pretraining may take hours before its use
    return clone(encoder).set_params(**inherited).fit(X).encoder_


def _received(future: Any) -> Any:
    """What Dask has sent to its workers; fetched from another worker once, where it is not here.

    A future that came inside an estimator belongs to no client, and cannot be asked itself.
    """
    from distributed import Future, get_client, get_worker

    try:
        worker = get_worker()
    except ValueError:  # this is where it was sent from
        client = get_client()
        if future.key in client.futures:
            return Future(future.key, client).result()
    else:
        with _RECEIVING:
            if future.key not in _RECEIVED:
                _RECEIVED.clear()  # one is enough for a search
                _RECEIVED.update(_fetch(future.key, worker))
            if future.key in _RECEIVED:
                return _RECEIVED[future.key]
    raise ValueError(
        "The encoder is a future whose result is nowhere: keep what client.scatter(pretrainer) "
        "gives until all is done."
    )


def _fetch(key: str, worker: Any) -> dict[str, Any]:
    """A result from the memory of the worker, where Dask may have dropped it as a surplus copy."""
    from distributed.utils import sync
    from distributed.utils_comm import gather_from_workers

    if key in worker.data:
        return {key: worker.data[key]}
    who_has = sync(worker.loop, worker.scheduler.who_has, keys=[key], callback_timeout=60)
    fetched = sync(worker.loop, gather_from_workers, who_has, rpc=worker.rpc, callback_timeout=600)
    return fetched[0]


def fresh_encoder(seed: int, config: DAREConfig) -> Encoder:
    """An untrained encoder."""
    from ..pretraining.objective import PretrainingModel

    with torch_seed(seed, brief=True):
        encoder = PretrainingModel(config).target_encoder
    return encoder.eval().requires_grad_(False)
