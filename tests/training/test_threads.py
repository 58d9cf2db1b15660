"""Numbers do not depend on how many threads the machine offers, and these are left as they were."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, simulate_epochs
from dare_sklearn.modules.config import get_config
from dare_sklearn.training.device import compute_threads, n_threads_of, n_threads_to_embed

NAMES = ["Fz", "C3", "Cz", "C4", "P3", "Pz", "P4", "Oz"]
KNOWN = {"sfreq": 256.0, "ch_names": NAMES, "unit": "uV"}
X = np.random.default_rng(0).normal(scale=20, size=(48, 8, 512)).astype(np.float32)
y = np.arange(48) % 2


def probabilities(**params):
    return DAREClassifier(random_state=0, **KNOWN, **params).fit(X, y).predict_proba(X)


COMPUTE = {
    "pretrain": lambda: np.concatenate(
        [
            value.numpy().ravel()
            for value in DAREPretrainer(
                max_epochs=1, batch_size=48, window_s=2.0, n_threads=1, random_state=0, **KNOWN
            )
            .fit(X)
            .model_.state_dict()
            .values()
        ]
    ),
    "probe": lambda: probabilities(spatial_init="spline", max_epochs=2),
    "virtual": lambda: probabilities(spatial_init="auto"),
    "linear": lambda: probabilities(adaptation="linear"),
    "embed": lambda: DAREEmbedder("nano", **KNOWN).fit_transform(X),
    "short": lambda: DAREEmbedder("nano", **KNOWN).fit_transform(X[..., :128]),
    "simulate": lambda: simulate_epochs("erp", n_subjects=1, n_epochs=6, random_state=3).get_data(),
}


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("what", COMPUTE)
def test_same_bits_on_any_number_of_threads(what, threads):
    results = []
    for number in (1, 2, 3):
        threads(number)
        with threadpool_limits(number, user_api="blas"):
            results.append(COMPUTE[what]())
        assert torch.get_num_threads() == number
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_wide_networks_use_torchs_number(threads):
    threads(3)
    numbers = [n_threads_of(get_config(size)) for size in ("nano", "light", "deep")]
    assert numbers == [1, 3, 3]


def test_embedding_leaves_the_cores_to_others(threads, monkeypatch):
    threads(3)
    for load, expected in ((0.0, 3), (1.0, 3), (8.0, 1)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load * os.cpu_count(), 0, 0))
        assert n_threads_to_embed() == expected


def test_overlapping_blocks_restore(threads):
    threads(3)
    inside, leave, seen = threading.Event(), threading.Event(), []

    def hold():
        with compute_threads(1):
            inside.set()
            leave.wait(60)
        seen.append(torch.get_num_threads())

    other = threading.Thread(target=hold)
    with compute_threads(1):
        with compute_threads(2):
            assert torch.get_num_threads() == 1  # the outer block decides
        other.start()
        assert inside.wait(60)
    assert torch.get_num_threads() == 3
    leave.set()
    other.join()
    assert seen == [3]


def test_the_users_choice(threads):
    from skorch.callbacks import Callback

    class Look(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.add(torch.get_num_threads())

    threads(3)
    for n_threads, expected in ((None, 3), (2, 2)):
        seen: set[int] = set()
        DAREPretrainer(max_epochs=1, n_threads=n_threads, callbacks=[Look()], **KNOWN).fit(X)
        assert seen == {expected}
