"""Covariances of epochs, their mean and their inverse roots. A leaf module."""

from __future__ import annotations

import numpy as np

# Directions with less than this share of the strongest one's power are noise of rounding: an
# average reference or an interpolated channel leaves such a direction empty.
EMPTY = 1e-9


def covariances(data: np.ndarray, size: float) -> np.ndarray:
    """Covariance of each epoch, ``(n_epochs, n_chans, n_chans)``, in units of `size` squared.

    `size` is about that of the values: squares of volts, or of odder units, stay in range.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        centred = (data - data.mean(axis=-1, keepdims=True, dtype=np.float64)) / size
        found = centred @ centred.transpose(0, 2, 1) / (data.shape[-1] - 1)
    if not np.isfinite(found).all():
        raise ValueError(
            "X holds values of extreme size, which cannot be squared: drop epochs "
            "with artefacts, or rescale them."
        )
    return found


def mean_at_one_power(matrices: np.ndarray) -> np.ndarray:
    """Mean of covariances, each brought to their (geometric) mean power first."""
    power = np.trace(matrices, axis1=1, axis2=2)
    matrices, power = matrices[power > 0], power[power > 0]  # flat epochs say nothing of space
    return (matrices / power[:, None, None]).mean(axis=0) * np.exp(np.log(power).mean())


def inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Inverse square roots of ``(..., n_chans, n_chans)``; empty directions stay empty."""
    power, directions = np.linalg.eigh(covariance)
    keep = power > EMPTY * power[..., -1:]
    weight = np.where(keep, 1 / np.sqrt(np.where(keep, power, 1.0)), 0.0)
    return (directions * weight[..., None, :]) @ directions.swapaxes(-1, -2)
