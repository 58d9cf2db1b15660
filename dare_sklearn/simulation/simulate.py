"""Putting a simulated recording together: people, paradigm, artifacts, reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import mne
import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from threadpoolctl import threadpool_limits

from ..signals.electrodes import ELECTRODES
from ..signals.interpolation import template_montage
from . import activity
from .head import Traits, electrode_names, make_head
from .paradigms import CLASSES, draw_labels, evoked_responses, motor_gains, steady_responses

_DRAWN_REFERENCES = ((), ("M1", "M2"), ("M1",), ("FCCz",))  # (): the average
_EPOCHS_PER_RUN = 50
_ALPHA = {"motor": 1.0, "erp": 0.75, "steady_state": 0.75}  # people watch in the latter two


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

    Every person has an individual head (size, proportions, cap placement; the potentials come
    from mne's forward solution in a spherical head model [1]_), cortical dipoles with 1/f
    activity [2]_, posterior alpha, sensorimotor mu and beta, frontal midline theta, blinks, eye
    movements, muscle activity, drifts, sensor noise and a trace of the power line. Each person's
    trials follow each other without gaps in one continuous recording.

    Parameters
    ----------
    paradigm : {"motor", "erp", "steady_state"}, default="motor"
        What the classes are.

        - "motor": "left_hand" and "right_hand", which differ in the desynchronisation of mu and
          beta over the other side's hand area [3]_.
        - "erp": "nontarget" and "target" stimuli at time 0; targets evoke a larger P3b [4]_.
        - "steady_state": "10 Hz", "12 Hz" and "15 Hz" flicker from time 0, which the visual
          cortex follows with its harmonics [5]_.
    n_subjects : int, default=4
        Number of people. Person k is the same whatever this number is.
    n_epochs : int, default=100
        Number of epochs per person.
    duration : float, default=1.0
        Length of an epoch (s), at least 0.1; epochs start at time 0.
    sfreq : float, default=256.0
        Sampling frequency (Hz), at least 64.
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
        mean of several (recorded or not, such as ``("M1", "M2")`` for the mastoids), a choice
        that differs between people ("random": average, mastoids, left mastoid or vertex), or a
        point at infinity (None). An electrode that is its own reference is flat.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        Source of all random numbers. The same integer gives the same signals bit for bit on the
        same machine, on any number of threads; a generator is advanced by one number per call;
        None differs each time.

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
    The seed also fixes the people: the same `random_state` gives person k the same head and the
    same habits (alpha peak, blink rate, ...) in all paradigms, montages and sampling rates.
    A person's recording is drawn as a whole, so that its epochs differ when `n_epochs`,
    `duration`, `sfreq` or the number of electrodes differs. Only `effect` and `reference` leave
    all drawn numbers as they are.

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
    known = {name.lower(): name for name in electrode_names()}
    names = _spelled(ELECTRODES if ch_names is None else ch_names, "ch_names", known)
    if isinstance(reference, str) and reference not in ("average", "random"):
        reference = [reference]
    if reference is not None and not isinstance(reference, str):
        reference = _spelled(reference, "reference", known)
    n_times, classes = round(duration * sfreq), CLASSES[paradigm]
    task = (paradigm, names, n_epochs, n_times, sfreq, effect, artifacts, target_fraction)
    entropy = _root_entropy(random_state)
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
    info.set_montage(template_montage(), verbose="error")
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


def _root_entropy(random_state: Any) -> int:
    """One integer from which every generator of a simulation is derived."""
    if random_state is None:
        return int(np.random.SeedSequence().entropy)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63 - 1))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


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
    person, length = (head, traits), (n_epochs * n_times, sfreq)
    trials = labels, np.arange(n_times) / sfreq, effect
    rng, gains = generator(session, 1), None
    if paradigm == "motor":
        gains = motor_gains(rng, traits, *trials)
    x = activity.aperiodic_background(generator(session, 2), *person, *length)
    x += activity.alpha_and_theta(generator(session, 3), *person, *length, _ALPHA[paradigm])
    x += activity.sensorimotor_rhythms(generator(session, 4), *person, *length, gains)
    if paradigm == "erp":
        x += evoked_responses(rng, *person, *trials)
    elif paradigm == "steady_state":
        x += steady_responses(rng, *person, *trials, sfreq)
    x *= np.float32(traits.scale)
    if rate > 0:
        for ingredient, add in enumerate((activity.blinks, activity.saccades, activity.muscles), 5):
            x += add(generator(session, ingredient), *person, *length, rate)
    x += activity.instrument(generator(session, 8), *person, *length)

    if against == "average":
        x -= x.mean(axis=0)
    elif electrodes:
        x -= x[[recorded.index(name) for name in electrodes]].mean(axis=0)
    x = x[: len(names)].reshape(len(names), n_epochs, n_times).transpose(1, 0, 2)
    return x * 1e-6, labels
