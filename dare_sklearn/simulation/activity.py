"""Ongoing activity: the brain's background and rhythms, and what is not brain.

Functions that take a head give µV, ``(n_chans, n_times)``, float32. Positions are in head
coordinates (m): x to the right, y to the front, z up.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from scipy import fft

from .head import Head, Traits

# Spectra are drawn over at least this long, so that short recordings have slow components too.
MIN_SECONDS = 20.0
# Power of the aperiodic background at 10 Hz, averaged over the scalp (µV²/Hz).
POWER_AT_10_HZ = 0.9
_ROWS_AT_ONCE = 44  # dipoles drawn together: bounds the memory of long recordings
HANDS = ("hand_left", "hand_right", "foot")
EYES = np.array([[-0.032, 0.080, 0.0], [0.032, 0.080, 0.0]])
_FOREHEAD = np.array([[-0.031, 0.115, 0.028], [0.028, 0.115, 0.028]])  # Fp1 and Fp2
_TEMPLES = np.array([[-0.072, 0.074, 0.026], [0.071, 0.074, 0.026]])  # F7 and F8
# Centres of muscles, their share of the bursts, and the reach of their potential (m).
_MUSCLES = (
    ((-0.083, 0.015, 0.035), 0.24, 0.026),  # temporalis
    ((0.083, 0.015, 0.035), 0.24, 0.026),
    ((-0.068, 0.07, 0.028), 0.12, 0.024),
    ((0.068, 0.07, 0.028), 0.12, 0.024),
    ((0.0, 0.116, 0.045), 0.14, 0.03),  # frontalis
    ((-0.045, -0.08, 0.015), 0.07, 0.03),  # neck
    ((0.045, -0.08, 0.015), 0.07, 0.03),
)


class Span(NamedTuple):
    """How long a recording is."""

    n_times: int
    sfreq: float  # in Hz


def _white_spectra(rng: Generator, n_rows: int, span: Span) -> tuple[int, np.ndarray, np.ndarray]:
    """Samples over which a recording is drawn, and its spectra.

    These are frequencies (Hz), and circular complex normal numbers ``(n_rows, n_freqs)``, each part
    of unit variance.
    """
    n_fft = fft.next_fast_len(max(span.n_times, int(MIN_SECONDS * span.sfreq)), real=True)
    freqs = fft.rfftfreq(n_fft, 1.0 / span.sfreq)
    pairs = rng.standard_normal((n_rows, len(freqs), 2), dtype=np.float32)
    return n_fft, freqs, pairs.view(np.complex64)[..., 0]


def of_unit_power(power: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """A spectrum at evenly spaced frequencies, scaled so that it integrates to 1."""
    return power / (power.sum() * (freqs[1] - freqs[0]))


def coloured_noise(
    rng: Generator, n_rows: int, span: Span, density: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Independent Gaussian signals ``(n_rows, n_times)`` of a given spectrum.

    `density` gives the one-sided power spectral density (unit²/Hz) at frequencies ``(n_freqs,)``
    above zero: ``(n_freqs,)``, or ``(n_rows, n_freqs)``.
    """
    n_fft, freqs, spectrum = _white_spectra(rng, n_rows, span)
    spectrum[:, 0] = 0.0
    spectrum[:, 1:] *= np.sqrt(density(freqs[1:]) * (span.sfreq * n_fft / 4.0)).astype(np.float32)
    return fft.irfft(spectrum, n_fft, axis=-1)[:, : span.n_times]


def slow_gain(rng: Generator, n_rows: int, span: Span, cutoff: float, spread: float) -> np.ndarray:
    """Positive gains ``(n_rows, n_times)`` that wander around a root mean square of 1.

    `cutoff` (Hz) bounds how fast they change, `spread` is the deviation of their logarithm.
    """
    slow = coloured_noise(
        rng, n_rows, span, lambda f: of_unit_power(np.exp(-((f / cutoff) ** 2)), f)
    )
    return np.exp(np.float32(spread) * slow - np.float32(spread**2))


def rhythm(
    rng: Generator, frequencies: np.ndarray, span: Span, *, bandwidth: float, burstiness: float,
    coherence: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Bursting oscillations as analytic signals ``(n_sources, n_times)``, of about unit power.

    Narrow-band complex noise (its envelope waxes and wanes within 1 / `bandwidth` seconds) times
    a slower lognormal gain, so that bursts stand out as they do in alpha and beta rhythms.
    `frequencies` are the centres and `bandwidth` the standard deviation of the spectral peaks (Hz),
    `burstiness` is the spread of the slow gain, which the sources share, and `coherence` the share
    of their power in common.
    """
    n_fft, freqs, draws = _white_spectra(rng, len(frequencies) + 1, span)
    power = np.exp(-0.5 * ((freqs[None, :] - frequencies[:, None]) / bandwidth) ** 2)
    power[:, 0] = 0.0
    amplitude = np.sqrt(power / power.sum(axis=1, keepdims=True)).astype(np.float32)
    own, common = np.float32(np.sqrt(1.0 - coherence)), np.float32(np.sqrt(coherence))
    spectrum = np.zeros((len(frequencies), n_fft), dtype=np.complex64)
    spectrum[:, : len(freqs)] = amplitude * n_fft * (own * draws[1:] + common * draws[0])
    z = fft.ifft(spectrum, axis=-1)[:, : span.n_times]
    return z * slow_gain(rng, 1, span, 0.4, burstiness)


def arched(z: np.ndarray, harmonic: float) -> np.ndarray:
    """Real waveforms of analytic signals, plus a phase-locked second harmonic (arch shape)."""
    envelope = np.maximum(np.abs(z), np.float32(1e-6))
    return z.real + np.float32(harmonic) * (z * z).real / envelope


def aperiodic_background(rng: Generator, head: Head, traits: Traits, span: Span) -> np.ndarray:
    """Sum of cortical dipoles with 1/f activity, whose exponent varies smoothly over the cortex."""
    exponents = traits.exponent + head.cortex_directions @ traits.exponent_gradient
    x = np.zeros((len(head.positions), span.n_times), dtype=np.float32)
    for start in range(0, len(exponents), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        beta = exponents[rows, None]

        def density(freqs: np.ndarray, beta: np.ndarray = beta) -> np.ndarray:
            at_10_hz = 10.0**beta + traits.knee**beta
            return POWER_AT_10_HZ * at_10_hz / (freqs**beta + traits.knee**beta)

        activity = coloured_noise(rng, len(beta), span, density)
        x += head.cortex[:, rows] @ activity
    return x * slow_gain(rng, 1, span, 0.1, 0.12)


def alpha_and_theta(
    rng: Generator, head: Head, traits: Traits, span: Span, alpha: float
) -> np.ndarray:
    """Posterior alpha, of an amplitude relative to rest, and frontal midline theta."""
    half = 0.5 * traits.alpha_asymmetry  # power adds up over the three regions
    sides = {"left": 0.7 * np.exp(-half), "right": 0.7 * np.exp(half), "middle": 0.5}
    gains, waves = [], []
    for side, strength in sides.items():
        gain = head.regions[f"alpha_{side}"]
        frequencies = traits.alpha_frequency + rng.normal(0.0, 0.25, gain.shape[1])
        z = rhythm(rng, frequencies, span, bandwidth=0.75, burstiness=0.4, coherence=0.4)
        gains.append(gain * np.float32(strength * alpha * traits.alpha_amplitude))
        waves.append(arched(z, 0.08))
    z = rhythm(rng, np.array([traits.theta_frequency]), span, bandwidth=0.6, burstiness=0.6)
    gains.append(head.regions["theta"] * np.float32(traits.theta_amplitude))
    waves.append(z.real)
    return np.concatenate(gains, axis=1) @ np.concatenate(waves)


def sensorimotor_rhythms(
    rng: Generator, head: Head, traits: Traits, span: Span, gains: dict[str, np.ndarray] | None
) -> np.ndarray:
    """Mu and beta over the hand and foot areas.

    `gains` holds the amplitude of mu and beta ``(2, n_times)`` by area; None is 1, that at rest.
    """
    half = 0.5 * traits.mu_asymmetry
    sides = {"hand_left": np.exp(-half), "hand_right": np.exp(half), "foot": 0.6}
    fields, activities = [], []
    for name in HANDS:
        gain = head.regions[name]
        frequencies = traits.mu_frequency + rng.normal(0.0, 0.2, gain.shape[1])
        mu = rhythm(rng, frequencies, span, bandwidth=1.1, burstiness=0.3, coherence=0.3)
        frequencies = traits.beta_frequency + rng.normal(0.0, 1.0, gain.shape[1])
        beta = rhythm(rng, frequencies, span, bandwidth=2.6, burstiness=0.4, coherence=0.3)
        of_mu, of_beta = (1, 1) if gains is None else gains[name]
        fields.append(np.float32(sides[name]) * gain)
        activities.append(
            np.float32(traits.mu_amplitude) * arched(mu, 0.2) * of_mu
            + np.float32(traits.beta_amplitude) * beta.real * of_beta
        )
    return np.concatenate(fields, axis=1) @ np.concatenate(activities)


def _eye_potential(positions: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Potential of the same dipole in each eye, in an unbounded medium (arbitrary unit)."""
    offset = positions[:, None] - EYES  # (n_chans, 2, 3)
    distance = np.maximum(np.linalg.norm(offset, axis=-1), 0.02)
    return ((offset * moment).sum(axis=-1) / distance**3).sum(axis=1)


def _event_times(rng: Generator, rate: float, span: Span) -> np.ndarray:
    """Times of a Poisson process (s)."""
    seconds = span.n_times / span.sfreq
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))


def _place(x: np.ndarray, course: np.ndarray, start: int) -> None:
    """Add `course` (..., length) into `x` (..., n_times) from sample `start`, cut at both ends."""
    first, last = max(start, 0), min(start + course.shape[-1], x.shape[-1])
    if last > first:
        x[..., first:last] += course[..., first - start : last - start]


def blinks(rng: Generator, head: Head, traits: Traits, span: Span, rate: float) -> np.ndarray:
    """Eyelid closures: 50 to 150 µV at the forehead, 200 to 400 ms, falling off to the back."""
    up = np.array([0.0, 0.4, 1.0])
    topography = _eye_potential(head.positions, up) / _eye_potential(_FOREHEAD, up).mean()
    course, sfreq = np.zeros(span.n_times, dtype=np.float32), span.sfreq
    for time in _event_times(rng, rate * traits.blink_rate, span):
        height = traits.blink_amplitude * np.exp(rng.normal(0.0, 0.15))
        length = traits.blink_duration * np.exp(rng.normal(0.0, 0.1))
        lag = np.arange(-int(length * sfreq), int(1.5 * length * sfreq) + 1)
        width = length * np.where(lag < 0, 0.16, 0.26) * sfreq  # closes faster than it opens
        _place(course, height * np.exp(-0.5 * (lag / width) ** 2), int(time * sfreq) + lag[0])
    return np.outer(topography.astype(np.float32), course)


def saccades(rng: Generator, head: Head, traits: Traits, span: Span, rate: float) -> np.ndarray:
    """Gaze shifts: steps of opposite sign at the two temples, some with a vertical part."""
    sideways, upward = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    reference = np.abs(_eye_potential(_TEMPLES, sideways)).mean()
    maps = np.array([_eye_potential(head.positions, moment) for moment in (sideways, upward)])
    courses, sfreq = np.zeros((2, span.n_times), dtype=np.float32), span.sfreq
    for time in _event_times(rng, rate * traits.saccade_rate, span):
        size = traits.saccade_amplitude * rng.normal(0.0, [0.8, 0.3])
        hold = rng.uniform(0.2, 1.2)
        lag = np.arange(int((hold + 0.1) * sfreq) + 1) / sfreq
        step = np.clip(lag / 0.04, 0.0, 1.0) * np.clip((hold + 0.06 - lag) / 0.05, 0.0, 1.0)
        _place(courses, size[:, None] * step, int(time * sfreq))
    return (maps / reference).T.astype(np.float32) @ courses


def muscles(rng: Generator, head: Head, traits: Traits, span: Span, rate: float) -> np.ndarray:
    """Muscle activity of 20 to 100 Hz: a permanent tone, and bursts near the temples and brow."""
    top = min(100.0, 0.42 * span.sfreq)
    centres, shares, reach = (np.array(column) for column in zip(*_MUSCLES, strict=True))
    # Three groups of fibres per muscle, so that one muscle is not one spatial pattern.
    n_groups = 3
    groups = np.repeat(centres, n_groups, axis=0)
    groups = groups + rng.normal(0.0, 0.012, groups.shape)
    distance = np.linalg.norm(head.positions[:, None] - groups, axis=-1)
    maps = np.exp(-0.5 * (distance / np.repeat(reach, n_groups)) ** 2) / np.sqrt(n_groups)

    tone = traits.muscle_tone * np.exp(rng.normal(0.0, 0.4, len(centres))) * np.sqrt(shares * 5)
    envelope = tone[:, None] * slow_gain(rng, len(centres), span, 0.2, 0.3)
    envelope = np.repeat(envelope, n_groups, axis=0).astype(np.float32)
    envelope *= np.float32(np.sqrt(min(rate, 1.0)))
    for time in _event_times(rng, rate * traits.muscle_rate, span):
        which = int(rng.choice(len(centres), p=shares / shares.sum()))
        height = traits.muscle_amplitude * np.exp(rng.normal(0.0, 0.4))
        lag = np.linspace(0.0, np.pi, max(int(rng.uniform(0.2, 1.5) * span.sfreq), 3))
        rows = slice(which * n_groups, (which + 1) * n_groups)
        _place(envelope[rows], height * np.sin(lag)[None] ** 2, int(time * span.sfreq))

    def density(freqs: np.ndarray) -> np.ndarray:  # with soft edges
        return of_unit_power(1.0 / (1.0 + (20.0 / freqs) ** 6) / (1.0 + (freqs / top) ** 6), freqs)

    activity = coloured_noise(rng, len(envelope), span, density) * envelope
    return maps.astype(np.float32) @ activity


def instrument(rng: Generator, head: Head, traits: Traits, span: Span) -> np.ndarray:
    """Slow drifts of skin and electrodes, white sensor noise and what is left of the line."""
    n_chans = len(head.positions)

    def slow(freqs: np.ndarray) -> np.ndarray:
        return of_unit_power(1.0 / (0.15**2 + freqs**2), freqs)

    # Drifts: smooth over the scalp (four directions), and one of each electrode.
    scalp = 0.5 * traits.drift * np.c_[np.ones(n_chans), head.positions / 0.1]
    contact = 0.5 * traits.drift * np.exp(rng.normal(0.0, 0.5, (n_chans, 1)))
    x = scalp.astype(np.float32) @ coloured_noise(rng, 4, span, slow)
    x += contact.astype(np.float32) * coloured_noise(rng, n_chans, span, slow)

    noise = traits.sensor_noise * np.exp(rng.normal(0.0, 0.3, (n_chans, 1)))
    x += noise.astype(np.float32) * rng.standard_normal((n_chans, span.n_times), dtype=np.float32)

    height = traits.line_amplitude * np.exp(rng.normal(0.0, 0.7, n_chans))
    phase = rng.uniform(0.0, 2.0 * np.pi) + rng.normal(0.0, 0.5, n_chans)
    if traits.line_frequency < 0.45 * span.sfreq:
        turn = 2.0 * np.pi * traits.line_frequency * np.arange(span.n_times) / span.sfreq
        waves = np.stack([np.sin(turn), np.cos(turn)]).astype(np.float32)
        parts = height[:, None] * np.c_[np.cos(phase), np.sin(phase)]
        x += parts.astype(np.float32) @ waves
    return x
