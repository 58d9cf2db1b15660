"""Checkpoints of the authors' training code (PyTorch Lightning ``.ckpt``), read as data.

``torch.load(weights_only=True)`` runs no code, but a small file can make it wait for ever, crash or
fill the memory (compressed members, a key that holds itself twice over sixty levels, a storage that
is larger than its data), and it reads the optimizer too. Here the instructions of the pickle are
followed as far as the names and places of the weights. Time and memory grow with the file only.
"""

import pickletools
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..modules.config import DAREConfig
from ..pretraining.losses import TEMPERATURE
from .files import MAX_TEXT_BYTES, MAX_WEIGHTS_BYTES, shorten

# What the authors pretrained on, which their files do not say: millivolts, average reference.
SCALE = {"amplitude_uv": 1000.0, "reference": "average"}
# Theirs -> ours; the first rule that matches a name applies.
_RENAMES = (
    (r"^(encoder|target_encoder)\.patch_embed\.proj\.", r"\1.patch_embed."),
    (r"^(encoder|target_encoder|reconstructor)\.chan_embed\.", r"\1.channel_embed."),
    (r"^(predictor|reconstructor)\.\1_(embed|blocks|norm|proj)\.", r"\1.\2."),
    (r"^(predictor|reconstructor)\.time_embed\.", r"\1.rotary."),
    (r"^loss_mc\.projection_head\.0\.", r"projection.fc1."),
    (r"^loss_mc\.projection_head\.2\.", r"projection.fc2."),
)

_DTYPES = {
    "torch DoubleStorage": torch.float64, "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16, "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64, "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16, "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8, "torch BoolStorage": torch.bool,
}  # fmt: skip
_DICTS = ("collections Counter", "collections OrderedDict")
_TENSOR, _PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_CALLED = (*_DICTS, _TENSOR, _PARAMETER, "torch Size", "torch device")
_PLAIN = {
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "GLOBAL",
}  # fmt: skip
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "TUPLE": None}
_OTHER = object()  # what stands for an object that nobody asks for
_ALONE = ": where you trust it, save its 'state_dict' alone"


class _Stored(NamedTuple):
    """A tensor, as the arguments of the function that makes it."""

    storage: Any
    offset: Any
    size: Any
    stride: Any


def read_lightning(path: str | Path) -> tuple[DAREConfig, dict[str, Tensor]]:
    """Configuration, by the shapes of the tensors, and tensors under this library's names.

    A ValueError says what is wrong with the file.
    """
    state = read_state_dict(path)
    tensors = {}
    for name, tensor in state.items():
        found = (re.subn(pattern, ours, name) for pattern, ours in _RENAMES)
        tensors[next((renamed for renamed, n_found in found if n_found), name)] = tensor
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
    return _infer_config(tensors, str(path)), tensors


def _infer_config(tensors: dict[str, Tensor], path: str) -> DAREConfig:
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
        return DAREConfig(embed_num, embed_dim, depth, num_heads, patch_size, **SCALE)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path!r} lacks a part of the model, or it is misshapen: {shorten(error)}."
        ) from None


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors below ``"state_dict"``; a ValueError if there is more than plain data."""
    try:
        n_bytes = Path(path).stat().st_size
        if n_bytes > MAX_WEIGHTS_BYTES:
            raise ValueError("it is larger than any model of this library")
        with zipfile.ZipFile(path) as archive:
            folder = _checked_folder(archive, n_bytes)
            content = _unpickled(archive.read(folder + "data.pkl"))
            state = content.get("state_dict") if type(content) is dict else None
            if type(state) is not dict or not all(type(v) is _Stored for v in state.values()):
                raise ValueError("it has no 'state_dict' of tensors")
            read = cache(lambda key: bytearray(archive.read(f"{folder}data/{key}")))
            tensors = {name: _tensor(stored, read) for name, stored in state.items()}
        if sum(tensor.nbytes for tensor in tensors.values()) > n_bytes:
            raise ValueError("its tensors are larger than the file")  # a stride of zero
        return tensors
    # whatever zipfile, torch or the machine says of a hostile file
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} is not a checkpoint of tensors and plain containers "
            f"({shorten(error)}); nothing in it was run."
        ) from None


def _checked_folder(archive: zipfile.ZipFile, n_bytes: int) -> str:
    """The folder in an archive that holds the pickle, which is of a size that can be read."""
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
    return folder


def _unpickled(data: bytes) -> Any:
    """What a pickle holds: dictionaries (of their text keys), plain values, and `_Stored` tensors.

    Everything else is `_OTHER`. One that ``torch.save`` does not write is refused. Only text is
    ever hashed, compared or printed: an object that holds itself twice would take for ever.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

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
            if name == "GLOBAL" and value not in _DTYPES and value not in _CALLED:
                raise ValueError(f"it asks for {value.replace(' ', '.')}{_ALONE}")
            stack.append(value)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else _OTHER)
        elif name in _TUPLES:
            stack.append(tuple(pop(_TUPLES[name])))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[value] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[value])
        elif name in ("APPEND", "APPENDS", "BUILD"):
            pop(None if name == "APPENDS" else 1)
        elif name in ("SETITEM", "SETITEMS"):
            items = pop(2 if name == "SETITEM" else None)
            if type(stack[-1]) is dict:
                pairs = zip(items[::2], items[1::2], strict=True)
                stack[-1].update((key, item) for key, item in pairs if type(key) is str)
        elif name == "BINPERSID":
            pass  # the reference stands for its storage
        elif name == "REDUCE":
            function, args = pop(2)
            if type(function) is not str or function not in _CALLED or type(args) is not tuple:
                raise ValueError(f"it makes a strange call{_ALONE}")
            if function in _DICTS:
                stack.append({})
            elif function in (_TENSOR, _PARAMETER):
                stack.append(_Stored(*args[:4]) if function == _TENSOR else args[0])
            else:
                stack.append(_OTHER)
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"it holds the instruction {name}, which torch.save does not write")
    return pop(1)[0]


def _tensor(stored: _Stored, read: Callable[[str], bytearray]) -> Tensor:
    """A tensor, from its storage, which must be as large as it says."""
    storage, offset, size, stride = stored
    if type(storage) is not tuple or len(storage) != 5 or {*map(type, storage[:3])} != {str}:
        raise ValueError("it refers to an unknown kind of storage")
    kind, name, key, _, n_values = storage
    if kind != "storage" or name not in _DTYPES or type(n_values) is not int:
        raise ValueError("it refers to an unknown kind of storage")
    if not type(size) is type(stride) is tuple or {*map(type, (offset, *size, *stride))} != {int}:
        raise ValueError("it holds a tensor of a strange size")
    values, dtype = read(key), _DTYPES[name]
    if len(values) != n_values * dtype.itemsize:
        raise ValueError(f"its storage {shorten(key, 20)!r} is of another size than it says")
    flat = torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
    return flat.as_strided(size, stride, offset)
