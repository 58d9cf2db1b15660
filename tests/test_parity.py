"""Our modules against the numbers that the authors' published modules computed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dare_sklearn import DAREEmbedder, DAREPretrainer
from dare_sklearn.modules.networks import to_patches
from dare_sklearn.pretraining.losses import reconstruction_targets
from dare_sklearn.pretraining.masks import Masks
from dare_sklearn.signals.electrodes import ELECTRODES
from dare_sklearn.weights import convert
from dare_sklearn.weights.load import load_encoder, load_pretraining_model


@pytest.fixture(scope="module")
def reference(parity_folder):
    info = json.loads((parity_folder / "parity_tiny.json").read_text())
    with np.load(parity_folder / "parity_tiny.npz") as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays}
    return info, tensors


OWN = {"amplitude_uv": 1.0, "reference": None}  # the inputs are on the encoder's own scale


@pytest.fixture(scope="module")
def model(parity_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_scale")
    convert(parity_folder / "parity_tiny.ckpt", folder, **OWN)
    return load_pretraining_model(folder)


@pytest.fixture(scope="module")
def inputs(reference):
    info, arrays = reference
    channels = torch.tensor([ELECTRODES.index(name) for name in info["ch_names"]])
    masks = Masks(arrays["mask_context"], arrays["mask_second_view"], arrays["mask_target"])
    return arrays["x"], channels, masks


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.detach().numpy(), theirs.numpy(), rtol=0, atol=1e-5)


def test_sizes_are_read_off_the_checkpoint(model, reference):
    info, _ = reference
    config = model.config
    assert (config.embed_num, config.embed_dim) == (info["embed_num"], info["embed_dim"])
    assert list(config.depth) == info["depth"]
    assert (config.num_heads, config.patch_size) == (info["num_heads"], info["patch_size"])


def test_scale_of_the_authors_encoders(parity_folder, inputs):
    """Millivolts against the average of the channels, whatever the recording's reference."""
    x, channels, _ = inputs
    encoder = load_encoder(parity_folder / "parity_tiny.ckpt")
    scale = {"amplitude_uv": 1000.0, "center": False, "reference": "average"}
    assert scale.items() <= encoder.config.to_dict().items()
    average = x - x.mean(1, keepdim=True)
    microvolts = 1000 * average + 50 * torch.randn(len(x), 1, x.shape[2])
    assert_close(encoder.normalize(microvolts), average)
    assert_close(encoder(encoder.normalize(microvolts), channels), encoder(average, channels))
    with pytest.raises(ValueError, match="a single one: pass two channels or more"):
        encoder.normalize(microvolts[:, :1])
    own = load_encoder(parity_folder / "parity_tiny.ckpt", **OWN)
    assert torch.equal(own.normalize(x[:, :1]), x[:, :1])
    assert own.config == replace(encoder.config, **OWN)


def test_saving_keeps_the_scale(parity_folder, tmp_path):
    source, kept = parity_folder / "parity_tiny.ckpt", tmp_path / "kept"
    convert(source, tmp_path / "own", **OWN)
    DAREPretrainer.from_pretrained(source).save_pretrained(kept)
    for folder, expected in ((tmp_path / "own", (1.0, None)), (kept, (1000.0, "average"))):
        for config in (load_encoder(folder).config, load_pretraining_model(folder).config):
            assert (config.amplitude_uv, config.reference) == expected
    X = 20 * np.random.default_rng(0).normal(size=(4, 3, 256))
    params = {"ch_names": ["C3", "Cz", "C4"], "sfreq": 256.0, "unit": "uV"}
    other = 30 * np.random.default_rng(1).normal(size=(4, 1, 256))  # of a reference
    by_folder = [DAREEmbedder(folder, pooling="mean", **params).fit_transform(X + other) for folder in (
        source, kept, tmp_path / "own"
    )]  # fmt: skip
    np.testing.assert_array_equal(by_folder[0], by_folder[1])
    np.testing.assert_allclose(
        by_folder[0], DAREEmbedder(source, pooling="mean", **params).fit_transform(X), atol=1e-5
    )
    assert np.abs(by_folder[0] - by_folder[2]).max() > 0.01


def test_encoder(model, reference, inputs):
    _, arrays = reference
    x, channels, masks = inputs
    assert_close(model.encoder(x, channels), arrays["encoded_full"])
    assert_close(model.target_encoder(x, channels), arrays["encoded_target_momentum"])
    assert_close(model.encoder(x, channels, masks.visible), arrays["encoded_view1"])
    assert_close(model.encoder(x, channels, masks.second_view), arrays["encoded_view2"])


def test_predictor_and_reconstructor(model, reference, inputs):
    _, arrays = reference
    x, channels, masks = inputs
    n_chans, n_patches = x.shape[1], x.shape[2] // 64
    predicted, combined = model.predictor(
        arrays["encoded_view1"], masks.visible[:, 0] // n_chans, n_patches
    )
    assert_close(predicted, arrays["predicted"])
    assert_close(combined, arrays["combined"])
    assert_close(
        model.reconstructor(arrays["combined"], masks.targets, channels), arrays["reconstructed"]
    )
    assert_close(
        reconstruction_targets(to_patches(x, 64), masks.targets), arrays["reconstruction_target"]
    )


def test_losses_and_gradient_norms(model, reference, inputs):
    info, _ = reference
    model.zero_grad()
    terms = model(*inputs)
    terms["loss"].backward()
    expected = {
        "anchor_alignment": info["loss_anchor"],
        "reconstruction": info["loss_reconstruction"],
        "mask_alignment": info["loss_mask"],
        "activation_penalty": info["activation_reg"],
        "loss": info["loss_total"],
    }
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        expected, rel=0, abs=1e-6
    )
    for part, norm in info["grad_norm"].items():
        gradients = [p.grad.flatten() for p in getattr(model, part).parameters()]
        assert torch.cat(gradients).norm().item() == pytest.approx(norm, rel=1e-4)
    assert all(p.grad is None for p in model.target_encoder.parameters())


def test_users_embed_with_the_momentum_encoder(parity_folder, reference, inputs):
    _, arrays = reference
    x, channels, _ = inputs
    encoder = load_encoder(parity_folder / "parity_tiny.ckpt")
    assert_close(encoder(x, channels), arrays["encoded_target_momentum"])
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
