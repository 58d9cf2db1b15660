"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ..modules.encoder import Encoder
from ..signals.container import Signals
from ._compute import autocast, resolve_device
from ._grid import to_grid

POOLINGS = ("mean", "mean_std", "flatten")


@torch.inference_mode()
def embed(
    encoder: Encoder,
    data: np.ndarray,
    index: np.ndarray,
    *,
    batch_size: int,
    device: torch.device,
    precision: str,
) -> np.ndarray:
    """Summary tokens of every epoch.

    Parameters
    ----------
    encoder : Encoder
    data : ndarray of float32, shape (n_epochs, n_chans, n_times)
        Microvolts at the encoder's sampling rate, whole patches.
    index : ndarray of int64, shape (n_chans,)
        Rows of the channels in the table of electrodes.

    Returns
    -------
    ndarray of float32, shape (n_epochs, n_patches, embed_num, embed_dim)
    """
    # read in evaluation mode without touching the module, which several estimators may share
    moved = encoder if _device_of(encoder) == device else _copy_to(encoder, device)
    channels = torch.from_numpy(index).to(device)
    done = []
    with autocast(device, precision):
        for start in range(0, len(data), batch_size):
            x = torch.from_numpy(data[start : start + batch_size]).to(device)
            done.append(moved(moved.normalize(x), channels).float().cpu())
    return torch.cat(done).numpy()


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Pooled embeddings ``(n_epochs, n_features)``, as the parameters of a fitted estimator say."""
    data, index = to_grid(
        signals,
        estimator.encoder_.config,
        unknown=estimator.unknown_channels,
        owner=type(estimator).__name__,
    )
    tokens = embed(
        estimator.encoder_,
        data,
        index,
        batch_size=estimator.batch_size,
        device=resolve_device(estimator.device),
        precision=estimator.precision,
    )
    return pool(tokens, estimator.pooling)


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
