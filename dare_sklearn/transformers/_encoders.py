"""From an ``encoder`` parameter to an encoder."""

from __future__ import annotations

import os
import warnings
from typing import Any

from sklearn.base import clone

from ..modules.config import get_config
from ..modules.encoder import Encoder
from ..weights.load import load_encoder
from ._randomness import draw_seeds
from .pretrainer import DAREPretrainer, fresh_encoder, is_fitted_for_use

ENCODER_CONSTRAINTS = [str, os.PathLike, DAREPretrainer, None]


def resolve_encoder(owner: Any, X: Any) -> Encoder:
    """The frozen encoder of an estimator with an ``encoder`` parameter.

    A name or path is loaded. A fitted pretrainer gives its encoder. An unfitted one is cloned and
    pretrained on `X`, the training data of the caller, with the caller's names, rate, unit and
    seed where it has none of its own, and None is an untrained nano encoder.
    Encoders may be shared: whoever trains one copies it first.
    """
    encoder = owner.encoder
    if encoder is None:
        (seed,) = draw_seeds(owner.random_state, 1)
        return fresh_encoder(seed, get_config("nano"))
    if isinstance(encoder, DAREPretrainer):
        if is_fitted_for_use(encoder):
            return encoder.encoder_
        if hasattr(encoder, "encoder_"):
            warnings.warn(
                f"The pretrainer of {type(owner).__name__} was changed after its fit "
                "(set_params), so it is pretrained anew on the training data.",
                UserWarning,
                stacklevel=3,
            )
        inherited = {
            name: getattr(owner, name)
            for name in ("ch_names", "sfreq")
            if getattr(encoder, name) is None
        }
        if encoder.unit == "auto":
            inherited["unit"] = owner.unit
        if encoder.random_state is None and owner.random_state is not None:
            (inherited["random_state"],) = draw_seeds(owner.random_state, 1)
        return clone(encoder).set_params(**inherited).fit(X).encoder_
    return load_encoder(encoder)
