"""Simulated scalp EEG, so that everything in the package runs with no download."""

from .simulate import simulate_epochs

__all__ = ["simulate_epochs"]
