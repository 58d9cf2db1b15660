"""Sizes, masked encoding, and the parts of the probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dare_sklearn.modules.config import SIZES, DAREConfig, get_config
from dare_sklearn.modules.networks import (
    Encoder,
    init_weights,
    principal_filters,
)
from dare_sklearn.modules.probe import (
    ConvLinearProbe,
    LinearHead,
    SpatialAdapter,
    TemporalAdapter,
    VirtualProbe,
    project_max_norm,
)
from dare_sklearn.pretraining.objective import PretrainingModel
from dare_sklearn.signals.grid import resample

TINY = DAREConfig(2, 32, (2, 2, 2), 4)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = Encoder(TINY)
    init_weights(encoder)
    for p in encoder.parameters():  # far from the near-linear start
        p.data += 0.1 * torch.randn_like(p)
    return encoder.eval()


# The table of the design: all three networks and the projection head, in millions.
@pytest.mark.parametrize(
    ("size", "millions", "places"),
    [
        ("nano", 0.594, 3),
        ("light", 3.85, 2),
        ("small", 14.74, 2),
        ("base", 19.88, 2),
        ("deep", 77.76, 2),
    ],
)
def test_parameter_counts(size, millions, places):
    with torch.device("meta"):
        model = PretrainingModel(SIZES[size])
    trained = {n: p for n, p in model.named_parameters() if not n.startswith("target_encoder.")}
    assert round(sum(p.numel() for p in trained.values()) / 1e6, places) == millions


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match="size must be one of"):
        get_config("huge")


@pytest.mark.parametrize(
    "change", [{"embed_dim": 30}, {"depth": (1, 0, 1)}, {"num_heads": 0}, {"amplitude_uv": 0.0}]
)
def test_bad_configurations_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[0]):
        replace(SIZES["nano"], **change)


def test_a_mask_is_the_same_as_leaving_channels_out(encoder):
    x, channels = torch.randn(3, 10, 256), torch.arange(5, 15)
    keep = torch.tensor([1, 4, 7])
    visible = torch.tensor([[n * 10 + c for c in keep] for n in (0, 2)])
    masked = encoder(x, channels, visible)
    alone = encoder(x[:, keep], channels[keep])[:, [0, 2]]
    torch.testing.assert_close(masked, alone, rtol=0, atol=1e-5)


def test_encoder_reads_electrodes_not_positions_in_the_array(encoder):
    x, channels = torch.randn(2, 6, 128), torch.tensor([3, 9, 20, 31, 44, 60])
    order = torch.randperm(6)
    torch.testing.assert_close(
        encoder(x, channels), encoder(x[:, order], channels[order]), rtol=0, atol=1e-5
    )
    assert (encoder(x, channels) - encoder(x, channels[order])).abs().max() > 1e-3


def test_the_last_block_computes_what_is_read_and_nothing_else(encoder):
    tokens = torch.randn(4, 9, TINY.embed_dim)
    block = encoder.blocks[-1]
    torch.testing.assert_close(
        block.forward_last(tokens, 2), block(tokens)[:, -2:], rtol=0, atol=1e-5
    )


def test_normalisation_is_part_of_the_encoder():
    encoder = Encoder(replace(TINY, amplitude_uv=20.0, center=True))
    x = torch.randn(2, 3, 64) * 20 + 500
    normal = encoder.normalize(x)
    assert normal.mean(-1).abs().max() < 1e-4
    torch.testing.assert_close(normal.std(-1), x.std(-1) / 20)


def test_principal_filters_are_bands_of_variance_one(encoder):
    """For pink noise, as they are meant, and apart from each other."""
    rng = np.random.default_rng(0)
    frequencies = np.fft.rfftfreq(2**18, 1 / 256)
    inside = (frequencies >= 0.5) & (frequencies <= 45)
    amplitude = np.where(inside, np.maximum(frequencies, 0.5) ** -0.5, 0)
    noise = np.fft.irfft(amplitude * np.exp(2j * np.pi * rng.random(len(frequencies))))
    windows = np.lib.stride_tricks.sliding_window_view(noise / noise.std(), 64)[::7]
    filters = principal_filters(encoder).numpy()
    out = windows @ filters.T
    np.testing.assert_allclose(np.cov(out.T), np.eye(out.shape[1]), atol=0.1)


def test_virtual_probe_reads_its_electrodes_apart(encoder):
    readings = [("tokens", 0, 1), ("evoked", 1, 3), ("power", 0, 3)]
    probe = VirtualProbe(encoder, 4, [3, 5, 7], readings, n_patches=2, n_outputs=2)
    x = torch.randn(5, 4, 128)
    tokens, evoked, power = probe.read(x)
    virtual = probe.spatial(encoder.normalize(x))
    alone = encoder(virtual[:, :1], torch.tensor([3]))
    torch.testing.assert_close(tokens, alone.flatten(1), rtol=1e-4, atol=1e-5)
    assert evoked.shape == (5, 2, 2 * 8)  # of each patch 8 samples, at 32 Hz
    slow = resample(virtual[:, 1:, :64].detach().numpy(), 256.0, 32.0)
    np.testing.assert_allclose(evoked[..., :8].detach(), slow, atol=1e-4)
    assert power.shape == (5, 3, 32)
    parts = tokens, evoked.flatten(1), power.flatten(1)
    out = probe.head(probe.norm(torch.cat(parts, dim=1)))
    torch.testing.assert_close(probe(x), out)
    without = VirtualProbe(encoder, 4, [3], [("tokens", 0, 1)], n_patches=2, n_outputs=2)
    assert set(probe.state_dict()) == set(without.state_dict())  # what a file holds


def test_max_norm():
    head = LinearHead(4, 32, 3)
    adapter = SpatialAdapter(8, 5)
    temporal = TemporalAdapter(5, 15)
    for module in (head, adapter, temporal):
        for p in module.parameters():
            p.data *= 100
        project_max_norm(module)
    assert head.per_patch.weight.norm(dim=1).max() <= 1.0 + 1e-5
    assert head.output.weight.norm(dim=1).max() <= 0.25 + 1e-5
    assert adapter.layers[0].weight.flatten(1).norm(dim=1).max() <= 1.0 + 1e-5
    assert temporal.conv.weight.flatten(1).norm(dim=1).max() <= 1.0 + 1e-5


@pytest.mark.parametrize("train_encoder", [False, True])
def test_probe_trains_the_encoder_only_when_told(encoder, train_encoder):
    probe = ConvLinearProbe(
        encoder,
        n_chans=7,
        targets=range(5),
        n_patches=4,
        n_outputs=2,
        spatial_layers=2,
        temporal_kernel=15,
        train_encoder=train_encoder,
    ).train()
    probe(torch.randn(3, 7, 256)).sum().backward()
    assert encoder.training is train_encoder
    assert all((p.grad is not None) is train_encoder for p in encoder.parameters())
    assert all(p.grad is not None for p in probe.spatial.parameters())


@pytest.mark.parametrize(
    ("option", "absent"),
    [({"anchor_alignment": 0.0}, "anchor_alignment"), ({"mask_alignment": 0.0}, "mask_alignment")],
)
def test_ablated_terms_are_gone(option, absent):
    from dare_sklearn.pretraining.masks import draw_masks

    masks = draw_masks(4, 10, torch.Generator().manual_seed(0))
    x, channels = torch.randn(3, 10, 256), torch.arange(10)
    assert absent in PretrainingModel(TINY)(x, channels, masks)
    assert absent not in PretrainingModel(TINY, **option)(x, channels, masks)


def test_ablations_of_the_targets_and_the_skip_connection():
    from dare_sklearn.pretraining.masks import draw_masks

    masks = draw_masks(4, 10, torch.Generator().manual_seed(0))
    x, channels = 3 * torch.randn(3, 10, 256), torch.arange(10)
    torch.manual_seed(0)
    full = PretrainingModel(TINY)
    terms = full(x, channels, masks)
    full.target_norm = False
    without = full(x, channels, masks)
    assert without["reconstruction"] > 5 * terms["reconstruction"]  # raw variance is 9, not 1
    assert without["anchor_alignment"] != terms["anchor_alignment"]
    encoded = torch.randn(3, 2, 2, 32)
    visible = torch.tensor([1, 3])
    predicted, combined = full.predictor(encoded, visible, 4)
    assert torch.equal(combined[:, visible], encoded)
    assert torch.equal(combined[:, [0, 2]], predicted[:, [0, 2]])
    full.predictor.skip_connection = False
    predicted, combined = full.predictor(encoded, visible, 4)
    assert torch.equal(combined, predicted)


def test_momentum_update():
    model = PretrainingModel(TINY)
    start = model.target_encoder.patch_embed.weight.clone()
    assert torch.equal(start, model.encoder.patch_embed.weight)
    model.encoder.patch_embed.weight.data += 1.0
    model.update_target(0.9)
    torch.testing.assert_close(model.target_encoder.patch_embed.weight, start + 0.1)
