"""Nothing learned in one fold reaches another: labels of pure noise are predicted at chance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, EuclideanAligner
from dare_sklearn.weights import load

SIGNALS = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 64.0, "unit": "uV"}
N_EPOCHS = 120
# Four standard deviations of the accuracy of guessing: a leak of weights scored 0.975.
MARGIN = 4 * np.sqrt(0.25 / N_EPOCHS)
FOLDS = KFold(4, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(3)
    return 30 * rng.normal(size=(N_EPOCHS, 3, 32)), rng.permutation(np.arange(N_EPOCHS) % 2)


def pretrainer():
    return DAREPretrainer(max_epochs=2, window_s=0.5, batch_size=64, random_state=0, **SIGNALS)


@pytest.fixture(scope="module")
def encoders(noise, tmp_path_factory):
    """Every way of passing an encoder."""
    folder = tmp_path_factory.mktemp("shipped")
    fitted = pretrainer().fit(noise[0])
    fitted.save_pretrained(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "SHIPPED_FOLDER", folder)
        yield {
            "name": "tiny",
            "path": folder / "tiny",
            "fitted": fitted,
            "unfitted": pretrainer(),
            "untrained": None,
        }


@pytest.mark.parametrize("how", ["name", "path", "fitted", "unfitted", "untrained"])
@pytest.mark.parametrize("model", ["spline", "auto", "finetune", "linear", "pipeline", "aligned"])
def test_noise_stays_at_chance(noise, encoders, how, model):
    X, y = noise
    encoder = encoders[how]
    if model == "pipeline":
        estimator = make_pipeline(
            DAREEmbedder(encoder, **SIGNALS), LogisticRegression(max_iter=2000)
        )
    elif model == "aligned":
        probe = DAREClassifier(
            encoder, spatial_init="spline", max_epochs=5, random_state=0, **SIGNALS
        )
        estimator = make_pipeline(EuclideanAligner(10.0, group_by=False), probe)
    elif model == "auto":
        estimator = DAREClassifier(encoder, random_state=0, **SIGNALS)
    elif model == "linear":
        estimator = DAREClassifier(encoder, adaptation="linear", random_state=0, **SIGNALS)
    else:
        adaptation = "conv-linear" if model == "spline" else model
        estimator = DAREClassifier(
            encoder, adaptation=adaptation, spatial_init="spline", max_epochs=10, lr=5e-3,
            random_state=0, **SIGNALS,
        )  # fmt: skip
    scores = cross_val_score(estimator, X, y, cv=FOLDS)
    assert abs(scores.mean() - 0.5) < MARGIN


def test_the_margin_would_show_a_leak(noise):
    """The same probe, fitted on the test epochs too, is far outside the margin."""
    X, y = noise
    clf = DAREClassifier(
        None, spatial_init="spline", max_epochs=60, lr=2e-2, dropout=0.0, random_state=0, **SIGNALS
    )
    assert clf.fit(X, y).score(X, y) - 0.5 > 1.5 * MARGIN


def test_an_unfitted_pretrainer_sees_training_epochs_only(noise, monkeypatch):
    X, y = noise
    seen = []
    fit = DAREPretrainer.fit

    def watched(self, X, y=None):
        seen.append(np.asarray(X)[:, 0, 0])
        return fit(self, X, y)

    monkeypatch.setattr(DAREPretrainer, "fit", watched)
    own = pretrainer()
    model = make_pipeline(DAREEmbedder(own, **SIGNALS), LogisticRegression(max_iter=2000))
    cross_val_score(model, X, y, cv=FOLDS)
    assert len(seen) == 4
    for used, (train, _) in zip(seen, FOLDS.split(X), strict=True):
        np.testing.assert_array_equal(used, X[train, 0, 0])
    assert not hasattr(own, "encoder_")


def test_folds_of_a_search_share_nothing(noise):
    X, y = noise
    clf = DAREClassifier(None, adaptation="finetune", max_epochs=1, random_state=0, **SIGNALS)
    search = GridSearchCV(clf, {"lr": [1e-4, 1e-2]}, cv=FOLDS).fit(X, y)
    alone = clone(clf).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))


def test_a_fitted_pretrainer_is_not_changed_by_those_who_use_it(noise, encoders):
    X, y = noise
    fitted = encoders["fitted"]
    before = {k: v.clone() for k, v in fitted.encoder_.state_dict().items()}
    DAREClassifier(fitted, adaptation="finetune", max_epochs=2, lr=1e-2, **SIGNALS).fit(X, y)
    for name, value in fitted.encoder_.state_dict().items():
        assert (value == before[name]).all(), name
