"""Events of recordings: annotations, a stim channel, or a table beside the file."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

from dare_sklearn.signals.files import event_labels, find_events

SFREQ = 100.0
ONSETS = np.arange(1, 13) * 2.0


def make_raw(stim=False):
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz"], SFREQ, "eeg")
    raw = mne.io.RawArray(1e-5 * rng.normal(size=(2, 3000)), info, first_samp=500, verbose="error")
    if stim:
        trigger = np.zeros((1, raw.n_times))
        trigger[0, (ONSETS * SFREQ).astype(int)] = np.tile([1, 2], 6)
        extra = mne.io.RawArray(trigger, mne.create_info(["STI"], SFREQ, "stim"), first_samp=500,
                                verbose="error")  # fmt: skip
        raw.add_channels([extra], force_update_info=True)
    return raw.set_annotations(mne.Annotations(ONSETS, 0.0, ["left", "right"] * 6))


def seconds(raw, events):
    return (events[:, 0] - raw.first_samp) / SFREQ


@pytest.mark.parametrize(("stim", "names"), [(False, ["left", "right"]), (True, ["1", "2"])])
def test_annotations_and_stim_channels(tmp_path, stim, names):
    raw = make_raw(stim)
    events, labels = find_events(raw, tmp_path / "one_raw.fif")
    assert labels == names * 6 and set(events[:, 2]) == {1}
    np.testing.assert_allclose(seconds(raw, events), ONSETS)


def test_an_empty_stim_channel_hides_no_annotations(tmp_path):
    raw = make_raw(stim=True)
    raw._data[-1] = 0
    assert find_events(raw, tmp_path / "one_raw.fif")[1] == ["left", "right"] * 6


@pytest.mark.parametrize(("name", "onset", "label"), [
    ("one_raw.csv", "onset", "label"), ("one_events.tsv", "onset", "trial_type"),
])  # fmt: skip
def test_tables_beside_files(tmp_path, name, onset, label):
    """They go before other events; an empty cell makes no 1 a 1.0."""
    table = pd.DataFrame({onset: ONSETS, label: [" 1", "2 ", None] * 4})
    table.to_csv(tmp_path / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    raw = make_raw(stim=True)
    events, labels = find_events(raw, tmp_path / "one_raw.fif")
    assert labels == ["1", "2", ""] * 4
    np.testing.assert_allclose(seconds(raw, events), ONSETS)
    assert find_events(raw, tmp_path / "other_raw.fif")[1] == ["1", "2"] * 6


@pytest.mark.parametrize("table", [{"when": [1.0]}, {"onset": [None, 1.0], "label": ["a", "b"]}])
def test_tables_without_what_they_need(tmp_path, table):
    pd.DataFrame(table).to_csv(tmp_path / "one_raw.csv", index=False)
    with pytest.raises(ValueError, match=r"one_raw.csv must have the columns onset .*every row"):
        find_events(make_raw(), tmp_path / "one_raw.fif")


def test_no_events(tmp_path):
    events, labels = find_events(make_raw().set_annotations(None), tmp_path / "one_raw.fif")
    assert len(events) == len(labels) == 0


def test_labels_of_epochs():
    epochs = mne.EpochsArray(
        np.zeros((2, 1, 10)), mne.create_info(1, SFREQ, "eeg"), [[0, 0, 7], [20, 0, 3]],
        event_id={"a/b": 3, "c": 7}, verbose="error",
    )  # fmt: skip
    assert event_labels(epochs) == ["c", "a/b"]
