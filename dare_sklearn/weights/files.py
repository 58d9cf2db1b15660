"""Reading and writing models: ``config.json`` beside ``model.safetensors``, strictly.

No file read here can run code: JSON and safetensors hold data only. What a file claims of itself is
checked before memory is taken for it.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..modules.config import DAREConfig

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "README.md"
FORMAT = 1
# Of a configuration, or of the list of tensors in a file of weights: far above what any model of
# this library needs. Parsers take some fifty times as much memory.
MAX_TEXT_BYTES = 1_000_000
MAX_WEIGHTS_BYTES = 2**32
# owner/name, with an optional @revision; a path with more or fewer parts is not an id
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+(@[\w./-]+)?")


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A new path for a file or folder, which takes the place of `path` in one step at the end.

    It ends like `path`. If writing fails, what was at `path` stays, and nothing else is left.
    """
    part = path.with_name(f".part-{uuid4().hex}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or folder, where there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def flush(*files: Path) -> None:
    """Wait until files are on the disk."""
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def write_folder(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]):
    """Write one model into `folder`, which is made where it is missing.

    The configuration holds the SHA-256 of the weights and its own, so that `read_folder` sees every
    flipped bit. Both are written before either takes its place: a full disk leaves an older model.
    Two files cannot be replaced in one step. In between, the configuration has no SHA-256, so that
    it fits the old weights and the new ones of one kind of model.
    """
    if folder == "":
        raise ValueError("A model is saved into a folder, got an empty name.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    at, weights_at = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    # contexts close in reverse order: `between` takes its place first
    with in_place_of(at) as text, in_place_of(weights_at) as weights, in_place_of(at) as between:
        # clone: safetensors refuses tensors that share memory
        own = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        save_file(own, weights, metadata={"format": "pt"})
        digest = sha256(weights)
        header = {"library": "dare_sklearn", "format": FORMAT, **config}
        between.write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        header["sha256"] = digest
        header["config_sha256"] = _config_sha256(json.loads(json.dumps(header)))
        text.write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        flush(between, weights, text)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config_sha256(config: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of a configuration as JSON gave it, without the entry that holds it."""
    content = {name: value for name, value in config.items() if name != "config_sha256"}
    try:
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    except RecursionError:
        raise ValueError("The configuration is nested too deeply for one of a model.") from None


def read_folder(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration, with its ``"model"`` as a `DAREConfig`, and tensors of the model in `folder`.

    Raises FileNotFoundError if one of the two files is missing, and ValueError if they are damaged,
    do not belong together, or were not written by this library.
    """
    folder = Path(folder)
    config_file, weights_file = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    for file in (config_file, weights_file):
        if not file.is_file():
            raise FileNotFoundError(
                f"{str(folder)!r} holds no {file.name}: expected a folder that save_pretrained "
                "wrote."
            )
    config = _read_json(config_file)
    if not isinstance(config, dict) or config.get("library") != "dare_sklearn":
        raise ValueError(
            f"{str(config_file)!r} does not describe a dare_sklearn model "
            '(its entry "library" must be "dare_sklearn").'
        )
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{str(config_file)!r} has format {shorten(config.get('format'))}, and this version "
            f"of dare_sklearn reads format {FORMAT}: install the version that wrote it."
        )
    tensors = read_tensors(weights_file)
    if config.get("sha256") not in (None, sha256(weights_file)):
        raise ValueError(
            f"The SHA-256 of {WEIGHTS_NAME} in {str(folder)!r} is not the one in {CONFIG_NAME}: "
            "the files are damaged or of two models. Copy or download both anew."
        )
    if config.get("sha256") and config.get("config_sha256") not in (None, _config_sha256(config)):
        raise ValueError(
            f"{str(config_file)!r} is damaged or was changed: its SHA-256 is not the one in its "
            'entry "config_sha256". Copy or download it anew (or take that entry out, if the '
            "change is yours)."
        )
    try:
        model = DAREConfig.from_dict(config.get("model") or {})
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f'{str(folder)!r}: the entry "model" of {CONFIG_NAME} is wrong: {shorten(error)}'
        ) from None
    return {**config, "model": model}, tensors


def _read_json(path: Path) -> Any:
    """Content of a small JSON file, in which no name stands twice."""
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)  # some files do not tell their size
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"{str(path)!r} is too large for a model's configuration.")
    try:
        return _parse(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not valid JSON: {shorten(error)}.") from None


def _parse(content: bytes) -> Any:
    """Strict JSON: no duplicate keys, no NaN."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(values := dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return values

    def refuse(constant: str) -> None:
        raise ValueError(f"JSON has no {constant}")

    return json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


def shorten(text: object, most: int = 300) -> str:
    """One line of at most so many characters: what a hostile file says may be endless."""
    line = (str(text).splitlines() or [""])[0] or type(text).__name__
    return line if len(line) <= most else line[:most] + " ..."


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file; a ValueError if it is damaged, or larger than any model."""
    path = Path(path)
    with path.open("rb") as file:
        try:
            if path.stat().st_size > MAX_WEIGHTS_BYTES:
                raise ValueError("it is larger than any model of this library")
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_TEXT_BYTES:
                raise ValueError("the list of its tensors is too long")
            _parse(file.read(length))  # safetensors takes the last of two tensors of one name
            return load_file(path)
        except Exception as error:  # whatever safetensors or the machine says of a hostile file
            raise ValueError(
                f"{str(path)!r} is not a readable safetensors file ({shorten(error)}): copy or "
                "download it anew."
            ) from None


def download(source: str) -> Path:
    """Folder in the Hub's cache with a repository ``owner/name`` or ``owner/name@revision``."""
    hub = need_hub(f"encoder={source!r} is an id of the Hugging Face Hub")
    name, _, revision = source.partition("@")
    try:
        folder = hub.snapshot_download(
            name, revision=revision or None, allow_patterns=[CONFIG_NAME, WEIGHTS_NAME, CARD_NAME]
        )
    except Exception as error:  # the Hub's own, of requests, or of the file system
        raise FileNotFoundError(
            f"There is no encoder {source!r}: no path of that name exists, and the Hugging Face "
            f"Hub gave none either ({shorten(error)})."
        ) from error
    return Path(folder)


def need_hub(why: str) -> ModuleType:
    """huggingface_hub, or an ImportError that says why it is needed."""
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            f"{why}, which this installation lacks: pip install huggingface_hub."
        ) from None
    return huggingface_hub
