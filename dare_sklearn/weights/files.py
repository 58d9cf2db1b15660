"""Reading and writing models: ``config.json`` beside ``model.safetensors``, strictly.

No file read here can run code: JSON and safetensors hold data only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
FORMAT = 1
_MAX_CONFIG_BYTES = 10_000_000


def write_folder(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]):
    """Write one model into `folder`, which is made where it is missing.

    The configuration holds the SHA-256 of the weights, so that `read_folder` sees files that do
    not belong together.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # clone: safetensors refuses tensors that share memory
    save_file(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        folder / WEIGHTS_NAME,
        metadata={"format": "pt"},
    )
    digest = sha256(folder / WEIGHTS_NAME)
    header = {"library": "dare_sklearn", "format": FORMAT, **config, "sha256": digest}
    (folder / CONFIG_NAME).write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_folder(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of the model in `folder`.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ValueError
        If a file is damaged, was not written by this library, or the weights are not those that
        the configuration was written with.
    """
    folder = Path(folder)
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{str(folder)!r} holds no {name}: expected a folder that save_pretrained wrote."
            )
    config_file = folder / CONFIG_NAME
    if config_file.stat().st_size > _MAX_CONFIG_BYTES:
        raise ValueError(f"{str(config_file)!r} is too large for a model's configuration.")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(config_file)!r} is not valid JSON: {error}.") from None
    if not isinstance(config, dict) or config.get("library") != "dare_sklearn":
        raise ValueError(
            f"{str(config_file)!r} does not describe a dare_sklearn model "
            '(its entry "library" must be "dare_sklearn").'
        )
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{str(config_file)!r} has format {config.get('format')!r}, and this version of "
            f"dare_sklearn reads format {FORMAT}: install the version that wrote it."
        )
    if config.get("sha256") not in (None, sha256(folder / WEIGHTS_NAME)):
        raise ValueError(
            f"The SHA-256 of {WEIGHTS_NAME} in {str(folder)!r} is not the one in {CONFIG_NAME}: "
            "the files are damaged or of two models. Copy or download both anew."
        )
    return config, read_tensors(folder / WEIGHTS_NAME)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file; a damaged file is one clear ValueError."""
    try:
        return load_file(path)
    except (SafetensorError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise ValueError(
            f"{str(path)!r} is not a readable safetensors file ({error}): copy or download it anew."
        ) from None


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load `tensors` into `module`; names, shapes, dtypes and values must all be right.

    Raises
    ------
    ValueError
        Naming the first tensors that are missing, unknown, misshapen or not finite.
    """
    expected = module.state_dict()
    missing, unknown = sorted(expected.keys() - tensors), sorted(tensors.keys() - expected)
    if missing or unknown:
        raise ValueError(
            f"The weights in {source} do not fit the model: "
            f"missing {missing[:3]} ({len(missing)} in all), "
            f"unknown {unknown[:3]} ({len(unknown)} in all)."
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise ValueError(
                f"The tensor {name!r} in {source} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"expected {tuple(expected[name].shape)} {expected[name].dtype}."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"The tensor {name!r} in {source} holds NaN or infinite values.")
    module.load_state_dict(dict(tensors), strict=True)


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below ``prefix.``, under their names without it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
