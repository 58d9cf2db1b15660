"""What is learned of embedded epochs: tangent spaces, blocks of features and their components."""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from ..modules.config import DAREConfig
from ..signals.grid import Windows, evoked_rate, resampled_length
from ..training.device import compute_threads, n_threads_of
from .embed import Reading, embed_each, features_of, rhythm_frequencies, token_covariances
from .reading import N_CHOICE, KernelComponents, Rows

N_COMPONENTS = 128  # of the reading "auto", if the user does not say how many
ROUNDING = 1e-6  # of tangent vectors of float32 tokens
RIDGE = 1e-5  # of covariances that are 1 on average
EPOCHS_OF_TOKENS = 64  # whose covariances are made at once
IN_MEMORY_MB = 512  # of features; larger tables are in temporary files
EPOCHS_AT_ONCE = 256  # whatever is read of a row, the system maps 64 kB around it
OF_BANDS = ("bands", "broadband")  # blocks of covariances of the principal filters' outputs
# Calls a function with every batch of training epochs, in order: the numbers of the epochs, and an
# array of their values. Gives the results.
Each = Callable[[Callable[[slice, np.ndarray], Any]], list]


def fit_features(estimator: Any, windows: Windows, weight: np.ndarray | None = None) -> Any:
    """Features of the training epochs, and what is learned on the way, with a `weight` of each.

    Stores ``space_`` for "covariance" and "auto", whose blocks stay apart here.
    """
    (n_epochs, n_chans, n_times), config = windows.shape, estimator.encoder_.config
    if estimator.pooling == "auto":
        n_patches, n_dims = n_times // config.patch_size, config.embed_num * config.embed_dim
        space = AllBlocks((n_chans, n_patches, n_dims), config)
    elif estimator.pooling == "covariance":
        space = TokenTangentSpace()
    else:
        return features_of(estimator, windows)
    weight = np.ones(n_epochs) if weight is None else weight
    features = space.fit_transform(partial(embed_each, estimator, windows), weight)
    estimator.space_ = space
    return features


def fit_components(estimator: Any, windows: Windows) -> np.ndarray:
    """Features of the training epochs, as an embedder gives them.

    Stores ``pca_`` for "auto" and with ``n_components``; see `fit_features` for the rest.
    """
    n_epochs, n_components = windows.shape[0], estimator.n_components
    if estimator.pooling == "auto":
        n_components = n_components or max(1, min(N_COMPONENTS, n_epochs - 1))
        if n_components >= (n_used := min(n_epochs, N_CHOICE)):
            raise ValueError(
                f"n_components={n_components} needs {n_components + 1} epochs or more, and is "
                f"learned from n_samples = {n_used}: pass more epochs or a lower n_components, or "
                "choose one pooling, such as pooling='mean'."
            )
    features = fit_features(estimator, windows)
    if n_components is None:
        return features
    auto = estimator.pooling == "auto"
    pca = KernelComponents(n_components) if auto else PCA(n_components, svd_solver="full")
    with compute_threads(n_threads_of(estimator.encoder_.config)):
        features = pca.fit(features).transform(features).astype(np.float32)
    estimator.pca_ = pca
    return features


def fitted_feature_names(estimator: Any) -> np.ndarray:
    """Feature names: electrode, patch, summary token and dimension, where features differ in them.

    Such as ``dare_s0_d012`` (joint mean), ``dare_p03_s0_d012`` (joint flatten),
    ``dare_CZ_p03_s0_d012`` (electrodes), ``dare_power_CZ_d012`` and ``dare_cov_CZ_PZ``.
    """
    config, reading = estimator.encoder_.config, Reading.of(estimator)
    if hasattr(estimator, "pca_"):
        n_components = estimator.pca_.n_components
        return np.asarray([f"dare_pc{i:03d}" for i in range(n_components)], dtype=object)
    if reading.pooling == "tokens":
        raise ValueError(
            "pooling='tokens' gives a 3-D array, whose numbers have no names: where data frames "
            "are asked for, call set_output(transform='default')."
        )
    if getattr(estimator, "_mixed", False) and (reading.electrodes or reading.pooling == "flatten"):
        raise ValueError(
            "The number of features depends on the electrodes and the length of the epochs, which "
            f"{type(estimator).__name__} does not know after a corpus of several layouts (or "
            "from_pretrained): pass the pretrainer to DAREEmbedder(encoder=...)."
        )
    patches = [""]
    if reading.pooling == "flatten":
        n_times = resampled_length(estimator.n_times_in_, estimator.sfreq_in_, config.sfreq)
        patches = [f"p{p:02d}_" for p in range(n_times // config.patch_size)]
    electrodes = getattr(estimator, "electrodes_", ())
    dims = [f"d{d:03d}" for d in range(config.embed_dim)]
    if reading.pooling == "covariance":  # pyriemann's order: the upper triangle, row by row
        pairs = zip(*np.triu_indices(len(electrodes)), strict=True)
        found = [f"cov_{electrodes[a]}_{electrodes[b]}" for a, b in pairs]
    elif reading.pooling == "power":
        found = [f"power_{name}_{dim}" for name in electrodes for dim in dims]
    else:
        if reading.layer != "patch":
            dims = [f"s{s}_{dim}" for s in range(config.embed_num) for dim in dims]
        views = [f"{name}_" for name in electrodes] if reading.electrodes else [""]
        found = [f"{view}{patch}{dim}" for view in views for patch in patches for dim in dims]
        if reading.pooling == "mean_std":
            found += [f"std_{name}" for name in found]
    return np.asarray([f"dare_{name}" for name in found], dtype=object)


class TokenTangentSpace(BaseEstimator):
    """Covariances of tokens as vectors of the tangent space at their mean, ``reference_``.

    The mean token of each electrode and patch in the training epochs, ``mean_token_``, is taken off
    first.
    """

    def fit_transform(self, each: Each, weight: np.ndarray) -> np.ndarray:
        """Learn from tokens ``(n, n_chans, n_patches, n_dims)``, with a `weight`, and map them."""
        self.mean_token_ = np.ascontiguousarray(_weighted_mean(each, weight), dtype=np.float32)
        batches = each(lambda _, tokens: token_covariances(tokens, self.mean_token_))
        # the mean of logarithms is that of the batches' means; of all, pyriemann makes copies
        weights = np.split(weight, np.cumsum([len(batch) for batch in batches])[:-1])
        means = [
            _tangent_space().fit(batch, sample_weight=own).reference_
            for batch, own in zip(batches, weights, strict=True)
            if own.any()
        ]
        totals = [own.sum() for own in weights if own.any()]
        space = _tangent_space().fit(np.stack(means), sample_weight=np.array(totals))
        self.reference_ = np.ascontiguousarray(space.reference_)
        return np.concatenate([self._vectors(batch) for batch in batches])

    def transform(self, tokens: np.ndarray) -> np.ndarray:
        """Tangent vectors ``(n_epochs, n_chans * (n_chans + 1) / 2)``, float32."""
        return self._vectors(token_covariances(tokens, self.mean_token_))

    def _vectors(self, covariances: np.ndarray) -> np.ndarray:
        space = _tangent_space()
        space.reference_ = self.reference_
        vectors = space.transform(covariances).astype(np.float32)
        # less is rounding: two epochs, each as far from their mean, have the same covariance
        vectors[np.abs(vectors) < ROUNDING] = 0
        return vectors


class BandSpace(BaseEstimator):
    """Covariances by band as vectors of the tangent spaces at their means, ``references_``.

    Arithmetic means need no eigenvalues of every epoch, and are as good here as geometric ones.
    """

    def fit(self, each: Each, weight: np.ndarray) -> Self:
        """Learn from lower triangles ``(n, n_filters, n_chans * (n_chans + 1) / 2)``."""
        self.references_ = _symmetric(_weighted_mean(each, weight))
        return self

    def transform(self, triangles: np.ndarray) -> np.ndarray:
        """Vectors of the same shape, float32."""
        found = np.empty(triangles.shape, dtype=np.float32)
        space = _tangent_space()
        for band, reference in enumerate(self.references_):
            space.reference_ = reference
            # what float32 has rounded below zero is lifted
            found[:, band] = space.transform(_symmetric(triangles[:, band]) + RIDGE * reference)
        return found


def _weighted_mean(each: Each, weight: np.ndarray) -> np.ndarray:
    parts = each(lambda epochs, values: np.einsum("e,e...->...", weight[epochs], values))
    return sum(parts) / weight.sum()


def _symmetric(triangles: np.ndarray) -> np.ndarray:
    """Lower triangles ``(..., n * (n + 1) / 2)`` as whole matrices, float64."""
    n = int(np.sqrt(2 * triangles.shape[-1]))
    rows, columns = np.tril_indices(n)
    whole = np.empty((*triangles.shape[:-1], n, n))
    whole[..., rows, columns] = whole[..., columns, rows] = triangles
    return whole


class AllBlocks(BaseEstimator):
    """Rows of the reading "auto" as blocks of features by name, for a reading of several blocks.

    `shape` are the numbers of electrodes, patches and dimensions of an epoch's tokens.
    """

    def __init__(self, shape: tuple[int, int, int], config: DAREConfig) -> None:
        self.shape = shape
        self.config = config

    def fit_transform(self, each: Each, weight: np.ndarray) -> dict[str, Rows]:
        """Blocks "joint", "electrodes", "power", "rhythms", "evoked", "bands" and two more.

        "broadband" is read from the sum of the covariances by band, "covariance" from tokens. They
        are those of training epochs, whose means are weighted; in temporary files, if large.
        """
        blocks: dict[str, Rows] = {}

        def keep(epochs: slice, rows: np.ndarray) -> None:
            parts = self._split(rows)
            if not blocks:
                places = empty_rows(len(weight), [part.shape[1:] for part in parts.values()])
                blocks.update(zip(parts, places, strict=True))
            for name, part in parts.items():
                blocks[name][epochs] = part

        each(keep)
        tokens = blocks["electrodes"]
        batches = list(gen_batches(len(tokens), EPOCHS_OF_TOKENS))
        with compute_threads(n_threads_of(self.config)):
            self.bands_ = {name: BandSpace() for name in OF_BANDS}
            for name, space in self.bands_.items():
                rows = blocks[name]
                space.fit(partial(self._each_triangles, rows, batches), weight)
                for part in batches:  # in place
                    rows[part] = self._in_space(space, rows[part])
            self.space_ = TokenTangentSpace()
            blocks["covariance"] = self.space_.fit_transform(
                lambda work: [work(i, tokens[i].reshape(-1, *self.shape)) for i in batches], weight
            )
        return blocks

    def transform(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The same blocks of other epochs."""
        blocks = self._split(rows)
        for name, space in self.bands_.items():
            blocks[name] = self._in_space(space, blocks[name])
        tokens = blocks["electrodes"].reshape(-1, *self.shape)
        return {**blocks, "covariance": self.space_.transform(tokens)}

    def _split(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        (n_chans, n_patches, n_dims), config = self.shape, self.config
        n_times = n_patches * config.patch_size
        n_rhythms = len(rhythm_frequencies(n_times, config.sfreq))
        n_samples = resampled_length(n_times, config.sfreq, evoked_rate(config.sfreq))
        widths = {
            "joint": n_patches * n_dims,
            "electrodes": n_chans * n_patches * n_dims,
            "power": n_chans * config.embed_dim,
            "rhythms": n_rhythms,
            "evoked": n_chans * n_samples,
        }
        parts = np.split(rows, np.cumsum(list(widths.values())), axis=1)
        blocks = dict(zip([*widths, "bands"], parts, strict=True))
        for name in ("rhythms", "evoked"):  # one scale: what stands out by far stays far out
            blocks[name] = blocks[name][:, None]
        if not widths["rhythms"]:
            del blocks["rhythms"]
        # beside bands, whose features count alike, one block in the tangent space's own metric
        blocks["broadband"] = self._triangles(blocks["bands"]).sum(axis=1, keepdims=True)
        return blocks

    def _in_space(self, space: BandSpace, rows: np.ndarray) -> np.ndarray:
        return space.transform(self._triangles(rows)).reshape(rows.shape)

    def _each_triangles(self, rows: Rows, batches: list[slice], work: Callable) -> list:
        return [work(part, self._triangles(rows[part])) for part in batches]

    def _triangles(self, bands: np.ndarray) -> np.ndarray:
        n_chans = self.shape[0]
        return bands.reshape(len(bands), -1, n_chans * (n_chans + 1) // 2)


def _tangent_space() -> Any:
    """pyriemann's, at a mean that takes one pass."""
    from pyriemann.tangentspace import TangentSpace  # half a second, which few readings need

    return TangentSpace(metric={"mean": "logeuclid", "map": "riemann"})


class FileRows:
    """A float32 array ``(n_epochs, ...)`` in a temporary file, which is read and written in parts.

    ``rows[epochs]`` and, of a table, ``rows[epochs, columns]`` take slices and give copies. Nothing
    stays mapped, so that the memory of the process does not grow with the file. The file has no
    name: it is gone with the object, however the process ends.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file = tempfile.TemporaryFile(prefix="dare_sklearn_")  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, n_epochs: int, n_columns: int) -> Self:
        """The same file as a table; `n_columns` is -1, as numpy has it."""
        table = copy.copy(self)
        table.shape = (n_epochs, prod(self.shape[1:]))
        table._owner = self  # which closes the file when it goes
        return table

    def __setitem__(self, epochs: slice, values: np.ndarray) -> None:
        # not by a map: on a full disk that ends the process, and this raises an OSError
        self._file.seek(4 * epochs.start * prod(self.shape[1:]))
        self._file.write(np.asarray(values, dtype=np.float32).tobytes())
        self._file.flush()

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        start, stop, _ = (key[0] if isinstance(key, tuple) else key).indices(len(self))
        parts = []
        for at in range(start, stop, EPOCHS_AT_ONCE):
            mapped = np.memmap(self._file, np.float32, "r", shape=self.shape)
            part = mapped[at : min(at + EPOCHS_AT_ONCE, stop)]
            parts.append(np.array(part[:, key[1]] if isinstance(key, tuple) else part))
        return np.concatenate(parts)


def empty_rows(n_epochs: int, shapes: Sequence[tuple[int, ...]]) -> list[Rows]:
    """Float32 arrays ``(n_epochs, *shape)``, in temporary files if they are large together.

    In memory where the folder of temporary files lacks the room.
    """
    size = 4 * n_epochs * sum(map(prod, shapes))
    room = shutil.disk_usage(tempfile.gettempdir()).free
    if IN_MEMORY_MB * 1e6 < size < room:
        return [FileRows((n_epochs, *shape)) for shape in shapes]
    return [np.empty((n_epochs, *shape), np.float32) for shape in shapes]
