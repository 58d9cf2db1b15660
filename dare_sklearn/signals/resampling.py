"""Onto the encoder's grid: its sampling rate, and whole patches."""

from __future__ import annotations

import warnings
from fractions import Fraction
from math import ceil

import numpy as np
from scipy.signal import resample_poly


def resample(data: np.ndarray, sfreq: float, target: float) -> np.ndarray:
    """Anti-aliased resampling along the last axis (`scipy.signal.resample_poly`).

    Polyphase filtering keeps sample k of the answer at exactly k / target seconds. Epochs are
    continued at both ends by the line through their first and last sample.

    Parameters
    ----------
    data : ndarray of float32, shape (..., n_times)
    sfreq, target : float
        Rates in Hz.

    Returns
    -------
    ndarray of float32, shape (..., ceil(n_times * target / sfreq))
    """
    if np.isclose(sfreq, target, rtol=1e-9):
        return data
    ratio = _ratio(sfreq, target)
    return resample_poly(data, ratio.numerator, ratio.denominator, axis=-1, padtype="line").astype(
        np.float32, copy=False
    )


def resampled_length(n_times: int, sfreq: float, target: float) -> int:
    """Number of samples that `resample` makes of `n_times`."""
    return (
        n_times if np.isclose(sfreq, target, rtol=1e-9) else ceil(n_times * _ratio(sfreq, target))
    )


def _ratio(sfreq: float, target: float) -> Fraction:
    return Fraction(target / sfreq).limit_denominator(10_000)


def whole_patches(
    n_times: int, patch_size: int, sfreq: float, owner: str, *, original_sfreq: float
) -> int:
    """Number of samples in whole patches, and a word about the end that does not fill one.

    The one sample more that MNE's inclusive ``tmax`` brings goes without a word.

    Parameters
    ----------
    n_times : int
        Samples at `sfreq`.
    patch_size : int
    sfreq, original_sfreq : float
        Rate of the encoder and of the recording, in Hz.
    owner : str
        Who asks, for messages.

    Raises
    ------
    ValueError
        If the signal is shorter than one patch.
    """
    n_patches, rest = divmod(n_times, patch_size)
    if n_patches == 0:
        raise ValueError(
            f"{owner} got epochs of {n_times / sfreq:.3g} s (n_features = "
            f"{round(n_times * original_sfreq / sfreq)} samples at {original_sfreq:g} Hz), shorter "
            f"than one patch of {patch_size / sfreq:g} s: cut longer epochs."
        )
    if rest > np.ceil(sfreq / original_sfreq):
        warnings.warn(
            f"{owner} reads whole patches of {patch_size / sfreq:g} s: the last "
            f"{rest / sfreq:.3g} s of every epoch of {n_times / sfreq:.4g} s are not used.",
            UserWarning,
            stacklevel=2,
        )
    return n_patches * patch_size
