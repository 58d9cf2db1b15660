"""Files of epochs as a user saves them."""

import mne
import numpy as np
import pandas as pd
import pytest


def make_epochs(
    person: str, *, seed: int = 0, n: int = 16, names=("C3", "Cz", "C4", "Fz", "Pz", "Oz")
):
    """Epochs whose two conditions differ in amplitude at one electrode."""
    rng = np.random.default_rng(seed)
    condition = np.tile(["left", "right"], n // 2)
    values = 1e-5 * rng.standard_normal((n, len(names), 128))
    values[condition == "left", 0] *= 3
    events = np.c_[np.arange(n) * 200, np.zeros(n, int), np.where(condition == "left", 1, 2)]
    table = pd.DataFrame({"condition": condition, "subject": person, "run": np.arange(n) // 8})
    return mne.EpochsArray(
        values, mne.create_info(list(names), 128.0, "eeg"), events,
        event_id={"L": 1, "R": 2}, metadata=table, verbose="error",
    )  # fmt: skip


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A folder with epochs of three people."""
    folder = tmp_path_factory.mktemp("people")
    for number, person in enumerate(("anna", "ben", "cleo")):
        epochs = make_epochs(person, seed=number)
        epochs.save(folder / f"{person}-epo.fif", verbose="error")
    return folder
