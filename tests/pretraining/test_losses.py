"""Losses against plain transcriptions of their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dare_sklearn.pretraining.losses import (
    activation_penalty,
    anchor_alignment_loss,
    mask_alignment_loss,
    reconstruction_loss,
    reconstruction_targets,
)
from dare_sklearn.pretraining.schedules import linear, one_cycle, restarted, warmup_cosine


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def layer_norm(values, eps=1e-5):
    mean, var = values.mean(-1, keepdims=True), values.var(-1, keepdims=True)
    return (values - mean) / np.sqrt(var + eps)


def test_anchor_alignment(rng):
    predicted, anchor = rng.normal(size=(2, 3, 4, 2, 8))
    ours = anchor_alignment_loss(torch.tensor(predicted), torch.tensor(anchor)).item()
    assert ours == pytest.approx(((predicted - layer_norm(anchor)) ** 2).mean())
    plain = anchor_alignment_loss(torch.tensor(predicted), torch.tensor(anchor), target_norm=False)
    assert plain.item() == pytest.approx(((predicted - anchor) ** 2).mean())


def test_no_gradient_flows_into_the_anchor():
    anchor = torch.randn(1, 2, 1, 4, requires_grad=True)
    predicted = torch.randn(1, 2, 1, 4, requires_grad=True)
    anchor_alignment_loss(predicted, anchor).backward()
    assert anchor.grad is None and predicted.grad is not None


def test_reconstruction(rng):
    patches = rng.normal(3.0, 5.0, size=(2, 3, 4, 8))
    targets = torch.tensor([1, 7, 10])
    raw = reconstruction_targets(torch.tensor(patches), targets)
    expected = layer_norm(patches.reshape(2, 12, 8)[:, targets])
    np.testing.assert_allclose(raw.numpy(), expected, rtol=1e-6)
    guess = rng.normal(size=expected.shape)
    loss = reconstruction_loss(torch.tensor(guess), raw).item()
    assert loss == pytest.approx(((guess - expected) ** 2).mean())
    assert reconstruction_loss(torch.zeros(2, 0, 8), torch.zeros(2, 0, 8)).item() == 0.0


def test_mask_alignment(rng):
    views = rng.normal(size=(2, 5, 6))
    views /= np.linalg.norm(views, axis=-1, keepdims=True)
    similarity = views[0] @ views[1].T / 0.1
    rows = np.log(np.exp(similarity).sum(1)) - np.diag(similarity)
    columns = np.log(np.exp(similarity).sum(0)) - np.diag(similarity)
    expected = (rows.mean() + columns.mean()) / 2
    assert mask_alignment_loss(*torch.tensor(views)).item() == pytest.approx(expected)
    same = torch.eye(4)
    assert mask_alignment_loss(same, same) < mask_alignment_loss(same, same.roll(1, 0))


def test_activation_penalty():
    first, second = torch.full((2, 3), 2.0), torch.full((4,), 4.0)
    assert activation_penalty(first, second).item() == 10.0


def test_schedules():
    course = [one_cycle(step, 501) for step in range(501)]
    assert course[0] == 0.5 and course[100] == 1.0 and course[-1] == pytest.approx(1 / 16)
    assert all(a < b for a, b in zip(course[:100], course[1:101], strict=True))
    assert all(a > b for a, b in zip(course[100:-1], course[101:], strict=True))
    assert [linear(step, 3, 0.996, 1.0) for step in range(3)] == pytest.approx([0.996, 0.998, 1.0])
    fine = [warmup_cosine(step, 100, n_warmup=5) for step in range(100)]
    assert fine[4] == fine[5] == 1.0 and fine[-1] == pytest.approx(0.0)
    assert 0 < one_cycle(0, 1) <= 1 and 0 < warmup_cosine(0, 1, n_warmup=5) <= 1
    assert warmup_cosine(0, 21, n_warmup=10) == 0.1
    again = [restarted(step, lambda *place: place, (0, 4, 10)) for step in (3, 4)]
    assert again == [(3, 4), (0, 6)]
