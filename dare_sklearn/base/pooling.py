"""From the tokens of an encoder to features: views, layers and poolings.

Pure functions of tokens ``(n_epochs, n_views, n_patches, n_dims)``, and one reading that learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import gen_batches
from torch import Tensor
from torch.nn.functional import conv1d

from ..modules.config import DAREConfig
from ..modules.filters import filter_patches
from ..modules.networks import Encoder
from .rhythms import read_rhythms, rhythm_frequencies
from .rows import FileRows, empty_rows

VIEWS = ("joint", "electrodes")
POOLINGS = ("mean", "mean_std", "flatten", "covariance", "power", "tokens")
LAYERS = ("patch", "last")
STRIDE = 16  # samples between the overlapping patches of "power"
# Variance of a learned filter's output below what amplifiers resolve: a flat channel stays finite.
FLOOR = 1e-5
SINGULAR = 1e-10
ROUNDING = 1e-6  # of tangent vectors of float32 tokens
RIDGE = 1e-5  # of covariances that are 1 on average
BAND_STRIDE = 8  # samples between the windows of "bands"
EPOCHS_OF_TOKENS = 64  # whose covariances are made at once


@dataclass(frozen=True)
class Reading:
    """What is read from the encoder of each epoch: one of the views, poolings and layers, or all.

    The pooling "auto" is the default reading: joint tokens and tokens of every electrode at every
    patch, the power of every electrode, and outputs of the principal filters, at every patch and as
    covariances of electrodes, in one row.
    """

    views: str = "joint"
    pooling: str = "mean"
    layer: str | int = "last"

    @classmethod
    def of(cls, estimator: Any) -> Reading:
        """The reading of an estimator, which may lack some of the parameters."""
        params = vars(estimator)
        return cls(*(params.get(name, getattr(cls, name)) for name in cls.__annotations__))

    @property
    def electrodes(self) -> bool:
        """Whether the number of its features depends on that of the electrodes."""
        return self.pooling == "auto" or self.views == "electrodes"

    def check(self, config: DAREConfig) -> None:
        """Raise a ValueError if views, pooling and layer do not go together."""
        if self.pooling == "auto":
            return
        if self.pooling in ("covariance", "power") and not self.electrodes:
            raise ValueError(
                f"pooling={self.pooling!r} reads every electrode alone: set views='electrodes'."
            )
        if self.layer == "patch" and not self.electrodes:
            raise ValueError(
                "layer='patch' is read before electrodes are mixed: set views='electrodes'."
            )
        if not isinstance(self.layer, str) and not 0 <= self.layer < config.depth[0]:
            raise ValueError(
                f"layer must be 'patch', 'last' or a block from 0 to {config.depth[0] - 1} of this "
                f"encoder, got {self.layer}."
            )
        if self.pooling == "power" and self.layer not in LAYERS:
            raise ValueError("pooling='power' reads the patch embedding: leave layer out.")

    def names(self, config: DAREConfig, electrodes: Sequence[str], n_patches: int) -> np.ndarray:
        """Names of the features: electrode, patch, summary token and dimension, where they differ.

        Such as ``dare_s0_d012`` (joint mean), ``dare_p03_s0_d012`` (joint flatten),
        ``dare_CZ_p03_s0_d012`` (electrodes), ``dare_power_CZ_d012`` and ``dare_cov_CZ_PZ``.
        """
        dims = [f"d{d:03d}" for d in range(config.embed_dim)]
        if self.pooling == "covariance":  # pyriemann's order: the upper triangle, row by row
            pairs = zip(*np.triu_indices(len(electrodes)), strict=True)
            found = [f"cov_{electrodes[a]}_{electrodes[b]}" for a, b in pairs]
        elif self.pooling == "power":
            found = [f"power_{name}_{dim}" for name in electrodes for dim in dims]
        else:
            if self.layer != "patch":
                dims = [f"s{s}_{dim}" for s in range(config.embed_num) for dim in dims]
            views = [f"{name}_" for name in electrodes] if self.electrodes else [""]
            flat = self.pooling == "flatten"
            patches = [f"p{p:02d}_" for p in range(n_patches)] if flat else [""]
            found = [f"{view}{patch}{dim}" for view in views for patch in patches for dim in dims]
            if self.pooling == "mean_std":
                found += [f"std_{name}" for name in found]
        return np.asarray([f"dare_{name}" for name in found], dtype=object)


def read_tokens(
    encoder: Encoder,
    x: Tensor,
    channels: Tensor,
    *,
    views: str,
    layer: str | int = "last",
    forward: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Tokens ``(n_epochs, n_views, n_patches, n_dims)`` of a batch on the encoder's own scale.

    `layer` is the patch embedding ("patch": a bank of learned filters, before any layer norm), the
    last block's output after its layer norm ("last"), or the output of a block, counted from 0.
    `forward` is a compiled `encoder`, for joint views.
    """
    if layer == "patch":
        return encoder.filter_bank(x, encoder.config.patch_size)
    block = None if layer == "last" else int(layer)
    if views == "electrodes":
        return encoder.forward_electrodes(x, channels, layer=block).flatten(3)
    run = encoder if forward is None else forward
    tokens = run(x, channels) if block is None else encoder(x, channels, layer=block)
    return tokens.flatten(2)[:, None]


def read_power(encoder: Encoder, x: Tensor) -> Tensor:
    """Log-variance of the encoder's learned filters, ``(n_epochs, n_chans * embed_dim)``.

    Over overlapping patches of every electrode.
    """
    bank = encoder.filter_bank(x, STRIDE).float()  # (B, C, n_windows, D)
    return bank.var(dim=2, correction=0).add(FLOOR).log().flatten(1)


def read_bands(filters: Tensor, x: Tensor) -> np.ndarray:
    """Covariances of electrodes in each of the principal filters, as lower triangles, float32.

    Over overlapping windows, with OAS shrinkage: ``(n_epochs, n_filters, n_chans * (n_chans + 1) /
    2)``.
    """
    n_epochs, n_chans, n_times = x.shape
    out = conv1d(x.reshape(-1, 1, n_times), filters[:, None], stride=BAND_STRIDE)
    out = out.unflatten(0, (n_epochs, n_chans)).transpose(1, 2).flatten(0, 1)
    covariances = token_covariances(out.float().cpu().numpy()[:, :, None])
    covariances[:, range(n_chans), range(n_chans)] += FLOOR
    triangle = covariances[(slice(None), *np.tril_indices(n_chans))]
    return triangle.reshape(n_epochs, len(filters), -1).astype(np.float32)


def read_rows(
    encoder: Encoder,
    x: Tensor,
    channels: Tensor,
    reading: Reading,
    *,
    forward: Callable[..., Tensor] | None = None,
    fill: tuple[Tensor, Tensor] | None = None,
    filters: tuple[Tensor, Tensor] | None = None,
) -> np.ndarray:
    """What a reading takes from each epoch of a batch, ``(n_epochs, ...)``, before any learning.

    Pooled features; for "covariance" the tokens, for "auto" all blocks side by side. `fill` is a
    map ``(n_fitted, n_chans)`` onto the electrodes of the fit, and their rows, where some of them
    are lost: readings of every electrode take those from the interpolated signal. `filters` are the
    encoder's principal filters, which "auto" reads, and their strengths.
    """
    everything = (x, channels) if fill is None else (fill[0] @ x, fill[1])

    def tokens(views: str) -> np.ndarray:
        signals = everything if views == "electrodes" else (x, channels)
        found = read_tokens(encoder, *signals, views=views, layer=reading.layer, forward=forward)
        return found.float().cpu().numpy()

    if reading.pooling == "covariance":
        return tokens("electrodes")
    if reading.pooling not in ("auto", "power"):
        return pool(tokens(reading.views), reading.pooling)
    power = read_power(encoder, everything[0]).cpu().numpy()
    if reading.pooling == "power":
        return power
    evoked = filter_patches(everything[0], filters[1] * filters[0]).flatten(1).float().cpu().numpy()
    bands = read_bands(filters[0], everything[0]).reshape(len(x), -1)
    # of what was recorded: an interpolated electrode adds no direction to its neighbours
    rhythms = read_rhythms(x, encoder.config.sfreq)
    flat = (pool(tokens(views), "flatten") for views in VIEWS)
    return np.hstack([*flat, power, rhythms, evoked, bands])


def pool(tokens: np.ndarray, pooling: str) -> np.ndarray:
    """Pool ``(n_epochs, n_views, n_patches, n_dims)`` over patches to ``(n_epochs, n_features)``.

    For "tokens", ``(n_epochs, n_views, n_patches * n_dims)``.
    """
    n_epochs, n_views = tokens.shape[:2]
    if pooling == "tokens":
        return tokens.reshape(n_epochs, n_views, -1)
    if pooling == "flatten":
        return tokens.reshape(n_epochs, -1)
    mean = tokens.mean(axis=2).reshape(n_epochs, -1)
    if pooling == "mean":
        return mean
    return np.hstack([mean, tokens.std(axis=2).reshape(n_epochs, -1)])


def token_covariances(tokens: np.ndarray, mean_token: Any = 0.0) -> np.ndarray:
    """Covariances ``(n_epochs, n_chans, n_chans)`` of tokens ``(n_epochs, n_chans, n_patches,
    n_dims)``.

    Over patches and dimensions, after `mean_token` is taken off, with OAS shrinkage (Chen et al.,
    2010): ``pyriemann.estimation.Covariances("oas")`` of the same numbers, all epochs in one
    product.
    """
    n_epochs, n_chans = tokens.shape[:2]
    x = (tokens - mean_token).astype(np.float64).reshape(n_epochs, n_chans, -1)
    x -= x.mean(axis=-1, keepdims=True)
    n_samples = x.shape[-1]
    cov = x @ x.transpose(0, 2, 1) / n_samples
    mean = np.trace(cov, axis1=1, axis2=2) / n_chans
    square = (cov**2).mean(axis=(1, 2))
    down = (n_samples + 1) * (square - mean**2 / n_chans)
    shrinkage = np.minimum(
        np.divide(square + mean**2, down, out=np.ones(n_epochs), where=down > 0), 1
    )
    cov *= (1 - shrinkage)[:, None, None]
    cov[:, range(n_chans), range(n_chans)] += (shrinkage * mean + SINGULAR)[:, None]
    return cov


class TokenTangentSpace(BaseEstimator):
    """Covariances of tokens as vectors of the tangent space at their mean.

    Attributes
    ----------
    mean_token_ : ndarray, shape (n_chans, n_patches, n_dims)
        Mean token of each electrode and patch in the training epochs.
    reference_ : ndarray, shape (n_chans, n_chans)
        Mean covariance of the training epochs.
    """

    def fit_transform(
        self, each: Callable[[Callable[[np.ndarray], Any]], list], weight: np.ndarray
    ) -> np.ndarray:
        """Learn from batches of tokens, and map them.

        `each` calls a function with the tokens ``(n, n_chans, n_patches, n_dims)`` of every batch
        of training epochs, in order, and gives the results. It is called twice, so that tokens need
        not be kept. `weight` is that of each epoch in both means.
        """
        rest = weight

        def weighted_sum(tokens: np.ndarray) -> np.ndarray:
            nonlocal rest
            part = np.einsum("e,e...->...", rest[: len(tokens)], tokens)
            rest = rest[len(tokens) :]  # last: where memory runs out, a batch comes again
            return part

        total = sum(each(weighted_sum))
        self.mean_token_ = np.ascontiguousarray(total / weight.sum(), dtype=np.float32)
        batches = each(lambda tokens: token_covariances(tokens, self.mean_token_))
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
    """Covariances by band as vectors of the tangent spaces at the mean covariances.

    Attributes
    ----------
    references_ : ndarray, shape (n_filters, n_chans, n_chans)
        Mean covariance of the training epochs in each band: the arithmetic mean, which needs no
        eigenvalues of every epoch and is as good here as a geometric one.
    """

    def fit(self, batches: Iterable[np.ndarray], weight: np.ndarray) -> BandSpace:
        """Learn from lower triangles ``(n_epochs, n_filters, n_chans * (n_chans + 1) / 2)``.

        They come in batches; `weight` is that of each epoch of all of them.
        """
        rest, total = weight / weight.sum(), 0
        for batch in batches:
            own, rest = rest[: len(batch)], rest[len(batch) :]
            total = total + np.einsum("e,e...->...", own, batch)
        self.references_ = _symmetric(total)
        return self

    def transform(self, triangles: np.ndarray) -> np.ndarray:
        """Vectors ``(n_epochs, n_filters * n_chans * (n_chans + 1) / 2)``, float32."""
        found = np.empty(triangles.shape, dtype=np.float32)
        space = _tangent_space()
        for band, reference in enumerate(self.references_):
            space.reference_ = reference
            # what float32 has rounded below zero is lifted
            found[:, band] = space.transform(_symmetric(triangles[:, band]) + RIDGE * reference)
        return found.reshape(len(found), -1)


def _symmetric(triangles: np.ndarray) -> np.ndarray:
    """Lower triangles ``(..., n * (n + 1) / 2)`` as whole matrices, float64."""
    n = int(np.sqrt(2 * triangles.shape[-1]))
    rows, columns = np.tril_indices(n)
    whole = np.empty((*triangles.shape[:-1], n, n))
    whole[..., rows, columns] = whole[..., columns, rows] = triangles
    return whole


class AllBlocks(BaseEstimator):
    """Rows of the reading "auto" as blocks of features by name, for a reading of several blocks.

    They are of `n_chans` electrodes and `n_patches` patches, by an encoder of `config`.
    """

    def __init__(self, n_chans: int, n_patches: int, config: DAREConfig) -> None:
        self.n_chans = n_chans
        self.n_patches = n_patches
        self.config = config

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of electrodes, patches and dimensions of an epoch's tokens."""
        return self.n_chans, self.n_patches, self.config.embed_num * self.config.embed_dim

    def keep(
        self, each: Callable[[Callable[[np.ndarray], Any]], list], n_epochs: int
    ) -> dict[str, np.ndarray | FileRows]:
        """Rows of training epochs as arrays by name, in temporary files if they are large.

        `each` calls a function with the rows of every batch of the `n_epochs` epochs, in order.
        """
        blocks: dict[str, np.ndarray | FileRows] = {}
        done = 0

        def keep(rows: np.ndarray) -> None:
            nonlocal done
            parts = self._split(rows)
            if not blocks:
                places = empty_rows(n_epochs, [part.shape[1:] for part in parts.values()])
                blocks.update(zip(parts, places, strict=True))
            for name, part in parts.items():
                blocks[name][done : done + len(rows)] = part
            done += len(rows)

        each(keep)
        return blocks

    def fit_transform(
        self, blocks: dict[str, np.ndarray | FileRows], weight: np.ndarray
    ) -> dict[str, np.ndarray | FileRows]:
        """Blocks "joint", "electrodes", "power", "rhythms", "evoked", "bands" and "covariance" of
        training epochs, whose means are weighted, made in place of what `keep` gives."""
        bands, tokens = blocks["bands"], blocks["electrodes"]
        batches = list(gen_batches(len(tokens), EPOCHS_OF_TOKENS))
        self.bands_ = BandSpace().fit((self._triangles(bands[part]) for part in batches), weight)
        for part in batches:
            bands[part] = self.bands_.transform(self._triangles(bands[part]))
        self.space_ = TokenTangentSpace()
        covariance = self.space_.fit_transform(
            lambda work: [work(tokens[part].reshape(-1, *self.shape)) for part in batches],
            weight,
        )
        return {**blocks, "covariance": covariance}

    def transform(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The same blocks of other epochs."""
        blocks = self._split(rows)
        blocks["bands"] = self.bands_.transform(self._triangles(blocks["bands"]))
        tokens = blocks["electrodes"].reshape(-1, *self.shape)
        return {**blocks, "covariance": self.space_.transform(tokens)}

    def _split(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        n_chans, n_patches, n_dims = self.shape
        widths = {
            "joint": n_patches * n_dims,
            "electrodes": n_chans * n_patches * n_dims,
            "power": n_chans * self.config.embed_dim,
            "rhythms": len(
                rhythm_frequencies(n_patches * self.config.patch_size, self.config.sfreq)
            ),
        }
        n_left = rows.shape[1] - sum(widths.values())
        n_principal = n_left // (n_chans * n_patches + n_chans * (n_chans + 1) // 2)
        widths["evoked"] = n_chans * n_principal * n_patches
        parts = np.split(rows, np.cumsum(list(widths.values())), axis=1)
        blocks = dict(zip([*widths, "bands"], parts, strict=True))
        blocks["evoked"] = blocks["evoked"].reshape(len(rows), n_chans, -1)
        if not widths["rhythms"]:
            del blocks["rhythms"]
        return blocks

    def _triangles(self, bands: np.ndarray) -> np.ndarray:
        n_chans = self.n_chans
        return bands.reshape(len(bands), -1, n_chans * (n_chans + 1) // 2)


def _tangent_space() -> Any:
    """pyriemann's, at a mean that takes one pass."""
    from pyriemann.tangentspace import TangentSpace  # half a second, which few readings need

    return TangentSpace(metric={"mean": "logeuclid", "map": "riemann"})
