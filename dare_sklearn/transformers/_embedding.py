"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from xxhash import xxh3_128

from ..modules.encoder import Encoder
from ..signals.container import Signals
from ..signals.lazy import digest_epochs
from ._cache import EpochCache, encoder_digest
from ._compile import Compiled
from ._compute import autocast, embedding_precision, resolve_device
from ._grid import Grid

POOLINGS = ("mean", "mean_std", "flatten")


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Pooled embeddings ``(n_epochs, n_features)``, as the parameters of a fitted estimator say.

    Signals are read, resampled and embedded batch by batch: memory does not grow with their number.
    With a ``cache``, epochs that were embedded before are not embedded again.
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
    precision = embedding_precision(estimator.precision, moved, channels, grid.n_times, device)
    wanted = getattr(estimator, "compile", False)  # the probes have no such parameter
    run = Compiled(moved, type(estimator).__name__) if wanted else moved

    def compute(block: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), autocast(device, precision):
            x = torch.from_numpy(grid.apply(block)).to(device)
            tokens = run(moved.normalize(x), channels).float().cpu()  # (B, N, E, D)
        if not torch.isfinite(tokens).all():
            raise FloatingPointError(
                f"The encoder of {type(estimator).__name__} gives NaN or infinite embeddings: its "
                "training diverged (lower lr), or X holds values of extreme size."
            )
        return pool(tokens.numpy(), estimator.pooling)

    cache = estimator._open_cache()
    if cache is None:
        return np.concatenate([compute(block) for block in signals.blocks(estimator.batch_size)])
    settings = _settings(estimator, signals, precision, device, wanted)
    digests = signals.data.digests if signals.lazy else None
    if digests is not None:
        keys = [digest + settings for digest in digests]
        return _remembered(cache, keys, signals.data.__getitem__, compute, estimator.batch_size)
    done = []
    for block in signals.blocks(estimator.batch_size):
        keys = [digest + settings for digest in digest_epochs(block)]
        done.append(_remembered(cache, keys, block.__getitem__, compute, estimator.batch_size))
    return np.concatenate(done)


def _remembered(
    cache: EpochCache,
    keys: list[bytes],
    read: Callable[[np.ndarray], np.ndarray],
    compute: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
) -> np.ndarray:
    """Rows from the cache; those that it lacks are computed and put there."""
    rows = cache.get(keys)
    # the same epoch may stand there twice (sampling with replacement)
    missing = list({keys[i]: i for i, row in enumerate(rows) if row is None}.values())
    new = {}
    for start in range(0, len(missing), batch_size):
        batch = missing[start : start + batch_size]
        computed = compute(read(np.array(batch)))
        cache.put([keys[i] for i in batch], computed)
        new.update((keys[i], row) for i, row in zip(batch, computed, strict=True))
    if new:
        rows = [new[key] if row is None else row for key, row in zip(keys, rows, strict=True)]
    return np.array(rows)


def _settings(
    estimator: Any, signals: Signals, precision: str, device: torch.device, compiled: bool
) -> bytes:
    """Hash of everything but the epoch's values that an embedding depends on."""
    positions = sorted((name, xyz.tobytes()) for name, xyz in signals.positions.items())
    return xxh3_128(
        repr(
            (
                encoder_digest(estimator.encoder_),
                signals.ch_names,
                positions,
                signals.data.order if signals.lazy else None,
                signals.sfreq,
                signals.unit if signals.lazy else "uV",
                estimator.unknown_channels,
                estimator.pooling,
                precision,
                compiled,
                str(device),
            )
        ).encode()
    ).digest()


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
