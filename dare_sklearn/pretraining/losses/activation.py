"""Activation penalty on the encoder's outputs."""

from torch import Tensor

WEIGHT = 1e-4


def activation_penalty(first: Tensor, second: Tensor) -> Tensor:
    """Half the sum of the mean squares of both views' encoder outputs (unweighted)."""
    return 0.5 * (first.square().mean() + second.square().mean())
