"""Ongoing brain activity: aperiodic background and the rhythms of the waking brain.

Every function returns µV, shape (n_chans, n_times), float32.
"""

from __future__ import annotations

import numpy as np

from .head import Head
from .noise import arched, coloured_noise, rhythm, slow_gain
from .subjects import Traits

# Power of the aperiodic background at 10 Hz, averaged over the scalp (µV²/Hz).
POWER_AT_10_HZ = 0.9
_ROWS_AT_ONCE = 44  # dipoles drawn together: bounds the memory of long recordings

HANDS = ("hand_left", "hand_right", "foot")


def aperiodic_background(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float
) -> np.ndarray:
    """Sum of cortical dipoles with 1/f activity, whose exponent varies smoothly over the cortex."""
    exponents = traits.exponent + head.cortex_directions @ traits.exponent_gradient
    x = np.zeros((len(head.positions), n_times), dtype=np.float32)
    for start in range(0, len(exponents), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        beta = exponents[rows, None]

        def density(freqs: np.ndarray, beta: np.ndarray = beta) -> np.ndarray:
            at_10_hz = 10.0**beta + traits.knee**beta
            return POWER_AT_10_HZ * at_10_hz / (freqs**beta + traits.knee**beta)

        activity = coloured_noise(rng, len(beta), n_times, sfreq, density)
        x += head.cortex[:, rows] @ activity
    return x * slow_gain(rng, 1, n_times, sfreq, 0.1, 0.12)


def alpha_and_theta(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float, alpha: float
) -> np.ndarray:
    """Posterior alpha, of an amplitude relative to rest, and frontal midline theta."""
    half = 0.5 * traits.alpha_asymmetry
    # Power adds up over the three regions.
    strengths = {"alpha_left": 0.7 * np.exp(-half), "alpha_right": 0.7 * np.exp(half)}
    strengths["alpha_middle"] = 0.5
    gains, waves = [], []
    for name, strength in strengths.items():
        gain = head.regions[name]
        frequencies = traits.alpha_frequency + rng.normal(0.0, 0.25, gain.shape[1])
        z = rhythm(rng, frequencies, n_times, sfreq, bandwidth=0.75, burstiness=0.4, coherence=0.4)
        gains.append(gain * np.float32(strength * alpha * traits.alpha_amplitude))
        waves.append(arched(z, 0.08))
    z = rhythm(
        rng, np.array([traits.theta_frequency]), n_times, sfreq, bandwidth=0.6, burstiness=0.6
    )
    gains.append(head.regions["theta"] * np.float32(traits.theta_amplitude))
    waves.append(z.real)
    return np.concatenate(gains, axis=1) @ np.concatenate(waves)


def sensorimotor_rhythms(
    rng: np.random.Generator,
    head: Head,
    traits: Traits,
    n_times: int,
    sfreq: float,
    gains: dict[str, np.ndarray] | None,
) -> np.ndarray:
    """Mu and beta over the hand and foot areas.

    `gains` holds the amplitude of mu (row 0) and beta (row 1) over time for each of `HANDS`, 1
    being rest, ``(2, n_times)``; None leaves them at rest.
    """
    half = 0.5 * traits.mu_asymmetry
    sides = {"hand_left": np.exp(-half), "hand_right": np.exp(half), "foot": 0.6}
    fields, activities = [], []
    for name in HANDS:
        gain = head.regions[name]
        n_sources = gain.shape[1]
        frequencies = traits.mu_frequency + rng.normal(0.0, 0.2, n_sources)
        bursts = {"bandwidth": 1.1, "burstiness": 0.3, "coherence": 0.3}
        mu = rhythm(rng, frequencies, n_times, sfreq, **bursts)
        frequencies = traits.beta_frequency + rng.normal(0.0, 1.0, n_sources)
        bursts = {"bandwidth": 2.6, "burstiness": 0.4, "coherence": 0.3}
        beta = rhythm(rng, frequencies, n_times, sfreq, **bursts)
        waves = [
            np.float32(traits.mu_amplitude) * arched(mu, 0.2),
            np.float32(traits.beta_amplitude) * beta.real,
        ]
        if gains is not None:
            waves = [wave * course for wave, course in zip(waves, gains[name], strict=True)]
        fields.append(np.float32(sides[name]) * gain)
        activities.append(waves[0] + waves[1])
    return np.concatenate(fields, axis=1) @ np.concatenate(activities)
