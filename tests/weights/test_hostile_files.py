"""Files from strangers: refused in one sentence, with nothing run, no hang and bounded memory."""

import json
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dare_sklearn import DAREClassifier, DAREEmbedder, DAREPretrainer, DARERegressor, load_encoder
from dare_sklearn.modules.config import DAREConfig
from dare_sklearn.pretraining.objective import PretrainingModel
from dare_sklearn.weights.files import read_folder
from dare_sklearn.weights.lightning import read_state_dict
from dare_sklearn.weights.load import load_pretraining_model, save_model

TINY = DAREConfig(1, 16, (1, 1, 1), 2, amplitude_uv=20.0, center=True)
X = np.random.default_rng(0).normal(scale=10, size=(6, 2, 64))
LAYOUT = {"ch_names": ["C3", "C4"], "sfreq": 128.0, "unit": "uV"}
REFUSED = (ValueError, FileNotFoundError)
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@pytest.fixture(autouse=True)
def no_hang():
    """A test that computes for longer than any here should is interrupted."""
    if not hasattr(signal, "ITIMER_PROF"):
        yield
        return

    def late(*args):
        raise TimeoutError("a file made the library hang")

    handler = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, 60)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, handler)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A pretrained model, a probe and a checkpoint, all fine."""
    root = tmp_path_factory.mktemp("originals")
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    model = PretrainingModel(TINY)
    torch.set_rng_state(torch_state)
    save_model(root / "model", model)
    for kind, cls, y in (
        ("classifier", DAREClassifier, list("ababab")),
        ("regressor", DARERegressor, range(6)),
    ):
        probe = cls(
            root / "model",
            spatial_init="spline",
            max_epochs=1,
            random_state=0,
            target_channels=["Cz"],
            **LAYOUT,
        )
        probe.fit(X, y).save_pretrained(root / kind)
    torch.save({"epoch": 1, "state_dict": theirs(model)}, root / "good.ckpt")
    return root


def theirs(model):
    """Its tensors under the names of the authors' code."""
    rules = (
        (r"^(encoder|target_encoder)\.patch_embed\.", r"\1.patch_embed.proj."),
        (r"\.channel_embed\.", ".chan_embed."),
        (r"^(predictor|reconstructor)\.(embed|blocks|norm|proj)\.", r"\1.\1_\2."),
        (r"\.rotary\.", ".time_embed."),
        (r"^projection\.fc1\.", "loss_mc.projection_head.0."),
        (r"^projection\.fc2\.", "loss_mc.projection_head.2."),
    )
    state = {}
    for name, tensor in model.state_dict().items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        state[name] = tensor
    return state


@pytest.fixture
def folder(originals, tmp_path):
    """A copy of the model to spoil, without its checksum: every other check is on its own."""
    shutil.copytree(originals / "model", tmp_path / "copy")
    edit(tmp_path / "copy", lambda config: config.pop("sha256"))
    return tmp_path / "copy"


def edit(folder, change):
    """Change the parsed configuration, as somebody would who knows of its checksum."""
    config = json.loads((folder / CONFIG).read_text())
    config.pop("config_sha256", None)
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))


def assert_refused(path, *loads, match=None):
    """One clear sentence of an expected kind, from every way to load it."""
    loads = loads or (load_encoder, load_pretraining_model, DAREClassifier.from_pretrained)
    for load in loads:
        with pytest.raises(REFUSED, match=match) as caught:
            load(path)
        told = str(caught.value)
        assert str(path) in told and "\n" not in told and len(told) < 1_000, told


def test_the_originals_are_fine(originals):
    encoder = load_encoder(originals / "model")
    for other in ("good.ckpt", "classifier", "regressor"):
        again = load_encoder(originals / other)
        assert torch.equal(again.patch_embed.weight, encoder.patch_embed.weight), other
    assert DAREClassifier.from_pretrained(originals / "classifier").predict(X).shape == (6,)
    assert DARERegressor.from_pretrained(originals / "regressor").predict(X).shape == (6,)
    load_pretraining_model(originals / "good.ckpt")


def test_a_full_disk_leaves_the_old_model(originals, folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    probe = DAREClassifier.from_pretrained(originals / "classifier")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for place in ("dare_sklearn.weights.files.save_file", "pathlib.Path.write_text"):
        monkeypatch.setattr(place, full)
        with pytest.raises(OSError, match="No space left"):
            probe.save_pretrained(folder)
        monkeypatch.undo()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    probe.save_pretrained(folder)
    assert DAREClassifier.from_pretrained(folder).predict(X).shape == (6,)


# safetensors ------------------------------------------------------------------------------------


def safetensors(header, data=b"", length=None):
    """A file with this header (an object, or text) and this declared length of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape=(2,), dtype="F32", offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(8)
HOSTILE_WEIGHTS = {
    "empty": b"",
    "seven bytes": b"\x01" * 7,
    "zeros": bytes(1000),
    "length of 2 ** 64 - 1": safetensors({}, length=2**64 - 1),
    "length of 2 ** 63": safetensors({}, length=2**63),
    "length beyond the file": safetensors({}, length=100),
    "length of nothing": safetensors({"a": entry()}, EIGHT, length=0),
    "header of 5 MB": safetensors(b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(500_000)) + b"}}"),
    "header nested in lists": safetensors(b"[" * 1_000_000),
    "header nested in objects": safetensors(b'{"a":' * 500_000),
    "header is a list": safetensors([]),
    "header is a number": safetensors(b"1e999999"),
    "header is no text": safetensors(b"\xff\xfe\x00{}"),
    "metadata nested": safetensors({"__metadata__": {"a": {"b": []}}}),
    "offsets overlap": safetensors({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
    "offsets the same": safetensors({"a": entry(), "b": entry()}, EIGHT),
    "offsets with a hole": safetensors({"a": entry(), "b": entry(offsets=(16, 24))}, bytes(24)),
    "offsets beyond the file": safetensors({"a": entry(offsets=(10**9, 10**9 + 8))}, EIGHT),
    "offsets reversed": safetensors({"a": entry(offsets=(8, 0))}, EIGHT),
    "offsets negative": safetensors({"a": entry(offsets=(-8, 0))}, EIGHT),
    "offsets of 2 ** 64": safetensors({"a": entry(offsets=(0, 2**64))}, EIGHT),
    "offsets are text": safetensors({"a": entry(offsets=("0", "8"))}, EIGHT),
    "one offset": safetensors({"a": entry(offsets=(0,))}, EIGHT),
    "bytes at the end": safetensors({"a": entry()}, bytes(9)),
    "shape larger than the data": safetensors({"a": entry((2**40,))}, EIGHT),
    "shape that overflows": safetensors({"a": entry((2**32, 2**32, 2**32))}, EIGHT),
    "shape of a million dimensions": safetensors({"a": entry([1] * 500_000 + [2])}, EIGHT),
    "shape negative": safetensors({"a": entry((-2,))}, EIGHT),
    "shape empty and huge": safetensors({"a": entry((0, 2**62), offsets=(0, 0))}),
    "unknown dtype": safetensors({"a": entry(dtype="F7")}, EIGHT),
    "dtype of four bits": safetensors({"a": entry((16,), "F4")}, EIGHT),
    "dtype of 8-bit floats": safetensors({"a": entry((8,), "F8_E8M0")}, EIGHT),
    "duplicate keys": safetensors(
        b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), EIGHT
    ),
    "duplicate keys, written otherwise": safetensors(
        b'{"a":%s,"\\u0061":%s}' % ((json.dumps(entry()).encode(),) * 2), EIGHT
    ),
    "a name of 3 MB": safetensors({"x" * 3_000_000: entry()}, EIGHT),
    "names of control characters": safetensors({"\x00\n\r\ud800": entry()}, EIGHT),
    "a pickle": pickle.dumps({"a": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_WEIGHTS)
def test_hostile_safetensors(folder, what):
    (folder / WEIGHTS).write_bytes(HOSTILE_WEIGHTS[what])
    assert_refused(folder, load_encoder, DAREClassifier.from_pretrained, match="model|weights")


def test_truncated_safetensors(folder):
    content = (folder / WEIGHTS).read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    offsets = {
        *range(0, 40),
        *range(header - 4, header + 4),
        *range(0, len(content), len(content) // 40),
    }
    for offset in sorted(offsets | {len(content) - 1}):
        (folder / WEIGHTS).write_bytes(content[:offset])
        assert_refused(folder, load_encoder)


def test_flipped_bits_in_safetensors(originals, folder, tmp_path):
    """With the checksum all are seen; without it, what is accepted is a sound model."""
    content, rng = (folder / WEIGHTS).read_bytes(), np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    summed = tmp_path / "summed"
    shutil.copytree(originals / "model", summed)
    accepted = 0
    for number in range(120):
        flipped = bytearray(content)
        flipped[rng.integers(header if number % 3 else len(content))] ^= 1 << rng.integers(8)
        for place in (folder, summed):
            (place / WEIGHTS).write_bytes(flipped)
        assert_refused(summed, load_encoder, match="SHA-256|not a readable")
        try:
            encoder = load_encoder(folder)
        except REFUSED as error:
            assert "\n" not in str(error)
        else:
            accepted += 1
            assert all(torch.isfinite(p).all() for p in encoder.parameters())
    assert accepted < 60  # a bit of a weight, or of the metadata, is nobody's to see


def test_wrong_values(folder):
    tensors = load_file(folder / WEIGHTS)
    name = "target_encoder.norm.bias"
    for value in (
        torch.full((16,), torch.inf), torch.zeros(16, 1), torch.zeros(()), torch.zeros(16).half(),
        torch.zeros(16, dtype=torch.int32), torch.zeros(16, dtype=torch.bool),
        torch.zeros(16, dtype=torch.complex64), torch.zeros(16, dtype=torch.float8_e4m3fn),
    ):  # fmt: skip
        save_file({**tensors, name: value}, folder / WEIGHTS)
        assert_refused(folder, load_encoder, load_pretraining_model, match="norm.bias")


# config.json ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "classifier", "regressor"])
def test_every_flipped_bit_of_a_configuration(originals, tmp_path, kind):
    """Refused, or without a meaning: no digit of a scale, a rate or a label changes unseen."""
    folder = shutil.copytree(originals / kind, tmp_path / "copy")
    content = (folder / CONFIG).read_bytes()
    checksums = {"sha256", "config_sha256"}
    expected = {k: v for k, v in json.loads(content).items() if k not in checksums}
    expected["model"] = DAREConfig.from_dict(expected["model"])
    rng, n_read = np.random.default_rng(0), 0
    for position in rng.choice(len(content), 150, replace=False):
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.integers(8)
        (folder / CONFIG).write_bytes(flipped)
        try:
            config, _ = read_folder(folder)
        except ValueError:
            continue
        n_read += 1
        known = {name: value for name, value in config.items() if name in expected}
        assert known == expected
    assert n_read < 30


HOSTILE_TEXT = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1" * 10_000,
    "nested lists": b"[" * 500_000,
    "nested objects": b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    "2 MB": b'{"library": "dare_sklearn", "x": "' + b"x" * 2_000_000 + b'"}',
    "Latin-1": '{"library": "é"}'.encode("latin-1"),
    "UTF-16": '{"library": "dare_sklearn"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"library": "dare_sklearn"}',
    "NUL": b"\x00" * 100,
    "cut off": b'{"library": "dare_sklearn", "form',
    "names twice": b'{"library": "x", "library": "dare_sklearn"}',
    "NaN": b'{"library": "dare_sklearn", "format": NaN}',
    "Python": b"__import__('os').system('true')",
    "YAML": b"!!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("what", HOSTILE_TEXT)
def test_hostile_text(folder, what):
    (folder / CONFIG).write_bytes(HOSTILE_TEXT[what])
    assert_refused(folder, match="config.json")


HUGE = {"embed_dim": 65536, "depth": [256, 256, 256], "num_heads": 64, "embed_num": 65536}
HOSTILE_MODELS = {
    "huge": HUGE,
    "as wide as can be": {"embed_dim": 65536},
    "as deep as can be": {"depth": [256, 256, 256]},
    "many tokens": {"embed_num": 65536},
    "large patches": {"patch_size": 65536},
    "too wide": {"embed_dim": 2**40},
    "not whole": {"embed_dim": 16.5},
    "zero": {"num_heads": 0},
    "negative": {"depth": [1, -1, 1]},
    "infinite depth": {"depth": [1e999, 1, 1]},
    "endless depth": {"depth": [1] * 100_000},
    "depth of nothing": {"depth": None},
    "depth as text": {"depth": "abc"},
    "rate of zero": {"sfreq": 0},
    "rate beyond floats": {"sfreq": 10**400},
    "a rate that resamples to terabytes": {"sfreq": 1e15},
    "a rate that leaves nothing": {"sfreq": 1e-300},
    "amplitude beyond floats": {"amplitude_uv": 10**400},
    "amplitude of almost zero": {"amplitude_uv": 5e-324},
    "center as text": {"center": "yes"},
    "many unknown entries": {f"entry {i}": i for i in range(10_000)},
    "attributes": {"__class__": "os.system", "__init__": 1},
}


@pytest.mark.parametrize("what", HOSTILE_MODELS)
def test_hostile_models(folder, what):
    edit(folder, lambda config: config["model"].update(HOSTILE_MODELS[what]))
    assert_refused(folder)


@pytest.mark.parametrize("model", [None, [], "x", {}, {"embed_dim": 16}])
def test_incomplete_models(folder, model):
    edit(folder, lambda config: config.update(model=model))
    assert_refused(folder)


@pytest.mark.parametrize("header", [{"library": ["dare_sklearn"]}, {"format": [[1]] * 1_000}, {"format": True},
                                    {"sha256": ["a"]}, {"sha256": "0" * 64}])  # fmt: skip
def test_hostile_headers(folder, header):
    edit(folder, lambda config: config.update(header))
    if header == {"format": True}:  # 1 == True
        load_encoder(folder)
    else:
        assert_refused(folder)


@pytest.mark.parametrize("kind", [["DAREClassifier"], {"a": 1}, 3, "os.system"])
def test_strange_kinds_are_encoders(folder, kind):
    edit(folder, lambda config: config.update(kind=kind))
    load_encoder(folder)
    assert not hasattr(DAREClassifier.from_pretrained(folder), "encoder_")


# probes -----------------------------------------------------------------------------------------

ARRAY = {"array": ["a", "b"], "dtype": "<U1"}
HOSTILE_PROBES = {
    "no params": lambda c: c.pop("params"),
    "params a list": lambda c: c.update(params=[]),
    "no adaptation": lambda c: c["params"].pop("adaptation"),
    "adaptation linear": lambda c: c["params"].update(adaptation="linear"),
    "adaptation a list": lambda c: c["params"].update(adaptation=["finetune"]),
    "unknown parameter": lambda c: c["params"].update(magic=1),
    "a place to write": lambda c: c["params"].update(cache="/tmp/stolen"),
    "another encoder": lambda c: c["params"].update(encoder="evil/encoder"),
    "callbacks": lambda c: c["params"].update(callbacks=["os.system"]),
    "batch size of zero": lambda c: c["params"].update(batch_size=0),
    "batch size as text": lambda c: c["params"].update(batch_size="os.system('true')"),
    "a kernel of gigabytes": lambda c: c["params"].update(temporal_kernel=2**40 + 1),
    "unknown targets": lambda c: c["params"].update(target_channels=["Q7"]),
    "other targets": lambda c: c["params"].update(target_channels=["Pz"]),
    "more targets": lambda c: c["params"].update(target_channels=["Cz", "Pz"]),
    "fitted a list": lambda c: c.update(fitted=[]),
    "no layout": lambda c: c["fitted"].pop("n_times_in_"),
    "no classes": lambda c: c["fitted"].pop("classes_"),
    "classes as text": lambda c: c["fitted"].update(classes_="ab"),
    "one class": lambda c: c["fitted"]["classes_"].update(array=["a"]),
    "three classes": lambda c: c["fitted"]["classes_"].update(array=["a", "b", "c"]),
    "a class twice": lambda c: c["fitted"]["classes_"].update(array=["a", "a"]),
    "classes in two dimensions": lambda c: c["fitted"]["classes_"].update(array=[["a"], ["b"]]),
    "classes of gigabytes": lambda c: c["fitted"]["classes_"].update(dtype="<U1000000000"),
    "classes of gigabytes in a list": lambda c: c["fitted"]["classes_"].update(
        array=[["a"] * 1_000], dtype="<U900000"
    ),
    "layers without end": lambda c: c["params"].update(spatial_layers=10**9),
    "classes of a strange kind": lambda c: c["fitted"]["classes_"].update(dtype="(99999,99999)f8"),
    "classes of dates": lambda c: c["fitted"]["classes_"].update(dtype="M8[s]"),
    "classes that are no numbers": lambda c: c["fitted"]["classes_"].update(dtype="<i8"),
    "a million channels": lambda c: c["fitted"].update(n_chans_in_=10**6),
    "channels without end": lambda c: c["fitted"].update(n_chans_in_=10**30),
    "half a channel": lambda c: c["fitted"].update(n_chans_in_=1.5),
    "other names": lambda c: c["fitted"].update(ch_names_in_=["C3"]),
    "names twice": lambda c: c["fitted"].update(ch_names_in_=["C3", "C3"]),
    "names as numbers": lambda c: c["fitted"].update(ch_names_in_=[1, 2]),
    "names as text": lambda c: c["fitted"].update(ch_names_in_="ab"),
    "no time": lambda c: c["fitted"].update(n_times_in_=0),
    "another time": lambda c: c["fitted"].update(n_times_in_=640),
    "time without end": lambda c: c["fitted"].update(n_times_in_=2**31 - 1),
    "a rate of almost zero": lambda c: c["fitted"].update(sfreq_in_=1e-300),
    "a rate as text": lambda c: c["fitted"].update(sfreq_in_="128"),
    "another unit": lambda c: c["fitted"].update(unit_=["uV"]),
    "many patches": lambda c: c.update(n_patches=2**40),
    "patches as text": lambda c: c.update(n_patches="2"),
    "infinite patches": lambda c: c.update(n_patches=1e999),
    "no patches": lambda c: c.pop("n_patches"),
    "huge": lambda c: c["model"].update(HUGE),
    "no model": lambda c: c.pop("model"),
    "items nested": lambda c: c["params"].update(class_weight=nested({}, 100)),
    "items that are no pairs": lambda c: c["params"].update(class_weight={"items": [[1]]}),
    "keys that are lists": lambda c: c["params"].update(class_weight={"items": [[[1], 2]]}),
}


def nested(value, depth):
    for _ in range(depth):
        value = {"items": [[[1], value]]}
    return value


@pytest.mark.parametrize("what", HOSTILE_PROBES)
def test_hostile_probes(originals, tmp_path, what):
    folder = tmp_path / "probe"
    shutil.copytree(originals / "classifier", folder)
    edit(folder, HOSTILE_PROBES[what])
    with pytest.raises(ValueError) as caught:
        DAREClassifier.from_pretrained(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "change", [{"y_mean_": 1e999}, {"y_scale_": 0}, {"y_scale_": "1 or 1"}, {"y_scale_": [1]}]
)
def test_hostile_regressors(originals, tmp_path, change):
    folder = tmp_path / "probe"
    shutil.copytree(originals / "regressor", folder)
    edit(folder, lambda config: config["fitted"].update(change))
    assert_refused(folder, DARERegressor.from_pretrained)


def test_targets_in_the_weights_are_those_of_the_configuration(originals, tmp_path):
    folder = tmp_path / "probe"
    shutil.copytree(originals / "classifier", folder)
    edit(folder, lambda config: config.pop("sha256"))
    tensors = load_file(folder / WEIGHTS)
    tensors["targets"] = torch.tensor([10_000])  # far outside of the table of electrodes
    save_file(tensors, folder / WEIGHTS)
    assert_refused(folder, DAREClassifier.from_pretrained, match="contradicts itself")


# kinds of files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_what_is_no_file(folder, name):
    path = folder / name
    kinds = {
        "missing": lambda: None,
        "a folder": path.mkdir,
        "a link to nothing": lambda: path.symlink_to("nothing"),
        "a link to itself": lambda: path.symlink_to(path),
        "a link to a device": lambda: path.symlink_to("/dev/zero"),
        "a pipe": lambda: os.mkfifo(path),
    }
    for what, make in kinds.items():
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        try:
            make()
        except (OSError, AttributeError):
            pytest.skip(f"this system cannot make {what}")
        with pytest.raises(FileNotFoundError, match=f"holds no {name}"):
            load_encoder(folder)


def test_links_to_files_are_followed(originals, tmp_path):
    """As in the cache of the Hugging Face Hub."""
    for name in (CONFIG, WEIGHTS):
        (tmp_path / name).symlink_to(originals / "model" / name)
    load_encoder(tmp_path)


def test_checkpoints_that_are_no_file(tmp_path):
    (tmp_path / "folder.ckpt").mkdir()
    assert_refused(tmp_path / "folder.ckpt", match="holds no config.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.ckpt")
        assert_refused(tmp_path / "pipe.ckpt", match="unknown kind|holds no config.json")
    (tmp_path / "link.ckpt").symlink_to("nothing")
    assert_refused(tmp_path / "link.ckpt", match="neither a shipped name")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(1))
    assert_refused(tmp_path / "model.pkl", match="unknown kind")


@pytest.mark.parametrize(
    "source", ["", "\x00", "x" * 5_000, "~/../../etc/passwd", "http://x/y.ckpt", "os.system"]
)
def test_strange_sources(source):
    with pytest.raises((ValueError, OSError)):
        load_encoder(source)


# checkpoints ------------------------------------------------------------------------------------


def archive(path, data, members=(), method=zipfile.ZIP_STORED):
    """A file as torch.save writes it, with this pickle in it."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("x/data.pkl", data)
        file.writestr("x/version", "3\n")
        file.writestr("x/byteorder", "little")
        for name, content in members:
            file.writestr(name, content)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


class Call:
    """Pickled, it asks to call something."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def gadgets(trace):
    """Pickles that would make the file `trace`, or ask for more than tensors, each another way."""
    code = f"open({str(trace)!r}, 'w').close()"
    arg = text(f"touch {trace}")
    calls = {
        "os.system": Call(os.system, f"touch {trace}"),
        "eval": Call(eval, code),
        "os.mkdir": Call(os.mkdir, str(trace)),
        "numpy": np.zeros(3),
        "pickle in a pickle": Call(pickle.loads, pickle.dumps(Call(os.mkdir, str(trace)))),
        "torch.load": Call(torch.load, str(trace)),
        "a class of torch": torch.nn.Linear(1, 1),
    }
    for name, call in calls.items():
        for protocol in (0, 2, 4):
            yield f"{name}, protocol {protocol}", pickle.dumps(call, protocol)
            among = {"state_dict": {"a": [(call,)]}}
            yield f"{name} among weights, protocol {protocol}", pickle.dumps(among, protocol)
    system = b"cos\nsystem\n" + arg + b"\x85R"
    getattr_ = b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n" + text("os") + b"\x85R"
    yield "INST", b"(S'touch %s'\nios\nsystem\n." % str(trace).encode()
    yield "OBJ", b"(cos\nsystem\n" + arg + b"o."
    yield "NEWOBJ", b"\x80\x02cos\nsystem\n" + arg + b"\x85\x81."
    yield "STACK_GLOBAL", b"\x80\x04" + text("os") + text("system") + b"\x93" + arg + b"\x85R."
    yield "getattr", b"\x80\x02" + getattr_ + text("system") + b"tR" + arg + b"\x85R."
    yield "as a persistent id", b"\x80\x02" + system + b"Q."
    yield "as a key", b"\x80\x02}" + system + b"K\x01s."
    yield "BUILD", b"\x80\x02ccollections\nOrderedDict\n)R}" + text("a") + system + b"sb."
    yield "a factory", b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R" + arg + b"K\x01s."
    yield "an extension", b"\x80\x02\x82\x01."
    yield "out of band", b"\x80\x05\x97."
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n("
    yield "in a tensor", b"\x80\x02" + tensor + system + b"K\x00K\x01\x85K\x01\x85tR."


@pytest.fixture(scope="module")
def malicious(tmp_path_factory):
    root = tmp_path_factory.mktemp("malicious")
    return root / "trace", dict(gadgets(root / "trace"))


def test_the_gadgets_work(malicious):
    """Where pickle reads them: or these tests would prove nothing."""
    trace, pickles = malicious
    for name in ("os.mkdir, protocol 2", "eval, protocol 0", "STACK_GLOBAL", "INST", "as a key"):
        try:
            pickle.loads(pickles[name])
        except Exception as error:
            assert isinstance(error, TypeError | pickle.UnpicklingError), (name, error)
        assert trace.exists(), name
        trace.rmdir() if trace.is_dir() else trace.unlink()


def test_malicious_pickles_in_checkpoints(malicious, originals, tmp_path):
    trace, pickles = malicious
    path = tmp_path / "evil.ckpt"
    for name, data in pickles.items():
        archive(path, data)
        assert_refused(path, load_encoder, match="nothing in it was run")
        path.write_bytes(data)  # without an archive around it
        assert_refused(path, load_encoder, match="nothing in it was run")
        assert not trace.exists(), name
    archive(path, pickles["os.system, protocol 2"])
    assert_refused(path, match=r"posix.system|nt.system")
    with pytest.raises(ValueError, match="nothing in it was run"):
        DAREEmbedder(path, **LAYOUT).fit(X)
    with pytest.raises(ValueError, match="nothing in it was run"):
        DAREPretrainer(weights=path, **LAYOUT).fit(X)
    assert not trace.exists()


def test_malicious_pickles_beside_the_weights(malicious, originals, tmp_path):
    """What torch does not read, is not read here; where something else is expected, it fails."""
    trace, pickles = malicious
    evil, path = pickles["os.mkdir, protocol 2"], tmp_path / "evil.ckpt"
    with zipfile.ZipFile(originals / "good.ckpt") as file:
        members = {member.filename: file.read(member) for member in file.infolist()}
    top = next(iter(members)).split("/")[0]

    def write(changed):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in {**members, **changed}.items():
                file.writestr(name, content)

    for name in ("constants.pkl", "code/__torch__.py", "data/evil.pkl"):
        write({f"{top}/{name}": evil})
        load_encoder(path)
    for name in ("data/0", "byteorder", "data.pkl"):
        write({f"{top}/{name}": evil})
        assert_refused(path, load_encoder)
    write({"other/data.pkl": evil})  # which one is it?
    assert_refused(path, load_encoder, match="holds no data.pkl")
    assert not trace.exists()


def test_other_formats(malicious, originals, tmp_path):
    trace, _ = malicious
    path = tmp_path / "evil.ckpt"
    call = Call(os.mkdir, str(trace))
    state = torch.load(originals / "good.ckpt", weights_only=True)
    torch.save({**state, "payload": call}, path, _use_new_zipfile_serialization=False)
    assert_refused(path, load_encoder)
    torch.save(state, path, _use_new_zipfile_serialization=False)  # the old format: no longer read
    assert_refused(path, load_encoder)
    for compress in (0, 3):
        joblib.dump(call, path, compress=compress)
        assert_refused(path, load_encoder)
    np.save(path.with_suffix(".npy"), np.array([call], dtype=object))
    path.with_suffix(".npy").rename(path)
    assert_refused(path, load_encoder)
    assert not trace.exists()


def test_damaged_checkpoints(originals, tmp_path):
    content, rng = (originals / "good.ckpt").read_bytes(), np.random.default_rng(0)
    path = tmp_path / "damaged.ckpt"
    for offset in [*range(0, 60, 6), *range(0, len(content), len(content) // 50), len(content) - 1]:
        path.write_bytes(content[:offset])
        assert_refused(path, load_encoder)
    start = content.index(b"data.pkl")
    accepted = 0
    for number in range(150):
        flipped = bytearray(content)
        place = start + rng.integers(9_000) if number % 3 else rng.integers(len(content))
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            encoder = load_encoder(path)
        except REFUSED as error:
            assert "\n" not in str(error)
        else:
            accepted += 1
            assert all(torch.isfinite(p).all() for p in encoder.parameters())
    assert accepted < 40  # padding and dates; checksums see the rest


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"


def one_tensor(offset=b"K\x00", size=b"K\x04\x85", stride=b"K\x01\x85", storage=STORAGE):
    """The pickle of a checkpoint with one tensor of four numbers."""
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89)tR"
    return b"\x80\x02}" + text("state_dict") + b"}" + text("a") + tensor + b"ss."


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def twice_over(levels, kind):
    """Objects that hold the one before twice: 2 ** levels items, were they written out."""
    numbers = range(levels)
    if kind == "tuples":
        steps = (get(i) * 2 + b"\x86" + put(i + 1) for i in numbers)
        return b")" + put(0) + b"".join(steps)
    if kind == "dictionaries":
        steps = (
            b"}" + put(i + 1) + b"(" + b"".join(text(k) + get(i) for k in "ab") + b"u"
            for i in numbers
        )
        return b"}" + put(0) + b"".join(steps)
    lists = b"".join(b"]" + put(i) for i in range(levels + 1))  # each filled after its use
    return lists + b"".join(get(i + 1) + b"(" + get(i) * 2 + b"e" for i in numbers)


def doublings():
    """Pickles that hand such an object to everything that reads one."""
    last = get(60)
    uses = {
        "a key": b"}" + last + b"K\x01s.",
        "a function": last + b")R.",
        "a storage": STORAGE.replace(text("0"), last) + b".",
        "a number of values": STORAGE.replace(b"K\x04tQ", last + b"tQ") + b".",
        "a size": b"ctorch\nSize\n" + last + b"\x85R.",
        "a tensor": b"ctorch._utils\n_rebuild_tensor_v2\n(" + last * 6 + b"tR.",
        "attributes": b"ccollections\nOrderedDict\n)R" + last + b"b.",
        "weights": b"}" + text("state_dict") + b"}" + text("a") + last + b"ss.",
    }
    for kind in ("tuples", "dictionaries", "lists"):
        for name, use in uses.items():
            yield f"{kind} as {name}", b"\x80\x02" + twice_over(60, kind) + use


BIG = b"\x8a\x08" + struct.pack("<q", 2**50)
TEN_THOUSAND = b"M\x10\x27"
HOSTILE_PICKLES = {
    **dict(doublings()),
    "numbers of one hash": b"\x80\x02}(" + b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(70_000)) + b"u.",
    "keys that are tuples": b"\x80\x02}(" + b"K\x01K\x02\x86N" * 10 + b"u.",
    "tuples of one hash": b"\x80\x02}(" + b"".join(b"(" + b"".join(b"J" + struct.pack("<i", -1 - (i >> b & 1)) for b in range(14)) + b"tN" for i in range(2**13)) + b"u.",
    "keys of a call": b"\x80\x02ccollections\nOrderedDict\n]K\x01K\x02\x86a\x85R.",
    "long keys": b"\x80\x02" + b"".join(text("x" * 300_000) + put(i) for i in (0, 1)) + b"}(" + (get(0) + b"N" + get(1) + b"N") * 30_000 + b"u.",
    "tuples without end": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "lists without end": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "marks without end": b"\x80\x02" + b"(" * 100_000 + b".",
    "dimensions without end": one_tensor(size=b"(" + b"K\x01" * 100_000 + b"t", stride=b"(" + b"K\x00" * 100_000 + b"t"),
    "an attribute for a method": b"\x80\x02}" + text("state_dict") + b"ccollections\nOrderedDict\n)R}" + text("items") + b"ctorch\nSize\nsbs.",
    "stride of zero": one_tensor(size=TEN_THOUSAND * 2 + b"\x86", stride=b"K\x00K\x00\x86"),
    "larger than its storage": one_tensor(size=b"K\x05\x85"),
    "steps out of its storage": one_tensor(stride=b"K\x02\x85"),
    "begins outside": one_tensor(offset=b"K\x04"),
    "begins before": one_tensor(offset=b"J\xff\xff\xff\xff"),
    "negative stride": one_tensor(stride=b"J\xff\xff\xff\xff\x85"),
    "size of 2 ** 50": one_tensor(size=BIG + b"\x85"),
    "size is a fraction": one_tensor(size=b"G" + bytes(8) + b"\x85"),
    "storage smaller than its data": one_tensor(storage=STORAGE.replace(b"K\x04tQ", b"K\x03tQ"), size=b"K\x03\x85"),
    "storage of 2 ** 50": one_tensor(storage=STORAGE.replace(b"K\x04tQ", BIG + b"tQ")),
    "storage of another name": one_tensor(storage=STORAGE.replace(text("0"), text("A"))),
    "storage elsewhere": one_tensor(storage=STORAGE.replace(text("0"), text("../0"))),
    "storage of complex numbers": one_tensor(storage=STORAGE.replace(b"Float", b"ComplexFloat")),
    "storage is a number": one_tensor(storage=b"K\x01"),
    "a bytearray of gigabytes": b"\x80\x02cbuiltins\nbytearray\n" + BIG + b"\x85R.",
    "text beyond the file": b"\x80\x02X\xff\xff\xff\x7fab.",
    "a memo of 2 ** 31": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a memo that is not there": b"\x80\x02h\x07.",
    "an empty stack": b"\x80\x02.",
    "beyond a mark": b"\x80\x02]N(a.",
    "no end": b"\x80\x02}",
    "nothing": b"",
    "an unknown instruction": b"\x80\x02\xff.",
    "a long number as text": b"I" + b"9" * 100_000 + b"\n.",
    "no dictionary": pickle.dumps([1, 2], 2),
    "state_dict of numbers": pickle.dumps({"state_dict": {"a": 1}}, 2),
    "no model": one_tensor(),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_PICKLES)
def test_hostile_pickles(tmp_path, what):
    members = [("x/data/0", bytes(16)), ("x/data/a", bytes(16)), ("x/data/A", b"")]
    archive(tmp_path / "x.ckpt", HOSTILE_PICKLES[what], members)
    began = time.process_time()
    assert_refused(tmp_path / "x.ckpt", load_encoder, match="x.ckpt")
    assert time.process_time() - began < 10


def test_what_lightning_writes_beside_the_weights(originals, tmp_path):
    """Plain containers are read, shared ones too; the tensors are those that torch reads."""
    state = torch.load(originals / "good.ckpt", weights_only=True)["state_dict"]
    betas, best = (0.9, 0.999), torch.ones(())
    content = {
        "state_dict": OrderedDict(state),
        "optimizer_states": [
            {"state": {0: {"step": best}}, "param_groups": [{"betas": betas}, {"betas": betas}]}
        ],
        "lr_schedulers": [{"milestones": Counter([1, 2]), "base_lrs": [0.1], "total": None}],
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best": best, "also": best}},
    }
    content["state_dict"]._metadata = OrderedDict({"": {"version": 1}})
    torch.save(content, tmp_path / "more.ckpt")
    read = read_state_dict(tmp_path / "more.ckpt")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def make_bombs(root):
    """Files that want far more memory or time than they are worth."""
    good = one_tensor()
    compressed = zipfile.ZipFile(root / "deflated.ckpt", "w", zipfile.ZIP_DEFLATED)
    with compressed, compressed.open("x/data.pkl", "w") as member:
        for _ in range(400):
            member.write(bytes(1_000_000))
    archive(root / "deflated_weights.ckpt", good, [("x/data/0", bytes(16))], zipfile.ZIP_DEFLATED)
    archive(root / "many_members.ckpt", good, ((f"x/{i:040d}", b"") for i in range(50_000)))
    archive(root / "long_pickle.ckpt", b"\x80\x02" + b"]" * 5_000_000 + b".")
    # members that share their bytes: the list of members names one of them again and again
    archive(root / "overlapping.ckpt", good, [("x/data/0", bytes(100_000))])
    content = bytearray((root / "overlapping.ckpt").read_bytes())
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    last = content[content.rindex(b"PK\x01\x02") : end]
    copies = b"".join(last.replace(b"x/data/0", b"x/d/%04d" % i) for i in range(2_000))
    tail = bytearray(content[end:])
    count = struct.unpack("<H", tail[10:12])[0] + 2_000
    tail[8:16] = struct.pack("<HHI", count, count, end - start + len(copies))
    (root / "overlapping.ckpt").write_bytes(content[:end] + copies + tail)
    # sparse files: gigabytes that take no room
    shutil.copyfile(root / "deflated_weights.ckpt", root / "sparse.ckpt")
    with (root / "sparse.ckpt").open("r+b") as file:
        file.truncate(2**36)
    for number, change in enumerate((HUGE, {"embed_dim": 65536}, {"depth": [256] * 3})):
        shutil.copytree(root / "model", root / f"huge_{number}")
        edit(root / f"huge_{number}", lambda config, change=change: config["model"].update(change))
    shutil.copytree(root / "model", root / "sparse")
    with (root / "sparse" / WEIGHTS).open("r+b") as file:
        file.truncate(2**36)
    shutil.copytree(root / "model", root / "sparse_config")
    with (root / "sparse_config" / CONFIG).open("r+b") as file:
        file.truncate(2**36)
    for name, weights in (("metadata", HOSTILE_WEIGHTS["header of 5 MB"]), (
        "tensors",
        safetensors({f"t{i}": entry((0,), offsets=(0, 0)) for i in range(50_000)}),
    )):  # fmt: skip
        shutil.copytree(root / "model", root / name)
        edit(root / name, lambda config: config.pop("sha256"))
        (root / name / WEIGHTS).write_bytes(weights)
    shutil.copytree(root / "model", root / "objects")
    (root / "objects" / CONFIG).write_bytes(b"[" + b"{}," * 330_000 + b"{}]")
    return [root / name for name in (
        "deflated.ckpt", "deflated_weights.ckpt", "many_members.ckpt", "long_pickle.ckpt",
        "overlapping.ckpt", "sparse.ckpt", "huge_0", "huge_1", "huge_2", "sparse", "sparse_config",
        "metadata", "tensors", "objects",
    )]  # fmt: skip


BOMBS = """
import resource, sys, time
from dare_sklearn import DAREClassifier, load_encoder

load_encoder(sys.argv[1])
with open("/proc/self/status") as file:
    size = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_CPU, (200, 200))
resource.setrlimit(resource.RLIMIT_AS, 2 * (size + 300_000_000,))
for path in sys.argv[2:]:
    for load in (load_encoder, DAREClassifier.from_pretrained):
        began = time.process_time()
        try:
            load(path)
        except (ValueError, FileNotFoundError) as error:
            assert path in str(error) and "MemoryError" not in str(error), error
        else:
            raise AssertionError(path)
        seconds = time.process_time() - began
        assert seconds < 10, (path, seconds)
print("all refused")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_bombs(originals, tmp_path):
    """Some hundred megabytes are enough to refuse every one of them, and seconds of computing."""
    shutil.copytree(originals / "model", tmp_path / "model")
    bombs = make_bombs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, str(originals / "model"), *map(str, bombs)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "all refused\n", done.stderr


# the code ---------------------------------------------------------------------------------------


def test_nothing_here_unpickles():
    """No file of the package or of its benchmarks calls what can run a file's code."""
    root = Path(__file__).parents[2]
    calls = ("pickle.load", "Unpickler", "joblib.load", "torch.load(", "allow_pickle=True",
             "weights_only=False", "yaml.load(", "unsafe_load", "full_load", "marshal.load",
             "shelve.open", "read_pickle", " eval(", "(eval(", " exec(")  # fmt: skip
    # of one's own runs, and of YAML's plain values
    safe = re.compile(r"torch\.load\(.*weights_only=True|yaml\.load\(.*Loader=_StrictLoader")
    files = [*(root / "dare_sklearn").rglob("*.py"), *(root / "benchmarks").rglob("*.py")]
    assert len(files) > 50
    found = []
    for path in files:
        code = path.read_text(encoding="utf-8")
        if "_StrictLoader" in code:
            assert "class _StrictLoader(yaml.SafeLoader):" in code
        found += [
            f"{path.relative_to(root)}: {line.strip()}"
            for line in code.splitlines()
            if any(call in line for call in calls)
            and not safe.search(line)
            and not line.lstrip().startswith(("#", "``torch.load"))
        ]
    assert not found
