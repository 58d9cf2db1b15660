"""Onto the encoder's grid: its sampling rate, and whole patches."""

from __future__ import annotations

import warnings

import numpy as np


def resample(data: np.ndarray, sfreq: float, target: float) -> np.ndarray:
    """Anti-aliased resampling along the last axis (`mne.filter.resample`).

    Parameters
    ----------
    data : ndarray of float32, shape (..., n_times)
    sfreq, target : float
        Rates in Hz.

    Returns
    -------
    ndarray of float32, shape (..., round(n_times * target / sfreq))
    """
    if np.isclose(sfreq, target, rtol=1e-9):
        return data
    from mne.filter import resample as mne_resample

    # mne works in double precision: in blocks, the extra memory stays small
    blocks = np.array_split(data, max(1, data.nbytes // 2**26), axis=0)
    done = [
        mne_resample(block.astype(np.float64), up=target, down=sfreq, npad="auto", verbose="error")
        for block in blocks
    ]
    return np.concatenate(done).astype(np.float32)


def whole_patches(
    data: np.ndarray, patch_size: int, sfreq: float, owner: str, *, original_sfreq: float
) -> np.ndarray:
    """Cut the end that does not fill a patch, and say so.

    The one sample more that MNE's inclusive ``tmax`` brings goes without a word.

    Raises
    ------
    ValueError
        If the signal is shorter than one patch.
    """
    n_times = data.shape[-1]
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
    return data[..., : n_patches * patch_size]
