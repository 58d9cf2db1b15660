"""From a name or a path to a model.

A network is described by its kind, its configuration, what else shapes it, and its tensors. In
pickles these are NumPy arrays, so that they load with or without a GPU, and skops can store them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..modules.config import DAREConfig
from ..modules.networks import Encoder
from ..modules.probe import ConvLinearProbe, VirtualProbe
from ..pretraining.objective import PretrainingModel
from . import files
from .lightning import read_lightning

PROBES = ("DAREClassifier", "DARERegressor")
KIND = "dare_sklearn_network"
_PROBES = {"ConvLinearProbe": ConvLinearProbe, "VirtualProbe": VirtualProbe}
SHIPPED_FOLDER = Path(__file__).parent / "shipped"


def shipped_names() -> list[str]:
    """Names of the encoders that come with this installation, a list of str.

    Examples
    --------
    >>> from dare_sklearn.weights import shipped_names
    >>> shipped_names()
    ['light', 'nano']
    """
    return sorted(path.parent.name for path in SHIPPED_FOLDER.glob(f"*/{files.CONFIG_NAME}"))


def load_encoder(
    source: str | Path, *, amplitude_uv: float | None = None, reference: str | None = "saved"
) -> Encoder:
    """Load a pretrained encoder, frozen and in evaluation mode.

    Parameters
    ----------
    source : str or Path
        Name of a shipped encoder, a folder that ``save_pretrained`` wrote, a checkpoint of the
        authors' training code (``.ckpt``), of which the momentum encoder is taken, or an id of the
        Hugging Face Hub (``"owner/name"``, which needs huggingface_hub).
    amplitude_uv : float or None, default=None
        Microvolts that become 1.0 at the encoder's input; None takes those of its configuration.
        The authors' checkpoints say nothing of a scale and are read with 1000 µV and an average
        reference, on which they were pretrained.
    reference : {"saved", "average"} or None, default="saved"
        Reference that the encoder removes; "saved" takes that of its configuration, None leaves
        the one of the recording. To keep another scale for estimators, see `convert`.

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

    Examples
    --------
    One second of Fp1 and O2 (first and last row of the table of electrodes).

    >>> import torch
    >>> from dare_sklearn import load_encoder
    >>> encoder = load_encoder("nano")
    >>> microvolts = 10 * torch.randn(1, 2, 256)
    >>> encoder(encoder.normalize(microvolts), torch.tensor([0, 61])).shape
    torch.Size([1, 4, 1, 64])
    """
    config, tensors = _read(source, amplitude_uv, reference)
    weights = with_prefix(tensors, "target_encoder")
    return make_network("Encoder", config, {}, weights, repr(str(source)))


def convert(
    source: str | Path, folder: str | Path, *, amplitude_uv: float | None = None,
    reference: str | None = "saved",
) -> None:  # fmt: skip
    """Write a copy of a model that reads signals on another scale.

    The folder goes wherever an encoder goes and, where `source` holds all networks of a
    pretraining, into ``DAREPretrainer(weights=folder)``. It opens faster than a ``.ckpt`` file.

    Parameters
    ----------
    source, amplitude_uv, reference
        As in `load_encoder`, with the same errors.
    folder : str or Path
        Where ``config.json`` and ``model.safetensors`` are written; made where it is missing.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from dare_sklearn.weights import convert, load_encoder
    >>> folder = mkdtemp()
    >>> convert("nano", folder, amplitude_uv=50.0)
    >>> load_encoder(folder).config.amplitude_uv
    50.0
    """
    load_encoder(source)  # refuses what does not fit
    config, tensors = _read(source, amplitude_uv, reference)
    files.write_folder(folder, {"model": config.to_dict()}, tensors)


def load_pretraining_model(source: str | Path, **objective: object) -> PretrainingModel:
    """Load all networks of a pretraining run, with other parameters of `PretrainingModel`.

    `source` is one of `load_encoder`; a ValueError if it holds an encoder only.
    """
    config, tensors = _read(source, None, "saved")
    if not any(name.startswith("predictor.") for name in tensors):
        raise ValueError(
            f"weights={str(source)!r} holds an encoder only, and pretraining continues with all "
            "networks: pass a folder that DAREPretrainer.save_pretrained wrote, or a .ckpt file."
        )
    return make_network("PretrainingModel", config, objective, tensors, repr(str(source))).train()


def save_model(folder: str | Path, model: Encoder | PretrainingModel, **info: object) -> None:
    """Write one encoder, as what users embed with, or all networks of a pretraining run."""
    tensors = model.state_dict()
    if isinstance(model, Encoder):
        tensors = {f"target_encoder.{name}": value for name, value in tensors.items()}
    files.write_folder(folder, {"model": model.config.to_dict(), **info}, tensors)


def _read(
    source: str | Path, amplitude_uv: float | None, reference: str | None
) -> tuple[DAREConfig, dict[str, Tensor]]:
    """Configuration, with another scale where one is asked for, and tensors."""
    path = locate(source)
    if path.is_dir():
        header, tensors = files.read_folder(path)
        if header.get("kind") in PROBES:  # it holds its encoder
            inside = with_prefix(tensors, "encoder")
            tensors = {f"target_encoder.{name}": tensor for name, tensor in inside.items()}
        config = header["model"]
    elif path.is_file() and path.suffix == ".ckpt":
        config, tensors = read_lightning(path)
    else:
        raise ValueError(
            f"{str(source)!r} is a file of an unknown kind: expected a folder with "
            f"{files.CONFIG_NAME} and {files.WEIGHTS_NAME}, or a Lightning checkpoint (.ckpt)."
        )
    wanted = {
        "amplitude_uv": config.amplitude_uv if amplitude_uv is None else amplitude_uv,
        "reference": config.reference if reference == "saved" else reference,
    }
    return replace(config, **wanted), tensors


def locate(source: str | Path) -> Path:
    """File or folder of a shipped name, a path, or an id of the Hugging Face Hub."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"An encoder is loaded by its name or its path, got {files.shorten(repr(source))} "
            f"({type(source).__name__}): pass a str or a Path."
        )
    if str(source) in shipped_names():
        return SHIPPED_FOLDER / str(source)
    path = Path(source)
    if source != "" and path.exists():
        return path
    if isinstance(source, str) and files.HUB_ID.fullmatch(source):
        return files.download(source)
    names = shipped_names()
    shipped = f"one of {names}" if names else "none with this version"
    raise FileNotFoundError(
        f"There is no encoder {str(source)!r}: it is neither a shipped name ({shipped}) nor a "
        "path that exists. Pass a path, a Hugging Face id (owner/name), a fitted DAREPretrainer, "
        "or None for an untrained encoder."
    )


def make_network(
    kind: str, config: DAREConfig, spec: Mapping[str, Any], tensors: Mapping[str, Tensor],
    source: str,
) -> nn.Module:  # fmt: skip
    """A network with its weights, in evaluation mode; encoders are frozen.

    It is made without memory first, and gets some only if the weights fit: a configuration cannot
    ask for more than its file of weights holds. No random number is drawn. `spec` is what the
    network's ``spec()`` gives (nothing for an encoder), and `source` a name for messages.
    """
    depth = config.depth if kind == "PretrainingModel" else config.depth[:1]
    n_layers = sum(depth) + spec.get("spatial_layers", 0)
    if n_layers > len(tensors):  # each holds one at least
        raise ValueError(
            f"The weights in {source} do not fit the model: it has {n_layers} layers, and they are "
            f"{len(tensors)} tensors."
        )
    try:
        with torch.device("meta"), _Undrawn():  # float: whatever torch's default type is
            if kind in _PROBES:
                module = _PROBES[kind](Encoder(config), **spec)
            elif kind == "PretrainingModel":
                module = PretrainingModel(config, **spec)
            else:
                module = Encoder(config).requires_grad_(False)
            module.float()
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"The configuration in {source} describes no possible network: {files.shorten(error)}."
        ) from None
    check_fit(module, tensors, source)
    copies = {k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    module.load_state_dict(copies, assign=True)
    return module.eval()


class _Undrawn(TorchFunctionMode):
    """Inside this, tensors keep the values they have where random ones would be drawn.

    Without memory there is nothing to draw, and torch would import its compiler for it: a second,
    and 100 MB.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        if getattr(function, "__module__", None) != nn.init.__name__:
            return function(*args, **(kwargs or {}))


def check_fit(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that are not those of such a module, naming the first that are wrong."""
    expected = module.state_dict()
    missing, unknown = sorted(expected.keys() - tensors), sorted(tensors.keys() - expected)
    if missing or unknown:
        raise ValueError(
            f"The weights in {source} do not fit the model: "
            f"missing {files.shorten(missing[:3])} ({len(missing)} in all), "
            f"unknown {files.shorten(unknown[:3])} ({len(unknown)} in all)."
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise ValueError(
                f"The tensor {name!r} in {source} is {files.shorten(tuple(tensor.shape))} "
                f"{tensor.dtype}, expected {tuple(expected[name].shape)} {expected[name].dtype}."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"The tensor {name!r} in {source} holds NaN or infinite values.")


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below ``prefix.``, under their names without it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


_BY_NAME: ContextVar[bool] = ContextVar("by_name", default=False)


@contextmanager
def shipped_by_name() -> Iterator[None]:
    """Inside this, pickles of fitted estimators hold no weights of shipped encoders.

    They hold the encoder's name and the SHA-256 of its file, load wherever the same encoder is
    installed, and are refused elsewhere. Weights that were trained are in the pickle as ever.

    Examples
    --------
    >>> import pickle
    >>> from dare_sklearn import DAREEmbedder, simulate_epochs
    >>> from dare_sklearn.weights import shipped_by_name
    >>> epochs = simulate_epochs(n_subjects=1, n_epochs=2)
    >>> embedder = DAREEmbedder("nano", pooling="mean").fit(epochs)
    >>> with shipped_by_name():
    ...     small = pickle.dumps(embedder)
    >>> len(small) < len(pickle.dumps(embedder)) / 50
    True
    """
    token = _BY_NAME.set(True)
    try:
        yield
    finally:
        _BY_NAME.reset(token)


def _shipped_tensors(name: str) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_encoder(name).state_dict().items()}


def to_plain(module: nn.Module) -> dict[str, Any]:
    """A network as numbers and arrays; within `shipped_by_name` without a shipped encoder's."""
    kind = type(module).__name__
    config = (module.encoder if kind in _PROBES else module).config
    spec = {} if isinstance(module, Encoder) else module.spec()
    tensors = {k: v.detach().cpu().numpy().copy() for k, v in module.state_dict().items()}
    plain = {KIND: kind, "config": config.to_dict(), "spec": spec, "tensors": tensors}
    for name in shipped_names() if _BY_NAME.get() else ():
        shipped = _shipped_tensors(name)
        for prefix in ("", "encoder."):  # an encoder, or a probe that holds one
            known = {prefix + k: v for k, v in shipped.items()}
            if all(k in tensors and np.array_equal(tensors[k], v) for k, v in known.items()):
                rest = {k: v for k, v in tensors.items() if k not in known}
                digest = files.sha256(SHIPPED_FOLDER / name / files.WEIGHTS_NAME)
                return {**plain, "tensors": rest, "shipped": [name, prefix, digest]}
    return plain


def from_plain(plain: dict[str, Any]) -> nn.Module:
    """Inverse of `to_plain`; a ValueError if the tensors do not fit, or are not here."""
    arrays = plain["tensors"]
    if "shipped" in plain:
        name, prefix, digest = plain["shipped"]
        weights = SHIPPED_FOLDER / name / files.WEIGHTS_NAME
        if name not in shipped_names() or files.sha256(weights) != digest:
            raise ValueError(
                f"The estimator was pickled without the weights of the shipped encoder {name!r}, "
                "and this installation has no such encoder, or another version of it: install the "
                "version of dare_sklearn that pickled it."
            )
        arrays = {**{prefix + k: v for k, v in _shipped_tensors(name).items()}, **arrays}
    # a copy: arrays that come from a memory map or an archive may be read-only
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    config = DAREConfig.from_dict(plain["config"])
    return make_network(plain[KIND], config, plain["spec"], tensors, "the stored estimator")
