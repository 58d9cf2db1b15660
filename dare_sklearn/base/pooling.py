"""From the tokens of an encoder to features: views, layers and poolings.

Pure functions of tokens ``(n_epochs, n_views, n_patches, n_dims)``, and one reading that learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..modules.config import DAREConfig
from ..modules.encoder import Encoder

VIEWS = ("joint", "electrodes")
POOLINGS = ("mean", "mean_std", "flatten", "covariance", "power", "tokens")
LAYERS = ("patch", "last")
STRIDE = 16  # samples between the overlapping patches of "power"
# Variance of a learned filter's output below what amplifiers resolve: a flat channel stays finite.
FLOOR = 1e-5
SINGULAR = 1e-10


def check_reading(views: str, pooling: str, layer: str | int, config: DAREConfig) -> None:
    """Refuse views, poolings and layers that do not go together.

    Raises
    ------
    ValueError
    """
    if pooling in ("covariance", "power") and views != "electrodes":
        raise ValueError(
            f"pooling={pooling!r} reads every electrode alone: set views='electrodes'."
        )
    if layer == "patch" and views != "electrodes":
        raise ValueError(
            "layer='patch' is read before electrodes are mixed: set views='electrodes'."
        )
    if not isinstance(layer, str) and not 0 <= layer < config.depth[0]:
        raise ValueError(
            f"layer must be 'patch', 'last' or a block from 0 to {config.depth[0] - 1} of this "
            f"encoder, got {layer}."
        )
    if pooling == "power" and layer not in LAYERS:
        raise ValueError("pooling='power' reads the patch embedding: leave layer out.")


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

    Parameters
    ----------
    encoder : Encoder
    x : Tensor, shape (n_epochs, n_chans, n_times)
    channels : LongTensor, shape (n_chans,)
    views : {"joint", "electrodes"}
        One view of all electrodes together, or one of each.
    layer : {"patch", "last"} or int
        The patch embedding (a bank of learned filters, before any layer norm), the last block's
        output after its layer norm, or the output of a block, counted from 0.
    forward : callable, optional
        A compiled `encoder`, for joint views.
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
    """Log-variance of the encoder's learned filters over overlapping patches, by electrode.

    Returns
    -------
    Tensor, shape (n_epochs, n_chans * embed_dim)
    """
    bank = encoder.filter_bank(x, STRIDE).float()  # (B, C, n_windows, D)
    return bank.var(dim=2, correction=0).add(FLOOR).log().flatten(1)


def pool(tokens: np.ndarray, pooling: str) -> np.ndarray:
    """Pool ``(n_epochs, n_views, n_patches, n_dims)`` over patches, or keep them.

    Returns
    -------
    ndarray, shape (n_epochs, n_features)
        For "tokens" ``(n_epochs, n_views, n_patches * n_dims)``.
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
    """Covariances of electrodes over patches and dimensions of their tokens, with OAS shrinkage.

    As ``pyriemann.estimation.Covariances("oas")`` of the same numbers [1]_, all epochs in one
    product.

    Parameters
    ----------
    tokens : ndarray, shape (n_epochs, n_chans, n_patches, n_dims)
    mean_token : ndarray, shape (n_chans, n_patches, n_dims)
        Taken off before.

    Returns
    -------
    ndarray of float64, shape (n_epochs, n_chans, n_chans)

    References
    ----------
    .. [1] Chen, Wiesel, Eldar, Hero (2010). Shrinkage algorithms for MMSE covariance estimation.
       IEEE Transactions on Signal Processing.
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


class TokenTangentSpace:
    """Covariances of tokens as vectors of the tangent space at their mean.

    Attributes
    ----------
    mean_token_ : ndarray, shape (n_chans, n_patches, n_dims)
        Mean token of each electrode and patch in the training epochs.
    reference_ : ndarray, shape (n_chans, n_chans)
        Mean covariance of the training epochs.
    """

    def fit_transform(self, batches: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
        """Learn from batches of tokens, and map them.

        Parameters
        ----------
        batches : callable
            Gives the tokens ``(n, n_chans, n_patches, n_dims)`` of all training epochs, a batch at
            a time; called twice, so that tokens need not be kept.
        """
        total, n_epochs = 0.0, 0
        for tokens in batches():
            total = total + tokens.sum(axis=0, dtype=np.float64)
            n_epochs += len(tokens)
        self.mean_token_ = (total / n_epochs).astype(np.float32)
        covariances = np.concatenate(
            [token_covariances(tokens, self.mean_token_) for tokens in batches()]
        )
        space = _tangent_space()
        vectors = space.fit(covariances).transform(covariances)
        self.reference_ = space.reference_
        return vectors.astype(np.float32)

    def transform(self, tokens: np.ndarray) -> np.ndarray:
        """Tangent vectors ``(n_epochs, n_chans * (n_chans + 1) / 2)``, float32."""
        space = _tangent_space()
        space.reference_ = self.reference_
        return space.transform(token_covariances(tokens, self.mean_token_)).astype(np.float32)


def _tangent_space() -> Any:
    """pyriemann's, at a mean that takes one pass."""
    from pyriemann.tangentspace import TangentSpace  # half a second, which few readings need

    return TangentSpace(metric={"mean": "logeuclid", "map": "riemann"})


def feature_names(
    config: DAREConfig,
    names: Sequence[str],
    n_patches: int,
    *,
    views: str,
    pooling: str,
    layer: str | int = "last",
) -> np.ndarray:
    """Names of pooled features: electrode, patch, summary token and dimension, where they differ.

    Such as ``dare_s0_d012`` (joint mean), ``dare_p03_s0_d012`` (joint flatten),
    ``dare_CZ_p03_s0_d012`` (electrodes), ``dare_power_CZ_d012`` and ``dare_cov_CZ_PZ``.

    Parameters
    ----------
    config : DAREConfig
    names : sequence of str
        Electrodes of the views.
    n_patches : int
    """
    dims = [f"d{d:03d}" for d in range(config.embed_dim)]
    if pooling == "covariance":  # pyriemann's order: the upper triangle, row by row
        pairs = zip(*np.triu_indices(len(names)), strict=True)
        found = [f"cov_{names[a]}_{names[b]}" for a, b in pairs]
    elif pooling == "power":
        found = [f"power_{name}_{dim}" for name in names for dim in dims]
    else:
        if layer != "patch":
            dims = [f"s{s}_{dim}" for s in range(config.embed_num) for dim in dims]
        views_of = [f"{name}_" for name in names] if views == "electrodes" else [""]
        patches = [f"p{p:02d}_" for p in range(n_patches)] if pooling == "flatten" else [""]
        found = [f"{view}{patch}{dim}" for view in views_of for patch in patches for dim in dims]
        if pooling == "mean_std":
            found += [f"std_{name}" for name in found]
    return np.asarray([f"dare_{name}" for name in found], dtype=object)
