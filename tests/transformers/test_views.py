"""Views, poolings and layers of DAREEmbedder: shapes, names, what is learned, lost electrodes."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREEmbedder, simulate_epochs

NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]
POOLINGS = ["mean", "mean_std", "flatten", "covariance", "power"]


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("motor", n_subjects=1, n_epochs=12, ch_names=NAMES, random_state=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_electrodes_alone(epochs, pooling):
    embedder = DAREEmbedder(views="electrodes", pooling=pooling)
    features = embedder.fit_transform(epochs)
    names = embedder.get_feature_names_out()
    assert features.dtype == np.float32 and features.shape == (12, len(names))
    assert {"FZ", "C3", "CZ", "C4", "PZ"} <= {part for name in names for part in name.split("_")}
    np.testing.assert_allclose(embedder.transform(epochs[3:6]), features[3:6], atol=1e-4)
    again = pickle.loads(pickle.dumps(embedder)).transform(epochs)
    np.testing.assert_allclose(again, features, atol=1e-4)
    cached = clone(embedder).set_params(cache="memory")
    for _ in range(2):
        np.testing.assert_allclose(cached.fit_transform(epochs), features, atol=1e-4)
    table = clone(embedder).set_output(transform="pandas").fit_transform(epochs)
    assert table.columns.tolist() == names.tolist()


def test_an_electrodes_features_are_its_own(epochs):
    """Features of an electrode do not depend on the others, as those of the joint view do."""
    whole = DAREEmbedder(views="electrodes", pooling="flatten").fit(epochs)
    alone = DAREEmbedder(views="electrodes", pooling="flatten").fit(epochs.copy().pick(["C3"]))
    columns = [name.startswith("dare_C3_") for name in whole.get_feature_names_out()]
    expected = alone.transform(epochs.copy().pick(["C3"]))
    np.testing.assert_allclose(whole.transform(epochs)[:, columns], expected, atol=1e-4)
    joint = DAREEmbedder(pooling="flatten").fit(epochs.copy().pick(["C3"]))
    np.testing.assert_allclose(joint.transform(epochs.copy().pick(["C3"])), expected, atol=1e-4)


def test_covariance_learns_from_the_training_epochs_alone(epochs):
    embedder = DAREEmbedder(views="electrodes", pooling="covariance").fit(epochs[:8])
    mean, reference = embedder.space_.mean_token_.copy(), embedder.space_.reference_.copy()
    features = embedder.transform(epochs[8:])
    np.testing.assert_array_equal(embedder.space_.mean_token_, mean)
    np.testing.assert_array_equal(embedder.space_.reference_, reference)
    tokens = DAREEmbedder(views="electrodes", pooling="tokens").fit_transform(epochs)
    x = (tokens - tokens[:8].mean(axis=0)).astype(float)
    space = make_pipeline(
        Covariances("oas"), TangentSpace(metric={"mean": "logeuclid", "map": "riemann"})
    ).fit(x[:8])
    np.testing.assert_allclose(features, space.transform(x[8:]), atol=2e-3)


def test_tokens_go_into_pyriemann(epochs):
    tokens = DAREEmbedder(views="electrodes", pooling="tokens").fit_transform(epochs)
    assert tokens.shape == (12, 5, tokens.shape[-1])
    pipe = make_pipeline(
        DAREEmbedder(views="electrodes", pooling="tokens"),
        Covariances("oas"),
        TangentSpace(),
        LogisticRegression(),
    )
    y = epochs.metadata["label"].to_numpy()
    assert pipe.fit(epochs, y).predict(epochs).shape == (12,)
    with pytest.raises(ValueError, match="no names"):
        DAREEmbedder(pooling="tokens").fit(epochs).get_feature_names_out()


@pytest.mark.parametrize("pooling", ["flatten", "covariance", "power"])
def test_a_lost_electrode_is_embedded_from_its_interpolated_signal(epochs, pooling):
    embedder = DAREEmbedder(views="electrodes", pooling=pooling).fit(epochs)
    left = epochs.copy().pick(["Fz", "C3", "C4", "Pz"])
    with pytest.warns(UserWarning, match="CZ"):
        found = embedder.transform(left)
    whole = embedder.transform(epochs)
    assert found.shape == whole.shape
    if pooling != "covariance":  # whose vectors mix electrodes
        own = [not name.count("_CZ_") for name in embedder.get_feature_names_out()]
        np.testing.assert_allclose(found[:, own], whole[:, own], atol=1e-4)
        assert np.abs(found - whole)[:, np.logical_not(own)].max() > 0


def test_layers_and_components(epochs):
    first = DAREEmbedder(views="electrodes", layer="patch", pooling="mean_std")
    assert first.fit_transform(epochs).shape == (12, 2 * 5 * 64)
    blocks = [
        DAREEmbedder(pooling="mean", layer=layer).fit_transform(epochs) for layer in (0, 1, "last")
    ]
    assert np.abs(blocks[0] - blocks[1]).max() > 1e-3 < np.abs(blocks[1] - blocks[2]).max()
    reduced = DAREEmbedder(views="electrodes", pooling="flatten", n_components=3).fit(epochs[:8])
    assert reduced.get_feature_names_out().tolist() == ["dare_pc000", "dare_pc001", "dare_pc002"]
    np.testing.assert_allclose(reduced.transform(epochs[:8]).mean(axis=0), 0, atol=1e-4)
    assert np.abs(reduced.transform(epochs[8:]).mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"pooling": "covariance"}, "set views='electrodes'"),
        ({"pooling": "mean", "layer": 2}, "a block from 0 to 1"),
        ({"pooling": "tokens", "n_components": 2}, "leave n_components out"),
        ({"pooling": "mean", "n_components": 50}, "n_components=50 must be between"),
        ({"n_components": 50}, "needs 51 epochs or more.*a lower n_components"),
        ({"views": "electrodes"}, "reads both views.*leave them out"),
        ({"layer": 0}, "its own layers.*leave them out"),
    ],
)
def test_refusals(epochs, params, words):
    with pytest.raises(ValueError, match=words):
        DAREEmbedder(**params).fit(epochs)


def test_what_was_not_learned_is_refused(epochs):
    embedder = DAREEmbedder(views="electrodes", pooling="mean").fit(epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder.set_params(pooling="flatten").transform(epochs)  # nothing to learn: may change
    with pytest.raises(ValueError, match="fit it again"):
        embedder.set_params(pooling="covariance").transform(epochs)
    with pytest.raises(ValueError, match="fit it again"):
        embedder.set_params(views="joint", pooling="auto").transform(epochs)
