"""``dare-sklearn info``: what is installed, and what an encoder is."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HELP = "versions, devices, shipped encoders; or all about one encoder"
DESCRIPTION = """\
Without an argument: versions, devices, and the encoders that come with the library. With the name
or the folder of an encoder: its configuration, its size and its SHA-256.
"""
EPILOG = """\
examples:
  dare-sklearn info
  dare-sklearn info nano
  dare-sklearn info my_encoder
"""
_LIBRARIES = (
    "torch", "braindecode", "mne", "scikit-learn", "skorch", "numpy", "scipy", "pandas",
    "matplotlib",
)  # fmt: skip
_EXTRAS = ("pyriemann", "moabb", "pyarrow", "codecarbon", "huggingface_hub", "umap-learn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("encoder", nargs="?", help="shipped name, folder, .ckpt or Hub id")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    lines = _installation() if args.encoder is None else _encoder(args.encoder)
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")
    return 0


def _installation() -> list[tuple[str, str]]:
    import torch

    from .. import __version__
    from ..training.device import resolve_device
    from ..weights import shipped_names
    from ..weights.files import WEIGHTS_NAME
    from ..weights.load import SHIPPED_FOLDER

    lines = [
        ("dare-sklearn", __version__),
        ("Python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *((name, _version(name)) for name in _LIBRARIES),
        *((f"{name} (optional)", _version(name)) for name in _EXTRAS),
        ("device", _device(resolve_device("auto"))),
        ("threads", str(torch.get_num_threads())),
    ]
    for name in shipped_names():
        size = (SHIPPED_FOLDER / name / WEIGHTS_NAME).stat().st_size
        lines.append((f"encoder {name}", f"{_parameters(name):,} parameters, {size / 1e6:.1f} MB"))
    if not shipped_names():
        lines.append(("encoders", "none come with this version"))
    return lines


def _encoder(source: str) -> list[tuple[str, str]]:
    from ..weights.files import CONFIG_NAME, WEIGHTS_NAME, read_folder, sha256
    from ..weights.load import load_encoder, locate

    path = locate(source)
    encoder = load_encoder(source)
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    lines = [("encoder", source), ("file", str(weights))]
    if path.is_dir():
        config, tensors = read_folder(path)
        lines.append(("kind", str(config.get("kind", "encoder"))))
        n_values = sum(tensor.numel() for tensor in tensors.values())
        lines.append(("values in the file", f"{n_values:,}"))
        lines.append(("configuration", str(path / CONFIG_NAME)))
    lines += [
        ("parameters of the encoder", f"{_parameters(source):,}"),
        ("size of the file", f"{weights.stat().st_size / 1e6:.1f} MB"),
        ("SHA-256", sha256(weights)),
        *((name, str(value)) for name, value in encoder.config.to_dict().items()),
    ]
    card = Path(path) / "README.md"
    if path.is_dir() and card.is_file():
        lines.append(("model card", str(card)))
    return lines


def _parameters(source: str) -> int:
    from ..weights import load_encoder

    return sum(parameter.numel() for parameter in load_encoder(source).parameters())


def _device(device: object) -> str:
    import torch

    name = torch.cuda.get_device_name(device) if str(device).startswith("cuda") else ""
    return f"{device} {name}".strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
