"""DAREEmbedder: the same numbers whatever the container, and honest layouts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, DAREEmbedder, load_encoder, simulate_epochs
from dare_sklearn.base import embed


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs(
        "motor", n_subjects=2, n_epochs=10, ch_names=["Fz", "C3", "Cz", "C4", "Pz"], random_state=0
    )


def embedder(**params):
    return DAREEmbedder(None, **{"pooling": "mean", "random_state": 0, **params})


def test_arrays_and_epochs_agree(epochs):
    Z = embedder().fit_transform(epochs)
    assert Z.shape == (20, 64) and Z.dtype == np.float32
    array = embedder(ch_names=epochs.ch_names, sfreq=256.0, unit="V")
    np.testing.assert_allclose(array.fit_transform(epochs.get_data()), Z, atol=1e-5)
    np.testing.assert_array_equal(embedder().fit(epochs).transform(epochs), Z)
    mixed = embedder().fit(epochs)  # fitted on Epochs, then given microvolts of the same layout
    np.testing.assert_allclose(mixed.set_params(unit="uV").transform(epochs.get_data() * 1e6), Z,
                               atol=1e-5)  # fmt: skip


def test_embedding_is_per_epoch(epochs):
    fitted = embedder(batch_size=7).fit(epochs)
    Z = fitted.transform(epochs)
    np.testing.assert_allclose(fitted.transform(epochs[3]), Z[3:4], atol=1e-5)
    np.testing.assert_allclose(clone(fitted).set_params(batch_size=1).fit_transform(epochs), Z,
                               atol=1e-5)  # fmt: skip


def test_channels_are_matched_by_name(epochs):
    fitted = embedder().fit(epochs)
    shuffled = epochs.copy().reorder_channels(["Pz", "Cz", "C4", "C3", "Fz"])
    np.testing.assert_allclose(fitted.transform(shuffled), fitted.transform(epochs), atol=1e-5)
    renamed = epochs.copy().rename_channels({"Fz": "Oz"})
    with pytest.raises(ValueError, match="FZ are missing and OZ are new"):
        fitted.transform(renamed)


@pytest.mark.parametrize(
    ("pooling", "n_features"), [("mean", 64), ("mean_std", 128), ("flatten", 256)]
)
def test_pooling(epochs, pooling, n_features):
    fitted = embedder(pooling=pooling)
    Z = fitted.fit_transform(epochs)
    names = fitted.get_feature_names_out()
    assert Z.shape == (20, n_features) and len(set(names)) == n_features
    tokens = embedder(pooling="flatten").fit_transform(epochs).reshape(20, 4, 64)
    if pooling == "mean":
        np.testing.assert_allclose(Z, tokens.mean(1), atol=1e-6)
    elif pooling == "mean_std":
        np.testing.assert_allclose(Z[:, 64:], tokens.std(1), atol=1e-6)
        assert names[64 + 12] == "dare_std_s0_d012"
    else:
        assert names[64 + 12] == "dare_p01_s0_d012"


def test_pandas_output(epochs):
    frame = embedder().set_output(transform="pandas").fit_transform(epochs)
    assert list(frame.columns[:2]) == ["dare_s0_d000", "dare_s0_d001"]


def test_seeds_of_an_untrained_encoder(epochs):
    Z = embedder().fit_transform(epochs)
    np.testing.assert_array_equal(embedder().fit_transform(epochs), Z)
    assert not np.allclose(embedder(random_state=1).fit_transform(epochs), Z)


def test_in_a_pipeline_over_epochs(epochs):
    y = epochs.metadata["label"].to_numpy()
    model = make_pipeline(embedder(), LogisticRegression(max_iter=1000))
    scores = cross_val_score(model, epochs, y, cv=3, error_score="raise")
    assert scores.shape == (3,)


def test_sampling_rates_meet_on_one_grid():
    params = {"n_subjects": 1, "n_epochs": 4, "random_state": 0, "duration": 2.0}
    fast = simulate_epochs("motor", sfreq=512.0, **params)
    slow = fast.copy().resample(128.0, verbose="error")
    fast.resample(256.0, verbose="error").filter(None, 45.0, verbose="error")
    slow.filter(None, 45.0, verbose="error")
    a, b = embedder().fit_transform(fast), embedder().fit_transform(slow)
    assert np.abs(a - b).mean() < 0.1 * a.std()


def test_unknown_source_and_unfitted(epochs):
    with pytest.raises(FileNotFoundError, match="no encoder 'nowhere'"):
        DAREEmbedder("nowhere").fit(epochs)
    with pytest.raises(NotFittedError):
        embedder().transform(epochs)
    with pytest.raises(ValueError, match="'encoder' parameter"):
        DAREEmbedder(3).fit(epochs)


def test_what_is_left_out_is_named(epochs):
    mixed = epochs.copy().set_channel_types({"Fz": "eog"}, verbose="error")
    with pytest.warns(UserWarning, match="left out Fz"):
        fitted = embedder().fit(mixed)
    assert fitted.ignored_ch_names_ == ["Fz"] and fitted.ch_names_in_ == ["C3", "CZ", "C4", "PZ"]


def test_a_network_is_no_encoder():
    with pytest.raises(TypeError, match="must be a name, a folder or a DAREPretrainer, got a netw"):
        DAREEmbedder(load_encoder("nano"), pooling="mean").fit(np.zeros((2, 3, 64)))


def test_unknown_arguments_of_fit_transform(epochs):
    with pytest.raises(TypeError, match="groups"):
        DAREEmbedder("nano", pooling="mean").fit_transform(epochs, groups=[1])


@pytest.mark.parametrize("pooling", ["auto", "flatten", "covariance"])
def test_progress(capfd, monkeypatch, pooling):
    """A bar counts epochs, only where it was asked for, and it changes nothing."""
    monkeypatch.setattr(embed.tqdm, "update", lambda bar, n: seen.append((bar.desc, n, bar.total)))
    seen = []
    views = "joint" if pooling == "auto" else "electrodes"
    params = {"views": views, "pooling": pooling, "batch_size": 4, "random_state": 0}
    X = np.random.default_rng(0).normal(scale=10, size=(10, 3, 128))
    layout = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV"}
    loud = DAREEmbedder(None, verbose=1, **params, **layout).fit(X)
    seen.clear()
    found = loud.transform(X)
    assert seen == [("embedding", n, 10) for n in (4, 4, 2)]
    assert "embedding" in capfd.readouterr().err
    quiet = DAREEmbedder(None, **params, **layout).fit(X)
    np.testing.assert_array_equal(quiet.transform(X), found)
    assert capfd.readouterr().err == ""


def test_the_default_is_the_blocks_of_the_default_reading(epochs):
    """Principal components of all blocks: their products are the sum of the blocks' kernels."""
    fitted = DAREEmbedder()
    Z = fitted.fit_transform(epochs)
    assert Z.shape == (20, 19) and Z.dtype == np.float32
    assert fitted.get_feature_names_out().tolist() == [f"dare_pc{i:03d}" for i in range(19)]
    np.testing.assert_allclose(fitted.transform(epochs), Z, atol=1e-5)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-5)
    variances = Z.var(axis=0)
    np.testing.assert_allclose(np.cov(Z.T, bias=True), np.diag(variances), atol=1e-5)
    assert np.all(np.diff(variances) <= 1e-6)
    labels = epochs.metadata["label"].to_numpy()
    reading = DAREClassifier(adaptation="linear").fit(epochs, labels).linear_
    blocks = len(reading.weights_)  # each has a kernel of mean diagonal 1
    assert (Z**2).sum(axis=1).mean() == pytest.approx(blocks, rel=1e-4)
    assert fitted.set_params(n_components=5).fit_transform(epochs).shape == (20, 5)
    with pytest.raises(ValueError, match="n_components=1 needs 2 epochs"):
        DAREEmbedder().fit(epochs[:1])


def test_the_default_learns_from_fit_only(epochs):
    fitted = DAREEmbedder().fit(epochs[:12])
    both = fitted.transform(epochs)
    np.testing.assert_allclose(fitted.transform(epochs[12:]), both[12:], atol=1e-5)
    assert np.abs(both[:12].mean(axis=0)).max() < 1e-5 < np.abs(both[12:].mean(axis=0)).max()
    order = [3, 1, 0, 2]  # of channels: components do not depend on it
    other = epochs.copy().reorder_channels([epochs.ch_names[i] for i in (*order, 4)])
    np.testing.assert_allclose(fitted.transform(other), both, atol=1e-4)
    again = DAREEmbedder().fit_transform(other[:12])
    np.testing.assert_allclose(again, both[:12], atol=1e-3)


def test_the_default_from_many_epochs(monkeypatch):
    """Components are learned from some of the epochs, scales from all of them."""
    for module in ("reading", "features"):
        monkeypatch.setattr(f"dare_sklearn.base.{module}.N_CHOICE", 16)
    x = np.random.default_rng(0).normal(scale=10, size=(24, 3, 128))
    layout = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV"}
    fitted = DAREEmbedder(n_components=4, **layout)
    Z = fitted.fit_transform(x)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_array_equal(Z, clone(fitted).fit_transform(x))
    with pytest.raises(
        ValueError,
        match="n_components=20 needs 21 epochs or more, and is learned from n_samples = 16",
    ):
        DAREEmbedder(n_components=20, **layout).fit(x)
