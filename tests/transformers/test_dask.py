"""Cross-validation and grid searches on a Dask cluster: the same results, the encoder sent once."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_predict

from dare_sklearn import DAREClassifier, DAREPretrainer

distributed = pytest.importorskip("distributed")

X = np.random.default_rng(0).normal(scale=10, size=(12, 3, 64)).astype("float32")
Y = np.arange(12) % 2
SUBJECTS = np.arange(12) // 4
LAYOUT = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 128.0, "unit": "uV"}


@pytest.fixture(scope="module")
def client():
    """Of two workers, each a process of its own."""
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def count_arrivals():
    """In a worker: count the pretrainers that are unpickled there from now on."""
    DAREPretrainer.arrived, inner = 0, DAREPretrainer.__setstate__

    def counted(self, state):
        DAREPretrainer.arrived += 1
        inner(self, state)

    DAREPretrainer.__setstate__ = counted


def searches(encoder):
    probe = DAREClassifier(encoder, adaptation="linear", pooling="flatten", **LAYOUT)
    found = GridSearchCV(probe, {"C": [0.1, 10.0]}, cv=2, n_jobs=-1).fit(X, Y)
    across = cross_val_predict(
        probe, X, Y, groups=SUBJECTS, cv=LeaveOneGroupOut(), method="predict_proba", n_jobs=-1
    )
    return found.cv_results_["mean_test_score"], found.predict_proba(X), across


def test_two_workers(client):
    pretrainer = DAREPretrainer(max_epochs=1, batch_size=6, random_state=0, **LAYOUT).fit(X)
    with joblib.parallel_config("sequential"):
        expected = searches(pretrainer)
    client.run(count_arrivals)
    sent = client.scatter(pretrainer)
    with joblib.parallel_config("dask"):
        found = searches(sent)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # seven fits, and to no worker did it come twice
    once = list(client.run(lambda: DAREPretrainer.arrived).values())
    assert max(once) == 1
    # which it does where it travels with every task
    with joblib.parallel_config("dask"):
        searches(pretrainer)
    assert sum(client.run(lambda: DAREPretrainer.arrived).values()) >= sum(once) + 7


def test_a_future_that_is_gone(client):
    """Refused, where waiting for it would last forever."""
    probe = DAREClassifier(distributed.Future("nothing"), **LAYOUT)
    with pytest.raises(ValueError, match="encoder is a future whose result is nowhere"):
        probe.fit(X, Y)


def test_a_future_of_something_else(client):
    probe = DAREClassifier(client.scatter(Y), **LAYOUT)
    with pytest.raises(TypeError, match="encoder is the future of a ndarray"):
        probe.fit(X, Y)
