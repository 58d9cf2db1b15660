"""Checkpoints of the authors' training code (PyTorch Lightning ``.ckpt``), read as data.

``torch.load(weights_only=True)`` runs no code, but a small file can make it wait for ever, crash or
fill the memory (compressed members, a key that holds itself twice over sixty levels, a storage that
is larger than its data). So the file is checked first, and torch gets a fresh archive of what was
checked. Time and memory grow with the size of the file only.
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..modules.config import DAREConfig
from ..pretraining.losses import TEMPERATURE
from .files import MAX_TEXT_BYTES, MAX_WEIGHTS_BYTES, shorten

# What the authors pretrained on, which their files do not say: millivolts, average reference.
SCALE = {"amplitude_uv": 1000.0, "reference": "average"}
# Theirs -> ours; one rule at most matches a name.
_RENAMES = (
    (r"^(encoder|target_encoder)\.patch_embed\.proj\.", r"\1.patch_embed."),
    (r"^(encoder|target_encoder|reconstructor)\.chan_embed\.", r"\1.channel_embed."),
    (r"^(predictor|reconstructor)\.\1_(embed|blocks|norm|proj)\.", r"\1.\2."),
    (r"^(predictor|reconstructor)\.time_embed\.", r"\1.rotary."),
    (r"^loss_mc\.projection_head\.0\.", r"projection.fc1."),
    (r"^loss_mc\.projection_head\.2\.", r"projection.fc2."),
)

_ITEM_BYTES = {
    "torch DoubleStorage": 8, "torch LongStorage": 8,
    "torch FloatStorage": 4, "torch IntStorage": 4,
    "torch HalfStorage": 2, "torch BFloat16Storage": 2, "torch ShortStorage": 2,
    "torch CharStorage": 1, "torch ByteStorage": 1, "torch BoolStorage": 1,
}  # fmt: skip
_DICTS = ("collections Counter", "collections OrderedDict")
_CALLED = {
    *_DICTS, "torch Size", "torch device", "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
}  # fmt: skip
_PLAIN = {
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "GLOBAL",
}  # fmt: skip
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "TUPLE": None}
_DICT, _OTHER = object(), object()  # what stands for a dictionary, and for any other object
_ALONE = ": where you trust it, save its 'state_dict' alone"


def read_lightning(path: str | Path) -> tuple[DAREConfig, dict[str, Tensor]]:
    """Configuration and tensors, under this library's names, of a Lightning checkpoint.

    The sizes are read off the tensors' shapes. A ValueError says what is wrong with the file.
    """
    state, tensors = read_state_dict(path), {}
    for name, tensor in state.items():
        for theirs, ours in _RENAMES:
            name = re.sub(theirs, ours, name)
        tensors[name] = tensor
    if len(tensors) < len(state):
        raise ValueError(f"{str(path)!r} holds two tensors of one name.")
    temperature = tensors.pop("loss_mc.temperature", torch.tensor(TEMPERATURE)).flatten()
    # files may hold it in half precision
    if not torch.allclose(temperature.double(), torch.tensor([TEMPERATURE]).double(), rtol=0.01):
        raise ValueError(
            f"{str(path)!r} was trained with the temperature {temperature[:3].tolist()}; this "
            f"library has {TEMPERATURE:g}."
        )
    for part in ("encoder", "target_encoder"):
        name = f"{part}.patch_embed.weight"
        if name in tensors and tensors[name].ndim == 4:  # a convolution over (1, P) there
            tensors[name] = tensors[name].flatten(1)  # (D, 1, 1, P) -> (D, P)
    try:
        _, embed_num, embed_dim = tensors["target_encoder.summary_token"].shape
        patch_size = tensors["target_encoder.patch_embed.weight"].shape[1]
        n_freqs = tensors["predictor.rotary.freqs"].shape[0]
        depth = tuple(
            len({m[1] for name in tensors if (m := re.match(rf"{part}\.blocks\.(\d+)\.", name))})
            for part in ("target_encoder", "predictor", "reconstructor")
        )
        # R/2 frequencies, R = (D / H) / 2
        num_heads = max(embed_dim // (4 * n_freqs), 1)
        return DAREConfig(embed_num, embed_dim, depth, num_heads, patch_size, **SCALE), tensors
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ValueError(
            f"{str(path)!r} lacks a part of the model, or it is misshapen: {shorten(error)}."
        ) from None


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors below ``"state_dict"``; a ValueError if there is more than plain data."""
    try:
        n_bytes = Path(path).stat().st_size
        if n_bytes > MAX_WEIGHTS_BYTES:
            raise ValueError("it is larger than any model of this library")
        with zipfile.ZipFile(path) as archive:
            clean = _checked(archive, n_bytes)
        content = torch.load(clean, map_location="cpu", weights_only=True)
        state = content.get("state_dict") if isinstance(content, dict) else None
        # an attribute in the file may hide the method of the dictionary
        tensors = dict(dict.items(state)) if isinstance(state, dict) else {0: None}
        if not all(type(k) is str and isinstance(v, Tensor) for k, v in tensors.items()):
            raise ValueError("it has no 'state_dict' of tensors")
        if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > n_bytes:
            raise ValueError("its tensors are larger than the file")  # a stride of zero
        return tensors
    # whatever zipfile, torch or the machine says of a hostile file
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} is not a checkpoint of tensors and plain containers "
            f"({shorten(error)}); nothing in it was run."
        ) from None


def _checked(archive: zipfile.ZipFile, n_bytes: int) -> io.BytesIO:
    """What torch may read: the pickle and its storages, in an archive of our own.

    Another archive, since two readers of one file may see two different lists of members.
    """
    members = {member.filename: member for member in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise ValueError("it holds two members of one name")
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members.values()):
        raise ValueError("it is compressed or encrypted, which torch.save never does")
    if sum(member.file_size for member in members.values()) > n_bytes:
        raise ValueError("its members are larger than the file")
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it holds no data.pkl")
    if members[pickles[0]].file_size > MAX_TEXT_BYTES:
        raise ValueError("its data.pkl is too large")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "byteorder" in members and archive.read(folder + "byteorder") != b"little":
        raise ValueError("it was written on a big-endian machine")
    data = archive.read(pickles[0])
    start = folder + "data/"
    sizes = {n.removeprefix(start): m.file_size for n, m in members.items() if n.startswith(start)}
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w") as copy:
        copy.writestr("x/data.pkl", data)
        copy.writestr("x/version", "3\n")
        copy.writestr("x/byteorder", "little")
        for key in _storages(data, sizes):
            copy.writestr(f"x/data/{key}", archive.read(start + key))
    clean.seek(0)
    return clean


def _storages(data: bytes, sizes: Mapping[str, int]) -> set[str]:
    """Keys of the storages in a pickle; refuse one that ``torch.save`` does not write.

    Nothing is made of it but tuples. Keys of dictionaries and called functions are plain values, so
    that nothing nested is ever hashed, compared or printed, and storages are as large as their
    data.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    storages: set[str] = set()

    def pop(count: int | None = None) -> list[Any]:
        """The last items; without a count, those since the last mark."""
        start = marks.pop() if count is None else len(stack) - count
        if start < (marks[-1] if marks else 0):
            raise ValueError("its data.pkl is damaged")
        items = stack[start:]
        del stack[start:]
        return items

    for code, value, _ in pickletools.genops(data):
        name = code.name
        if name in _PLAIN:
            if name == "GLOBAL" and value not in _ITEM_BYTES and value not in _CALLED:
                raise ValueError(f"it asks for {value.replace(' ', '.')}{_ALONE}")
            if type(value) is int and abs(value) >= 2**63:  # many have the same hash
                raise ValueError("it holds a number beyond 64 bits")
            stack.append(value)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append(_DICT if name == "EMPTY_DICT" else _OTHER)
        elif name in _TUPLES:
            stack.append(tuple(pop(_TUPLES[name])))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            (memo[value],) = item = pop(1)
            stack += item
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[value])
        elif name in ("APPEND", "APPENDS"):
            pop(1 if name == "APPEND" else None)
        elif name in ("SETITEM", "SETITEMS"):
            keys = pop(2 if name == "SETITEM" else None)[::2]
            if any(type(key) is tuple or key in (_DICT, _OTHER) for key in keys):
                raise ValueError("it holds a dictionary with strange keys")
        elif name == "BUILD":
            if pop(1) != [_DICT]:
                raise ValueError("it holds strange attributes")
        elif name == "BINPERSID":
            storages.add(_storage(*pop(1), sizes))
            stack.append(_OTHER)
        elif name == "REDUCE":
            function, args = pop(2)
            if type(function) is not str or function not in _CALLED or type(args) is not tuple:
                raise ValueError(f"it makes a strange call{_ALONE}")
            if function in _DICTS and args not in ((), (_DICT,)):  # of which keys are made
                raise ValueError("it holds a dictionary with strange keys")
            stack.append(_OTHER)
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"it holds the instruction {name}, which torch.save does not write")
    return storages


def _storage(reference: Any, sizes: Mapping[str, int]) -> str:
    """Key of a storage, which must be as large as it says."""
    types = [*map(type, reference)] if type(reference) is tuple else []
    if types != [str, str, str, str, int] or reference[0] != "storage":
        raise ValueError("it refers to an unknown kind of storage")
    _, dtype, key, _, n_values = reference
    # torch finds members whatever their case, so that "a" and "A" would be one
    known = dtype in _ITEM_BYTES and key.isascii() and key.isdecimal()
    if not known or sizes.get(key) != n_values * _ITEM_BYTES[dtype]:
        raise ValueError(
            f"its storage {shorten(key, 20)!r} is of another kind or size than it says"
        )
    return key
