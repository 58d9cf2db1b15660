"""Mask alignment: symmetric InfoNCE between two masked views of each sample."""

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.1


def mask_alignment_loss(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al., 2018) over the batch.

    Parameters
    ----------
    first, second : Tensor, shape (n_epochs, n_features)
        Unit vectors of the two views; row i of both belongs to one sample.
    temperature : float, default=0.1

    Returns
    -------
    Tensor, scalar
    """
    similarity = first @ second.T / temperature  # (B, B)
    same = torch.arange(first.shape[0], device=first.device)
    return 0.5 * (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same))
