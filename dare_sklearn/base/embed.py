"""From signals on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from xxhash import xxh3_128

from ..signals.container import Signals
from ..signals.electrodes import ELECTRODES, electrode_index
from ..signals.interpolation import spline_matrix, template_positions
from ..signals.lazy import digest_epochs
from ..signals.resampling import resampled_length
from ..training.device import Compiled, autocast, resolve_device, resolve_precision
from ..training.memory import run_in_batches
from ..training.threads import compute_threads, n_threads_of
from .cache import EpochCache, encoder_digest, open_cache
from .pooling import Reading, TokenTangentSpace, feature_names, read_rows


def embed_signals(estimator: Any, signals: Signals) -> np.ndarray:
    """Rows ``(n_epochs, ...)`` of a fitted estimator's reading; see `pooling.read_rows`.

    Windows are read and embedded batch by batch: memory does not grow with their number, and
    batches are halved where it runs out. With a ``cache``, epochs that were embedded before are not
    embedded again.
    """
    rows, done = None, 0

    def keep(block: np.ndarray) -> None:
        nonlocal rows, done
        if rows is None:  # a list of blocks would be there twice in the end
            rows = np.empty((signals.n_epochs, *block.shape[1:]), block.dtype)
        rows[done : done + len(block)] = block
        done += len(block)

    embed_each(estimator, signals, keep)
    return rows


def embed_each(estimator: Any, signals: Signals, work: Callable[[np.ndarray], Any]) -> list:
    """What `work` makes of the rows of every batch of epochs, in order; rows are not kept."""
    windows, cache = estimator._windows(signals), _cache_of(estimator)
    network = _Network(estimator, windows.rows)

    def embed(start: int, stop: int) -> Any:
        block = windows[start:stop]
        if cache is None:
            return work(network.run(block))
        known = _Known(cache, [digest + network.settings for digest in digest_epochs(block)])
        if known.missing:
            known.add(known.missing, network.run(block[known.missing]))
        return work(known.rows())

    with estimator._asking(), compute_threads(n_threads_of(estimator.encoder_.config)):
        return run_in_batches(embed, len(windows), estimator.batch_size)


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
        self.owner, self.reading = type(estimator).__name__, Reading.of(estimator)
        encoder, self.device = estimator.encoder_, resolve_device(estimator.device)
        self.precision = resolve_precision(estimator.precision, self.device)
        self.channels = torch.from_numpy(rows).to(self.device)
        # run in evaluation mode without touching the module, which several estimators may share
        here = next(encoder.parameters()).device == self.device
        self.encoder = encoder if here else copy.deepcopy(encoder).to(self.device)
        compiled = getattr(estimator, "compile", False)  # the probes have no such parameter
        self.forward = Compiled(self.encoder) if compiled else self.encoder
        # a pretrainer of several layouts has no electrodes that epochs could lack
        fills = self.reading.electrodes and hasattr(estimator, "electrodes_")
        self.fill = _fill(estimator, rows, self.device) if fills else None
        fitted = None if self.fill is None else estimator.electrodes_
        how = (rows.tolist(), fitted, self.reading, self.precision, compiled, str(self.device))
        self.settings = xxh3_128(repr((encoder_digest(encoder), how)).encode()).digest()

    def run(self, block: np.ndarray) -> np.ndarray:
        """Features ``(n, n_features)`` of windows ``(n, n_chans, n_times)``."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            x = self.encoder.normalize(torch.from_numpy(block).to(self.device))
            rows = read_rows(
                self.encoder, x, self.channels, self.reading, forward=self.forward, fill=self.fill
            )
        if not np.isfinite(rows).all():
            raise FloatingPointError(
                f"The encoder of {self.owner} gives NaN or infinite embeddings: its training "
                "diverged (lower lr), or X holds values of extreme size."
            )
        return rows


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


def _fill(
    estimator: Any, index: np.ndarray, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Interpolation of the fitted electrodes that the signals lack, and the rows of all of them."""
    fitted, names = estimator.electrodes_, tuple(ELECTRODES[row] for row in index)
    if fitted == names:
        return None
    template = template_positions()
    matrix = spline_matrix(
        {name: template[name] for name in names}, {name: template[name] for name in fitted}
    )
    rows = torch.tensor([electrode_index(name) for name in fitted])
    return torch.from_numpy(matrix).to(device), rows.to(device)


def fit_features(estimator: Any, signals: Signals) -> np.ndarray:
    """Features of the training epochs, and what is learned on the way.

    Stores ``space_`` (for "covariance": the mean token and the reference of the tangent space) and
    ``pca_`` (with ``n_components``).
    """
    for name in ("space_", "pca_"):
        vars(estimator).pop(name, None)
    if estimator.pooling == "covariance":
        space = TokenTangentSpace()
        features = space.fit_transform(lambda work: embed_each(estimator, signals, work))
        estimator.space_ = space
    else:
        features = embed_signals(estimator, signals)
    n_components = getattr(estimator, "n_components", None)
    if n_components is None:
        return features
    if n_components > min(features.shape):
        raise ValueError(
            f"n_components={n_components} is more than {features.shape[0]} epochs with "
            f"{features.shape[1]} features allow: lower it."
        )
    estimator.pca_ = PCA(n_components, svd_solver="full")
    return estimator.pca_.fit_transform(features).astype(np.float32)


def features_of(estimator: Any, signals: Signals) -> np.ndarray:
    """Features of any epochs, as a fitted estimator makes them."""
    if estimator.pooling == "covariance":
        parts = embed_each(estimator, signals, estimator.space_.transform)
        features = np.concatenate(parts)
    else:
        features = embed_signals(estimator, signals)
    if hasattr(estimator, "pca_"):
        features = estimator.pca_.transform(features).astype(np.float32)
    return features


def electrodes_of(estimator: Any, signals: Signals) -> tuple[str, ...]:
    """Names of the electrodes that the encoder reads; refuses what it could not read."""
    return tuple(ELECTRODES[row] for row in estimator._windows(signals).rows)


def fitted_feature_names(estimator: Any) -> np.ndarray:
    """Feature names of a fitted estimator with an ``encoder_`` and a ``pooling``."""
    config, reading = estimator.encoder_.config, Reading.of(estimator)
    if hasattr(estimator, "pca_"):
        return np.asarray([f"dare_pc{i:03d}" for i in range(estimator.n_components)], dtype=object)
    if reading.pooling == "tokens":
        raise ValueError("pooling='tokens' gives a 3-D array, whose numbers have no names.")
    if getattr(estimator, "_mixed", False) and (reading.electrodes or reading.pooling == "flatten"):
        raise ValueError(
            "The number of features depends on the electrodes and the length of the epochs, which "
            f"{type(estimator).__name__} does not know after a corpus of several layouts (or "
            "from_pretrained): pass the pretrainer to DAREEmbedder(encoder=...)."
        )
    n_times = 0
    if reading.pooling == "flatten":
        n_times = resampled_length(estimator.n_times_in_, estimator.sfreq_in_, config.sfreq)
    return feature_names(
        config,
        getattr(estimator, "electrodes_", ()),
        n_times // config.patch_size,
        views=reading.views,
        pooling=reading.pooling,
        layer=reading.layer,
    )
