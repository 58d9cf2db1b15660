"""Random signals with a given spectrum: aperiodic noise, narrow-band rhythms, slow gains.

Pure functions of a generator, in single precision; rows are signals, time is the last axis. A leaf
module.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

# Spectra are drawn over at least this long, so that short recordings have slow components too.
MIN_SECONDS = 20.0

Density = Callable[[np.ndarray], np.ndarray]


def fft_length(n_times: int, sfreq: float) -> int:
    """Length over which a recording of `n_times` samples is drawn."""
    return fft.next_fast_len(max(int(n_times), int(MIN_SECONDS * sfreq)), real=True)


def _complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Circular complex normal numbers, each part of unit variance."""
    pairs = rng.standard_normal((*shape, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0]


def of_unit_power(power: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """A spectrum at evenly spaced frequencies, scaled so that it integrates to 1."""
    return power / (power.sum() * (freqs[1] - freqs[0]))


def coloured_noise(
    rng: np.random.Generator, n_rows: int, n_times: int, sfreq: float, density: Density
) -> np.ndarray:
    """Independent Gaussian signals ``(n_rows, n_times)`` of a given spectrum.

    `density` gives the one-sided power spectral density (unit²/Hz) at frequencies ``(n_freqs,)``
    above zero: ``(n_freqs,)``, or ``(n_rows, n_freqs)``.
    """
    n_fft = fft_length(n_times, sfreq)
    freqs = fft.rfftfreq(n_fft, 1.0 / sfreq)
    amplitude = np.sqrt(density(freqs[1:]) * (sfreq * n_fft / 4.0)).astype(np.float32)
    spectrum = _complex_normal(rng, (n_rows, len(freqs)))
    spectrum[:, 0] = 0.0
    spectrum[:, 1:] *= amplitude
    return fft.irfft(spectrum, n_fft, axis=-1)[:, :n_times]


def band_noise(
    rng: np.random.Generator, n_rows: int, n_times: int, sfreq: float, low: float, high: float
) -> np.ndarray:
    """Gaussian noise of unit variance with soft edges at `low` and `high` (Hz)."""

    def density(freqs: np.ndarray) -> np.ndarray:
        power = 1.0 / (1.0 + (low / freqs) ** 6) / (1.0 + (freqs / high) ** 6)
        return of_unit_power(power, freqs)

    return coloured_noise(rng, n_rows, n_times, sfreq, density)


def slow_gain(
    rng: np.random.Generator, n_rows: int, n_times: int, sfreq: float, cutoff: float, spread: float
) -> np.ndarray:
    """Positive gains ``(n_rows, n_times)`` that wander around a root mean square of 1.

    `cutoff` (Hz) bounds how fast they change, `spread` is the deviation of their logarithm.
    """

    def density(freqs: np.ndarray) -> np.ndarray:
        return of_unit_power(np.exp(-((freqs / cutoff) ** 2)), freqs)

    slow = coloured_noise(rng, n_rows, n_times, sfreq, density)
    return np.exp(np.float32(spread) * slow - np.float32(spread**2))


def rhythm(
    rng: np.random.Generator,
    frequencies: np.ndarray,
    n_times: int,
    sfreq: float,
    *,
    bandwidth: float,
    burstiness: float,
    coherence: float = 0.0,
) -> np.ndarray:
    """Bursting oscillations as analytic signals ``(n_sources, n_times)``, one per frequency.

    Narrow-band complex noise (its envelope waxes and wanes within 1 / `bandwidth` seconds) times
    a slower lognormal gain, so that bursts stand out as they do in alpha and beta rhythms. The real
    part is the signal, with a root mean square near 1.

    Parameters
    ----------
    frequencies : ndarray, shape (n_sources,)
        Centre frequency of each source (Hz).
    bandwidth : float
        Standard deviation of the spectral peak (Hz).
    burstiness : float
        Spread of the slow gain, shared by the sources of one rhythm.
    coherence : float
        Share of the power that the sources have in common, in [0, 1].
    """
    n_fft = fft_length(n_times, sfreq)
    freqs = fft.rfftfreq(n_fft, 1.0 / sfreq)
    power = np.exp(-0.5 * ((freqs[None, :] - frequencies[:, None]) / bandwidth) ** 2)
    power[:, 0] = 0.0
    amplitude = np.sqrt(power / power.sum(axis=1, keepdims=True)).astype(np.float32)
    draws = _complex_normal(rng, (len(frequencies) + 1, len(freqs)))
    own, common = np.float32(np.sqrt(1.0 - coherence)), np.float32(np.sqrt(coherence))
    spectrum = np.zeros((len(frequencies), n_fft), dtype=np.complex64)
    spectrum[:, : len(freqs)] = amplitude * n_fft * (own * draws[1:] + common * draws[0])
    z = fft.ifft(spectrum, axis=-1)[:, :n_times]
    return z * slow_gain(rng, 1, n_times, sfreq, 0.4, burstiness)


def arched(z: np.ndarray, harmonic: float) -> np.ndarray:
    """Real waveforms of analytic signals, plus a phase-locked second harmonic (arch shape)."""
    envelope = np.maximum(np.abs(z), np.float32(1e-6))
    return z.real + np.float32(harmonic) * (z * z).real / envelope
