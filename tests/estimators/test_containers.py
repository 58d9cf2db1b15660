"""The probe on what users hold: mne.Epochs and braindecode data sets, in and out of folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from dare_sklearn import DAREClassifier, DAREPretrainer, simulate_epochs

NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "Oz"]


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("motor", n_subjects=3, n_epochs=8, ch_names=NAMES, random_state=0)


@pytest.fixture(scope="module")
def dataset(epochs):
    from braindecode.datasets import BaseConcatDataset, WindowsDataset

    people = []
    for subject in epochs.metadata["subject"].unique():
        part = epochs[epochs.metadata["subject"] == subject]
        n = len(part)
        part.metadata = pd.DataFrame(
            {
                "i_window_in_trial": range(n),
                "i_start_in_trial": [0] * n,
                "i_stop_in_trial": [256] * n,
                "target": part.metadata["label"].to_numpy(),
            }
        )
        people.append(WindowsDataset(part, description={"subject": subject}))
    return BaseConcatDataset(people)


def probe(**params):
    return DAREClassifier(
        None, **{"spatial_init": "spline", "max_epochs": 3, "random_state": 0, **params}
    )


def test_epochs_through_cross_validation(epochs):
    y, groups = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"].to_numpy()
    scores = cross_val_score(
        probe(), epochs, y, groups=groups, cv=LeaveOneGroupOut(), error_score="raise"
    )
    array = cross_val_score(
        probe(ch_names=NAMES, sfreq=256.0, unit="V"), epochs.get_data(), y, groups=groups,
        cv=LeaveOneGroupOut(), error_score="raise",
    )  # fmt: skip
    np.testing.assert_array_equal(scores, array)


def test_epochs_bring_their_event_codes(epochs):
    clf = probe().fit(epochs)
    assert list(clf.classes_) == sorted(epochs.event_id.values())
    assert clf.score(epochs) == clf.score(epochs, epochs.events[:, 2])


def test_codes_that_differ_between_recordings_are_no_labels(epochs):
    """MNE numbers the annotations of every recording anew."""
    other = epochs.copy()
    other.event_id = dict(zip(epochs.event_id, reversed(epochs.event_id.values()), strict=True))
    message = "the event '.*' has the code . in some epochs and . in others: pass y"
    with pytest.raises(ValueError, match=message):
        probe().fit([epochs, other])
    y = epochs.metadata["label"].to_numpy()
    assert len(probe().fit([epochs, other], np.r_[y, y]).classes_) == 2
    clf = probe().fit([epochs[:12], epochs[12:]])
    with pytest.raises(ValueError, match=message):
        clf.score(other)
    # nor are those that two events share
    other.event_id = {f"{name} again": code for name, code in epochs.event_id.items()}
    message = "the code . is '.*' in some epochs and '.* again' in others: pass y"
    with pytest.raises(ValueError, match=message):
        probe().fit([epochs, other])
    with pytest.raises(ValueError, match=message):
        clf.score(other)


def test_data_sets_and_arrays_agree(epochs, dataset):
    y = epochs.metadata["label"].to_numpy()
    expected = probe().fit(epochs, y).predict_proba(epochs)
    clf = probe(unit="V").fit(dataset)  # labels of its own
    np.testing.assert_allclose(clf.predict_proba(dataset), expected, atol=1e-5)
    subset = torch.utils.data.Subset(dataset, [20, 3])
    np.testing.assert_allclose(clf.predict_proba(subset), expected[[20, 3]], atol=1e-5)
    items = [dataset[i] for i in (20, 3)]  # they carry no names: those of the fit hold
    np.testing.assert_allclose(clf.predict_proba(items), expected[[20, 3]], atol=1e-5)


def test_data_sets_through_cross_validation(dataset):
    clf = probe(unit="V", sfreq=256.0, ch_names=NAMES)
    y = np.array([dataset[i][1] for i in range(len(dataset))])
    own = cross_val_score(clf, dataset, cv=3, error_score="raise")
    assert own.shape == (3,)
    assert cross_val_score(clf, dataset, y, cv=3, error_score="raise").shape == (3,)


def test_a_pretrainer_inside_reads_the_same_epochs(epochs):
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=8, random_state=0)
    clf = DAREClassifier(pretrainer, spatial_init="spline", max_epochs=1, random_state=0).fit(
        epochs
    )
    expected = pretrainer.fit(epochs).encoder_.state_dict()
    got = clf.encoder_.state_dict()
    assert all(torch.equal(got[name], value) for name, value in expected.items())
