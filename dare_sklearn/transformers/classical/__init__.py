"""Classical EEG features as transformers, and the pipelines of the field made of them."""

from .features import BandPower, DownsampledSignals, FlickerCCA, SignalArray
from .pipelines import BEST, classical_pipelines

__all__ = [
    "BEST", "BandPower", "DownsampledSignals", "FlickerCCA", "SignalArray", "classical_pipelines",
]  # fmt: skip
