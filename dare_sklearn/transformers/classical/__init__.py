"""Classical EEG features as transformers, and the pipelines of the field made of them."""

from .array import SignalArray
from .features import BandPower, DownsampledSignals, HjorthEntropy
from .pipelines import classical_pipelines

__all__ = [
    "BandPower",
    "DownsampledSignals",
    "HjorthEntropy",
    "SignalArray",
    "classical_pipelines",
]
