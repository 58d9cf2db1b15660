"""Versions, shipped encoders; or all about one encoder.

Without an argument: versions, and the encoders that come with the library. With the name or the
folder of an encoder: its configuration, its size and its SHA-256.

examples:
  dare-sklearn info
  dare-sklearn info nano
  dare-sklearn info my_encoder
"""

import argparse
import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

from .. import __version__
from ._options import doing, text

_LIBRARIES = (
    "torch", "braindecode", "mne", "scikit-learn", "skorch", "numpy", "scipy", "pandas",
    "matplotlib", "pyriemann", "moabb", "pyarrow", "huggingface_hub",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "shipped name, folder, .ckpt or Hub id"
    parser.add_argument("encoder", nargs="?", type=text, help=what)


def run(args: argparse.Namespace) -> int:
    facts = _installation() if args.encoder is None else _encoder(args.encoder)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _installation() -> dict[str, str]:
    """What is installed, without importing anything heavy."""
    facts = {
        "dare-sklearn": __version__,
        "Python": f"{platform.python_version()} on {platform.platform(terse=True)}",
        **dict.fromkeys(_LIBRARIES, "not installed"),
    }
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            facts[name] = version(name)
    for weights in sorted(Path(__file__).parents[1].glob("weights/shipped/*/model.safetensors")):
        with weights.open("rb") as file:  # its head lists the tensors
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        n = sum(prod(head[name]["shape"]) for name in head if name.startswith("target_encoder."))
        size = f"{weights.stat().st_size / 1e6:.1f} MB"
        facts[f"encoder {weights.parent.name}"] = f"{n:,} parameters, {size}"
    return facts


def _encoder(source: str) -> dict[str, object]:
    doing(f"Reading {source}")
    from ..weights.files import CONFIG_NAME, WEIGHTS_NAME, read_folder, sha256
    from ..weights.load import load_encoder, locate

    path = locate(source)
    encoder = load_encoder(source)
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    facts: dict[str, object] = {"encoder": source, "file": weights}
    if path.is_dir():
        config, tensors = read_folder(path)
        facts["kind"] = config.get("kind", "encoder")
        facts["values in the file"] = f"{sum(tensor.numel() for tensor in tensors.values()):,}"
        facts["configuration"] = path / CONFIG_NAME
    facts["parameters of the encoder"] = f"{sum(p.numel() for p in encoder.parameters()):,}"
    facts["size of the file"] = f"{weights.stat().st_size / 1e6:.1f} MB"
    facts["SHA-256"] = sha256(weights)
    return facts | encoder.config.to_dict()
