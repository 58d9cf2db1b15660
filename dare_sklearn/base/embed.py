"""What an encoder gives of each epoch by itself: views, layers and poolings of its tokens, rhythms.

What is learned of all epochs is in `features`.
"""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor
from tqdm import tqdm
from xxhash import xxh3_128

from .. import __version__
from ..modules.config import DAREConfig
from ..modules.networks import Encoder, filter_windows, principal_filters
from ..signals import electrodes as table
from ..signals.container import digest_epochs
from ..signals.grid import Windows, evoked_rate, resample
from ..training.device import (
    PRECISIONS,
    autocast,
    compute_threads,
    n_threads_to_embed,
    resolve_device,
    resolve_precision,
    run_in_batches,
)
from .cache import encoder_digest, open_cache
from .input import SIGNAL_CONSTRAINTS

VIEWS = ("joint", "electrodes")
POOLINGS = ("mean", "mean_std", "flatten", "covariance", "power", "tokens")
LAYERS = ("patch", "last")
# Variance of a learned filter's output below what amplifiers resolve: a flat channel stays finite.
FLOOR = 1e-5
SINGULAR = 1e-10
BAND_STRIDE = 8  # samples between the windows of "bands"
ROWS = 4  # changes where rows do within a version, so that caches hold no others
# Rhythms
SHORTEST = 2.0  # s: the bins of shorter epochs are too few and too wide to tell a rhythm
LOWEST, HIGHEST = 3.0, 45.0  # frequencies that are read, in Hz
NEAR, FAR = 1.0, 8.0  # surroundings: further than the one and at most as far as the other, in Hz
SHRINKAGE = 0.03  # there are fewer bins around a frequency than electrodes, now and then
FLAT = 1e-12  # variance, on the encoder's scale, of a recording without any signal

# Of the parameters that all estimators with an encoder share.
SHARED_CONSTRAINTS: dict = {
    **SIGNAL_CONSTRAINTS,
    "unknown_channels": [StrOptions(set(table.UNKNOWN_CHANNELS))],
    "views": [StrOptions(set(VIEWS))],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "device": [str],
    "precision": [StrOptions(set(PRECISIONS))],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


@dataclass(frozen=True)
class Reading:
    """What is read from the encoder of each epoch: one of the views, poolings and layers, or all.

    The pooling "auto" is the default reading: joint tokens and tokens of every electrode at every
    patch, the power of every electrode, its rhythms and its samples at a low rate, and covariances
    of electrodes in the bands of the principal filters, in one row.
    """

    views: str = "joint"
    pooling: str = "mean"
    layer: str | int = "last"

    @classmethod
    def of(cls, estimator: Any) -> Self:
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


def embed_each(estimator: Any, windows: Windows, work: Callable[[slice, np.ndarray], Any]) -> list:
    """What `work` makes of every batch of epochs and their rows, in order; rows are not kept."""
    bar, n_epochs = None, windows.shape[0]

    def embed(start: int, stop: int) -> Any:
        done = work(slice(start, stop), network.rows(start, stop))
        if bar is not None:
            bar.update(stop - start)
        return done

    if vars(estimator).get("verbose"):  # a bar that is switched off starts its thread too
        bar = tqdm(desc="embedding", total=n_epochs, leave=False, unit="epoch")
    with compute_threads(n_threads_to_embed()), bar or nullcontext():
        # computes, and may do so in a forked process
        network = _Network(estimator, windows)
        return run_in_batches(embed, n_epochs, estimator.batch_size)


def features_of(
    estimator: Any, windows: Windows, work: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Features of any epochs, as a fitted estimator makes them; or what `work` makes of them."""
    space, pca = (vars(estimator).get(name) for name in ("space_", "pca_"))
    found = None

    def keep(epochs: slice, rows: np.ndarray) -> None:
        nonlocal found
        rows = rows if space is None else space.transform(rows)
        rows = rows if pca is None else pca.transform(rows).astype(np.float32)
        rows = rows if work is None else work(rows)
        if found is None:  # a list of batches would be there twice in the end
            found = np.empty((windows.shape[0], *rows.shape[1:]), rows.dtype)
        found[epochs] = rows

    embed_each(estimator, windows, keep)
    return found


class _Network:
    """The encoder of an estimator, on its device: windows in, features out."""

    def __init__(self, estimator: Any, windows: Windows) -> None:
        self.windows, self.device = windows, resolve_device(estimator.device)
        precision = resolve_precision(estimator.precision, self.device)
        self.context, device = autocast(self.device, precision), self.device
        self.reading, encoder, rows = Reading.of(estimator), estimator.encoder_, windows.rows
        self.reading.check(encoder.config)  # parameters may have been set since the fit
        cache = vars(estimator).get("cache")
        self.cache = None if cache is None else open_cache(cache, estimator.cache_mb)
        self.channels = torch.from_numpy(rows).to(device)
        # run in evaluation mode without touching the module, which several estimators may share
        here = next(encoder.parameters()).device == device
        self.encoder = encoder if here else copy.deepcopy(encoder).to(device)
        compiled = getattr(estimator, "compile", False)  # the probes have no such parameter
        self.forward = torch.compile(self.encoder) if compiled else self.encoder
        # a pretrainer of several layouts has no electrodes that epochs could lack
        fitted = vars(estimator).get("electrodes_") if self.reading.electrodes else None
        names, self.fill = windows.electrodes, None
        fitted = None if fitted == names else fitted
        if fitted is not None:  # those that epochs lack are interpolated
            template = table.template_positions()
            matrix = table.spline_matrix({name: template[name] for name in names}, fitted)
            fill = matrix, table.electrode_rows(fitted)
            self.fill = tuple(torch.from_numpy(part).to(device) for part in fill)
        if self.cache is not None:  # everything but the windows that an embedding depends on
            how = (rows.tolist(), fitted, self.reading, precision, compiled, str(device))
            # what a folder holds may be years old
            how = (__version__, ROWS, torch.__version__, *how)
            self.settings = xxh3_128(repr((encoder_digest(encoder), how)).encode()).digest()

    @cached_property
    def filters(self) -> Tensor:
        """What only "auto" reads, and what is not made where the cache has all epochs.

        In double precision, which autocast leaves alone.
        """
        return principal_filters(self.encoder).to(self.device)

    def run(self, block: np.ndarray) -> np.ndarray:
        """Rows ``(n, ...)`` of windows ``(n, n_chans, n_times)``, before any learning.

        Pooled features; for "covariance" the tokens, for "auto" all blocks side by side.
        """
        with torch.inference_mode(), self.context:
            x = self.encoder.normalize(torch.from_numpy(block).to(self.device))
            each, channels = x, self.channels
            if self.fill is not None:
                each, channels = self.fill[0] @ x, self.fill[1]
            if self.reading.pooling == "auto":
                rows = self._read_all(x, each, channels)
            else:
                rows = self._read_one(each, channels)
        if not np.isfinite(rows).all():
            raise FloatingPointError(
                "The encoder gives NaN or infinite embeddings: its training diverged (lower lr), "
                "or X holds values of extreme size."
            )
        return rows

    def _read_one(self, x: Tensor, channels: Tensor) -> np.ndarray:
        reading = self.reading
        if reading.pooling == "power":
            return self.encoder.log_power(x, FLOOR).flatten(1).cpu().numpy()
        how = {"views": reading.views, "layer": reading.layer, "forward": self.forward}
        tokens = read_tokens(self.encoder, x, channels, **how).float().cpu().numpy()
        return tokens if reading.pooling == "covariance" else pool(tokens, reading.pooling)

    def _read_all(self, x: Tensor, each: Tensor, channels: Tensor) -> np.ndarray:
        """All blocks of what was recorded, and of `each` electrode, those that were lost too."""
        encoder, sfreq = self.encoder, self.encoder.config.sfreq
        alone = encoder.forward_electrodes(each, channels)
        of_encoder = self.forward(x, self.channels), alone, encoder.log_power(each, FLOOR)
        bands = read_bands(filter_windows(each, self.filters, BAND_STRIDE))
        return np.hstack(
            [
                *(block.flatten(1).float().cpu().numpy() for block in of_encoder),
                # an interpolated electrode adds no direction to its neighbours
                read_rhythms(x, sfreq),
                read_evoked(each, sfreq),
                bands.reshape(len(x), -1),
            ]
        )

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Features of some epochs: from the cache, or computed and put there.

        It knows epochs by their values as recorded: those that it has need not be resampled.
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
        found = dict(zip(keys, self.cache.get(keys), strict=True))
        # an epoch may stand there twice (sampling with replacement), and is computed once
        absent = {key: i for i, key in enumerate(keys) if found[key] is None}
        if absent:
            rows = self.run(self.windows.bring(data[[start + i for i in absent.values()]]))
            self.cache.put(list(absent), rows)
            found |= zip(absent, rows, strict=True)
        return np.array([found[key] for key in keys])


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


def read_bands(filtered: Tensor) -> np.ndarray:
    """Covariances of electrodes over windows of each principal filter's output, with OAS shrinkage.

    Of ``(n_epochs, n_chans, n_filters, n_windows)`` the lower triangles, ``(n_epochs, n_filters,
    n_chans * (n_chans + 1) / 2)``, float32.
    """
    n_epochs, n_chans, n_filters, _ = filtered.shape
    out = filtered.transpose(1, 2).flatten(0, 1)
    covariances = token_covariances(out.float().cpu().numpy()[:, :, None])
    covariances[:, range(n_chans), range(n_chans)] += FLOOR
    triangle = covariances[(slice(None), *np.tril_indices(n_chans))]
    return triangle.reshape(n_epochs, n_filters, -1).astype(np.float32)


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
    """Covariances ``(n_epochs, n_chans, n_chans)`` of tokens, over patches and dimensions.

    After `mean_token` is taken off, and with OAS shrinkage (Chen et al., 2010): as
    ``pyriemann.estimation.Covariances("oas")``, all epochs in one product.
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


def read_evoked(x: Tensor, sfreq: float) -> np.ndarray:
    """Samples of every electrode at a low rate, without its mean, ``(n_epochs, n_features)``.

    Evoked potentials are slow: the tokens and narrow bands, which have all frequencies alike, need
    more epochs to find them.
    """
    x = (x - x.mean(dim=-1, keepdim=True)).float().cpu().numpy()
    return resample(x, sfreq, evoked_rate(sfreq)).reshape(len(x), -1)


def rhythm_frequencies(n_times: int, sfreq: float) -> np.ndarray:
    """Bins in Hz up to 45, which are read from epochs of `n_times` samples; none under 2 s."""
    if n_times < SHORTEST * sfreq:
        return np.empty(0)
    frequencies = np.fft.rfftfreq(n_times, 1 / sfreq)
    return frequencies[(frequencies >= LOWEST) & (frequencies <= HIGHEST)]


def read_rhythms(x: Tensor, sfreq: float) -> np.ndarray:
    """How far a rhythm rises above its surroundings, ``(n_epochs, n_freqs)``, float32.

    That is the largest ratio of power at a frequency to power around it that a sum of electrodes,
    each with a weight and a phase, can have (spatio-spectral decomposition [1]_ of one epoch and
    one frequency, which has a closed form), divided by the number of electrodes of `x` ``(n_epochs,
    n_chans, n_times)``: noise gives about 1. The logarithm of one plus it is read. It depends
    neither on the unit, nor on where on the scalp the rhythm is.

    References
    ----------
    .. [1] Nikulin, Nolte and Curio (2011). A novel method for reliable and fast extraction of
       neuronal EEG/MEG oscillations on the basis of spatio-spectral decomposition. NeuroImage 55.
    """
    n_chans, n_times = x.shape[1:]
    frequencies = rhythm_frequencies(n_times, sfreq)
    if not len(frequencies):
        return np.empty((len(x), 0), dtype=np.float32)
    bins = np.fft.rfftfreq(n_times, 1 / sfreq)
    kept = (bins > 0) & (bins <= HIGHEST + FAR)
    bins = bins[kept]
    # surroundings change little from one bin to the next: they are estimated at every whole hertz
    centres = np.unique(frequencies.round())
    read = np.isin(bins, frequencies)
    distance = np.abs(centres[:, None] - bins)
    around = (distance > NEAR) & (distance <= FAR)
    around = torch.from_numpy(around / around.sum(axis=1, keepdims=True)).float()
    own = np.searchsorted(centres, frequencies.round())
    window = torch.from_numpy(np.sin(np.pi * (np.arange(n_times) + 0.5) / n_times)).float()
    found = np.empty((len(x), len(frequencies)), dtype=np.float32)
    for epoch, signals in enumerate(x.float().cpu()):
        centred = signals - signals.mean(dim=1, keepdim=True)
        spectrum = torch.fft.rfft(centred * window)[:, kept].T  # (n_bins, n_chans)
        parts = torch.view_as_real(spectrum.contiguous())
        noise = (around @ (parts @ parts.mT).flatten(1)).unflatten(1, (n_chans, n_chans))
        mean = noise.diagonal(dim1=1, dim2=2).mean(dim=1)
        noise *= 1 - SHRINKAGE
        noise.diagonal(dim1=1, dim2=2).add_((SHRINKAGE * mean + FLAT)[:, None])
        # of extreme values, which overflow, it makes no error but NaN, which the caller reports
        factor = torch.linalg.cholesky_ex(noise)[0][own]
        white = torch.linalg.solve_triangular(factor, parts[read], upper=False)
        found[epoch] = (white.square().sum(dim=(1, 2)) / n_chans).log1p().numpy()
    return found
