"""Weights are read strictly, and no file can run code."""

import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dare_sklearn import DAREEmbedder, load_encoder
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.pretraining.objective import PretrainingModel
from dare_sklearn.weights.files import in_place_of
from dare_sklearn.weights.load import load_pretraining_model, save_model

TINY = DAREConfig(1, 16, (1, 1, 1), 2, amplitude_uv=20.0, center=True)

LAYOUT = {"ch_names": ["C3", "C4"], "sfreq": 256.0, "unit": "uV"}
X = np.random.default_rng(0).normal(scale=10, size=(6, 2, 256))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PretrainingModel(TINY)


@pytest.fixture
def folder(model, tmp_path):
    model.encoder.patch_embed.weight.data += 1.0  # unlike the momentum encoder
    save_model(tmp_path / "model", model)
    return tmp_path / "model"


def test_round_trip(model, folder):
    again = load_pretraining_model(folder)
    assert again.config == TINY
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    encoder = load_encoder(folder)
    assert torch.equal(encoder.patch_embed.weight, model.target_encoder.patch_embed.weight)


def test_loading_leaves_the_global_generator(folder):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_encoder(folder)
    assert torch.equal(torch.rand(3), expected)


def test_an_encoder_alone_cannot_go_on_pretraining(model, tmp_path):
    save_model(tmp_path, model.target_encoder)
    assert load_encoder(tmp_path).config == TINY
    with pytest.raises(ValueError, match="holds an encoder only"):
        load_pretraining_model(tmp_path)


def test_unknown_source():
    with pytest.raises(FileNotFoundError, match="neither a shipped name .* nor a path"):
        load_encoder("no-such-encoder")


def test_an_empty_name_is_not_the_current_folder(model, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(FileNotFoundError, match="There is no encoder ''"):
        load_encoder("")
    with pytest.raises(ValueError, match="an empty name"):
        save_model("", model)


def forget_sum(folder):
    """Files from elsewhere may come without a checksum; everything else is checked then too."""
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    (folder / "config.json").write_text(json.dumps(config))


def test_checksum(folder):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit of one weight, which no other check could see
    weights.write_bytes(content)
    with pytest.raises(ValueError, match="SHA-256 of model.safetensors .* damaged or of two"):
        load_encoder(folder)
    forget_sum(folder)
    load_encoder(folder)


def change_tensor(folder, change):
    forget_sum(folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


NAME = "target_encoder.norm.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAME), "missing"),
        (lambda t: t.update({"target_encoder.extra": torch.zeros(1)}), "unknown"),
        (lambda t: t.update({NAME: torch.zeros(17)}), "expected"),
        (lambda t: t.update({NAME: torch.zeros(16, dtype=torch.float64)}), "expected"),
        (lambda t: t.update({NAME: torch.full((16,), torch.nan)}), "NaN"),
    ],
    ids=["missing", "unknown", "shape", "dtype", "nan"],
)
def test_wrong_tensors(folder, change, message):
    change_tensor(folder, change)
    with pytest.raises(ValueError, match=message):
        load_encoder(folder)


def test_damaged_files(folder):
    forget_sum(folder)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (content[: len(content) // 2], b"\xff" * 8 + content[8:], b""):
        weights.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            load_encoder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"library": "other"}, "does not describe"),
        ({"format": 99}, "format 99"),
        ({"model": {"embed_dim": 16}}, "incomplete"),
        ({"model": {**TINY.to_dict(), "embed_dim": 17}}, "embed_dim"),
        ({"model": {**TINY.to_dict(), "surprise": 1}}, "Unknown entries"),
        ({"model": None}, 'entry "model" .* is incomplete'),
    ],
)
def test_wrong_configuration(folder, entry, message):
    config = json.loads((folder / "config.json").read_text())
    del config["config_sha256"]
    (folder / "config.json").write_text(json.dumps({**config, **entry}))
    with pytest.raises(ValueError, match=message):
        load_encoder(folder)


def test_checkpoint_that_is_no_model(tmp_path):
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match="lacks a part"):
        load_encoder(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="no 'state_dict'"):
        load_encoder(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_encoder(path)


def test_strictness_of_lightning_checkpoints(parity_folder, tmp_path):
    content = torch.load(parity_folder / "parity_tiny.ckpt", weights_only=True)
    content["state_dict"]["encoder.stranger"] = torch.zeros(1)
    torch.save(content, tmp_path / "changed.ckpt")
    with pytest.raises(ValueError, match="unknown .*encoder.stranger"):
        load_pretraining_model(tmp_path / "changed.ckpt")


def test_reasons_for_refusing_lightning_checkpoints(parity_folder, tmp_path):
    content = torch.load(parity_folder / "parity_tiny.ckpt", weights_only=True)
    half = {
        name: t.half() if t.is_floating_point() else t for name, t in content["state_dict"].items()
    }
    torch.save({"state_dict": half}, tmp_path / "half.ckpt")
    with pytest.raises(ValueError, match="torch.float16, expected .* torch.float32"):
        load_pretraining_model(tmp_path / "half.ckpt")
    torch.save({**content, "hyper_parameters": Namespace(lr=1)}, tmp_path / "more.ckpt")
    with pytest.raises(
        ValueError, match="asks for argparse.Namespace: where you trust it, save its 's"
    ):
        load_pretraining_model(tmp_path / "more.ckpt")


def test_a_tensor_that_is_named_twice(folder):
    """safetensors takes the last one: the header of a sound model, with one more name in front."""
    forget_sum(folder)
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    again = json.dumps({NAME: header[NAME]})[:-1] + ", " + json.dumps(header)[1:]
    damaged = len(again).to_bytes(8, "little") + again.encode() + content[8 + length :]
    (folder / "model.safetensors").write_bytes(damaged)
    with pytest.raises(ValueError, match="model.safetensors.*duplicate key"):
        load_encoder(folder)


def test_what_is_no_source():
    with pytest.raises(TypeError, match=r"by its name or its path, got 5 \(int\)"):
        load_encoder(5)


def test_another_default_type(folder):
    expected = load_encoder("nano").state_dict()
    torch.set_default_dtype(torch.float64)
    try:
        encoder, model = load_encoder("nano"), load_pretraining_model(folder)
        assert DAREEmbedder("nano", pooling="mean", **LAYOUT).fit_transform(X).shape == (6, 64)
        assert DAREEmbedder(None, pooling="mean", **LAYOUT).fit_transform(X).shape == (6, 64)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in (*encoder.parameters(), *model.parameters())} == {torch.float32}
    assert all(torch.equal(value, expected[name]) for name, value in encoder.state_dict().items())


def test_writing_in_place(tmp_path):
    target = tmp_path / "a.txt"
    with in_place_of(target) as part:
        part.write_text("one")
        assert part.suffix == ".txt"
        assert not target.exists()
    with pytest.raises(ZeroDivisionError), in_place_of(target) as part:
        part.write_text("two")
        raise ZeroDivisionError
    with pytest.raises(OSError), in_place_of(target) as part:
        part.mkdir()  # a folder takes no file's place
    assert target.read_text() == "one"
    with in_place_of(tmp_path / "folder") as part:
        part.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]
