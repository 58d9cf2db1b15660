"""Device, precision, and the generators of torch that seeds leave alone."""

from __future__ import annotations

import pytest
import torch

from dare_sklearn import DAREEmbedder
from dare_sklearn.training.device import autocast, resolve_device, resolve_precision, torch_seed

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


def test_generators_are_left_as_they_were():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(KeyError), torch_seed(0):
        first = torch.rand(2)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
    with torch_seed(0):
        assert torch.equal(torch.rand(2), first)


def test_cuda_is_not_started(monkeypatch):
    """On a machine with a GPU that nobody has used yet, forked processes must be able to fit."""

    def started(*args):
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")

    seeds = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", started)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    torch.manual_seed(7)
    with torch_seed(0):
        pass
    assert seeds == [7, 0, 7]  # the user's, ours, and the user's again for a CUDA started later
