"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from xxhash import xxh3_128

from ..modules.encoder import Encoder
from ..signals.container import Signals
from ..signals.grid import Grid
from ..signals.lazy import digest_epochs
from ..signals.resampling import resampled_length
from ..training.compile import Compiled
from ..training.device import autocast, resolve_device, resolve_precision
from ..training.memory import run_in_batches
from ..training.threads import compute_threads, n_threads_of
from .cache import EpochCache, encoder_digest

POOLINGS = ("mean", "mean_std", "flatten")


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Pooled embeddings ``(n_epochs, n_features)``, as the parameters of a fitted estimator say.

    Signals are read, resampled and embedded batch by batch: memory does not grow with their number,
    and batches are halved where it runs out. With a ``cache``, epochs that were embedded before are
    not embedded again.
    """
    with compute_threads(n_threads_of(estimator.encoder_.config)):
        return _embed(estimator, signals)


def _embed(estimator: Any, signals: Signals) -> np.ndarray:
    encoder, owner = estimator.encoder_, type(estimator).__name__
    grid = Grid(signals, encoder.config, owner=owner, unknown=estimator.unknown_channels)
    device = resolve_device(estimator.device)
    # read in evaluation mode without touching the module, which several estimators may share
    moved = encoder if _device_of(encoder) == device else _copy_to(encoder, device)
    channels = torch.from_numpy(grid.index).to(device)
    precision = resolve_precision(estimator.precision, device)
    wanted = getattr(estimator, "compile", False)  # the probes have no such parameter
    run = Compiled(moved, owner) if wanted else moved

    def compute(block: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), autocast(device, precision):
            x = torch.from_numpy(grid.apply(block)).to(device)
            tokens = run(moved.normalize(x), channels).float().cpu()  # (B, N, E, D)
        if not torch.isfinite(tokens).all():
            raise FloatingPointError(
                f"The encoder of {owner} gives NaN or infinite embeddings: its training diverged "
                "(lower lr), or X holds values of extreme size."
            )
        return pool(tokens.numpy(), estimator.pooling)

    n_epochs, batch_size, cache = signals.n_epochs, estimator.batch_size, estimator._open_cache()
    if cache is None:
        blocks = run_in_batches(
            lambda start, stop: compute(signals.data[start:stop]), n_epochs, batch_size, owner
        )
        return np.concatenate(blocks)
    settings = _settings(estimator, signals, precision, device, wanted)
    digests = signals.data.digests if signals.lazy else None
    if digests is not None:
        known = _Known(cache, [digest + settings for digest in digests])

        def embed_missing(start: int, stop: int) -> None:
            batch = known.missing[start:stop]
            known.add(batch, compute(signals.data[np.array(batch)]))

        run_in_batches(embed_missing, len(known.missing), batch_size, owner)
        return known.rows()

    def embed(start: int, stop: int) -> np.ndarray:
        block = signals.data[start:stop]
        known = _Known(cache, [digest + settings for digest in digest_epochs(block)])
        if known.missing:
            known.add(known.missing, compute(block[known.missing]))
        return known.rows()

    return np.concatenate(run_in_batches(embed, n_epochs, batch_size, owner))


class _Known:
    """Rows from the cache; those that it lacks are added, and put there.

    Attributes
    ----------
    missing : list of int
        Numbers of the epochs to compute: the same one may stand there twice (sampling with
        replacement), and is computed once.
    """

    def __init__(self, cache: EpochCache, keys: list[bytes]) -> None:
        self.cache, self.keys, self.found = cache, keys, cache.get(keys)
        self.new: dict[bytes, np.ndarray] = {}
        absent = {keys[i]: i for i, row in enumerate(self.found) if row is None}
        self.missing = list(absent.values())

    def add(self, numbers: list[int], rows: np.ndarray) -> None:
        keys = [self.keys[i] for i in numbers]
        self.cache.put(keys, rows)
        self.new.update(zip(keys, rows, strict=True))

    def rows(self) -> np.ndarray:
        pairs = zip(self.keys, self.found, strict=True)
        return np.array([self.new[key] if row is None else row for key, row in pairs])


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


def fitted_feature_names(estimator: Any) -> np.ndarray:
    """Feature names of a fitted estimator with an ``encoder_`` and a ``pooling``."""
    config = estimator.encoder_.config
    n_times = 0
    if estimator.pooling == "flatten":
        if getattr(estimator, "_mixed", False):
            raise ValueError(
                "With pooling='flatten' the number of features depends on the length of the "
                f"epochs, which {type(estimator).__name__} does not know after a corpus of several "
                "lengths (or from_pretrained): pass the pretrainer to DAREEmbedder(encoder=...)."
            )
        n_times = resampled_length(estimator.n_times_in_, estimator.sfreq_in_, config.sfreq)
    n_patches = n_times // config.patch_size
    return feature_names(n_patches, config.embed_num, config.embed_dim, estimator.pooling)
