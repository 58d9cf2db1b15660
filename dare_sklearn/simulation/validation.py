"""What scikit-learn's parameter checks leave open: electrode names, and the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_names(names: Any, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Electrode names in the spelling of `known`, whatever their case."""
    spelling = {known_name.lower(): known_name for known_name in known}
    wanted = [str(electrode).lower() for electrode in names]
    unknown = [str(electrode) for electrode in names if str(electrode).lower() not in spelling]
    repeated = sorted({spelling[e] for e in wanted if wanted.count(e) > 1 and e in spelling})
    if not wanted or unknown or repeated:
        raise ValueError(
            f"{name} of simulate_epochs must hold electrodes of mne's 10-05 montage (in any case), "
            f"each once; it is empty, or has the unknown {unknown} or the repeated {repeated}."
        )
    return tuple(spelling[electrode] for electrode in wanted)


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
    return int(random_state)
