"""Streams of random numbers, and the generators of torch that they leave alone."""

from __future__ import annotations

import pytest
import torch

from dare_sklearn.training.seeds import torch_seed


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
