"""Networks as plain dictionaries of numbers and arrays, and back.

This is how fitted estimators are pickled: the pickle holds no torch object, so it loads on any
machine (with or without a GPU), and skops can store it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..modules.config import DAREConfig
from ..modules.encoder import Encoder
from ..modules.probe import ConvLinearProbe, build_probe
from ..pretraining.objective import PretrainingModel
from .files import build

KIND = "dare_sklearn_network"


def to_plain(module: nn.Module) -> dict[str, Any]:
    """Shape and weights of an `Encoder`, a `ConvLinearProbe` or a `PretrainingModel`."""
    config = (module.encoder if isinstance(module, ConvLinearProbe) else module).config
    return {
        KIND: type(module).__name__,
        "config": config.to_dict(),
        "spec": {} if isinstance(module, Encoder) else module.spec(),
        "tensors": {k: v.detach().cpu().numpy().copy() for k, v in module.state_dict().items()},
    }


def from_plain(plain: dict[str, Any]) -> nn.Module:
    """Inverse of `to_plain`: in evaluation mode, encoders frozen.

    Raises
    ------
    ValueError
        If the tensors do not fit the shape.
    """
    kind, config, spec = plain[KIND], DAREConfig.from_dict(plain["config"]), plain["spec"]
    makers: dict[str, Callable[[], nn.Module]] = {
        "Encoder": lambda: Encoder(config).requires_grad_(False),
        "ConvLinearProbe": lambda: build_probe(Encoder(config), **spec),
        "PretrainingModel": lambda: PretrainingModel(config, **spec),
    }
    if kind not in makers:
        raise ValueError(f"{kind!r} is no network of dare_sklearn.")
    # a copy: arrays that come from a memory map or an archive may be read-only
    tensors = {name: torch.from_numpy(a.copy()) for name, a in plain["tensors"].items()}
    return build(makers[kind], tensors, "the stored estimator")
