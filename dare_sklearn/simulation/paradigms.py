"""The three paradigms: which trials there are, and what the classes change in the signal.

A class effect is the same in kind for everyone and individual in size, place and timing, so that
it transfers between people, but not for free. `effect` scales only what differs between classes:
the drawn numbers, and hence everything else in the signal, do not depend on it. `simulate_epochs`
lists the literature.
"""

from __future__ import annotations

import numpy as np

from .activity import HANDS
from .head import Head, Traits

CLASSES: dict[str, tuple[str, ...]] = {
    "motor": ("left_hand", "right_hand"),
    "erp": ("nontarget", "target"),
    "steady_state": ("10 Hz", "12 Hz", "15 Hz"),
}

# Change of the rhythm's log amplitude during a movement or its imagination: deep over the hand
# area of the other side, shallow over that of the same side.
_OTHER_SIDE, _SAME_SIDE = -1.15, 0.0
_BETA_SHARE = 0.85
_DESYNCHRONISATION = {
    "left_hand": {"hand_left": _SAME_SIDE, "hand_right": _OTHER_SIDE},
    "right_hand": {"hand_left": _OTHER_SIDE, "hand_right": _SAME_SIDE},
}

# Regions, latency (s), width (s) and amplitude (µV) of the evoked components: common part, and
# what a target adds. Positive in time is after the stimulus.
_COMPONENTS = {
    "p1": (("p1_left", "p1_right"), 0.105, 0.016, 2.5, 0.0),
    "n1": (("n1_left", "n1_right"), 0.170, 0.022, -4.0, 0.0),
    "p2": (("p2",), 0.215, 0.030, 2.5, 0.0),
    "n2": (("n2",), 0.260, 0.030, -1.5, -1.5),
    "p3": (("p3",), None, 0.080, 2.5, 14.0),
}

# Amplitude (µV) of the flicker's harmonics.
_HARMONICS = ((1, 2.0), (2, 1.0), (3, 0.5))


def draw_labels(
    rng: np.random.Generator, paradigm: str, n_epochs: int, target_fraction: float
) -> np.ndarray:
    """Class indices of one person's trials, in random order and as balanced as can be.

    Of "erp", `target_fraction` are targets, and at least one trial of two or more is of each class.
    """
    n_classes = len(CLASSES[paradigm])
    if paradigm == "erp":
        n_targets = round(target_fraction * n_epochs)
        if n_epochs > 1:
            n_targets = min(max(n_targets, 1), n_epochs - 1)
        labels = (np.arange(n_epochs) < n_targets).astype(int)
    else:
        first = int(rng.integers(n_classes))  # who gets the surplus trial
        labels = (first + np.arange(n_epochs)) % n_classes
    return rng.permutation(labels)


def motor_gains(
    rng: np.random.Generator,
    traits: Traits,
    labels: np.ndarray,
    epoch_times: np.ndarray,
    effect: float,
) -> dict[str, np.ndarray]:
    """Amplitude of mu and beta over the hand and foot areas during left or right hand movement.

    The event-related desynchronisation sets in after a fraction of a second; its depth varies from
    trial to trial, and so does the rhythm itself. By area, ``(2, n_epochs * n_times)``.
    """
    n_epochs = len(labels)
    onset = rng.uniform(0.05, 0.25, (n_epochs, 1))
    rise = np.clip((epoch_times - onset) / 0.2, 0.0, 1.0)  # (n_epochs, n_times)
    depth = np.clip(rng.normal(1.0, 0.35, (n_epochs, 1)), 0.0, 2.0) * traits.motor_skill
    arousal = rng.normal(0.0, 0.12, (n_epochs, 1))
    gains = {}
    middle = 0.5 * (_OTHER_SIDE + _SAME_SIDE)
    for region in HANDS:
        own = rng.normal(0.0, 0.18, (n_epochs, 1))
        change = np.full(n_epochs, -0.1)
        if region != "foot":
            table = np.array([_DESYNCHRONISATION[name][region] for name in CLASSES["motor"]])
            change = middle + effect * (table[labels] - middle)
        log_gain = arousal + own + rise * depth * change[:, None]
        both = np.stack([log_gain, _BETA_SHARE * log_gain])  # (2, n_epochs, n_times)
        gains[region] = np.exp(both).astype(np.float32).reshape(2, -1)
    return gains


def evoked_responses(
    rng: np.random.Generator,
    head: Head,
    traits: Traits,
    labels: np.ndarray,
    epoch_times: np.ndarray,
    effect: float,
) -> np.ndarray:
    """Responses to standard and target stimuli, in µV, ``(n_chans, n_epochs * n_times)``.

    Targets add to the N2 and above all to the P3b. Latencies and amplitudes are individual and
    jitter from trial to trial.
    """
    n_epochs = len(labels)
    x = np.zeros((len(head.positions), n_epochs * len(epoch_times)), dtype=np.float32)
    for name, (regions, latency, width, common, extra) in _COMPONENTS.items():
        late = name == "p3"
        centre = traits.p3_latency if late else latency + traits.erp_delay
        centre = centre + rng.normal(0.0, 0.03 if late else 0.008, (n_epochs, 1))
        spread = width * rng.uniform(0.85, 1.15)
        # The P3b falls more slowly than it rises.
        slower = np.where(epoch_times > centre, 1.5 if late else 1.0, 1.0)
        course = np.exp(-0.5 * ((epoch_times - centre) / (spread * slower)) ** 2)
        gain = traits.erp_gain * (traits.p3_gain if late else 1.0)
        height = gain * (common + effect * extra * labels)
        height = height * np.exp(rng.normal(0.0, 0.3, n_epochs))
        course = (height[:, None] * course).astype(np.float32).reshape(-1)
        for region in regions:
            side = np.exp(rng.normal(0.0, 0.15))
            x += np.outer(np.float32(side) * head.regions[region][:, 0], course)
    return x


def steady_responses(
    rng: np.random.Generator,
    head: Head,
    traits: Traits,
    labels: np.ndarray,
    epoch_times: np.ndarray,
    effect: float,
    sfreq: float,
) -> np.ndarray:
    """Responses of the visual cortex that are locked to a flicker and its harmonics.

    In µV, ``(n_chans, n_epochs * n_times)``.
    """
    gain = head.regions["steady"]
    n_epochs, n_sources = len(labels), gain.shape[1]
    flicker = np.array([float(name.split()[0]) for name in CLASSES["steady_state"]])
    preference = np.exp(rng.normal(0.0, 0.2, len(flicker)))
    strength = effect * traits.steady_gain * np.exp(rng.normal(0.0, 0.25, (n_epochs, 1, 1)))
    strength = strength * preference[labels][:, None, None]
    delay = traits.steady_delay + rng.normal(0.0, 0.006, (1, n_sources, 1))
    delay = delay + rng.normal(0.0, 0.004, (n_epochs, 1, 1))
    rise = np.clip((epoch_times - 0.05) / 0.15, 0.0, 1.0)
    waves = np.zeros((n_epochs, n_sources, len(epoch_times)))
    for order, height in _HARMONICS:
        height = height * np.exp(rng.normal(0.0, 0.25))
        phase = rng.normal(0.0, 0.3, (1, n_sources, 1)) * order
        frequency = order * flicker[labels][:, None, None]
        wave = np.sin(2.0 * np.pi * frequency * (epoch_times - delay) + phase)
        waves += np.where(frequency < 0.45 * sfreq, height * wave, 0.0)
    waves *= strength * rise
    return gain @ waves.astype(np.float32).transpose(1, 0, 2).reshape(n_sources, -1)
