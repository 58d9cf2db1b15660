"""Transformers: pretraining, embeddings, the alignment of raw signals, and classical features."""

from typing import TYPE_CHECKING

from .._lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DAREEmbedder": "embedder",
        "DAREPretrainer": "pretrainer",
        "EuclideanAligner": "aligner",
        "BandPower": "classical",
        "DownsampledSignals": "classical",
        "HjorthEntropy": "classical",
        "SignalArray": "classical",
        "classical_pipelines": "classical",
    },
)

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

if TYPE_CHECKING:
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
