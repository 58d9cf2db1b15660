"""What is left out or shared changes nothing: fast against plain, over random shapes and masks."""

from __future__ import annotations

import pytest
import torch

from benchmarks.speed.plain import encode, pretraining_loss, reconstruct
from dare_sklearn.modules import networks
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.modules.networks import RotaryEmbedding, rotate
from dare_sklearn.pretraining.masks import draw_masks
from dare_sklearn.pretraining.objective import PretrainingModel


def draw(seed: int):
    """A small model with weights far from their start, signals, montage and masks."""
    generator = torch.Generator().manual_seed(seed)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    heads = integer(1, 4)
    config = DAREConfig(
        embed_num=integer(1, 4),
        embed_dim=8 * heads * integer(1, 2),
        depth=tuple(integer(1, 3) for _ in range(3)),
        num_heads=heads,
        patch_size=16,
    )
    n_epochs, n_chans, n_patches = integer(1, 5), integer(1, 62), integer(1, 7)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PretrainingModel(config)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    x = torch.randn(n_epochs, n_chans, 16 * n_patches, generator=generator)
    channels = torch.randperm(62, generator=generator)[:n_chans]
    return model, x, channels, draw_masks(n_patches, n_chans, generator)


@pytest.mark.parametrize("seed", range(25))
def test_the_same_outputs(seed):
    model, x, channels, masks = draw(seed)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for visible in (None, masks.visible, masks.second_view):
        torch.testing.assert_close(
            model.encoder(x, channels, visible),
            encode(model.encoder, x, channels, visible),
            **close,
        )
    combined = torch.randn(len(x), x.shape[-1] // 16, *model.encoder.summary_token.shape[1:])
    torch.testing.assert_close(
        model.reconstructor(combined, masks.targets, channels),
        reconstruct(model.reconstructor, combined, masks.targets, channels),
        **close,
    )


@pytest.mark.parametrize("seed", range(25))
def test_electrodes_alone(seed):
    """The same as `visible` rows of one electrode each, for the last layer and for every block."""
    model, x, channels, _ = draw(seed)
    encoder, n_chans, n_patches = model.encoder, len(channels), x.shape[-1] // 16
    alone = torch.arange(n_patches * n_chans)[:, None]
    for layer in (None, *range(len(encoder.blocks))):
        expected = encoder(x, channels, alone, layer=layer).unflatten(1, (n_patches, n_chans))
        found = encoder.forward_electrodes(x, channels, layer=layer)
        torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_the_same_loss_and_gradients(seed):
    model, x, channels, masks = draw(seed)
    found = []
    for loss in (model(x, channels, masks)["loss"], pretraining_loss(model, x, channels, masks)):
        model.zero_grad()
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.detach(), torch.cat(gradients)))
    (fast, fast_gradient), (plain, plain_gradient) = found
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    assert (fast_gradient - plain_gradient).norm() < 1e-4 * plain_gradient.norm()


@pytest.mark.parametrize("seed", range(5))
def test_some_sequences_at_a_time(seed, monkeypatch):
    """The same outputs and gradients, however few tokens are computed at once."""
    model, x, channels, masks = draw(seed)
    found = []
    for at_once in (10**9, 100, 1):
        monkeypatch.setattr(networks, "TOKENS_AT_ONCE", at_once)
        outputs = [
            model.encoder(x, channels).flatten(),
            model.encoder(x, channels, masks.visible).flatten(),
            model.encoder.forward_electrodes(x, channels).flatten(),
        ]
        model.zero_grad()
        torch.cat(outputs).square().sum().backward()
        gradients = [p.grad.flatten() for p in model.encoder.parameters()]
        found.append((torch.cat(outputs).detach(), torch.cat(gradients)))
    for outputs, gradient in found[1:]:
        torch.testing.assert_close(outputs, found[0][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rotation(dtype, compiling, monkeypatch):
    """Pair number i of a token of patch p is turned by p / 2 times the frequency i."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    head_dim, patches = 16, torch.arange(7)
    x = torch.randn(2, 3, 7, head_dim, generator=torch.Generator().manual_seed(0))
    expected = x.double().clone()
    for i in range(head_dim // 4):
        for p in patches.tolist():
            angle = torch.tensor(p / 2 * 10_000.0 ** (-2 * i / (head_dim // 2))).double()
            cos, sin = angle.cos(), angle.sin()
            turn = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
            expected[..., p, 2 * i : 2 * i + 2] = x[..., p, 2 * i : 2 * i + 2].double() @ turn.T
    found = rotate(x.to(dtype), RotaryEmbedding(head_dim)(patches))
    assert found.dtype == dtype
    error = {torch.float64: 1e-6, torch.float32: 1e-6, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(found.double(), expected, rtol=error, atol=error)
