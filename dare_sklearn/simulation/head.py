"""People: spherical heads (electrodes, cortical dipoles, their potentials) and habits."""

from functools import lru_cache
from typing import NamedTuple

import mne
import numpy as np
from scipy.spatial.transform import Rotation

from ..signals.electrodes import (
    directions,
    electrode_name,
    fitted_sphere,
    template_montage,
    template_positions,
)

# Electrodes that every forward solution holds besides the requested ones: the 10-20 system, on
# which amplitudes are defined, so that a source is as strong whatever montage is requested.
SCALE_NAMES = tuple(
    "Fp1 Fpz Fp2 F7 F3 Fz F4 F8 FCz T7 C3 Cz C4 T8 CPz P7 P3 Pz P4 P8 PO7 POz PO8 O1 Oz O2".split()
)

N_CORTEX = 220  # dipoles of the background
CORTEX_DEPTH = (0.70, 0.88)  # distance from the centre relative to the head's radius
SPREAD = 0.006  # standard deviation (m) of a region's place over people
SMOOTHNESS = 0.014  # standard deviation (m) of the activity shared by neighbouring dipoles


class Region(NamedTuple):
    """Cortex that carries one rhythm or evoked component."""

    under: tuple[str, ...]  # electrodes that the sources lie under, one source each
    depth: float  # distance from the centre relative to the radius
    tilt: float  # radians, the typical angle to the radial direction
    coherent: bool = False  # whether its sources act as one


REGIONS: dict[str, Region] = {
    "alpha_left": Region(("PO3", "O1", "P3", "PO7"), 0.72, 0.5),
    "alpha_right": Region(("PO4", "O2", "P4", "PO8"), 0.72, 0.5),
    "alpha_middle": Region(("POz", "Oz"), 0.70, 0.5),
    "hand_left": Region(("C3", "CP3", "C5", "FC3"), 0.73, 0.3),
    "hand_right": Region(("C4", "CP4", "C6", "FC4"), 0.73, 0.3),
    "foot": Region(("Cz", "CCPz"), 0.72, 0.3),
    "theta": Region(("Fz", "FFCz", "FCz"), 0.62, 0.2, coherent=True),
    "p1_left": Region(("PO7", "PO5"), 0.74, 0.3, coherent=True),
    "p1_right": Region(("PO8", "PO6"), 0.74, 0.3, coherent=True),
    "n1_left": Region(("P7", "PO7"), 0.72, 0.3, coherent=True),
    "n1_right": Region(("P8", "PO8"), 0.72, 0.3, coherent=True),
    "p2": Region(("FCz", "Cz"), 0.60, 0.2, coherent=True),
    "n2": Region(("FCz", "Fz"), 0.60, 0.2, coherent=True),
    "p3": Region(("Pz", "CPz", "P3", "P4", "Cz"), 0.58, 0.15, coherent=True),
    "steady": Region(("Oz", "O1", "O2", "POz"), 0.74, 0.4),
}


class Head(NamedTuple):
    """One person's head as seen by the electrodes."""

    positions: np.ndarray  # (n_chans, 3), in head coordinates (m)
    # Background, (n_chans, N_CORTEX): µV per unit of activity, of mean power 1 over the scalp.
    cortex: np.ndarray
    cortex_directions: np.ndarray  # (N_CORTEX, 3), unit vectors from the centre to the dipoles
    # Potentials (n_chans, n_sources) of the sources, 1 µV at the electrode that sees a region best.
    regions: dict[str, np.ndarray]


@lru_cache(maxsize=1)
def _template() -> tuple[tuple[str, ...], np.ndarray, np.ndarray, float]:
    """Names, positions in head coordinates (m), and the sphere (centre, radius) through them."""
    names, known = tuple(template_montage().ch_names), template_positions()
    positions = np.array([known[electrode_name(name)] for name in names])
    return names, positions, *fitted_sphere(positions)


def _cortex_directions(rng: np.random.Generator, n_dipoles: int) -> np.ndarray:
    """Evenly spread unit vectors over the part of a sphere that cortex fills."""
    golden = np.pi * (3.0 - np.sqrt(5.0))
    lowest = -0.45
    height = lowest + (1.0 - lowest) * (np.arange(n_dipoles) + 0.5) / n_dipoles
    angle = golden * np.arange(n_dipoles) + rng.uniform(0.0, 2.0 * np.pi)
    ring = np.sqrt(1.0 - height**2)
    even = np.c_[ring * np.cos(angle), ring * np.sin(angle), height]
    return directions(even + rng.normal(0.0, 0.03, even.shape), 0.0)


def _tilted(rng: np.random.Generator, radial: np.ndarray, tilt: float) -> np.ndarray:
    """Unit orientations at an angle of about `tilt` radians to the radial direction."""
    tangential = rng.standard_normal(radial.shape)
    tangential -= (tangential * radial).sum(axis=1, keepdims=True) * radial
    angle = np.abs(rng.normal(tilt, 0.4 * tilt, (len(radial), 1)))
    return np.cos(angle) * radial + np.sin(angle) * directions(tangential, 0.0)


def _leadfield(
    ch_names: tuple[str, ...], positions: np.ndarray, centre: np.ndarray, radius: float,
    dipoles: np.ndarray, orientations: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Potentials (n_chans, n_dipoles) of unit dipoles in MNE's four-shell sphere."""
    info = mne.create_info(list(ch_names), 256.0, "eeg", verbose="error")
    places = dict(zip(ch_names, positions, strict=True))
    montage = mne.channels.make_dig_montage(places, coord_frame="head")
    info.set_montage(montage, verbose="error")
    sphere = mne.make_sphere_model(r0=centre, head_radius=radius, verbose="error")
    sources = mne.setup_volume_source_space(
        pos={"rr": dipoles, "nn": orientations}, sphere=sphere, verbose="error"
    )
    forward = mne.make_forward_solution(
        info, None, sources, sphere, meg=False, eeg=True, mindist=0.0, verbose="error"
    )
    xyz = forward["sol"]["data"].reshape(len(ch_names), len(dipoles), 3)
    return np.einsum("cdk,dk->cd", xyz, orientations)


def make_head(rng: np.random.Generator, ch_names: tuple[str, ...]) -> Head:
    """One person's head and cap; no drawn number depends on which electrodes these are."""
    names, template, template_centre, template_radius = _template()
    # The head: its size, proportions and centre.
    proportions = rng.normal(1.0, 0.03, 3) * rng.normal(1.0, 0.035)
    centre = template_centre + rng.normal(0.0, 0.003, 3)
    radius = template_radius * proportions.mean()
    # The cap: tilted, and each electrode a few millimetres off.
    cap = Rotation.from_euler("xyz", rng.normal(0.0, [0.05, 0.03, 0.03])).as_matrix()
    offsets = (template - template_centre) * proportions
    electrodes = centre + offsets @ cap.T + rng.normal(0.0, 0.0025, template.shape)
    # The cortex, which does not move with the cap.
    radial = _cortex_directions(rng, N_CORTEX)
    depth = rng.uniform(*CORTEX_DEPTH, (N_CORTEX, 1))
    places = [centre + radius * depth * radial]
    orientations = [_tilted(rng, radial, 0.5)]
    index = {name: i for i, name in enumerate(names)}
    for region in REGIONS.values():
        above = offsets[[index[name] for name in region.under]]
        shift = rng.normal(0.0, SPREAD, 3)  # the whole region, and each source in it
        jitter = rng.normal(0.0, 0.5 * SPREAD, above.shape)
        direction = directions(above + shift + jitter, 0.0)
        places.append(centre + radius * region.depth * direction)
        orientations.append(_tilted(rng, direction, region.tilt))

    used = tuple(dict.fromkeys([*ch_names, *SCALE_NAMES]))
    positions = electrodes[[index[name] for name in used]]
    dipoles = np.concatenate(places), np.concatenate(orientations)
    field = _leadfield(used, positions, centre, radius, *dipoles)
    parts = np.split(field, np.cumsum([len(place) for place in places])[:-1], axis=1)
    scale_rows = [used.index(name) for name in SCALE_NAMES]
    rows = slice(0, len(ch_names))

    # Neighbouring dipoles share activity: mix independent sources with a Gaussian kernel.
    distance = np.linalg.norm(places[0][:, None] - places[0][None], axis=-1)
    mixing = np.exp(-0.5 * (distance / SMOOTHNESS) ** 2)
    mixing /= np.sqrt((mixing**2).sum(axis=1, keepdims=True))
    # Front and back are more active than the middle, and everyone's map is their own.
    strength = 0.8 + 0.5 * np.abs(radial[:, 1]) + radial @ rng.normal(0.0, 0.1, 3)
    cortex = parts[0] @ (strength[:, None] * mixing)
    on_scalp = cortex[scale_rows] - cortex[scale_rows].mean(axis=0)
    cortex /= np.sqrt((on_scalp**2).sum(axis=1).mean())

    regions = {}
    for (name, region), gain in zip(REGIONS.items(), parts[1:], strict=True):
        if region.coherent:
            gain = gain.mean(axis=1, keepdims=True)
        peak = np.sqrt((gain[scale_rows] ** 2).sum(axis=1).max())
        regions[name] = (gain[rows] / peak).astype(np.float32)
    return Head(positions[rows], cortex[rows].astype(np.float32), radial, regions)


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
