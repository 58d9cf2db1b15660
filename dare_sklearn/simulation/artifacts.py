"""What is not brain: eyes, muscles, drifts, the amplifier's noise and the power line.

Public functions return µV, shape (n_chans, n_times), float32. Positions are in head coordinates
(m): x to the right, y to the front, z up.
"""

from __future__ import annotations

import numpy as np

from .head import Head
from .noise import band_noise, coloured_noise, of_unit_power, slow_gain
from .subjects import Traits

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


def _eye_potential(positions: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Potential of a dipole in each eye, in an unbounded medium (arbitrary unit)."""
    offset = positions[:, None] - EYES  # (n_chans, 2, 3)
    distance = np.maximum(np.linalg.norm(offset, axis=-1), 0.02)
    return ((offset * moments).sum(axis=-1) / distance**3).sum(axis=1)


def _event_times(rng: np.random.Generator, rate: float, seconds: float) -> np.ndarray:
    """Times of a Poisson process (s)."""
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))


def _place(x: np.ndarray, course: np.ndarray, start: int) -> None:
    """Add `course` (..., length) into `x` (..., n_times) from sample `start`, cut at both ends."""
    first, last = max(start, 0), min(start + course.shape[-1], x.shape[-1])
    if last > first:
        x[..., first:last] += course[..., first - start : last - start]


def blinks(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float, rate: float
) -> np.ndarray:
    """Eyelid closures: 50 to 150 µV at the forehead, 200 to 400 ms, falling off to the back."""
    up = np.array([[0.0, 0.4, 1.0], [0.0, 0.4, 1.0]])
    topography = _eye_potential(head.positions, up) / _eye_potential(_FOREHEAD, up).mean()
    course = np.zeros(n_times, dtype=np.float32)
    for time in _event_times(rng, rate * traits.blink_rate, n_times / sfreq):
        height = traits.blink_amplitude * np.exp(rng.normal(0.0, 0.15))
        length = traits.blink_duration * np.exp(rng.normal(0.0, 0.1))
        lag = np.arange(-int(length * sfreq), int(1.5 * length * sfreq) + 1)
        width = length * np.where(lag < 0, 0.16, 0.26) * sfreq  # closes faster than it opens
        _place(course, height * np.exp(-0.5 * (lag / width) ** 2), int(time * sfreq) + lag[0])
    return np.outer(topography.astype(np.float32), course)


def saccades(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float, rate: float
) -> np.ndarray:
    """Gaze shifts: steps of opposite sign at the two temples, some with a vertical part."""
    sideways = np.array([[1.0, 0.0, 0.0]] * 2)
    upward = np.array([[0.0, 0.0, 1.0]] * 2)
    reference = np.abs(_eye_potential(_TEMPLES, sideways)).mean()
    maps = np.array([_eye_potential(head.positions, moment) for moment in (sideways, upward)])
    courses = np.zeros((2, n_times), dtype=np.float32)
    for time in _event_times(rng, rate * traits.saccade_rate, n_times / sfreq):
        size = traits.saccade_amplitude * rng.normal(0.0, [0.8, 0.3])
        hold = rng.uniform(0.2, 1.2)
        lag = np.arange(int((hold + 0.1) * sfreq) + 1) / sfreq
        step = np.clip(lag / 0.04, 0.0, 1.0) * np.clip((hold + 0.06 - lag) / 0.05, 0.0, 1.0)
        _place(courses, size[:, None] * step, int(time * sfreq))
    return (maps / reference).T.astype(np.float32) @ courses


def muscles(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float, rate: float
) -> np.ndarray:
    """Muscle activity of 20 to 100 Hz: a permanent tone, and bursts near the temples and brow."""
    top = min(100.0, 0.42 * sfreq)
    centres, shares, reach = (np.array(column) for column in zip(*_MUSCLES, strict=True))
    # Three groups of fibres per muscle, so that one muscle is not one spatial pattern.
    n_groups = 3
    group_centres = np.repeat(centres, n_groups, axis=0) + rng.normal(
        0.0, 0.012, (n_groups * len(centres), 3)
    )
    distance = np.linalg.norm(head.positions[:, None] - group_centres, axis=-1)
    maps = np.exp(-0.5 * (distance / np.repeat(reach, n_groups)) ** 2) / np.sqrt(n_groups)

    tone = traits.muscle_tone * np.exp(rng.normal(0.0, 0.4, len(centres))) * np.sqrt(shares * 5)
    envelope = np.repeat(
        tone[:, None] * slow_gain(rng, len(centres), n_times, sfreq, 0.2, 0.3), n_groups, axis=0
    ).astype(np.float32)
    if rate < 1:
        envelope *= np.float32(np.sqrt(rate))
    for time in _event_times(rng, rate * traits.muscle_rate, n_times / sfreq):
        which = int(rng.choice(len(centres), p=shares / shares.sum()))
        height = traits.muscle_amplitude * np.exp(rng.normal(0.0, 0.4))
        lag = np.linspace(0.0, np.pi, max(int(rng.uniform(0.2, 1.5) * sfreq), 3))
        rows = slice(which * n_groups, (which + 1) * n_groups)
        _place(envelope[rows], height * np.sin(lag)[None] ** 2, int(time * sfreq))
    activity = band_noise(rng, len(envelope), n_times, sfreq, 20.0, top) * envelope
    return maps.astype(np.float32) @ activity


def instrument(
    rng: np.random.Generator, head: Head, traits: Traits, n_times: int, sfreq: float
) -> np.ndarray:
    """Slow drifts of skin and electrodes, white sensor noise and what is left of the line."""
    n_chans = len(head.positions)

    def slow(freqs: np.ndarray) -> np.ndarray:
        return of_unit_power(1.0 / (0.15**2 + freqs**2), freqs)

    # Drifts: smooth over the scalp (four directions), and one of each electrode.
    scalp = 0.5 * traits.drift * np.c_[np.ones(n_chans), head.positions / 0.1]
    contact = 0.5 * traits.drift * np.exp(rng.normal(0.0, 0.5, (n_chans, 1)))
    x = scalp.astype(np.float32) @ coloured_noise(rng, 4, n_times, sfreq, slow)
    x += contact.astype(np.float32) * coloured_noise(rng, n_chans, n_times, sfreq, slow)

    noise = traits.sensor_noise * np.exp(rng.normal(0.0, 0.3, (n_chans, 1)))
    x += noise.astype(np.float32) * rng.standard_normal((n_chans, n_times), dtype=np.float32)

    height = traits.line_amplitude * np.exp(rng.normal(0.0, 0.7, n_chans))
    phase = rng.uniform(0.0, 2.0 * np.pi) + rng.normal(0.0, 0.5, n_chans)
    if traits.line_frequency < 0.45 * sfreq:
        turn = 2.0 * np.pi * traits.line_frequency * np.arange(n_times) / sfreq
        waves = np.stack([np.sin(turn), np.cos(turn)]).astype(np.float32)
        parts = height[:, None] * np.c_[np.cos(phase), np.sin(phase)]
        x += parts.astype(np.float32) @ waves
    return x
