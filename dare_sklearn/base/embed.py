"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from xxhash import xxh3_128

from ..signals.container import Signals
from ..signals.lazy import digest_epochs
from ..signals.resampling import resampled_length
from ..training.compile import Compiled
from ..training.device import autocast, resolve_device, resolve_precision
from ..training.memory import run_in_batches
from ..training.threads import compute_threads, n_threads_of
from .cache import EpochCache, encoder_digest, open_cache

POOLINGS = ("mean", "mean_std", "flatten")


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Pooled embeddings ``(n_epochs, n_features)``, as the parameters of a fitted estimator say.

    Windows are read and embedded batch by batch: memory does not grow with their number, and
    batches are halved where it runs out. With a ``cache``, epochs that were embedded before are not
    embedded again.
    """
    windows, cache = estimator._windows(signals), _cache_of(estimator)
    network = _Network(estimator, windows.rows)

    def embed(start: int, stop: int) -> np.ndarray:
        block = windows[start:stop]
        if cache is None:
            return network.run(block)
        known = _Known(cache, [digest + network.settings for digest in digest_epochs(block)])
        if known.missing:
            known.add(known.missing, network.run(block[known.missing]))
        return known.rows()

    with estimator._asking(), compute_threads(n_threads_of(estimator.encoder_.config)):
        return np.concatenate(
            run_in_batches(embed, len(windows), estimator.batch_size, type(estimator).__name__)
        )


def _cache_of(estimator: Any) -> EpochCache | None:
    """The cache of an estimator that has the parameter."""
    params = vars(estimator)
    return open_cache(params["cache"], params["cache_mb"]) if "cache" in params else None


class _Network:
    """The encoder of an estimator, on its device: windows in, features out.

    Attributes
    ----------
    settings : bytes
        Hash of everything but the windows that an embedding depends on.
    """

    def __init__(self, estimator: Any, rows: np.ndarray) -> None:
        self.owner, self.pooling = type(estimator).__name__, estimator.pooling
        encoder, self.device = estimator.encoder_, resolve_device(estimator.device)
        self.precision = resolve_precision(estimator.precision, self.device)
        self.channels = torch.from_numpy(rows).to(self.device)
        # run in evaluation mode without touching the module, which several estimators may share
        here = next(encoder.parameters()).device == self.device
        self.encoder = encoder if here else copy.deepcopy(encoder).to(self.device)
        compiled = getattr(estimator, "compile", False)  # the probes have no such parameter
        self.forward = Compiled(self.encoder, self.owner) if compiled else self.encoder
        how = (rows.tolist(), self.pooling, self.precision, compiled, str(self.device))
        self.settings = xxh3_128(repr((encoder_digest(encoder), how)).encode()).digest()

    def run(self, block: np.ndarray) -> np.ndarray:
        """Features ``(n, n_features)`` of windows ``(n, n_chans, n_times)``."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            x = self.encoder.normalize(torch.from_numpy(block).to(self.device))
            tokens = self.forward(x, self.channels).float().cpu()  # (B, N, E, D)
        if not torch.isfinite(tokens).all():
            raise FloatingPointError(
                f"The encoder of {self.owner} gives NaN or infinite embeddings: its training "
                "diverged (lower lr), or X holds values of extreme size."
            )
        return pool(tokens.numpy(), self.pooling)


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
