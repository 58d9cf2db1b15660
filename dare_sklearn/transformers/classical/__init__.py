"""Classical EEG features as transformers, and the pipelines of the field made of them."""

from .array import SignalArray
from .features import BandPower, DownsampledSignals, FlickerCCA, HjorthEntropy
from .pipelines import BEST, classical_pipelines

__all__ = [
    "BEST",
    "BandPower",
    "DownsampledSignals",
    "FlickerCCA",
    "HjorthEntropy",
    "SignalArray",
    "classical_pipelines",
]
