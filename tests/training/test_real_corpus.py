"""The real part of the shipped encoders' corpus: who is left out, what is cut, how it is batched."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.pretrain.recordings import RecordingStream, prepare
from dare_sklearn.signals.electrodes import electrode_index

NAMES = ["Fz", "Cz", "Pz", "Oz", "A1"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Three people, one of them held out; a flat electrode, and an artefact in second 5."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(3):
        x = rng.normal(scale=10e-6, size=(5, 128 * 20))
        x[:, 128 * 5 : 128 * 6] *= 50
        x[3] *= 0 if number == 0 else 1
        raw = mne.io.RawArray(x, mne.create_info(NAMES, 128.0, "eeg"), verbose="error")
        (root / "corpus" / "rest").mkdir(parents=True, exist_ok=True)
        raw.save(root / "corpus" / "rest" / f"s{number}_raw.fif", verbose="error")
        rows.append({"file": f"s{number}_raw.fif", "subject": f"s{number}", "group": ""})
    pd.DataFrame(rows).to_csv(root / "corpus" / "rest" / "people.csv", index=False)
    (root / "tasks" / "rest").mkdir(parents=True)
    pd.DataFrame(rows[2:]).to_csv(root / "tasks" / "rest" / "people.csv", index=False)
    return root / "out", prepare(root / "corpus", root / "tasks", root / "out")


def test_what_goes_in(prepared):
    _, table = prepared
    assert table["subject"].tolist() == ["s0", "s1"]  # people of tasks are left out
    assert table["bad_electrodes"].tolist() == ["Oz", ""]
    assert table["electrodes"].tolist() == [3, 4]  # A1 is none of the encoder's
    assert (table["bad_seconds"] == 1).all() and (table["seconds"] == 20.0).all()


def test_batches(prepared):
    folder, _ = prepared
    stream = RecordingStream(folder, 16, 4, 10, seed=0, min_chans=2)
    common = {electrode_index(name) for name in ("FZ", "CZ", "PZ")}
    seen = set()
    for step in range(12):
        x, index = stream.batch(step)
        assert x.shape == (16, len(index), 256) and x.dtype == torch.float32
        assert set(index.tolist()) <= common and len(index) >= 2
        assert x.abs().max() < 200  # never from the bad second
        seen.add(len(index))
        again = RecordingStream(folder, 16, 4, 10, seed=0, min_chans=2).batch(step)
        np.testing.assert_array_equal(x, again[0])  # a function of seed and step
    assert seen == {2, 3}
    assert not torch.equal(stream.batch(0)[0], stream.batch(1)[0])
