"""Permutation importance of channels."""

import mne
import numpy as np
import pytest

from dare_sklearn import DAREClassifier
from dare_sklearn.inspection import channel_importance
from dare_sklearn.viz import plot_channel_relevance

NAMES = ["C3", "Cz", "C4"]


class Power:
    """Predicts from the amplitude of channel 2 alone."""

    def fit(self, X, y):
        return self

    def score(self, X, y):
        data = X.get_data() * 1e6 if isinstance(X, mne.BaseEpochs) else X
        return float(np.mean((data[:, 2].std(axis=-1) > 15) == y))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(40, 3, 64))
    y = np.arange(40) % 2
    X[y == 1, 2] *= 2
    return X, y


@pytest.mark.parametrize("as_epochs", [False, True])
def test_only_the_channel_that_is_used_matters(data, as_epochs):
    X, y = data
    before = X.copy()
    if as_epochs:
        X = mne.EpochsArray(X * 1e-6, mne.create_info(NAMES, 64.0, "eeg"), verbose="error")
    result = channel_importance(Power(), X, y, n_repeats=4, random_state=0)
    assert result.baseline == 1.0
    assert result.importances.shape == (3, 4)
    np.testing.assert_array_equal(result.importances[:2], 0)
    assert 0.3 < result.importances_mean[2] < 0.7
    np.testing.assert_allclose(result.importances_std, result.importances.std(axis=1))
    assert result.ch_names == (NAMES if as_epochs else None)
    np.testing.assert_array_equal(data[0], before)
    again = channel_importance(Power(), X, y, n_repeats=4, random_state=0)
    np.testing.assert_array_equal(result.importances, again.importances)


def test_scoring_of_a_probe(data):
    X, y = data
    clf = DAREClassifier(
        None, spatial_init="spline", sfreq=64.0, unit="uV", max_epochs=1, random_state=0
    ).fit(X[:20], y[:20])
    result = channel_importance(clf, X[20:], y[20:], scoring="neg_log_loss", n_repeats=1)
    assert result.baseline < 0
    assert np.isfinite(result.importances).all()


def test_bad_input(data):
    X, y = data
    with pytest.raises(
        TypeError, match=r"mne.Epochs or an array .*, got a ndarray of shape \(40, 64\)"
    ):
        channel_importance(Power(), X[:, 0], y)
    with pytest.raises(ValueError, match="n_repeats"):
        channel_importance(Power(), X, y, n_repeats=0)
    with pytest.raises(ValueError, match="two or more"):
        channel_importance(Power(), X[:1], y[:1])


def test_channels_that_no_model_reads(data):
    X, y = data
    info = mne.create_info([*NAMES[:2], "EOG", NAMES[2]], 64.0, ["eeg", "eeg", "eog", "eeg"])
    epochs = mne.EpochsArray(1e-6 * X[:, [0, 1, 1, 2]], info, verbose="error")

    class Last(Power):
        def score(self, X, y):
            return super().score(X.copy().pick(["C3", "Cz", "C4"]), y)

    result = channel_importance(Last(), epochs, y, n_repeats=2, random_state=0)
    assert result.ch_names == NAMES and result.importances.shape == (3, 2)
    assert result.importances[2].min() > 0.3
    sensors = epochs.copy().pick(["C3", "Cz", "C4"]).set_channel_types(dict.fromkeys(NAMES, "seeg"))
    assert channel_importance(Power(), sensors, y, n_repeats=1).ch_names == NAMES
    assert plot_channel_relevance(result, info=info).axes[0].get_title() == "Relevance of channels"
