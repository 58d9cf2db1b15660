"""Transformers: pretraining and embeddings."""

from .embedder import DAREEmbedder
from .pretrainer import DAREPretrainer

__all__ = ["DAREEmbedder", "DAREPretrainer"]
