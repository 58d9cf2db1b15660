"""Transformers: pretraining, embeddings, the alignment of raw signals, and classical features."""

from .aligner import EuclideanAligner
from .classical import (
    BandPower,
    DownsampledSignals,
    HjorthEntropy,
    SignalArray,
    classical_pipelines,
)
from .embedder import DAREEmbedder
from .pretrainer import DAREPretrainer

__all__ = [
    "BandPower",
    "DAREEmbedder",
    "DAREPretrainer",
    "DownsampledSignals",
    "EuclideanAligner",
    "HjorthEntropy",
    "SignalArray",
    "classical_pipelines",
]
