"""Device and precision."""

from __future__ import annotations

import pytest
import torch

from dare_sklearn import DAREEmbedder
from dare_sklearn.modules.config import get_config
from dare_sklearn.modules.encoder import Encoder
from dare_sklearn.transformers import _compute
from dare_sklearn.transformers._compute import embedding_precision, resolve_device

CPU = torch.device("cpu")


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Encoder(get_config("nano")).eval().requires_grad_(False)


def choose(encoder, precision="auto"):
    return embedding_precision(precision, encoder, torch.arange(4), 128, CPU)


def test_what_is_asked_for_is_done(encoder, monkeypatch):
    monkeypatch.setattr(_compute, "_run", None)  # nothing is tried
    assert choose(encoder, "float32") == "float32"
    assert choose(encoder, "bfloat16") == "bfloat16"
    monkeypatch.setattr(_compute, "has_fast_bfloat16", lambda device: False)
    assert choose(encoder) == "float32"


@pytest.mark.parametrize(
    ("times_faster", "error", "expected"),
    [(2.0, 0.003, "bfloat16"), (1.05, 0.003, "float32"), (2.0, 0.02, "float32")],
)
def test_auto_takes_what_is_faster_and_close(encoder, monkeypatch, times_faster, error, expected):
    tried = []

    def run(encoder, x, channels, device, precision):
        tried.append(precision)
        tokens = torch.ones(4, 2, 1, 64)
        rough = precision == "bfloat16"
        return (tokens * (1 + error), 1.0) if rough else (tokens, times_faster)

    monkeypatch.setattr(_compute, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(_compute, "_run", run)
    monkeypatch.setattr(_compute, "_CHOSEN", {})
    assert choose(encoder) == expected
    assert choose(encoder) == expected
    assert tried == ["float32", "bfloat16"]  # once
    encoder.norm.weight.data = 2 * encoder.norm.weight.data
    choose(encoder)
    assert len(tried) == 4  # other weights are another encoder


def test_a_real_trial(encoder, monkeypatch):
    monkeypatch.setattr(_compute, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(_compute, "_CHOSEN", {})
    monkeypatch.setattr(_compute, "FASTER", 0.0)
    assert choose(encoder) == "bfloat16"  # close enough, as in the paper's networks
    monkeypatch.setattr(_compute, "MOST_ERROR", 1e-9)
    monkeypatch.setattr(_compute, "_CHOSEN", {})
    assert choose(encoder) == "float32"


def test_devices():
    assert resolve_device("cpu") == CPU
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu'"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cuda' is not available on this machine"):
            DAREEmbedder(None, device="cuda", sfreq=64.0, ch_names=["Cz"], unit="uV").fit(
                torch.randn(4, 1, 64) * 10
            )
