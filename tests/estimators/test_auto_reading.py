"""The default reading, which weighs its blocks itself."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from dare_sklearn import DAREClassifier, DARERegressor, simulate_epochs

NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "O1", "O2"]


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("motor", n_subjects=2, n_epochs=30, ch_names=NAMES, random_state=0)


@pytest.fixture(scope="module")
def y(epochs):
    return epochs.metadata["label"].to_numpy()


def test_all_blocks_are_weighed(epochs, y):
    clf = DAREClassifier(adaptation="linear", random_state=0)
    clf.fit(epochs, y, groups=epochs.metadata["subject"].to_numpy())
    blocks = {"joint", "electrodes", "power", "covariance", "evoked", "bands", "broadband"}
    assert set(clf.linear_.weights_) == blocks  # of epochs of 1 s
    proba = clf.predict_proba(epochs)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (clf.predict(epochs) == clf.classes_[proba.argmax(axis=1)]).all()
    assert ((clf.decision_function(epochs) > 0) == (clf.predict(epochs) == clf.classes_[1])).all()
    np.testing.assert_allclose(pickle.loads(pickle.dumps(clf)).predict_proba(epochs), proba)


def test_flicker_of_new_people_needs_no_frequency():
    flicker = simulate_epochs(
        "steady_state", n_subjects=3, n_epochs=24, duration=2.0, ch_names=NAMES, random_state=0
    )
    labels, people = (flicker.metadata[name].to_numpy() for name in ("label", "subject"))
    test = people == people[0]
    clf = DAREClassifier(adaptation="linear", random_state=0)
    clf.fit(flicker[~test], labels[~test], groups=people[~test])
    assert clf.linear_.weights_["rhythms"] > 0.1
    assert clf.score(flicker[test], labels[test]) > 0.6


def test_flicker_is_found_from_a_dozen_epochs_of_each_class():
    """Bins without a flicker are many: each as large as one with it, they would hide it.

    One scale each costs these twelve people 0.04 on average; single ones differ by ten times that.
    """
    scores = []
    for seed in range(3, 15):
        flicker = simulate_epochs(
            "steady_state", n_subjects=1, n_epochs=90, duration=3.0, ch_names=NAMES,
            random_state=seed,
        )  # fmt: skip
        labels = flicker.metadata["label"].to_numpy()
        of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        train = np.concatenate([epochs[:12] for epochs in of_class])
        test = np.concatenate([epochs[12:] for epochs in of_class])
        clf = DAREClassifier(adaptation="linear", random_state=0)
        scores.append(clf.fit(flicker[train], labels[train]).score(flicker[test], labels[test]))
    assert np.mean(scores) > 0.69


def test_left_from_right_in_new_epochs(epochs, y):
    train, test = np.arange(len(y)) % 3 > 0, np.arange(len(y)) % 3 == 0
    clf = DAREClassifier(adaptation="linear").fit(epochs[train], y[train])
    assert clf.score(epochs[test], y[test]) > 0.65


@pytest.mark.parametrize("pooling", ["auto", "covariance"])
def test_two_epochs_give_no_certainty(epochs, y, pooling):
    """Taken from their mean, the tokens of both have one covariance, to rounding."""
    two = [np.flatnonzero(y == label)[0] for label in np.unique(y)]
    clf = DAREClassifier(adaptation="linear", pooling=pooling, views="electrodes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of views, which "auto" does not read
        proba = clf.fit(epochs[two], y[two]).predict_proba(epochs[:20])
    assert proba.min() > 0.4


def test_lost_electrodes(epochs, y):
    clf = DAREClassifier(adaptation="linear").fit(epochs, y)
    with pytest.warns(UserWarning, match="O1"):
        proba = clf.predict_proba(epochs.copy().drop_channels(["O1", "Pz"]))
    assert np.corrcoef(proba[:, 0], clf.predict_proba(epochs)[:, 0])[0, 1] > 0.5


def test_class_weights_shift_the_decision(epochs, y):
    keep = np.r_[np.flatnonzero(y == y[0]), np.flatnonzero(y != y[0])[:6]]
    rare = next(label for label in np.unique(y) if label != y[0])
    shares = [
        DAREClassifier(adaptation="linear", class_weight=weight)
        .fit(epochs[keep], y[keep])
        .predict_proba(epochs[keep])[:, list(np.unique(y)).index(rare)]
        .mean()
        for weight in (None, "balanced")
    ]
    assert shares[1] > shares[0] + 0.05


def test_regression(epochs):
    amplitude = 1e6 * epochs.get_data(picks="O1").std(axis=(1, 2))
    reg = DARERegressor(adaptation="linear").fit(epochs[::2], amplitude[::2])
    assert reg.score(epochs[1::2], amplitude[1::2]) > 0.5
