"""Attention of the summary tokens: the weights are the encoder's own, and the map shows them."""

import mne
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from sklearn.exceptions import NotFittedError

from dare_sklearn import DAREClassifier, DAREEmbedder, EuclideanAligner
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.modules.networks import Encoder
from dare_sklearn.signals.electrodes import ELECTRODES
from dare_sklearn.signals.grid import Windows
from dare_sklearn.viz import plot_attention
from dare_sklearn.viz.scalp import attention_weights, mean_attention

NAMES = ["Fz", "C3", "Cz", "C4", "Pz"]
X = 10 * np.random.default_rng(0).normal(size=(6, 5, 64))
LAYOUT = {"ch_names": NAMES, "sfreq": 64.0, "unit": "uV"}


@pytest.fixture(scope="module")
def encoder():
    """Two summary tokens, and weights so large that attention is far from uniform."""
    torch.manual_seed(0)
    encoder = Encoder(DAREConfig(2, 32, (3, 1, 1), 4, amplitude_uv=10.0, center=True)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return encoder.requires_grad_(False)


def grid_batch(n=3, n_chans=5):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, n_chans, 128, generator=generator), torch.arange(n_chans)


def test_weights_reproduce_the_blocks_output(encoder):
    seen = {}
    attn = encoder.blocks[-1].attn
    hook = encoder.blocks[-1].norm1.register_forward_hook(
        lambda _, args, out: seen.update(x=out, out=attn.last(out, 2))
    )
    x, channels = grid_batch()
    encoder(x, channels)
    hook.remove()
    weights = attention_weights(attn, seen["x"], 2)  # (n_seqs, heads, E, C + E)
    assert weights.shape == (3 * 2, 4, 2, 5 + 2)
    torch.testing.assert_close(weights.sum(-1), torch.ones(6, 4, 2))
    assert weights.std() > 0.05
    v = attn.qkv(seen["x"]).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)[2]
    out = attn.proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(out, seen["out"], atol=1e-5, rtol=0)


def test_batches_give_the_mean_over_all_sequences(encoder):
    x, channels = grid_batch(5)
    at_once = mean_attention(encoder, (encoder(part, channels) for part in [x]))
    in_parts = mean_attention(encoder, (encoder(part, channels) for part in x.split(2)))
    assert at_once.shape == (5 + 2,)
    np.testing.assert_allclose(in_parts, at_once, rtol=1e-5)
    np.testing.assert_allclose(at_once.sum(), 1, rtol=1e-5)


def drawn_values(ax):
    (electrodes,) = [c for c in ax.collections if isinstance(c, PathCollection)]
    return np.asarray(electrodes.get_array())


def expected_percent(encoder, x, channels):
    """Mean weights per head and electrode, computed token by token."""
    block = encoder.blocks[-1]
    tokens = encoder.patch_embed(x.unflatten(-1, (-1, 64)).transpose(1, 2))
    tokens = (tokens + encoder.channel_embed(channels)).flatten(0, 1)
    tokens = torch.cat((tokens, encoder.summary_token.expand(len(tokens), -1, -1)), dim=1)
    for early in encoder.blocks[:-1]:
        tokens = early(tokens)
    q, k, _ = block.attn.qkv(block.norm1(tokens)).chunk(3, dim=-1)
    width = q.shape[-1] // block.attn.num_heads
    heads = [
        (q[:, -2:, part] @ k[..., part].mT / width**0.5).softmax(-1).mean((0, 1))
        for part in (slice(h * width, (h + 1) * width) for h in range(block.attn.num_heads))
    ]
    return 100 * torch.stack(heads).numpy()[:, : x.shape[1]]


@pytest.fixture(scope="module")
def epochs():
    info = mne.create_info(NAMES, 64.0, "eeg")
    return mne.EpochsArray(X * 1e-6, info, verbose="error")


@pytest.fixture(scope="module")
def embedder(encoder):
    fitted = DAREEmbedder(None, **LAYOUT).fit(X)
    fitted.encoder_ = encoder
    return fitted


@pytest.fixture(scope="module")
def expected(encoder):
    embedder = DAREEmbedder(None, **LAYOUT).fit(X)
    windows = Windows(embedder._read(X, reset=False), encoder.config, unknown="error")
    data, index = windows[:], windows.rows
    return expected_percent(
        encoder, encoder.normalize(torch.from_numpy(data)), torch.from_numpy(index)
    )


def test_map_of_an_encoder(look, own_axes, encoder, embedder, epochs, expected):
    fig = plot_attention(embedder, epochs)
    look(fig)
    ax = fig.axes[0]
    np.testing.assert_allclose(drawn_values(ax), expected.mean(axis=0), rtol=1e-4)
    assert ax.images[0].get_clim() == pytest.approx((0, expected.mean(axis=0).max()))
    assert ax.get_title() == "Attention of the summary tokens\n(14.3 % if all were alike)"
    assert not encoder.blocks[-1].attn._forward_pre_hooks
    ax = own_axes(width=4, height=3.2)
    assert plot_attention(embedder, X, ax=ax) is ax.figure
    np.testing.assert_allclose(drawn_values(ax), expected.mean(axis=0), rtol=1e-4)
    look(ax.figure)


def test_estimators(look, epochs):
    embedder = DAREEmbedder(None, random_state=0).fit(epochs)
    before = embedder.transform(epochs)
    fig = plot_attention(embedder, epochs)
    look(fig)
    np.testing.assert_array_equal(embedder.transform(epochs), before)

    targets = ["C4", "T8", "Oz"]
    probe = DAREClassifier(
        None, spatial_init="spline", target_channels=targets, max_epochs=1, random_state=0
    )
    probe.fit(epochs, np.arange(6) % 2)
    fig = plot_attention(probe, epochs)
    look(fig)
    assert {text.get_text() for text in fig.axes[0].texts} == set(targets)
    index = [ELECTRODES.index(name.upper()) for name in targets]
    signals = probe._load(epochs)[:]
    with torch.inference_mode():
        x = probe.module_.spatial(probe.module_.encoder.normalize(torch.from_numpy(signals)))
    seen = []
    module = probe.module_.encoder
    hook = module.blocks[-1].norm1.register_forward_hook(lambda _, args, out: seen.append(out))
    module(x, torch.tensor(index))
    hook.remove()
    weights = attention_weights(module.blocks[-1].attn, seen[0], 1).mean((0, 1, 2))
    np.testing.assert_allclose(drawn_values(fig.axes[0]), 100 * weights[:3].detach(), rtol=1e-4)


def test_bad_input(encoder, epochs):
    for wrong in ("nano", encoder):
        with pytest.raises(TypeError, match=f"takes a fitted .* got a {type(wrong).__name__}"):
            plot_attention(wrong, epochs)
    with pytest.raises(NotFittedError):
        plot_attention(DAREEmbedder(None), epochs)
    with pytest.raises(TypeError, match="with an encoder, got a EuclideanAligner"):
        plot_attention(EuclideanAligner(group_by=False).fit(epochs), epochs)
