"""Covariances of epochs, and spatial filters that MNE fits with labels. A leaf module."""

import numpy as np
from sklearn.covariance import oas
from sklearn.utils.extmath import svd_flip

# Directions with less than this share of the strongest one's power are noise of rounding: an
# average reference or an interpolated channel leaves such a direction empty.
EMPTY = 1e-9
N_FILTERS = 4  # of CSP, and of Xdawn per class
MOTOR_BAND = (8.0, 30.0)  # Hz, of the rhythms that CSP is for
RANK_TOL = 1e-10  # of power: single precision leaves 1e-14 of an average reference


def covariances(data: np.ndarray, size: float) -> np.ndarray:
    """Covariance of each epoch, ``(n_epochs, n_chans, n_chans)``, in units of `size` squared.

    `size` is about that of the values: squares of volts, or of odder units, stay in range.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        centred = (data - data.mean(axis=-1, keepdims=True, dtype=np.float64)) / size
        found = centred @ centred.transpose(0, 2, 1) / (data.shape[-1] - 1)
    if not np.isfinite(found).all():
        raise ValueError(
            "X holds values of extreme size, which cannot be squared: drop epochs "
            "with artefacts, or rescale them."
        )
    return found


def mean_at_one_power(matrices: np.ndarray) -> np.ndarray:
    """Mean of covariances, each brought to their (geometric) mean power first."""
    power = np.trace(matrices, axis1=1, axis2=2)
    matrices, power = matrices[power > 0], power[power > 0]  # flat epochs say nothing of space
    return (matrices / power[:, None, None]).mean(axis=0) * np.exp(np.log(power).mean())


def inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Inverse square roots of ``(..., n_chans, n_chans)``; empty directions stay empty."""
    power, directions = np.linalg.eigh(covariance)
    keep = power > EMPTY * power[..., -1:]
    weight = np.where(keep, 1 / np.sqrt(np.where(keep, power, 1.0)), 0.0)
    return (directions * weight[..., None, :]) @ directions.swapaxes(-1, -2)


def rhythms_of(X: np.ndarray, sfreq: float) -> np.ndarray:
    """Spectra of epochs from 8 to 30 Hz, whose covariance is that of the rhythms in there.

    Real and imaginary parts, ``(n_epochs, n_chans, 2 * n_freqs)``. The taper keeps slow drifts,
    which are far stronger and do not end where they began, out of the band.
    """
    n_times, (low, high) = X.shape[-1], MOTOR_BAND
    taper = np.sin(np.pi * (np.arange(n_times) + 0.5) / n_times) ** 2  # Hann's
    frequencies = np.fft.rfftfreq(n_times, 1 / sfreq)
    inside = (frequencies >= low) & (frequencies <= high)
    inside = inside if inside.any() else frequencies > 0  # of low rates and very short epochs
    spectra = np.fft.rfft((X - X.mean(axis=-1, keepdims=True)) * taper)[..., inside]
    return np.concatenate([spectra.real, spectra.imag], axis=-1)


def csp_filters(X: np.ndarray, y: np.ndarray, weight: np.ndarray, sfreq: float) -> np.ndarray:
    """Filters of common spatial patterns (integer `y`: classes), or of SPoC (floating point).

    They are fitted on the rhythms that they are for: of all frequencies, they would find the
    strongest sources, which are drifts and eyes. At most as many as the signals have dimensions.
    `weight` (above 0) is that of each epoch.
    """
    from mne import use_log_level
    from mne.decoding import CSP, SPoC

    kind = SPoC if y.dtype.kind == "f" else CSP
    share = weight / weight.mean() if kind is SPoC else _shares_in_class(weight, y)
    basis, X = without_empty(_times(X, np.sqrt(share)))  # covariances have that weight
    n_filters = min(N_FILTERS, len(basis))
    with use_log_level("error"):  # with the rank, which MNE would decompose all samples for
        fitted = kind(n_filters, reg="oas", rank={"mag": len(basis)}).fit(rhythms_of(X, sfreq), y)
    # signs of solvers vary with the channel order
    filters = fitted.filters_[:n_filters] @ basis
    return svd_flip(None, filters, u_based_decision=False)[1]


def xdawn_filters(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray, n_filters: int = N_FILTERS
) -> np.ndarray:
    """Xdawn filters of each class, ``(n_classes * n_filters, n_chans)``.

    At most as many of each as the signals have dimensions. `weight` (above 0) is that of each
    epoch.
    """
    from mne import use_log_level
    from mne.decoding import XdawnTransformer

    basis, X = without_empty(X)
    n_filters = min(n_filters, len(basis))
    # what MNE finds itself, in a tenth of the time
    rooted = _times(X, np.sqrt(weight / weight.mean()))
    signal_cov, _ = oas(np.hstack(rooted).T, assume_centered=True)
    with use_log_level("error"):
        X = _times(X, _shares_in_class(weight, y))  # MNE takes the mean of each class
        fitted = XdawnTransformer(n_filters, reg="oas", signal_cov=signal_cov).fit(X, y)
    # MNE keeps the filters of all components, and transforms with the first ones
    filters = fitted.filters_[:, :n_filters].reshape(-1, len(basis)) @ basis
    return svd_flip(None, filters, u_based_decision=False)[1]


def _shares_in_class(weight: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights whose mean is 1 in each class."""
    return weight / (np.bincount(y, weight) / np.maximum(np.bincount(y), 1))[y]


def _times(X: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return X if (factors == 1).all() else X * factors[:, None, None]


def without_empty(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions ``(n, n_chans)`` in which there is signal, and the signals there, float64.

    An average reference or interpolated channels leave others with rounding only, which SPoC and
    Xdawn would amplify as their strongest source.
    """
    X = X.astype(np.float64)
    power, directions = np.linalg.eigh(covariances(X, 1.0).mean(axis=0))
    basis = directions[:, power > RANK_TOL * power[-1]].T
    return (basis, basis @ X) if len(basis) < X.shape[1] else (np.eye(X.shape[1]), X)
