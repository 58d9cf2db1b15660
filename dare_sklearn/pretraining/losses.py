"""The loss terms of DARE-EEG, as pure functions.

Shapes: anchors and predictions are ``(n_epochs, n_patches, embed_num, embed_dim)``, reconstructed
and raw targets ``(n_epochs, n_targets, patch_size)``. Losses are scalars.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

PENALTY_WEIGHT = 1e-4
TEMPERATURE = 0.1
BANDS = (0.0, 4.0, 8.0, 13.0, 30.0, 60.0)  # Hz; the last band has no upper end


def activation_penalty(first: Tensor, second: Tensor) -> Tensor:
    """Half the sum of the mean squares of both views' encoder outputs (unweighted)."""
    return 0.5 * (first.square().mean() + second.square().mean())


def anchor_alignment_loss(predicted: Tensor, anchor: Tensor, target_norm: bool = True) -> Tensor:
    """Mean squared error between the prediction at all patches and the momentum encoder's output.

    The latter is that for the complete signal; no gradient flows into it. With `target_norm` it is
    layer-normed over the width, without affine parameters; False is an ablation of the paper.
    """
    return F.mse_loss(predicted, _normed(anchor.detach(), target_norm))


def mask_alignment_loss(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al., 2018) over the batch.

    `first` and `second` are unit vectors of the two views, ``(n_epochs, n_features)``.
    """
    similarity = first @ second.T / temperature  # (B, B)
    same = torch.arange(first.shape[0], device=first.device)
    return 0.5 * (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same))


def equalize_bands(x: Tensor, sfreq: float) -> Tensor:
    """Signals whose frequency bands are equally strong: each is divided by its own deviation.

    Scalp EEG falls off as 1/f, so most of the error of a plain reconstruction comes from slow
    waves. Here the bands (delta, theta, alpha, beta, low and high gamma) count alike (as in
    arXiv:2608.01898). They are cut in the spectrum of the whole window, so they are orthogonal, and
    the squared error of their sum is the sum of theirs. Deviations are those of the whole batch:
    what is stronger in one window or channel than in another stays so.

    Takes ``(n_epochs, n_chans, n_times)`` and its rate in Hz; the answer has a mean square of 1.
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
    """Target patches of ``(n_epochs, n_patches, n_chans, patch_size)``, by their flat indices.

    With `target_norm` layer-normed over their samples; False is an ablation of the paper.
    """
    return _normed(patches.flatten(1, 2)[:, targets], target_norm)


def reconstruction_loss(reconstructed: Tensor, raw: Tensor) -> Tensor:
    """Mean squared error; zero where there is nothing to reconstruct."""
    if raw.shape[1] == 0:  # one channel whose patches are all visible
        return reconstructed.sum()
    return F.mse_loss(reconstructed, raw)


def _normed(target: Tensor, target_norm: bool) -> Tensor:
    return F.layer_norm(target, target.shape[-1:], eps=1e-5) if target_norm else target
