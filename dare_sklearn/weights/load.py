"""From a name or a path to a model."""

from __future__ import annotations

from pathlib import Path

import torch

from ..modules.config import DAREConfig
from ..modules.encoder import Encoder
from ..pretraining.objective import PretrainingModel
from .files import CONFIG_NAME, load_strict, read_folder, with_prefix, write_folder
from .hub import download, looks_like_id
from .lightning import read_lightning

SHIPPED_FOLDER = Path(__file__).parent / "shipped"


def shipped_names() -> list[str]:
    """Names of the encoders that come with this installation."""
    return sorted(path.parent.name for path in SHIPPED_FOLDER.glob(f"*/{CONFIG_NAME}"))


def load_encoder(source: str | Path) -> Encoder:
    """Load a pretrained encoder, frozen and in evaluation mode.

    Parameters
    ----------
    source : str or Path
        Name of a shipped encoder, a folder that ``save_pretrained`` wrote, a checkpoint of the
        authors' training code (``.ckpt``), of which the momentum encoder is taken, or an id of the
        Hugging Face Hub (``"owner/name"``, with the extra ``dare-sklearn[hub]``).

    Returns
    -------
    Encoder
        Maps ``(n_epochs, n_chans, n_times)`` on its own scale and at 256 Hz to
        ``(n_epochs, n_patches, embed_num, embed_dim)``.

    Raises
    ------
    FileNotFoundError
        If there is no such name or path.
    ValueError
        If the files are damaged or do not fit together. No file can run code.
    """
    config, tensors = _read(source)
    with torch.random.fork_rng(devices=[]):  # construction draws initial weights
        encoder = Encoder(config)
    load_strict(encoder, with_prefix(tensors, "target_encoder"), repr(str(source)))
    return encoder.eval().requires_grad_(False)


def load_pretraining_model(source: str | Path, **objective: object) -> PretrainingModel:
    """Load all networks of a pretraining run, to go on from them.

    Parameters
    ----------
    source : str or Path
        As in `load_encoder`.
    **objective
        Passed to `PretrainingModel`.

    Raises
    ------
    ValueError
        If the source holds an encoder only.
    """
    config, tensors = _read(source)
    if not any(name.startswith("predictor.") for name in tensors):
        raise ValueError(
            f"weights={str(source)!r} holds an encoder only, and pretraining goes on from all "
            "networks: pass a folder that DAREPretrainer.save_pretrained wrote, or a .ckpt file."
        )
    model = PretrainingModel(config, **objective)
    load_strict(model, tensors, repr(str(source)))
    return model


def save_encoder(folder: str | Path, encoder: Encoder, **info: object) -> None:
    """Write one encoder, as what users embed with."""
    tensors = {f"target_encoder.{name}": value for name, value in encoder.state_dict().items()}
    write_folder(folder, {"model": encoder.config.to_dict(), **info}, tensors)


def save_pretraining_model(folder: str | Path, model: PretrainingModel, **info: object) -> None:
    """Write all networks of a pretraining run."""
    write_folder(folder, {"model": model.config.to_dict(), **info}, model.state_dict())


def _read(source: str | Path) -> tuple[DAREConfig, dict[str, torch.Tensor]]:
    path = locate(source)
    if path.is_dir():
        config, tensors = read_folder(path)
        model = config.get("model")
        if not isinstance(model, dict):
            raise ValueError(f'{str(path)!r}: {CONFIG_NAME} lacks the entry "model".')
        if config.get("kind") in {"DAREClassifier", "DARERegressor"}:  # a probe holds its encoder
            inside = with_prefix(tensors, "encoder")
            tensors = {f"target_encoder.{name}": tensor for name, tensor in inside.items()}
        return DAREConfig.from_dict(model), tensors
    if path.is_file() and path.suffix == ".ckpt":
        return read_lightning(path)
    raise ValueError(
        f"{str(source)!r} is a file of an unknown kind: expected a folder with {CONFIG_NAME} "
        "and model.safetensors, or a Lightning checkpoint (.ckpt)."
    )


def locate(source: str | Path) -> Path:
    """File or folder of a shipped name, a path, or an id of the Hugging Face Hub.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    if str(source) in shipped_names():
        return SHIPPED_FOLDER / str(source)
    path = Path(source)
    if path.exists():
        return path
    if isinstance(source, str) and looks_like_id(source):
        return download(source)
    names = shipped_names()
    shipped = f"one of {names}" if names else "none with this version"
    raise FileNotFoundError(
        f"There is no encoder {str(source)!r}: it is neither a shipped name ({shipped}) nor a "
        "path that exists. Pass a path, a Hugging Face id (owner/name), a fitted DAREPretrainer, "
        "or None for an untrained encoder."
    )
