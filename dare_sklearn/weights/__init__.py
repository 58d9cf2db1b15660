"""Weights: safe reading and writing of models, and the encoders that come with the library."""

from .load import convert, load_encoder, shipped_by_name, shipped_names

__all__ = ["convert", "load_encoder", "shipped_by_name", "shipped_names"]
