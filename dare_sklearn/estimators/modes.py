"""Which mode of a probe reads which parameters."""

from __future__ import annotations

from inspect import signature
from reprlib import repr as shortened
from typing import Any

import numpy as np

# The groups of parameters in the docstring of `DAREClassifier`; every mode reads all the others.
LINEAR = ("unknown_channels", "views", "pooling", "C", "alpha", "cache", "cache_mb")
CONVOLUTIONS = ("target_channels", "spatial_init", "spatial_layers", "temporal_kernel")
STEPS = (
    "max_epochs", "lr", "weight_decay", "layer_decay", "adapter_dropout", "dropout",
    "label_smoothing", "validation_fraction", "patience", "callbacks",
)  # fmt: skip


def unread_params(estimator: Any, *, steps: bool, virtual: bool) -> str | None:
    """A warning that names the parameters that the user has changed and that this fit ignores.

    `steps` says whether the fit takes gradient steps, `virtual` whether its probe reads virtual
    electrodes.
    """
    mode = f"adaptation={estimator.adaptation!r}"
    if virtual:
        mode += f" and spatial_init={estimator.spatial_init!r}"
    if estimator.adaptation == "linear":
        unread = {"adaptation='conv-linear' or 'finetune'": CONVOLUTIONS}
        if estimator.pooling == "auto":
            unread["one pooling, such as pooling='flatten'"] = ("views", "C", "alpha")
    else:
        unread = {"adaptation='linear'": LINEAR}
    if not steps:
        unread["gradient steps, as of adaptation='finetune' or spatial_init='spline'"] = STEPS
    elif virtual:
        unread["spatial_init='spline' or 'random'"] = ("adapter_dropout", "dropout")
    if steps and estimator.adaptation != "finetune":
        unread["adaptation='finetune'"] = ("layer_decay",)
    if steps and not estimator.validation_fraction:
        unread["validation_fraction > 0"] = ("patience",)

    params = signature(type(estimator)).parameters
    clauses, n_changed = [], 0
    for readers, names in unread.items():
        values = {name: getattr(estimator, name) for name in names if name in params}
        changed = [
            f"{name}={shortened(value)}"
            for name, value in values.items()
            if not np.array_equal(value, params[name].default)
        ]
        if changed:
            n_changed += len(changed)
            clauses.append(f"{', '.join(changed)} (read only with {readers})")
    if not clauses:
        return None
    have, them = ("has", "it") if n_changed == 1 else ("have", "them")
    return (
        f"{' and '.join(clauses)} {have} no effect with {mode}: leave {them} out, or choose a mode "
        f"that reads {them}."
    )
