"""gradient_relevance: torch's gradients, and the differences that other models get."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dare_sklearn import DAREClassifier, DARERegressor, SpectralAligner, simulate_epochs
from dare_sklearn.inspection import gradient_relevance
from dare_sklearn.transformers import BandPower
from dare_sklearn.viz import plot_channel_relevance

NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]
LAYOUT = {"ch_names": NAMES, "sfreq": 128.0, "unit": "uV", "random_state": 0}
STEPS = {"spatial_init": "spline", "max_epochs": 8, "lr": 5e-3}
STEP = 0.02


@pytest.fixture(scope="module")
def data():
    """Noise, and a wave at C3 whose size goes with the class."""
    rng = np.random.default_rng(0)
    X = rng.normal(scale=10, size=(24, 5, 96))
    y = np.arange(24) % 3
    X[:, 1] += 20 * y[:, None] * np.sin(np.arange(96) / 128 * 2 * np.pi * 8)
    return X, y


def differences(decide, X):
    """Central differences of decisions by the gain of each channel, through the public methods."""
    found = np.empty(X.shape[:2])
    for channel in range(X.shape[1]):
        gain = np.ones(X.shape[1])
        gain[channel] = 1 + STEP
        more = decide(X * gain[:, None])
        gain[channel] = 1 - STEP
        found[:, channel] = (more - decide(X * gain[:, None])) / (2 * STEP)
    return found


def assert_close(found, expected):
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


MODES = {
    "virtual": {},
    "spline": STEPS,
    "temporal": {**STEPS, "temporal_kernel": 5},
    "finetune": {**STEPS, "adaptation": "finetune"},
    "linear": {"adaptation": "linear"},
}


@pytest.mark.parametrize("mode", MODES)
def test_two_classes(data, mode):
    X, y = data[0], np.array(["feet", "hands"])[(data[1] > 0).astype(int)]
    clf = DAREClassifier(None, batch_size=10, **MODES[mode], **LAYOUT).fit(X, y)
    found = gradient_relevance(clf, X)
    assert_close(found.relevance, differences(clf.decision_function, X))
    np.testing.assert_allclose(found.importances, np.abs(found.relevance).mean(axis=0))
    assert found.ch_names == (None if mode == "linear" else [name.upper() for name in NAMES])
    np.testing.assert_allclose(
        gradient_relevance(clf, X, target="feet").relevance, -found.relevance
    )
    np.testing.assert_array_equal(
        gradient_relevance(clf, X, target="hands").relevance, found.relevance
    )


@pytest.mark.parametrize("mode", ["virtual", "linear"])
def test_three_classes(data, mode):
    X, y = data
    clf = DAREClassifier(None, **MODES[mode], **LAYOUT).fit(X, y)
    highest = clf.decision_function(X).argmax(axis=1)
    expected = {k: differences(lambda x, k=k: clf.decision_function(x)[:, k], X) for k in range(3)}
    for target in (0, 2):
        assert_close(gradient_relevance(clf, X, target=target).relevance, expected[target])
    best = np.stack([expected[k][i] for i, k in enumerate(highest)])
    assert_close(gradient_relevance(clf, X).relevance, best)


@pytest.mark.parametrize("mode", ["virtual", "spline", "linear"])
def test_regression(data, mode):
    X, y = data
    reg = DARERegressor(None, **MODES[mode], **LAYOUT).fit(X, 100.0 + 30 * y)
    assert_close(gradient_relevance(reg, X).relevance, differences(reg.predict, X))


def test_the_offset_of_a_channel_has_no_relevance(data):
    X, y = data
    clf = DAREClassifier(None, **LAYOUT).fit(X, y > 0)
    shifted = X + 50.0 * np.arange(5)[:, None]
    found, expected = (gradient_relevance(clf, x).relevance for x in (shifted, X))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_any_pipeline(data):
    X, y = data
    amplitude = FunctionTransformer(lambda x: x.std(axis=2))
    lda = make_pipeline(amplitude, LinearDiscriminantAnalysis()).fit(X, y > 0)
    # the amplitude is linear in the gain, and so is the decision
    expected = X.std(axis=2) * lda[-1].coef_[0]
    np.testing.assert_allclose(gradient_relevance(lda, X).relevance, expected, atol=1e-8)
    ridge = make_pipeline(amplitude, Ridge()).fit(X, y)
    expected = X.std(axis=2) * ridge[-1].coef_
    np.testing.assert_allclose(gradient_relevance(ridge, X).relevance, expected, atol=1e-8)


def test_whole_numbers(data):
    X, y = data
    amplitude = FunctionTransformer(lambda x: x.std(axis=2))
    lda = make_pipeline(amplitude, LinearDiscriminantAnalysis()).fit(X, y > 0)
    whole = X.round().astype(np.int16)
    expected = gradient_relevance(lda, whole.astype(float)).relevance
    np.testing.assert_allclose(gradient_relevance(lda, whole).relevance, expected, rtol=1e-3)


def test_epochs_and_their_figure():
    epochs = simulate_epochs("motor", n_subjects=1, n_epochs=20, random_state=0)
    y = epochs.metadata["label"].to_numpy()
    clf = DAREClassifier(None, random_state=0).fit(epochs, y)
    found = gradient_relevance(clf, epochs)
    assert found.ch_names == epochs.ch_names
    # the channels that are left have the say
    with pytest.warns(UserWarning, match="lacks 1 of the"):
        fewer = gradient_relevance(clf, epochs.copy().drop_channels(epochs.ch_names[:1]))
    assert fewer.ch_names == found.ch_names[1:]
    X = epochs.get_data(units="uV")
    as_array = clf.set_params(ch_names=epochs.ch_names, sfreq=epochs.info["sfreq"], unit="uV")
    scale = np.abs(found.relevance).max()
    np.testing.assert_allclose(
        gradient_relevance(as_array, X).relevance, found.relevance, atol=1e-4 * scale
    )
    figure = plot_channel_relevance(found, info=epochs.info)
    assert figure.axes[1].get_ylabel() == "change of the decision"
    figure = plot_channel_relevance(found.relevance[0], found.ch_names, label="of one epoch")
    assert figure.axes[1].get_ylabel() == "of one epoch"


def test_what_has_no_gradient(data):
    X, y = data
    clf = DAREClassifier(None, **LAYOUT).fit(X, y)
    with pytest.raises(ValueError, match=r"target=7 is not one of the classes \[0, 1, 2\]"):
        gradient_relevance(clf, X, target=7)
    with pytest.raises(TypeError, match="gradient_relevance takes mne.Epochs or an array"):
        gradient_relevance(clf, X[0])
    flat = make_pipeline(FunctionTransformer(lambda x: x.std(axis=2)), KNeighborsClassifier())
    with pytest.raises(TypeError, match="Pipeline has neither"):
        gradient_relevance(flat.fit(X, y), X)


@pytest.mark.parametrize("cs_mode", ["train_and_target_unlabeled_full", "train_trialwise"])
def test_the_alignment_of_a_new_person_undoes_no_change(cs_mode):
    """A filter scales with its channel: the relevance is that of the aligned signals."""
    epochs = simulate_epochs("motor", n_subjects=3, n_epochs=12, ch_names=NAMES, random_state=0)
    y, new = epochs.metadata["label"].to_numpy(), epochs.metadata["subject"] == "S003"
    aligner = SpectralAligner(group_by="subject", cs_mode=cs_mode)
    both = make_pipeline(aligner, BandPower(), LogisticRegression()).fit(epochs[~new], y[~new])
    aligned = both[0].transform(epochs[new])
    expected = gradient_relevance(both[1:], aligned)
    found = gradient_relevance(both, epochs[new])
    assert_close(found.relevance, expected.relevance)
    np.testing.assert_array_equal(both[0].transform(epochs[new]).get_data(), aligned.get_data())
    nested = Pipeline([("same", "passthrough"), ("aligned", both)])
    found = gradient_relevance(nested, epochs[new])
    assert_close(found.relevance, expected.relevance)
