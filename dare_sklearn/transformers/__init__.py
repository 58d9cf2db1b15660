"""Transformers: pretraining, embeddings, the alignment of raw signals, and classical features."""

from typing import TYPE_CHECKING

from .._lazy import lazy_names

_HOMES = {
    "DAREEmbedder": "embedder", "DAREPretrainer": "pretrainer", "EuclideanAligner": "aligner",
    "BandPower": "classical", "DownsampledSignals": "classical", "SignalArray": "classical",
    "SpectralAligner": "aligner", "classical_pipelines": "classical",
}  # fmt: skip
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = [
    "BandPower", "DAREEmbedder", "DAREPretrainer", "DownsampledSignals", "EuclideanAligner",
    "SignalArray", "SpectralAligner", "classical_pipelines",
]  # fmt: skip

if TYPE_CHECKING:
    from .aligner import EuclideanAligner, SpectralAligner
    from .classical import BandPower, DownsampledSignals, SignalArray, classical_pipelines
    from .embedder import DAREEmbedder
    from .pretrainer import DAREPretrainer
