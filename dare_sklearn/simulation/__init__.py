"""Simulated scalp EEG, so that everything in the package runs with no download."""

from dare_sklearn.simulation.simulate import simulate_epochs

__all__ = ["simulate_epochs"]
