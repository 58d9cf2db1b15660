"""The one description of a network: its kind, its configuration, what else shapes it, its tensors.

Files and pickles hold the same four. In a pickle the tensors are NumPy arrays (see `to_plain`): it
holds no torch object, so it loads on any machine (with or without a GPU), and skops can store it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..modules.config import DAREConfig
from ..modules.encoder import Encoder
from ..modules.probe import ConvLinearProbe
from ..modules.virtual import VirtualProbe
from ..pretraining.objective import PretrainingModel
from .files import check_fit, shorten

KIND = "dare_sklearn_network"
PROBES = {"ConvLinearProbe": ConvLinearProbe, "VirtualProbe": VirtualProbe}


def _make(kind: str, config: DAREConfig, spec: Mapping[str, Any]) -> nn.Module:
    if kind in PROBES:
        return PROBES[kind](Encoder(config), **spec)
    if kind == "PretrainingModel":
        return PretrainingModel(config, **spec)
    return Encoder(config).requires_grad_(False)


def make_network(
    kind: str,
    config: DAREConfig,
    spec: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    source: str,
) -> nn.Module:
    """A network with its weights, in evaluation mode; encoders are frozen.

    It is made without memory first, and gets some only if the weights fit: a configuration cannot
    ask for more than its file of weights holds. No random number is drawn. `spec` is what the
    network's ``spec()`` gives (nothing for an encoder); `source` says in messages where all come
    from. Raises ValueError as `check_fit`, and if there can be no such network.
    """
    n_blocks = sum(config.depth) if kind == "PretrainingModel" else config.depth[0]
    n_layers = n_blocks + spec.get("spatial_layers", 0)
    if n_layers > len(tensors):  # each holds one at least
        raise ValueError(
            f"The weights in {source} do not fit the model: it has {n_layers} layers, and they are "
            f"{len(tensors)} tensors."
        )
    try:
        with torch.device("meta"):  # float: whatever torch's default type is
            module = _make(kind, config, spec).float()
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"The configuration in {source} describes no possible network: {shorten(error)}."
        ) from None
    check_fit(module, tensors, source)
    module.to_empty(device="cpu").load_state_dict(dict(tensors), strict=True)
    return module.eval()


def to_plain(module: nn.Module) -> dict[str, Any]:
    """An `Encoder`, a probe or a `PretrainingModel` as numbers and arrays."""
    kind = type(module).__name__
    config = (module.encoder if kind in PROBES else module).config
    return {
        KIND: kind,
        "config": config.to_dict(),
        "spec": {} if isinstance(module, Encoder) else module.spec(),
        "tensors": {k: v.detach().cpu().numpy().copy() for k, v in module.state_dict().items()},
    }


def from_plain(plain: dict[str, Any]) -> nn.Module:
    """Inverse of `to_plain`; a ValueError if the tensors do not fit the shape."""
    # a copy: arrays that come from a memory map or an archive may be read-only
    tensors = {name: torch.from_numpy(a.copy()) for name, a in plain["tensors"].items()}
    config = DAREConfig.from_dict(plain["config"])
    return make_network(plain[KIND], config, plain["spec"], tensors, "the stored estimator")
