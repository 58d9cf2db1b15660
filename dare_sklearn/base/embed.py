"""From windows on the encoder's grid to pooled embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property, partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.utils._param_validation import Interval, StrOptions
from tqdm import tqdm
from xxhash import xxh3_128

from .. import __version__
from ..modules.filters import principal_filters
from ..signals.container import digest_epochs
from ..signals.electrodes import ELECTRODES, electrode_rows
from ..signals.grid import UNKNOWN_CHANNELS, Windows
from ..signals.interpolation import spline_matrix, template_positions
from ..signals.resampling import resampled_length
from ..training.device import (
    PRECISIONS,
    autocast,
    compute_threads,
    n_threads_of,
    n_threads_to_embed,
    resolve_device,
    resolve_precision,
    run_in_batches,
)
from .cache import encoder_digest
from .input import SIGNAL_CONSTRAINTS
from .pooling import VIEWS, AllBlocks, Reading, TokenTangentSpace, read_rows
from .reading import N_CHOICE, KernelComponents

N_COMPONENTS = 128  # of the reading "auto", if the user does not say how many

# Of the parameters that all estimators with an encoder share.
SHARED_CONSTRAINTS: dict = {
    **SIGNAL_CONSTRAINTS,
    "unknown_channels": [StrOptions(set(UNKNOWN_CHANNELS))],
    "views": [StrOptions(set(VIEWS))],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "device": [str],
    "precision": [StrOptions(set(PRECISIONS))],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def embed_each(estimator: Any, windows: Windows, work: Callable[[np.ndarray], Any]) -> list:
    """What `work` makes of the rows of every batch of epochs, in order; rows are not kept.

    Windows are read and embedded batch by batch: memory does not grow with their number, and
    batches are halved where it runs out. With a ``cache``, epochs that were embedded before are not
    embedded again.
    """
    bar = None

    def embed(start: int, stop: int) -> Any:
        done = work(network.rows(start, stop))
        if bar is not None:
            bar.update(stop - start)
        return done

    if vars(estimator).get("verbose"):  # a bar that is switched off starts its thread too
        bar = tqdm(desc="embedding", total=len(windows), leave=False, unit="epoch")
    with estimator._asking(), compute_threads(n_threads_to_embed()), bar or nullcontext():
        network = _Network(estimator, windows)  # computes, and may do so in a forked process
        return run_in_batches(embed, len(windows), estimator.batch_size)


class _Network:
    """The encoder of an estimator, on its device: windows in, features out.

    `settings` is a hash of everything but the windows that an embedding depends on.
    """

    def __init__(self, estimator: Any, windows: Windows) -> None:
        self.reading, self.cache = Reading.of(estimator), estimator._open_cache()
        self.windows, rows = windows, windows.rows
        encoder, self.device = estimator.encoder_, resolve_device(estimator.device)
        self.precision = resolve_precision(estimator.precision, self.device)
        self.channels = torch.from_numpy(rows).to(self.device)
        # run in evaluation mode without touching the module, which several estimators may share
        here = next(encoder.parameters()).device == self.device
        self.encoder = encoder if here else copy.deepcopy(encoder).to(self.device)
        compiled = getattr(estimator, "compile", False)  # the probes have no such parameter
        self.forward = torch.compile(self.encoder) if compiled else self.encoder
        # a pretrainer of several layouts has no electrodes that epochs could lack
        fitted = vars(estimator).get("electrodes_") if self.reading.electrodes else None
        names, self.fill = electrodes_of(rows), None
        fitted = None if fitted == names else fitted
        if fitted is not None:  # those that epochs lack are interpolated
            template = template_positions()
            matrix = spline_matrix({name: template[name] for name in names}, fitted)
            fill = torch.from_numpy(matrix), torch.from_numpy(electrode_rows(fitted))
            self.fill = tuple(part.to(self.device) for part in fill)
        how = (rows.tolist(), fitted, self.reading, self.precision, compiled, str(self.device))
        how = (__version__, torch.__version__, *how)  # what a folder holds may be years old
        self.settings = xxh3_128(repr((encoder_digest(encoder), how)).encode()).digest()

    @cached_property
    def filters(self) -> tuple[torch.Tensor, ...] | None:
        """What only "auto" reads; not made where the cache has all epochs."""
        if self.reading.pooling != "auto":
            return None
        return tuple(part.to(self.device) for part in principal_filters(self.encoder))

    def run(self, block: np.ndarray) -> np.ndarray:
        """Features ``(n, n_features)`` of windows ``(n, n_chans, n_times)``."""
        filters = self.filters  # in full precision
        with torch.inference_mode(), autocast(self.device, self.precision):
            x = self.encoder.normalize(torch.from_numpy(block).to(self.device))
            rows = read_rows(
                self.encoder,
                x,
                self.channels,
                self.reading,
                forward=self.forward,
                fill=self.fill,
                filters=filters,
            )
        if not np.isfinite(rows).all():
            raise FloatingPointError(
                "The encoder gives NaN or infinite embeddings: its training diverged (lower lr), "
                "or X holds values of extreme size."
            )
        return rows

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Features of some epochs: from the cache, or computed and put there.

        The cache knows epochs by their values as they were recorded, so that those that are found
        need not be brought to the encoder's grid.
        """
        if self.cache is None:
            return self.run(self.windows[start:stop])
        data, how = self.windows.signals.data, self.settings + self.windows.digest()
        digests = getattr(data, "digests", None)
        if digests is None:
            data, start = data[start:stop], 0
            digests = digest_epochs(data)
        else:  # of values that are not yet microvolts
            digests, how = digests[start:stop], how + data.unit.encode()
        keys = [digest + how for digest in digests]
        found = self.cache.get(keys)
        # an epoch may stand there twice (sampling with replacement), and is computed once
        absent = {key: i for i, key in enumerate(keys) if found[i] is None}
        new: dict[bytes, np.ndarray] = {}
        if absent:
            rows = self.run(self.windows.bring(data[[start + i for i in absent.values()]]))
            self.cache.put(list(absent), rows)
            new = dict(zip(absent, rows, strict=True))
        pairs = zip(keys, found, strict=True)
        return np.array([new[key] if row is None else row for key, row in pairs])


def electrodes_of(rows: np.ndarray) -> tuple[str, ...]:
    """Names of the electrodes in these rows of the table."""
    return tuple(ELECTRODES[row] for row in rows)


def fit_features(estimator: Any, windows: Windows, weight: np.ndarray | None = None) -> Any:
    """Features of the training epochs, and what is learned on the way, with a `weight` of each.

    Stores ``space_``, where the reading learns: the tangent space of "covariance", or the blocks of
    "auto". Blocks stay apart here, for what weighs them.
    """
    weight = np.ones(len(windows)) if weight is None else weight
    if estimator.pooling == "auto":
        config = estimator.encoder_.config
        space = AllBlocks(len(windows.rows), windows.shape[-1] // config.patch_size, config)
        blocks = space.keep(partial(embed_each, estimator, windows), len(windows))
        with compute_threads(n_threads_of(config)):
            features = space.fit_transform(blocks, weight)
    elif estimator.pooling == "covariance":
        space = TokenTangentSpace()
        features = space.fit_transform(lambda work: embed_each(estimator, windows, work), weight)
    else:
        return features_of(estimator, windows)
    estimator.space_ = space
    return features


def fit_components(estimator: Any, windows: Windows) -> np.ndarray:
    """Features of the training epochs, as an embedder gives them.

    Stores ``pca_`` for "auto" and with ``n_components``; see `fit_features` for the rest.
    """
    n_epochs, n_components = len(windows), estimator.n_components
    if estimator.pooling == "auto":
        n_components = n_components or max(1, min(N_COMPONENTS, n_epochs - 1))
        if n_components >= (n_used := min(n_epochs, N_CHOICE)):
            raise ValueError(
                f"n_components={n_components} needs {n_components + 1} epochs or more, and is "
                f"learned from n_samples = {n_used}: lower it, or choose one pooling, such as "
                "pooling='mean'."
            )
    features = fit_features(estimator, windows)
    if n_components is None:
        return features
    if estimator.pooling == "auto":
        pca = KernelComponents(n_components)
    elif n_components > min(features.shape):
        raise ValueError(
            f"n_components={n_components} is more than {n_epochs} epochs with "
            f"{features.shape[1]} features allow: lower it."
        )
    else:
        pca = PCA(n_components, svd_solver="full")
    with compute_threads(n_threads_of(estimator.encoder_.config)):
        features = pca.fit(features).transform(features).astype(np.float32)
    estimator.pca_ = pca
    return features


def features_of(
    estimator: Any, windows: Windows, work: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Features of any epochs, as a fitted estimator makes them; or what `work` makes of them."""
    space, pca = (vars(estimator).get(name) for name in ("space_", "pca_"))
    found, done = None, 0

    def keep(rows: np.ndarray) -> None:
        nonlocal found, done
        rows = rows if space is None else space.transform(rows)
        rows = rows if pca is None else pca.transform(rows).astype(np.float32)
        rows = rows if work is None else work(rows)
        if found is None:  # a list of batches would be there twice in the end
            found = np.empty((len(windows), *rows.shape[1:]), rows.dtype)
        found[done : done + len(rows)] = rows
        done += len(rows)

    embed_each(estimator, windows, keep)
    return found


def fitted_feature_names(estimator: Any) -> np.ndarray:
    """Feature names of a fitted estimator with an ``encoder_`` and a ``pooling``."""
    config, reading = estimator.encoder_.config, Reading.of(estimator)
    if hasattr(estimator, "pca_"):
        n_components = estimator.pca_.n_components
        return np.asarray([f"dare_pc{i:03d}" for i in range(n_components)], dtype=object)
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
    electrodes = getattr(estimator, "electrodes_", ())
    return reading.names(config, electrodes, n_times // config.patch_size)
