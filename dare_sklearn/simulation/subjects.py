"""What makes one simulated person different from the next: a draw of individual traits."""

from __future__ import annotations

import numpy as np


class Traits:
    """Individual constants of one person, the same in every paradigm.

    Amplitudes of rhythms are root mean squares, those of evoked responses and artifacts are
    peaks; both in µV at the electrode that sees them best. Frequencies in Hz, times in s. The
    spreads follow what is commonly reported for healthy adults: alpha peaks of 8 to 12.5 Hz,
    aperiodic exponents near 1 to 1.8, skewed (lognormal) amplitudes.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        def normal(mean: float, sd: float, low: float, high: float) -> float:
            return float(np.clip(rng.normal(mean, sd), low, high))

        def lognormal(median: float, spread: float, low: float, high: float = np.inf) -> float:
            return float(np.clip(median * np.exp(rng.normal(0.0, spread)), low, high))

        self.alpha_frequency = normal(10.1, 0.95, 8.0, 12.5)
        # overall amplitude of the brain's signals (thickness of the skull)
        self.scale = lognormal(1.0, 0.35, 0.45, 2.4)
        # exponent of the aperiodic spectrum 1 / f ** exponent, its change towards right, front and
        # top, and the frequency under which that spectrum is flat
        self.exponent = normal(1.35, 0.2, 0.8, 1.9)
        self.exponent_gradient = rng.normal(0.0, 0.08, 3)
        self.knee = lognormal(1.0, 0.4, 0.4, 2.5)
        self.alpha_amplitude = lognormal(3.2, 0.5, 0.6, 9.0)
        self.alpha_asymmetry = normal(0.0, 0.15, -0.4, 0.4)  # log ratio of right to left
        self.mu_frequency = float(np.clip(self.alpha_frequency + rng.normal(0.5, 0.7), 8.0, 13.5))
        self.mu_amplitude = lognormal(4.0, 0.35, 1.5, 8.0)
        self.mu_asymmetry = normal(0.0, 0.15, -0.4, 0.4)
        self.beta_frequency = normal(20.5, 2.0, 16.0, 26.0)
        self.beta_amplitude = lognormal(2.0, 0.35, 0.7, 4.5)
        self.theta_frequency = normal(5.8, 0.6, 4.5, 7.2)
        self.theta_amplitude = lognormal(1.6, 0.45, 0.4, 4.0)
        self.motor_skill = normal(1.0, 0.3, 0.3, 1.7)  # depth of the desynchronisation
        self.erp_gain = lognormal(1.0, 0.22, 0.5, 1.8)
        self.erp_delay = normal(0.0, 0.008, -0.02, 0.02)  # of the early components
        self.p3_latency = normal(0.38, 0.035, 0.30, 0.50)
        self.p3_gain = lognormal(1.0, 0.22, 0.5, 1.8)
        self.steady_gain = lognormal(1.0, 0.35, 0.4, 2.2)
        self.steady_delay = normal(0.12, 0.008, 0.1, 0.14)
        # rates are per second
        self.blink_rate = lognormal(0.2, 0.5, 0.04, 0.6)
        self.blink_amplitude = lognormal(90.0, 0.25, 50.0, 150.0)
        self.blink_duration = normal(0.30, 0.04, 0.2, 0.4)
        self.saccade_rate = lognormal(0.12, 0.5, 0.02, 0.5)
        self.saccade_amplitude = lognormal(22.0, 0.3, 8.0, 50.0)
        self.muscle_rate = lognormal(0.04, 0.7, 0.005, 0.25)
        self.muscle_amplitude = lognormal(9.0, 0.4, 3.0, 25.0)
        # root mean squares of permanent muscle activity, of slow electrode and skin potentials, and
        # of the amplifier's white noise
        self.muscle_tone = lognormal(1.5, 0.6, 0.2, 5.0)
        self.drift = lognormal(4.0, 0.45, 1.0, 12.0)
        self.sensor_noise = lognormal(0.7, 0.4, 0.25, 2.0)
        self.line_frequency = 50.0 if rng.random() < 0.6 else 60.0
        self.line_amplitude = lognormal(0.2, 0.7, 0.03, 1.2)
