"""Checks of the parameters of `simulate_epochs`, and the seed behind `random_state`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """Whole number of at least `minimum`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(
            f"{name} of simulate_epochs must be a whole number of at least {minimum}, "
            f"got {value!r}."
        )
    return int(value)


def check_number(value: Any, name: str, minimum: float, hint: str, maximum: float = 1e6) -> float:
    """Finite number of at least `minimum`; `hint` tells what the number means."""
    if (
        isinstance(value, (bool, np.bool_))
        or not isinstance(value, Real)
        or not math.isfinite(value)
        or not minimum <= value <= maximum
    ):
        raise ValueError(
            f"{name} of simulate_epochs must be a number from {minimum:g} to {maximum:g} "
            f"({hint}), got {value!r}."
        )
    return float(value)


def check_fraction(value: Any, name: str, hint: str) -> float:
    """Number strictly between 0 and 1."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real) or not 0 < value < 1:
        raise ValueError(
            f"{name} of simulate_epochs must be a number between 0 and 1, both excluded "
            f"({hint}), got {value!r}."
        )
    return float(value)


def check_names(names: Any, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Electrode names in the spelling of `known`, whatever their case."""
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)) or len(names) == 0:
        raise ValueError(
            f"{name} of simulate_epochs must be a list of electrode names such as "
            f"['C3', 'Cz', 'C4'], got {names!r}."
        )
    spelling = {known_name.lower(): known_name for known_name in known}
    wanted = [str(electrode) for electrode in names]
    unknown = [electrode for electrode in wanted if electrode.lower() not in spelling]
    if unknown:
        raise ValueError(
            f"{name} of simulate_epochs must hold electrodes of mne's 10-05 montage (in any "
            f"case), got the unknown {unknown}: rename or leave out these."
        )
    found = tuple(spelling[electrode.lower()] for electrode in wanted)
    repeated = sorted({electrode for electrode in found if found.count(electrode) > 1})
    if repeated:
        raise ValueError(
            f"{name} of simulate_epochs must name each electrode once, got {repeated} more than "
            "once: leave out the repetitions."
        )
    return found


def root_entropy(random_state: Any) -> int:
    """One integer from which every generator of a simulation is derived.

    None draws fresh entropy, an integer stands for itself, and a generator gives its next
    number (so that two calls with the same generator differ, as in scikit-learn).
    """
    if random_state is None:
        return int(np.random.SeedSequence().entropy)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63 - 1))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if (
        isinstance(random_state, Integral)
        and not isinstance(random_state, (bool, np.bool_))
        and random_state >= 0
    ):
        return int(random_state)
    raise ValueError(
        "random_state of simulate_epochs must be None, a whole number of at least 0, a "
        f"numpy Generator or a numpy RandomState, got {random_state!r}."
    )
