"""torch.compile as an option: the same numbers, and the error where it fails."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from dare_sklearn import DAREEmbedder, DAREPretrainer

# torch's compiler warns of its own parts
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled:UserWarning"),
]
LAYOUT = {"ch_names": ["C3", "Cz", "C4", "Pz"], "sfreq": 256.0, "unit": "uV"}


@pytest.fixture
def x():
    return 10 * np.random.default_rng(0).standard_normal((6, 4, 128))


def test_a_failed_compilation_is_not_hidden(x, monkeypatch):
    def backend(graph, inputs):
        raise OSError("no such tool")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(Exception, match="no such tool"):
        DAREEmbedder(None, random_state=0, compile=True, **LAYOUT).fit_transform(x)
    with pytest.raises(Exception, match="no such tool"):
        DAREPretrainer(compile=True, max_epochs=1, window_s=0.5, **LAYOUT).fit(x)


@pytest.mark.slow
def test_compiled_gives_the_same_embeddings(x):
    torch.compiler.reset()
    plain = DAREEmbedder(None, random_state=0, **LAYOUT).fit_transform(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it did compile
        fast = DAREEmbedder(None, random_state=0, compile=True, **LAYOUT).fit_transform(x)
    np.testing.assert_allclose(fast, plain, atol=1e-5)
