"""Device and precision."""

from __future__ import annotations

import pytest
import torch

from dare_sklearn import DAREEmbedder
from dare_sklearn.training.device import autocast, resolve_device, resolve_precision

CPU = torch.device("cpu")


def test_the_precision_depends_on_the_device_only(monkeypatch):
    cuda = torch.device("cuda")
    assert resolve_precision("float32", cuda) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"
    assert resolve_precision("auto", CPU) == "float32"
    for has_it, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has_it=has_it, **_: has_it)
        assert resolve_precision("auto", cuda) == expected


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bfloat16", torch.bfloat16), ("auto", torch.float32)]
)
def test_networks_run_in_it(precision, dtype):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_devices():
    assert resolve_device("cpu") == CPU
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu'"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cuda' is not available on this machine"):
            DAREEmbedder(None, device="cuda", sfreq=64.0, ch_names=["Cz"], unit="uV").fit(
                torch.randn(4, 1, 64) * 10
            )
