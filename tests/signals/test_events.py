"""Events of recordings: annotations, or a stim channel."""

import mne
import numpy as np
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
def test_annotations_and_stim_channels(stim, names):
    raw = make_raw(stim)
    events, labels = find_events(raw)
    assert labels == names * 6 and set(events[:, 2]) == {1}
    np.testing.assert_allclose(seconds(raw, events), ONSETS)


def test_an_empty_stim_channel_hides_no_annotations():
    raw = make_raw(stim=True)
    raw._data[-1] = 0
    assert find_events(raw)[1] == ["left", "right"] * 6


def test_no_events():
    events, labels = find_events(make_raw().set_annotations(None))
    assert len(events) == len(labels) == 0


def test_labels_of_epochs():
    epochs = mne.EpochsArray(
        np.zeros((2, 1, 10)), mne.create_info(1, SFREQ, "eeg"), [[0, 0, 7], [20, 0, 3]],
        event_id={"a/b": 3, "c": 7}, verbose="error",
    )  # fmt: skip
    assert event_labels(epochs) == ["c", "a/b"]
