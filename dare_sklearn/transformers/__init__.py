"""Transformers: pretraining, embeddings and the alignment of raw signals."""

from .aligner import EuclideanAligner
from .embedder import DAREEmbedder
from .pretrainer import DAREPretrainer

__all__ = ["DAREEmbedder", "DAREPretrainer", "EuclideanAligner"]
