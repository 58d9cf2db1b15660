"""Views, layers and poolings of tokens, against the long way round."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pyriemann.estimation import Covariances

from dare_sklearn.base.embed import (
    BAND_STRIDE,
    FLOOR,
    Reading,
    pool,
    read_bands,
    read_tokens,
    token_covariances,
)
from dare_sklearn.base.encoder import fresh_encoder
from dare_sklearn.base.features import BandSpace, TokenTangentSpace, fitted_feature_names
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.modules.networks import filter_windows, principal_filters

CONFIG = DAREConfig(2, 32, (3, 1, 1), 4)
NAMES = ["CZ", "PZ", "O1"]
CHANNELS = torch.tensor([29, 47, 59])


def each(*batches):
    """What `fit` of the spaces takes: a function that calls another with every batch."""
    ends = np.cumsum([0, *map(len, batches)])
    return lambda work: [
        work(slice(ends[i], ends[i + 1]), batch) for i, batch in enumerate(batches)
    ]


@pytest.fixture
def encoder():
    return fresh_encoder(0, CONFIG)


@pytest.fixture
def x():
    return torch.randn(4, 3, 320, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tokens():
    return np.random.default_rng(0).normal(size=(6, 3, 5, 8)).astype(np.float32)


@pytest.mark.parametrize("layer", ["patch", 0, 1, 2, "last"])
def test_every_electrode_alone(encoder, x, layer):
    with torch.inference_mode():
        found = read_tokens(encoder, x, CHANNELS, views="electrodes", layer=layer)
        assert found.shape == (4, 3, 5, 32 if layer == "patch" else 64)
        for number in range(3):
            one = x[:, [number]]
            if layer == "patch":
                patches = one.unflatten(-1, (5, 64))[:, 0]
                expected = patches @ encoder.patch_embed.weight.T + encoder.patch_embed.bias
            else:
                expected = read_tokens(encoder, one, CHANNELS[[number]], views="joint", layer=layer)
                expected = expected[:, 0]
            torch.testing.assert_close(found[:, number], expected, rtol=1e-4, atol=1e-5)


def test_layers_differ_and_the_last_one_is_normed(encoder, x):
    with torch.inference_mode():
        by_layer = [
            read_tokens(encoder, x, CHANNELS, views="joint", layer=layer)
            for layer in (0, 1, 2, "last")
        ]
        normed = encoder.norm(by_layer[2].unflatten(-1, (2, 32))).flatten(-2)
    torch.testing.assert_close(by_layer[3], normed)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(by_layer, by_layer[1:], strict=False))


def test_power_knows_amplitude_and_nothing_of_the_offset(encoder, x):
    with torch.inference_mode():
        power = encoder.log_power(100 * x, FLOOR).flatten(1)
        torch.testing.assert_close(
            encoder.log_power(1000 * x, FLOOR).flatten(1) - power, torch.full((4, 96), 2 * np.log(10)), atol=1e-3,
            rtol=0,
        )  # fmt: skip
        windows = (100 * x).unfold(-1, 64, 16) @ encoder.patch_embed.weight.T
        expected = np.log(windows.numpy().var(axis=2)).reshape(4, -1)
        np.testing.assert_allclose(power, expected, atol=1e-3)
        assert torch.isfinite(encoder.log_power(torch.zeros(1, 3, 320), FLOOR)).all()


def test_pooling_over_patches(tokens):
    assert pool(tokens, "tokens").shape == (6, 3, 40)
    np.testing.assert_array_equal(pool(tokens, "flatten"), tokens.reshape(6, -1))
    mean, std = np.split(pool(tokens, "mean_std"), 2, axis=1)
    np.testing.assert_array_equal(mean, pool(tokens, "mean"))
    np.testing.assert_allclose(mean[2].reshape(3, 8), tokens[2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(std[2].reshape(3, 8), tokens[2].std(axis=1), rtol=1e-5)


def test_covariances_are_pyriemanns(tokens):
    mean = tokens.mean(axis=0)
    expected = Covariances("oas").transform((tokens - mean).reshape(6, 3, -1).astype(float))
    np.testing.assert_allclose(token_covariances(tokens, mean), expected, rtol=1e-6)


def test_tangent_space_learns_from_training_epochs_alone(tokens):
    space = TokenTangentSpace()
    vectors = space.fit_transform(each(tokens[:2], tokens[2:4]), np.ones(4))
    assert vectors.shape == (4, 6)
    np.testing.assert_allclose(space.mean_token_, tokens[:4].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.05)  # around its mean
    # what is mapped later moves nothing, and an epoch's vector is its own
    np.testing.assert_allclose(space.transform(tokens[2:])[:2], vectors[2:], atol=1e-6)


def test_degenerate_covariances_stay_finite():
    space = TokenTangentSpace()
    vectors = space.fit_transform(each(np.ones((1, 3, 2, 4), np.float32)), np.ones(1))
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("views", "pooling", "layer", "first", "number"),
    [
        ("joint", "mean", "last", "dare_s0_d000", 64),
        ("joint", "mean_std", "last", "dare_s0_d000", 128),
        ("joint", "flatten", 1, "dare_p00_s0_d000", 320),
        ("electrodes", "flatten", "last", "dare_CZ_p00_s0_d000", 960),
        ("electrodes", "mean", "patch", "dare_CZ_d000", 96),
        ("electrodes", "power", "last", "dare_power_CZ_d000", 96),
        ("electrodes", "covariance", "last", "dare_cov_CZ_CZ", 6),
    ],
)
def test_names_belong_to_features(encoder, x, views, pooling, layer, first, number):
    read = {"views": views, "pooling": pooling, "layer": layer, "electrodes_": NAMES}
    fitted = SimpleNamespace(encoder_=encoder, n_times_in_=320, sfreq_in_=256.0, **read)
    names = fitted_feature_names(fitted)
    assert names[0] == first
    assert len(set(names)) == len(names) == number
    Reading(views, pooling, layer).check(CONFIG)
    with torch.inference_mode():
        if pooling == "power":
            features = encoder.log_power(x, FLOOR).flatten(1)
        else:
            found = read_tokens(encoder, x, CHANNELS, views=views, layer=layer).numpy()
            features = (
                TokenTangentSpace().fit_transform(each(found), np.ones(4))
                if pooling == "covariance"
                else pool(found, pooling)
            )
    assert features.shape == (4, number)


@pytest.mark.parametrize(
    ("views", "pooling", "layer", "words"),
    [
        ("joint", "covariance", "last", "set views='electrodes'"),
        ("joint", "power", "last", "set views='electrodes'"),
        ("joint", "mean", "patch", "set views='electrodes'"),
        ("electrodes", "mean", 3, "a block from 0 to 2"),
        ("electrodes", "power", 0, "leave layer out"),
    ],
)
def test_what_does_not_go_together(views, pooling, layer, words):
    with pytest.raises(ValueError, match=words):
        Reading(views, pooling, layer).check(CONFIG)


def test_bands_are_covariances_of_filtered_signals(encoder):
    filters = principal_filters(encoder)
    x = np.random.default_rng(0).standard_normal((2, 3, 320)).astype(np.float32)
    got = read_bands(filter_windows(torch.from_numpy(x), filters, BAND_STRIDE))
    filters = filters.numpy()
    assert got.shape == (2, len(filters), 6)
    for band in (0, len(filters) - 1):
        windows = np.lib.stride_tricks.sliding_window_view(x, 64, axis=2)[:, :, ::8]
        expected = Covariances("oas").transform((windows @ filters[band]).astype(np.float64))
        expected = expected[:, *np.tril_indices(3)]
        np.testing.assert_allclose(got[:, band], expected, rtol=1e-3, atol=1e-4)


def test_band_space():
    """Blind to scale, the same in any batch, finite for flat signals, and it knows variances."""
    x = np.random.default_rng(0).standard_normal((20, 2, 4, 200))
    x[10:] *= 2
    cov = (x @ x.mT)[..., *np.tril_indices(4)].astype(np.float32)
    space = BandSpace().fit(each(cov[:7], cov[7:]), np.ones(20))
    vectors = space.transform(cov)
    rescaled = BandSpace().fit(each(1e-3 * cov), np.ones(20)).transform(1e-3 * cov)
    np.testing.assert_allclose(rescaled, vectors, atol=1e-3)
    np.testing.assert_array_equal(space.transform(cov[3:5]), vectors[3:5])
    assert np.isfinite(space.transform(np.zeros_like(cov[:2]))).all()
    # the logarithm of four times the variance, in every band and at every electrode
    apart = (vectors[10:] - vectors[:10]).mean(axis=0).reshape(2, -1)
    diagonal = np.equal(*np.triu_indices(4))
    np.testing.assert_allclose(apart[:, diagonal], 2 * np.log(2), atol=0.15)
    np.testing.assert_allclose(apart[:, ~diagonal], 0, atol=0.15)
