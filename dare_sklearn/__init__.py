"""The DARE-EEG foundation model as scikit-learn estimators.

Importing this package loads neither torch, mne nor braindecode: the public names below are
imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "DAREPretrainer": "transformers",
    "DAREEmbedder": "transformers",
    "DAREClassifier": "estimators",
    "DARERegressor": "estimators",
    "EuclideanAligner": "transformers",
    "DAREModel": "models",
    "load_encoder": "weights",
    "simulate_epochs": "simulation",
}

_LAYERS = {
    "transformers",
    "estimators",
    "inspection",
    "models",
    "evaluation",
    "viz",
    "benchmark",
    "cli",
    "signals",
    "weights",
    "simulation",
}

__all__ = [
    "DAREPretrainer",
    "DAREEmbedder",
    "DAREClassifier",
    "DARERegressor",
    "EuclideanAligner",
    "DAREModel",
    "load_encoder",
    "simulate_epochs",
]

if TYPE_CHECKING:
    from .estimators import DAREClassifier, DARERegressor
    from .models import DAREModel
    from .simulation import simulate_epochs
    from .transformers import DAREEmbedder, DAREPretrainer, EuclideanAligner
    from .weights import load_encoder


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _LAYERS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
