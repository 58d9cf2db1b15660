"""Narrow bands that the patch embedding of an encoder spans, and what they make of a signal."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .networks import Encoder

N_PRINCIPAL = 16  # filters at most


def principal_filters(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """The strongest combinations of the encoder's learned filters, ``(n_filters, patch_size)``.

    Strongest for signals with the spectrum of ongoing EEG, 1/f from 0.5 to 45 Hz, and of variance 1
    for them: narrow bands, which depend on the encoder alone and not on the recordings. Also how
    much of such a signal each accounts for, ``(n_filters, 1)``: the norm of its pattern [1]_.
    Multiplied by that, slow deflections stay the largest, as in the signal itself, where tokens
    have all frequencies alike.

    References
    ----------
    .. [1] Haufe et al. (2014). On the interpretation of weight vectors of linear models in
       multivariate neuroimaging. NeuroImage 87.
    """
    config = encoder.config
    # on the CPU: other devices may lack double precision
    learned = encoder.patch_embed.weight.detach().cpu().double()
    frequencies = torch.fft.rfftfreq(128 * config.patch_size, 1 / config.sfreq).to(learned)
    inside = (frequencies >= 0.5) & (frequencies <= 45.0)
    spectrum = torch.where(inside, 1 / frequencies.clamp(min=0.5), 0.0)
    correlation = torch.fft.irfft(spectrum + 1e-3 * spectrum[inside].mean())
    lags = torch.arange(config.patch_size)
    covariance = correlation[(lags[:, None] - lags).abs()] / correlation[0]
    values, vectors = torch.linalg.eigh(learned @ covariance @ learned.T)
    kept = values.argsort(descending=True)[:N_PRINCIPAL]
    kept = kept[values[kept] > 1e-6 * values.max()]
    filters = (vectors[:, kept] / values[kept].sqrt()).T @ learned
    strengths = (filters @ covariance).norm(dim=1, keepdim=True)
    return filters.float(), strengths.float()


def filter_windows(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """Outputs of `filters` in windows, ``(n_epochs, n_chans, n_filters, n_windows)``."""
    out = F.conv1d(x.reshape(-1, 1, x.shape[-1]), filters[:, None], stride=stride)
    return out.unflatten(0, x.shape[:2])


def filter_patches(x: Tensor, filters: Tensor) -> Tensor:
    """Outputs of `filters` at every patch, ``(n_epochs, n_chans, n_filters * n_patches)``."""
    return filter_windows(x, filters, filters.shape[1]).flatten(2)
