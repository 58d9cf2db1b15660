"""Narrow-band rhythms that electrodes share: the block "rhythms" of the reading "auto".

Flicker and other oscillations of a constant frequency lie in one or two bins of the spectrum,
where patches of a quarter of a second do not tell them from their neighbours. This block is read
from the signal itself, not from the encoder: a filter would not change it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SHORTEST = 2.0  # s: the bins of shorter epochs are too few and too wide to tell a rhythm
LOWEST, HIGHEST = 3.0, 45.0  # frequencies that are read, in Hz
NEAR, FAR = 1.0, 8.0  # surroundings: further than the one and at most as far as the other, in Hz
SHRINKAGE = 0.03  # there are fewer bins around a frequency than electrodes, now and then
FLAT = 1e-12  # variance, on the encoder's scale, of a recording without any signal


def rhythm_frequencies(n_times: int, sfreq: float) -> np.ndarray:
    """Frequencies in Hz that are read from epochs of `n_times` samples: all bins up to 45 Hz.

    None of epochs under 2 s.
    """
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
        factor = torch.linalg.cholesky(noise)[own]
        white = torch.linalg.solve_triangular(factor, parts[read], upper=False)
        found[epoch] = (white.square().sum(dim=(1, 2)) / n_chans).log1p().numpy()
    return found
