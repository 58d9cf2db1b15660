"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ..modules.encoder import Encoder
from ..signals.container import Signals
from ._compute import autocast, resolve_device
from ._grid import Grid

POOLINGS = ("mean", "mean_std", "flatten")


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Pooled embeddings ``(n_epochs, n_features)``, as the parameters of a fitted estimator say.

    Signals are read, resampled and embedded batch by batch: memory does not grow with their number.
    """
    encoder = estimator.encoder_
    grid = Grid(
        signals,
        encoder.config,
        owner=type(estimator).__name__,
        unknown=estimator.unknown_channels,
    )
    device = resolve_device(estimator.device)
    # read in evaluation mode without touching the module, which several estimators may share
    moved = encoder if _device_of(encoder) == device else _copy_to(encoder, device)
    channels = torch.from_numpy(grid.index).to(device)
    done = []
    with torch.inference_mode(), autocast(device, estimator.precision):
        for block in signals.blocks(estimator.batch_size):
            x = torch.from_numpy(grid.apply(block)).to(device)
            tokens = moved(moved.normalize(x), channels).float().cpu()  # (B, N, E, D)
            done.append(pool(tokens.numpy(), estimator.pooling))
    return np.concatenate(done)


def _device_of(module: torch.nn.Module) -> torch.device:
    return next(module.parameters()).device


def _copy_to(encoder: Encoder, device: torch.device) -> Encoder:
    return copy.deepcopy(encoder).to(device)


def pool(embeddings: np.ndarray, pooling: str) -> np.ndarray:
    """Features ``(n_epochs, n_features)`` of ``(n_epochs, n_patches, embed_num, embed_dim)``."""
    n_epochs = len(embeddings)
    if pooling == "flatten":
        return embeddings.reshape(n_epochs, -1)
    mean = embeddings.mean(axis=1).reshape(n_epochs, -1)
    if pooling == "mean":
        return mean
    return np.hstack([mean, embeddings.std(axis=1).reshape(n_epochs, -1)])


def feature_names(n_patches: int, embed_num: int, embed_dim: int, pooling: str) -> np.ndarray:
    """Names of pooled features, such as ``dare_s0_d012`` or, per patch, ``dare_p03_s0_d012``."""
    tokens = [f"s{s}_d{d:03d}" for s in range(embed_num) for d in range(embed_dim)]
    if pooling == "flatten":
        names = [f"dare_p{p:02d}_{token}" for p in range(n_patches) for token in tokens]
    else:
        names = [f"dare_{token}" for token in tokens]
        if pooling == "mean_std":
            names += [f"dare_std_{token}" for token in tokens]
    return np.asarray(names, dtype=object)
