"""Putting a simulated recording together: people, paradigm, artifacts, reference.

A class effect is the same in kind for everyone and individual in size, place and timing. No drawn
number depends on `effect`, which scales only what differs between classes.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import mne
import numpy as np
import pandas as pd
from numpy.random import Generator
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from threadpoolctl import threadpool_limits

from ..signals.electrodes import ELECTRODES, template_montage
from . import activity
from .head import Head, Traits, make_head

CLASSES: dict[str, tuple[str, ...]] = {
    "motor": ("left_hand", "right_hand"),
    "erp": ("nontarget", "target"),
    "steady_state": ("10 Hz", "12 Hz", "15 Hz"),
}

# Change of the rhythm's log amplitude during a movement or its imagination: deep over the hand
# area of the other side, shallow over that of the same side.
_OTHER_SIDE, _SAME_SIDE = -1.15, 0.0
_BETA_SHARE = 0.85

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
_DRAWN_REFERENCES = ((), ("M1", "M2"), ("M1",), ("FCCz",))  # (): the average
_EPOCHS_PER_RUN = 50
_ALPHA = {"motor": 1.0, "erp": 0.75, "steady_state": 0.75}  # people watch in the latter two


Trials = tuple[np.ndarray, np.ndarray, float]  # labels, times within an epoch (s), effect


@validate_params(
    {
        "paradigm": [StrOptions(set(CLASSES))],
        "n_subjects": [Interval(Integral, 1, None, closed="left")],
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "duration": [Interval(Real, 0.1, 3600, closed="both")],
        "sfreq": [Interval(Real, 64, 20_000, closed="both")],
        "ch_names": [list, tuple, np.ndarray, None],
        "effect": [Interval(Real, 0, 10, closed="both")],
        "artifacts": [Interval(Real, 0, 100, closed="both")],
        "target_fraction": [Interval(Real, 0, 1, closed="neither")],
        "reference": [str, list, tuple, np.ndarray, None],
        "random_state": [
            Interval(Integral, 0, None, closed="left"), np.random.Generator, np.random.RandomState,
            None,
        ],
    },
    prefer_skip_nested_validation=True,
)  # fmt: skip
@threadpool_limits.wrap(limits=1, user_api="blas")
def simulate_epochs(
    paradigm: str = "motor",
    *,
    n_subjects: int = 4,
    n_epochs: int = 100,
    duration: float = 1.0,
    sfreq: float = 256.0,
    ch_names: Sequence[str] | None = None,
    effect: float = 1.0,
    artifacts: float = 1.0,
    target_fraction: float = 0.25,
    reference: str | Sequence[str] | None = "average",
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> mne.EpochsArray:
    """Simulate the EEG of several people in one of three paradigms.

    Every person has an individual head (size, proportions, cap placement; potentials come from
    mne's forward solution in a sphere [1]_), cortical dipoles with 1/f activity [2]_, posterior
    alpha, sensorimotor mu and beta, frontal midline theta, blinks, eye movements, muscle activity,
    drifts, sensor noise and a trace of the power line. A person's trials follow each other without
    gaps in one continuous recording.

    Parameters
    ----------
    paradigm : {"motor", "erp", "steady_state"}, default="motor"
        What the classes are.

        - "motor": "left_hand" and "right_hand", which differ in the desynchronisation of mu and
          beta over the other side's hand area [3]_.
        - "erp": "nontarget" and "target" stimuli at time 0; targets evoke a larger P3b [4]_.
        - "steady_state": "10 Hz", "12 Hz" and "15 Hz" flicker from time 0, which the visual
          cortex follows with its harmonics [5]_.
    n_subjects, n_epochs : int, default=4 and 100
        Number of people, and of epochs per person. Person k is the same whatever `n_subjects` is.
    duration, sfreq : float, default=1.0 and 256.0
        Length of an epoch (s), at least 0.1, which starts at time 0; sampling frequency (Hz), at
        least 64.
    ch_names : sequence of str, default=None
        Electrodes, in any case, among the 343 of mne's 10-05 montage; None takes the 62 that the
        shipped encoders know.
    effect : float, default=1.0
        Strength of what differs between the classes: 0 leaves no class information, 1 is about
        as hard as real single trials.
    artifacts : float, default=1.0
        Multiplies the rate of blinks, eye movements and muscle bursts; 0 leaves none (drifts,
        sensor noise and the power line stay).
    target_fraction : float, default=0.25
        Share of targets, between 0 and 1, for "erp" only.
    reference : {"average", "random"}, str, sequence of str or None, default="average"
        What the potentials are measured against: the average of `ch_names`, one electrode or the
        mean of several (recorded or not, such as ``("M1", "M2")``), a choice that differs between
        people ("random": average, mastoids, left mastoid or vertex), or a point at infinity (None).
        An electrode that is its own reference is flat.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        The same integer gives the same signals bit for bit on the same machine, on any number of
        threads; a generator is advanced by one number per call; None differs each time.

    Returns
    -------
    epochs : mne.EpochsArray, shape (n_subjects * n_epochs, n_chans, round(duration * sfreq))
        In volts, as mne has it, with mne's spelling of the electrodes and the template montage.
        `events` and `event_id` hold the classes. `metadata` has one row per epoch:

        - ``subject`` : str, "S001", "S002", ...
        - ``run`` : int, from 1; blocks of up to 50 consecutive epochs of one person
        - ``trial`` : int, from 0, position in the person's recording
        - ``label`` : str, the class

    Raises
    ------
    ValueError
        If a parameter is outside what is described above.

    Notes
    -----
    The same `random_state` gives person k the same head and habits (alpha peak, blink rate, ...) in
    all paradigms, montages and sampling rates. Only `effect` and `reference` leave all numbers that
    are drawn for a recording as they are.

    References
    ----------
    .. [1] Berg & Scherg (1994). Electroencephalography and Clinical Neurophysiology, 90, 58-64.
    .. [2] Donoghue et al. (2020). Nature Neuroscience, 23, 1655-1665.
    .. [3] Pfurtscheller & Lopes da Silva (1999). Clinical Neurophysiology, 110, 1842-1857.
    .. [4] Polich (2007). Clinical Neurophysiology, 118, 2128-2148.
    .. [5] Norcia et al. (2015). Journal of Vision, 15(6), 4.

    Examples
    --------
    >>> from dare_sklearn import simulate_epochs
    >>> epochs = simulate_epochs("motor", n_subjects=2, n_epochs=10, random_state=0)
    >>> epochs.get_data(copy=False).shape
    (20, 62, 256)
    >>> sorted(epochs.metadata["label"].unique())
    ['left_hand', 'right_hand']
    """
    montage = template_montage()
    known = {name.lower(): name for name in montage.ch_names}
    names = _spelled(ELECTRODES if ch_names is None else ch_names, "ch_names", known)
    if isinstance(reference, str) and reference not in ("average", "random"):
        reference = [reference]
    if reference is not None and not isinstance(reference, str):
        reference = _spelled(reference, "reference", known)
    n_times, classes = round(duration * sfreq), CLASSES[paradigm]
    task = (paradigm, names, n_epochs, n_times, sfreq, effect, artifacts, target_fraction)
    if isinstance(random_state, np.random.Generator):
        random_state = random_state.integers(2**63 - 1)
    elif isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    # one integer from which every generator of the simulation is derived
    entropy = int(np.random.SeedSequence(random_state).entropy)
    data = np.empty((n_subjects * n_epochs, len(names), n_times))
    labels = np.empty(n_subjects * n_epochs, dtype=int)
    for subject in range(n_subjects):
        rows = slice(subject * n_epochs, (subject + 1) * n_epochs)
        data[rows], labels[rows] = _simulate_subject((entropy, subject), *task, reference)

    trial = np.tile(np.arange(n_epochs), n_subjects)
    metadata = pd.DataFrame(
        {
            "subject": np.repeat([f"S{k + 1:03d}" for k in range(n_subjects)], n_epochs),
            "run": 1 + trial // _EPOCHS_PER_RUN,
            "trial": trial,
            "label": np.array(classes)[labels],
        }
    )
    info = mne.create_info(list(names), sfreq, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    epochs = mne.EpochsArray(
        data,
        info,
        events=np.c_[np.arange(len(labels)) * n_times, np.zeros_like(labels), labels + 1],
        event_id={name: i + 1 for i, name in enumerate(classes) if (labels == i).any()},
        metadata=metadata,
        verbose="error",
    )
    if reference is not None:
        epochs.set_eeg_reference([], verbose="error")  # marks them; "average" would round again
    return epochs


def _spelled(names: Sequence[str], what: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Electrode names in mne's spelling, whatever their case."""
    wanted = [str(name).lower() for name in names]
    unknown = [str(name) for name in names if str(name).lower() not in known]
    repeated = sorted({name for name in wanted if wanted.count(name) > 1})
    if not wanted or unknown or repeated:
        raise ValueError(
            f"{what} of simulate_epochs must hold electrodes of mne's 10-05 montage (in any case), "
            f"each once; it is empty, or has the unknown {unknown} or the repeated {repeated}."
        )
    return tuple(known[name] for name in wanted)


def _simulate_subject(
    seed: tuple[int, int], paradigm: str, names: tuple[str, ...], n_epochs: int, n_times: int,
    sfreq: float, effect: float, rate: float, target_fraction: float,
    against: str | tuple[str, ...] | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """One person's epochs (n_epochs, n_chans, n_times) in volts, and their class indices."""
    entropy, subject = seed

    def generator(*key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(subject, *key)))

    traits = Traits(generator(0))
    if against == "random":
        choice = int(generator(1).integers(len(_DRAWN_REFERENCES)))
        against = _DRAWN_REFERENCES[choice] or "average"
    electrodes = against if isinstance(against, tuple) else ()
    recorded = tuple(dict.fromkeys([*names, *electrodes]))
    head = make_head(generator(2), recorded)

    # One generator per ingredient: (subject, 3 + paradigm, ingredient).
    session = 3 + list(CLASSES).index(paradigm)
    labels = draw_labels(generator(session, 0), paradigm, n_epochs, target_fraction)
    person, span = (head, traits), activity.Span(n_epochs * n_times, sfreq)
    trials = labels, np.arange(n_times) / sfreq, effect
    rng = generator(session, 1)
    gains = motor_gains(rng, traits, trials) if paradigm == "motor" else None
    x = activity.aperiodic_background(generator(session, 2), *person, span)
    x += activity.alpha_and_theta(generator(session, 3), *person, span, _ALPHA[paradigm])
    x += activity.sensorimotor_rhythms(generator(session, 4), *person, span, gains)
    if paradigm == "erp":
        x += evoked_responses(rng, *person, trials)
    elif paradigm == "steady_state":
        x += steady_responses(rng, *person, trials, sfreq)
    x *= np.float32(traits.scale)
    if rate > 0:
        for ingredient, add in enumerate((activity.blinks, activity.saccades, activity.muscles), 5):
            x += add(generator(session, ingredient), *person, span, rate)
    x += activity.instrument(generator(session, 8), *person, span)

    if against == "average":
        x -= x.mean(axis=0)
    elif electrodes:
        x -= x[[recorded.index(name) for name in electrodes]].mean(axis=0)
    x = x[: len(names)].reshape(len(names), n_epochs, n_times).transpose(1, 0, 2)
    return x * 1e-6, labels


def draw_labels(rng: Generator, paradigm: str, n_epochs: int, target_fraction: float) -> np.ndarray:
    """Class indices of one person's trials, in random order and as balanced as can be."""
    n_classes = len(CLASSES[paradigm])
    if paradigm == "erp":
        n_targets = round(target_fraction * n_epochs)
        if n_epochs > 1:  # at least one of each class
            n_targets = min(max(n_targets, 1), n_epochs - 1)
        labels = (np.arange(n_epochs) < n_targets).astype(int)
    else:
        first = int(rng.integers(n_classes))  # who gets the surplus trial
        labels = (first + np.arange(n_epochs)) % n_classes
    return rng.permutation(labels)


def motor_gains(rng: Generator, traits: Traits, trials: Trials) -> dict[str, np.ndarray]:
    """Amplitude of mu and beta during hand movement, by area, ``(2, n_epochs * n_times)``.

    The event-related desynchronisation sets in after a fraction of a second; its depth varies from
    trial to trial, and so does the rhythm itself.
    """
    labels, epoch_times, effect = trials
    n_epochs = len(labels)
    onset = rng.uniform(0.05, 0.25, (n_epochs, 1))
    rise = np.clip((epoch_times - onset) / 0.2, 0.0, 1.0)  # (n_epochs, n_times)
    depth = np.clip(rng.normal(1.0, 0.35, (n_epochs, 1)), 0.0, 2.0) * traits.motor_skill
    arousal = rng.normal(0.0, 0.12, (n_epochs, 1))
    gains = {}
    middle = 0.5 * (_OTHER_SIDE + _SAME_SIDE)
    for region in activity.HANDS:
        own = rng.normal(0.0, 0.18, (n_epochs, 1))
        change = np.full(n_epochs, -0.1)
        if region != "foot":
            side = region.removeprefix("hand_")
            same = np.array([side in name for name in CLASSES["motor"]])
            table = np.where(same, _SAME_SIDE, _OTHER_SIDE)
            change = middle + effect * (table[labels] - middle)
        log_gain = arousal + own + rise * depth * change[:, None]
        both = np.stack([log_gain, _BETA_SHARE * log_gain])  # (2, n_epochs, n_times)
        gains[region] = np.exp(both).astype(np.float32).reshape(2, -1)
    return gains


def evoked_responses(rng: Generator, head: Head, traits: Traits, trials: Trials) -> np.ndarray:
    """Responses to standard and target stimuli, in µV, ``(n_chans, n_epochs * n_times)``."""
    labels, epoch_times, effect = trials
    n_epochs = len(labels)
    # targets add to the N2 and above all to the P3b
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
    rng: Generator, head: Head, traits: Traits, trials: Trials, sfreq: float
) -> np.ndarray:
    """Responses to a flicker and its harmonics, in µV, ``(n_chans, n_epochs * n_times)``."""
    labels, epoch_times, effect = trials
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
