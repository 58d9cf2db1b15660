"""What makes one simulated person different from the next: a draw of individual traits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Traits:
    """Individual constants of one person, the same in every paradigm.

    Amplitudes of rhythms are root mean squares, those of evoked responses and artifacts are
    peaks; both in µV at the electrode that sees them best. Frequencies in Hz, times in s.
    """

    scale: float  # overall amplitude of the brain's signals (thickness of the skull)
    exponent: float  # of the aperiodic power spectrum 1 / f ** exponent
    exponent_gradient: np.ndarray  # (3,) change of the exponent towards right, front and top
    knee: float  # frequency under which the aperiodic spectrum is flat
    alpha_frequency: float
    alpha_amplitude: float
    alpha_asymmetry: float  # log ratio of right to left
    mu_frequency: float
    mu_amplitude: float
    mu_asymmetry: float
    beta_frequency: float
    beta_amplitude: float
    theta_frequency: float
    theta_amplitude: float
    motor_skill: float  # depth of the desynchronisation, 1 is typical
    erp_gain: float
    erp_delay: float  # shift of the early components
    p3_latency: float
    p3_gain: float
    steady_gain: float
    steady_delay: float
    blink_rate: float  # per second
    blink_amplitude: float
    blink_duration: float
    saccade_rate: float
    saccade_amplitude: float
    muscle_rate: float
    muscle_amplitude: float
    muscle_tone: float  # root mean square of the permanent muscle activity
    drift: float  # root mean square of slow electrode and skin potentials
    sensor_noise: float  # root mean square of the amplifier's white noise
    line_frequency: float
    line_amplitude: float


def draw_traits(rng: np.random.Generator) -> Traits:
    """Draw one person's traits.

    The spreads follow what is commonly reported for healthy adults: alpha peaks of 8 to 12.5 Hz,
    aperiodic exponents near 1 to 1.8 [1]_, skewed (lognormal) amplitudes.

    References
    ----------
    .. [1] Donoghue et al. (2020). Parameterizing neural power spectra into periodic and aperiodic
       components. Nature Neuroscience, 23, 1655-1665.
    """

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    def lognormal(median: float, spread: float, low: float = 0.0, high: float = np.inf) -> float:
        return float(np.clip(median * np.exp(rng.normal(0.0, spread)), low, high))

    alpha_frequency = normal(10.1, 0.95, 8.0, 12.5)
    return Traits(
        scale=lognormal(1.0, 0.35, 0.45, 2.4),
        exponent=normal(1.35, 0.2, 0.8, 1.9),
        exponent_gradient=rng.normal(0.0, 0.08, 3),
        knee=lognormal(1.0, 0.4, 0.4, 2.5),
        alpha_frequency=alpha_frequency,
        alpha_amplitude=lognormal(3.2, 0.5, 0.6, 9.0),
        alpha_asymmetry=normal(0.0, 0.15, -0.4, 0.4),
        mu_frequency=float(np.clip(alpha_frequency + rng.normal(0.5, 0.7), 8.0, 13.5)),
        mu_amplitude=lognormal(4.0, 0.35, 1.5, 8.0),
        mu_asymmetry=normal(0.0, 0.15, -0.4, 0.4),
        beta_frequency=normal(20.5, 2.0, 16.0, 26.0),
        beta_amplitude=lognormal(2.0, 0.35, 0.7, 4.5),
        theta_frequency=normal(5.8, 0.6, 4.5, 7.2),
        theta_amplitude=lognormal(1.6, 0.45, 0.4, 4.0),
        motor_skill=normal(1.0, 0.3, 0.3, 1.7),
        erp_gain=lognormal(1.0, 0.22, 0.5, 1.8),
        erp_delay=normal(0.0, 0.008, -0.02, 0.02),
        p3_latency=normal(0.38, 0.035, 0.30, 0.50),
        p3_gain=lognormal(1.0, 0.22, 0.5, 1.8),
        steady_gain=lognormal(1.0, 0.35, 0.4, 2.2),
        steady_delay=normal(0.12, 0.008, 0.1, 0.14),
        blink_rate=lognormal(0.2, 0.5, 0.04, 0.6),
        blink_amplitude=lognormal(90.0, 0.25, 50.0, 150.0),
        blink_duration=normal(0.30, 0.04, 0.2, 0.4),
        saccade_rate=lognormal(0.12, 0.5, 0.02, 0.5),
        saccade_amplitude=lognormal(22.0, 0.3, 8.0, 50.0),
        muscle_rate=lognormal(0.04, 0.7, 0.005, 0.25),
        muscle_amplitude=lognormal(9.0, 0.4, 3.0, 25.0),
        muscle_tone=lognormal(1.5, 0.6, 0.2, 5.0),
        drift=lognormal(4.0, 0.45, 1.0, 12.0),
        sensor_noise=lognormal(0.7, 0.4, 0.25, 2.0),
        line_frequency=50.0 if rng.random() < 0.6 else 60.0,
        line_amplitude=lognormal(0.2, 0.7, 0.03, 1.2),
    )
