"""Transformers: pretraining, embeddings, the alignment of raw signals, and classical features."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "aligner": ["EuclideanAligner", "SpectralAligner"],
        "classical": ["BandPower", "DownsampledSignals", "SignalArray", "classical_pipelines"],
        "embedder": ["DAREEmbedder"],
        "pretrainer": ["DAREPretrainer"],
    },
)

__all__ = [
    "BandPower", "DAREEmbedder", "DAREPretrainer", "DownsampledSignals", "EuclideanAligner",
    "SignalArray", "SpectralAligner", "classical_pipelines",
]  # fmt: skip

if TYPE_CHECKING:
    from .aligner import EuclideanAligner, SpectralAligner
    from .classical import BandPower, DownsampledSignals, SignalArray, classical_pipelines
    from .embedder import DAREEmbedder
    from .pretrainer import DAREPretrainer
