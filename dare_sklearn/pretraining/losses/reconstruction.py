"""Masked reconstruction of patches."""

import torch
from torch import Tensor
from torch.nn import functional as F

BANDS = (0.0, 4.0, 8.0, 13.0, 30.0, 60.0)  # Hz; the last band has no upper end


def equalize_bands(x: Tensor, sfreq: float) -> Tensor:
    """Signals whose frequency bands are equally strong: each is divided by its own deviation.

    Scalp EEG falls off as 1/f, so most of the error of a plain reconstruction comes from slow
    waves. Here the bands (delta, theta, alpha, beta, low and high gamma) count alike. They are
    cut in the spectrum of the whole window, so they are orthogonal, and the squared error of
    their sum is the sum of theirs. Deviations are those of the whole batch: what is stronger in one
    window or channel than in another stays so.

    Parameters
    ----------
    x : Tensor, shape (n_epochs, n_chans, n_times)
    sfreq : float
        In Hz.

    Returns
    -------
    Tensor, same shape
        With a mean square of one over the batch.

    References
    ----------
    Targets that are standardised by band: arXiv:2608.01898.
    """
    spectrum = torch.fft.rfft(x.float())
    frequencies = torch.fft.rfftfreq(x.shape[-1], 1 / sfreq, device=x.device)
    bands = torch.bucketize(frequencies, torch.tensor(BANDS[1:], device=x.device), right=True)
    power = spectrum.abs().square().mean(dim=(0, 1))
    power[1:] *= 2  # negative frequencies
    if x.shape[-1] % 2 == 0:
        power[-1] /= 2
    power = power / x.shape[-1] ** 2  # mean squares by frequency
    by_band = power.new_zeros(len(BANDS)).index_add_(0, bands, power)
    n_bands = len(bands.unique())
    gain = (by_band.clamp_min(1e-12) * n_bands).rsqrt()
    return torch.fft.irfft(spectrum * gain[bands], n=x.shape[-1])


def reconstruction_targets(patches: Tensor, targets: Tensor, target_norm: bool = True) -> Tensor:
    """Target patches, layer-normed over their samples.

    Parameters
    ----------
    patches : Tensor, shape (n_epochs, n_patches, n_chans, patch_size)
    targets : LongTensor, shape (n_targets,)
        Flat indices ``patch * n_chans + channel``.
    target_norm : bool, default=True
        False is an ablation of the paper.

    Returns
    -------
    Tensor, shape (n_epochs, n_targets, patch_size)
    """
    raw = patches.flatten(1, 2)[:, targets]
    return F.layer_norm(raw, raw.shape[-1:], eps=1e-5) if target_norm else raw


def reconstruction_loss(reconstructed: Tensor, raw: Tensor) -> Tensor:
    """Mean squared error; zero where there is nothing to reconstruct.

    Parameters
    ----------
    reconstructed, raw : Tensor, shape (n_epochs, n_targets, patch_size)

    Returns
    -------
    Tensor, scalar
    """
    if raw.shape[1] == 0:  # one channel whose patches are all visible
        return reconstructed.sum()
    return F.mse_loss(reconstructed, raw)
