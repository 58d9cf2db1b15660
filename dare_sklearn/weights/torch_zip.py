"""The ``state_dict`` of a file that ``torch.save`` wrote, read as data: nothing is unpickled.

``torch.load(weights_only=True)`` runs no code either, but a file of some hundred bytes can make it
hang (a key that takes forever to hash), crash (tuples nested millions deep) or fill the memory
(compressed members). Here the pickle is a list of instructions for a small machine that knows
tensors and plain containers. It cannot import or call anything, and time and memory are bounded by
the size of the file.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .files import MAX_HEADER_BYTES, MAX_WEIGHTS_BYTES, shorten

_STORAGES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
# Calls that stand for plain values, which nobody reads here.
_PLAIN = {"torch Size", "torch device", "_codecs encode", "builtins set", "__builtin__ set"}
_DICTIONARIES = {"collections OrderedDict", "collections defaultdict", "collections Counter"}
_LONGEST = 1_000  # characters of a name
_MAX_PICKLE_BYTES = 2_000_000
_MOST = 2**40  # values of a tensor, or along one of its dimensions
_ALONE = ": where you trust it, save its 'state_dict' alone"
_DAMAGED = "its data.pkl is damaged"


class _Name(str):
    """``module name`` of something that the pickle refers to; it stays a name."""


class _Storage(NamedTuple):
    dtype: torch.dtype
    key: str
    n_values: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors below ``"state_dict"`` in a file of ``torch.save``.

    Raises
    ------
    ValueError
        If the file is damaged, compressed, asks for anything but tensors and plain containers, or
        has no such entry.
    """
    with _Bounded(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                file.limit = math.inf
                return _read(archive, file.size)
        # whatever zipfile or the machine says of a hostile file: BadZipFile, IndexError, OSError...
        except Exception as error:
            raise ValueError(
                f"{str(path)!r} is not a checkpoint of tensors and plain containers "
                f"({shorten(error)}); nothing in it was run."
            ) from None


class _Bounded(io.FileIO):
    """A file of which no more than so much is read at once: the list of a zip file's members."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.size = os.fstat(self.fileno()).st_size
        self.limit: float = MAX_HEADER_BYTES

    def read(self, size: int | None = -1) -> bytes:
        wanted = self.size - self.tell() if size is None or size < 0 else size
        if wanted > self.limit:
            raise ValueError("the list of its members is too long")
        return super().read(size)


def _read(archive: zipfile.ZipFile, n_bytes: int) -> dict[str, Tensor]:
    members = {member.filename: member for member in archive.infolist()}
    if n_bytes > MAX_WEIGHTS_BYTES:
        raise ValueError("it is larger than any model of this library")
    if len(members) < len(archive.infolist()):
        raise ValueError("it holds two members of one name")
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members.values()):
        raise ValueError("it is compressed or encrypted, which torch.save never does")
    if sum(member.file_size for member in members.values()) > n_bytes:
        raise ValueError("its members are larger than the file")
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError("it holds no data.pkl")
    if members[pickles[0]].file_size > _MAX_PICKLE_BYTES:
        raise ValueError("its data.pkl is too large")
    folder = pickles[0].removesuffix("data.pkl")
    if folder + "byteorder" in members and archive.read(folder + "byteorder") != b"little":
        raise ValueError("it was written on a big-endian machine")
    content = _interpret(archive.read(pickles[0]))
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, _View) for v in state.values()):
        raise ValueError("it has no 'state_dict' of tensors")
    if sum(math.prod(v.size) * v.storage.dtype.itemsize for v in state.values()) > n_bytes:
        raise ValueError("its tensors are larger than the file")
    storages = {
        storage: _load(archive, folder, storage)
        for storage in {view.storage for view in state.values()}
    }
    return {
        name: storages[view.storage].as_strided(view.size, view.stride, view.offset)
        for name, view in state.items()
    }


def _load(archive: zipfile.ZipFile, folder: str, storage: _Storage) -> Tensor:
    data = bytearray(archive.read(f"{folder}data/{storage.key}"))
    if len(data) != storage.n_values * storage.dtype.itemsize:
        raise ValueError(f"its storage {storage.key!r} is of another size than it says")
    if not data:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(data, dtype=storage.dtype)


def _interpret(data: bytes) -> Any:
    """What a pickle describes. Names stay names, and dictionaries keep their string keys."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop(count: int | None = None) -> list[Any]:
        """The last items; without a count, those since the last mark."""
        start = marks.pop() if count is None else len(stack) - count
        if start < (marks[-1] if marks else 0):
            raise ValueError(_DAMAGED)
        items = stack[start:]
        del stack[start:]
        return items

    for code, arg, _ in pickletools.genops(data):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(code.name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(arg)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                stack.append(arg)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(pop(int(code.name[-1]))))
            case "TUPLE":
                stack.append(tuple(pop()))
            case "APPEND" | "APPENDS" | "ADDITEMS":
                items = pop(1) if code.name == "APPEND" else pop()
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = pop(2) if code.name == "SETITEM" else pop()
                pairs = zip(items[::2], items[1::2], strict=True)
                # other keys lead to nothing that is read here, and can be made to hash for ages
                stack[-1].update((key, value) for key, value in pairs if type(key) is str)
            case "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "GLOBAL":
                stack.append(_Name(arg))
            case "STACK_GLOBAL":
                stack.append(_joined(*pop(2)))
            case "BINPERSID":
                stack.append(_storage(*pop(1)))
            case "REDUCE":
                stack.append(_called(*pop(2)))
            case "BUILD":
                pop(1)  # attributes of a dictionary, such as _metadata
            case "STOP":
                (result,) = stack
                return result
            case "NEWOBJ" | "NEWOBJ_EX" | "INST" | "OBJ":
                names = [arg] if arg else [x for x in stack if isinstance(x, _Name)]
                asked = names[-1].replace(" ", ".") if names else "an object"
                raise ValueError(f"it asks for {asked}{_ALONE}")
            case _:
                raise ValueError(f"it holds the instruction {code.name}")
    raise ValueError("its data.pkl is cut off")


def _joined(module: Any, name: Any) -> _Name:
    if not (type(module) is type(name) is str and len(module) + len(name) < _LONGEST):
        raise ValueError(_DAMAGED)
    return _Name(f"{module} {name}")


def _storage(reference: Any) -> _Storage:
    kind, name, key, _, n_values = reference
    if kind != "storage" or not isinstance(name, _Name) or name not in _STORAGES:
        raise ValueError(f"it refers to an unknown kind of storage, {name if kind else kind}")
    if not (type(key) is str and type(n_values) is int and 0 <= n_values < _MOST):
        raise ValueError(_DAMAGED)
    return _Storage(_STORAGES[name], key, n_values)


def _called(name: Any, args: Any) -> Any:
    """What a call that ``torch.save`` writes stands for."""
    if not isinstance(name, _Name):
        raise ValueError(_DAMAGED)
    if name in _DICTIONARIES:
        return {}  # what they hold follows
    if name == "torch._utils _rebuild_tensor_v2":
        return _view(*args[:4])
    if name == "torch._utils _rebuild_parameter":
        return args[0]
    if name in _PLAIN:
        return None
    raise ValueError(f"it asks to call {name.replace(' ', '.')}{_ALONE}")


def _view(storage: Any, offset: Any, size: Any, stride: Any) -> _View:
    """A part of a storage, which lies within it and is no larger."""
    if not (
        isinstance(storage, _Storage)
        and type(size) is type(stride) is tuple
        and len(size) == len(stride) <= 64
        and all(type(n) is int and 0 <= n < _MOST for n in (offset, *size, *stride))
    ):
        raise ValueError(_DAMAGED)
    n_values = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if n_values > storage.n_values or (n_values and last >= storage.n_values):
        raise ValueError("it holds a tensor that is larger than its storage")
    return _View(storage, offset, size, stride)
