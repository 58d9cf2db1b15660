"""Pickles that name a shipped encoder in place of holding its weights."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, DAREEmbedder, simulate_epochs
from dare_sklearn.weights import load, shipped_by_name


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("motor", n_subjects=1, n_epochs=12, sfreq=128.0, random_state=0)


def small(estimator):
    with shipped_by_name():
        return pickle.dumps(estimator)


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(DAREEmbedder("nano"), LogisticRegression(max_iter=1000)),
        lambda: DAREClassifier("nano", adaptation="linear", random_state=0),
        lambda: DAREClassifier("nano", random_state=0),
        lambda: DAREClassifier("nano", spatial_init="spline", max_epochs=1, random_state=0),
    ],
    ids=["embedder", "linear", "probe", "gradient"],
)
def test_the_same_predictions_from_fewer_bytes(epochs, make):
    fitted = make().fit(epochs, epochs.events[:, 2])
    whole, named = pickle.dumps(fitted), small(fitted)
    assert len(whole) - len(named) > 400_000  # nano has 108,288 numbers of four bytes
    again = pickle.loads(named)
    np.testing.assert_array_equal(again.predict_proba(epochs), fitted.predict_proba(epochs))
    assert len(pickle.dumps(again)) == pytest.approx(len(whole), rel=0.01)  # an option, not a state


@pytest.mark.parametrize(
    "make",
    [
        lambda: DAREClassifier(None, adaptation="linear", random_state=0),
        lambda: DAREClassifier("nano", adaptation="finetune", max_epochs=1, random_state=0),
    ],
    ids=["untrained", "finetuned"],
)
def test_other_weights_are_held(epochs, make):
    fitted = make().fit(epochs, epochs.events[:, 2])
    assert len(small(fitted)) == pytest.approx(len(pickle.dumps(fitted)), rel=0.01)
    np.testing.assert_array_equal(
        pickle.loads(small(fitted)).predict_proba(epochs), fitted.predict_proba(epochs)
    )


@pytest.mark.parametrize("names", [[], ["nano"]], ids=["no such encoder", "another version"])
def test_an_installation_without_that_encoder(epochs, names, monkeypatch):
    named = small(DAREEmbedder("nano").fit(epochs))
    monkeypatch.setattr(load, "shipped_names", lambda: names)
    monkeypatch.setattr(load.files, "sha256", lambda path: "0" * 64)
    with pytest.raises(ValueError, match="without the weights of the shipped encoder 'nano'"):
        pickle.loads(named)
