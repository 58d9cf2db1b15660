"""The DARE-EEG foundation model as scikit-learn estimators.

Importing this package loads neither torch, mne nor braindecode: the public names below are
imported when they are first used.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    "signals simulation modules pretraining weights training base transformers estimators "
    "models inspection evaluation viz cli".split(),
    {
        "transformers": ["DAREPretrainer", "DAREEmbedder", "EuclideanAligner", "SpectralAligner"],
        "estimators": ["DAREClassifier", "DARERegressor"],
        "models": ["DAREModel"],
        "weights": ["load_encoder"],
        "simulation": ["simulate_epochs"],
    },
)

__all__ = [
    "DAREPretrainer",
    "DAREEmbedder",
    "DAREClassifier",
    "DARERegressor",
    "EuclideanAligner",
    "SpectralAligner",
    "DAREModel",
    "load_encoder",
    "simulate_epochs",
]

if TYPE_CHECKING:
    from .estimators import DAREClassifier, DARERegressor
    from .models import DAREModel
    from .simulation import simulate_epochs
    from .transformers import DAREEmbedder, DAREPretrainer, EuclideanAligner, SpectralAligner
    from .weights import load_encoder
