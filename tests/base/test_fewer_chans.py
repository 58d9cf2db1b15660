"""Electrodes that are lost after the fit: embedder and default reading go by the others."""

from __future__ import annotations

import numpy as np
import pytest

from dare_sklearn import DAREClassifier, DAREEmbedder, simulate_epochs

LEFT = ["Fz", "Cz", "Pz"]
NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("erp", n_subjects=1, n_epochs=12, ch_names=NAMES, random_state=0)


def expect():
    return pytest.warns(UserWarning, match=r"lacks 2 of the 5 channels.*\(C3, C4\).*the others")


def test_embedder_goes_by_the_channels_that_are_left(epochs):
    embedder = DAREEmbedder(None, pooling="mean", random_state=0).fit(epochs)
    alone = DAREEmbedder(None, pooling="mean", random_state=0).fit_transform(
        epochs.copy().pick(LEFT)
    )
    with expect():
        assert np.array_equal(embedder.transform(epochs.copy().pick(LEFT)), alone)
    # in another order, and marked bad: what was said is not repeated
    assert np.array_equal(embedder.transform(epochs.copy().pick(LEFT[::-1])), alone)
    marked = epochs.copy()
    marked.info["bads"] = ["C3", "C4"]
    assert np.array_equal(embedder.transform(marked), alone)
    assert embedder.n_chans_in_ == 5


def test_embedder_of_arrays(epochs):
    layout = {"sfreq": 256.0, "unit": "uV"}
    x = epochs.get_data(units="uV")
    embedder = DAREEmbedder(None, pooling="mean", random_state=0, ch_names=NAMES, **layout).fit(x)
    kept = [NAMES.index(name) for name in LEFT]
    alone = DAREEmbedder(
        None, pooling="mean", random_state=0, ch_names=LEFT, **layout
    ).fit_transform(x[:, kept])
    with expect():
        assert np.array_equal(embedder.set_params(ch_names=LEFT).transform(x[:, kept]), alone)


def test_linear_probe_predicts(epochs):
    y = epochs.metadata["label"].to_numpy()
    probe = DAREClassifier(None, adaptation="linear", pooling="flatten", random_state=0)
    probe.fit(epochs, y)
    with expect():
        fewer = probe.predict_proba(epochs.copy().pick(LEFT))
    assert fewer.shape == (12, 2) and np.isfinite(fewer).all()
    assert not np.allclose(fewer, probe.predict_proba(epochs))


def test_what_is_not_a_part_of_the_fitted_channels_is_refused(epochs):
    embedder = DAREEmbedder(None, pooling="mean", random_state=0).fit(epochs)
    renamed = epochs.copy().pick(LEFT).rename_channels({"Fz": "Oz"})
    with pytest.raises(ValueError, match="FZ, C3, C4 are missing and OZ are new"):
        embedder.transform(renamed)


def test_conv_linear_probe_needs_all(epochs):
    y = epochs.metadata["label"].to_numpy()
    probe = DAREClassifier(None, spatial_init="spline", max_epochs=1, random_state=0).fit(epochs, y)
    with pytest.raises(ValueError, match="C3, C4 are missing"):
        probe.predict(epochs.copy().pick(LEFT))
