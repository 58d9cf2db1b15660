"""torch.compile as an option: the same numbers, and a clean way on where it fails."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from dare_sklearn import DAREEmbedder, DAREPretrainer
from dare_sklearn.training.device import Compiled

# torch's compiler warns of its own parts
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning"),
]
LAYOUT = {"ch_names": ["C3", "Cz", "C4", "Pz"], "sfreq": 256.0, "unit": "uV"}


@pytest.fixture
def x():
    return 10 * np.random.default_rng(0).standard_normal((6, 4, 128))


@pytest.fixture
def no_compiler():
    """As on many machines of users; nothing that an earlier run compiled is found either."""
    import torch._inductor.config as config

    torch.compiler.reset()
    with config.patch({"cpp.cxx": (None, "no-such-compiler"), "force_disable_caches": True}):
        yield


def test_embedder_goes_on_without_a_compiler(x, no_compiler):
    plain = DAREEmbedder(None, random_state=0, **LAYOUT).fit_transform(x)
    with pytest.warns(UserWarning, match="DAREEmbedder: torch.compile failed here.*compiler"):
        fallen = DAREEmbedder(None, random_state=0, compile=True, **LAYOUT).fit_transform(x)
    assert np.array_equal(plain, fallen)


def test_pretrainer_goes_on_where_compilation_fails(x, monkeypatch):
    def backend(graph, inputs):
        raise OSError("no such tool")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    params = {"max_epochs": 2, "window_s": 0.5, "random_state": 0, **LAYOUT}
    plain = DAREPretrainer(**params).fit(x)
    with pytest.warns(UserWarning) as caught:
        fallen = DAREPretrainer(compile=True, **params).fit(x)
    # once, not once per step
    assert ["DAREPretrainer: torch.compile failed" in str(w.message) for w in caught] == [True]
    for one, other in zip(plain.model_.parameters(), fallen.model_.parameters(), strict=True):
        assert torch.equal(one, other)


def test_other_errors_are_not_swallowed():
    run = Compiled(torch.nn.Linear(3, 2), backend="eager")
    with pytest.raises(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(torch.zeros(1, 5))


@pytest.mark.slow
def test_compiled_gives_the_same_embeddings(x):
    torch.compiler.reset()
    plain = DAREEmbedder(None, random_state=0, **LAYOUT).fit_transform(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it did compile
        fast = DAREEmbedder(None, random_state=0, compile=True, **LAYOUT).fit_transform(x)
    np.testing.assert_allclose(fast, plain, atol=1e-5)
