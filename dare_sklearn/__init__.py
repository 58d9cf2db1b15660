"""The DARE-EEG foundation model as scikit-learn estimators.

Importing this package loads neither torch, mne nor braindecode: the public names below are
imported when they are first used.
"""

from typing import TYPE_CHECKING

from ._lazy import lazy_names

__version__ = "0.2.0"

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DAREPretrainer": "transformers",
        "DAREEmbedder": "transformers",
        "DAREClassifier": "estimators",
        "DARERegressor": "estimators",
        "EuclideanAligner": "transformers",
        "SpectralAligner": "transformers",
        "DAREModel": "models",
        "load_encoder": "weights",
        "simulate_epochs": "simulation",
    },
    set(
        "signals simulation modules pretraining weights training base transformers estimators "
        "models inspection evaluation viz cli".split()
    ),
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
