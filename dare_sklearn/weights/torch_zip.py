"""The ``state_dict`` of a file of ``torch.save``, read by ``torch.load(weights_only=True)``.

That reader runs no code, but a small file can make it wait for ever, crash or fill the memory
(compressed members, a list that holds itself twice over forty levels, a storage that is larger
than its data). So the file is checked first, without making anything of it, and the reader gets a
fresh archive of what was checked. Time and memory are bounded by the size of the file.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .files import MAX_TEXT_BYTES, MAX_WEIGHTS_BYTES, shorten

_ITEM_BYTES = {
    "torch FloatStorage": 4,
    "torch DoubleStorage": 8,
    "torch HalfStorage": 2,
    "torch BFloat16Storage": 2,
    "torch LongStorage": 8,
    "torch IntStorage": 4,
    "torch ShortStorage": 2,
    "torch CharStorage": 1,
    "torch ByteStorage": 1,
    "torch BoolStorage": 1,
}
_CALLED = {
    "collections Counter",
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
}
_PLAIN = {  # these stand for one value of a few bytes
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "GLOBAL",
}  # fmt: skip
_CONTAINERS = {"EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_GROWS = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD"}
_MAX_EXPANDED = 4_000_000  # bytes of the pickle, were everything written out where it is used
_ALONE = ": where you trust it, save its 'state_dict' alone"
_DAMAGED = "its data.pkl is damaged"


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
                clean = _checked(archive, file.size)
            content = torch.load(clean, map_location="cpu", weights_only=True)
            return _tensors(content, file.size)
        # whatever zipfile, torch or the machine says of a hostile file
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
        self.limit: float = MAX_TEXT_BYTES

    def read(self, size: int | None = -1) -> bytes:
        wanted = self.size - self.tell() if size is None or size < 0 else size
        if wanted > self.limit:
            raise ValueError("the list of its members is too long")
        return super().read(size)


def _tensors(content: Any, n_bytes: int) -> dict[str, Tensor]:
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ValueError("it has no 'state_dict' of tensors")
    tensors = dict(dict.items(state))  # an attribute in the file may hide the method
    if not all(type(k) is str and isinstance(v, Tensor) for k, v in tensors.items()):
        raise ValueError("it has no 'state_dict' of tensors")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > n_bytes:
        raise ValueError("its tensors are larger than the file")  # a stride of zero
    return tensors


def _checked(archive: zipfile.ZipFile, n_bytes: int) -> io.BytesIO:
    """What torch may read: the pickle and its storages, in an archive of our own.

    Another archive, since two readers of one file may see two different lists of members.
    """
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
        for key in _check_pickle(data, sizes):
            copy.writestr(f"x/data/{key}", archive.read(start + key))
    clean.seek(0)
    return clean


class _Item:
    """What is known of an object that a pickle describes.

    Attributes
    ----------
    kind : str
        Instruction that makes it.
    size : int
        Bytes of the pickle that describe it with all that it holds.
    value : object
        Of a plain one its value, of a tuple its items.
    shared : bool
        Whether it stands in two places.
    """

    __slots__ = ("kind", "shared", "size", "value")

    def __init__(self, kind: str, size: int, value: Any) -> None:
        self.kind, self.size, self.value, self.shared = kind, size, value, False


def _check_pickle(data: bytes, sizes: Mapping[str, int]) -> list[str]:
    """Keys of the storages in a pickle; refuse one that ``torch.save`` does not write.

    Nothing is made of it. Objects that stand in many places are counted in each, keys are plain
    values, and storages are as large as their data: reading it takes no longer than its size says.
    """
    stack: list[_Item] = []
    marks: list[int] = []
    memo: dict[int, _Item] = {}
    storages: dict[str, None] = {}
    expanded = 0

    def pop(count: int | None = None) -> list[_Item]:
        """The last items; without a count, those since the last mark."""
        start = marks.pop() if count is None else len(stack) - count
        if start < (marks[-1] if marks else 0):
            raise ValueError(_DAMAGED)
        items = stack[start:]
        del stack[start:]
        return items

    for code, value, _ in pickletools.genops(data):
        name = code.name
        if name in _PLAIN:
            if name == "GLOBAL" and value not in _ITEM_BYTES and value not in _CALLED:
                raise ValueError(f"it asks for {value.replace(' ', '.')}{_ALONE}")
            if type(value) is int and abs(value) >= 2**63:
                raise ValueError("it holds a number beyond 64 bits")
            length = len(value) if type(value) is str else 8
            stack.append(_Item(name, length, value))
        elif name in _CONTAINERS:
            items = pop() if name == "TUPLE" else pop(int(name[-1]) if name[-1].isdigit() else 0)
            kind = "TUPLE" if "TUPLE" in name else name
            stack.append(_Item(kind, 1 + sum(item.size for item in items), items))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[value] = _last(stack, marks)
        elif name in ("BINGET", "LONG_BINGET"):
            item = memo[value]
            item.shared = True
            expanded += item.size
            stack.append(item)
        elif name in _GROWS:
            items = pop() if name.endswith("S") else pop(2 if name == "SETITEM" else 1)
            target = _last(stack, marks)
            if target.shared:  # or it would be larger than what was counted
                raise ValueError("it changes an object that it has used")
            if name.startswith("SETITEM") and any(key.kind not in _PLAIN for key in items[::2]):
                raise ValueError("it holds a dictionary with strange keys")
            if name == "BUILD" and items[0].kind != "EMPTY_DICT":
                raise ValueError(_DAMAGED)
            target.size += sum(item.size for item in items)
        elif name == "BINPERSID":
            storages[_storage(pop(1)[0], sizes)] = None
            stack.append(_Item(name, 1, None))
        elif name == "REDUCE":
            function, args = pop(2)
            if function.value not in _CALLED or args.kind != "TUPLE":
                raise ValueError(f"it makes a strange call{_ALONE}")
            in_dictionary = function.value in ("collections OrderedDict", "collections Counter")
            if in_dictionary and any(item.kind != "EMPTY_DICT" for item in args.value):
                raise ValueError("it holds a dictionary with strange keys")
            stack.append(_Item(name, 1 + args.size, None))
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"it holds the instruction {name}, which torch.save does not write")
        if expanded > _MAX_EXPANDED:
            raise ValueError("its data.pkl describes far more than it holds")
    return list(storages)


def _last(stack: list[_Item], marks: list[int]) -> _Item:
    if len(stack) <= (marks[-1] if marks else 0):
        raise ValueError(_DAMAGED)
    return stack[-1]


def _storage(reference: _Item, sizes: Mapping[str, int]) -> str:
    """Key of a storage, which must be as large as it says."""
    if reference.kind != "TUPLE" or len(reference.value) != 5:
        raise ValueError(_DAMAGED)
    kind, dtype, key, place, n_values = (item.value for item in reference.value)
    if kind != "storage" or type(dtype) is not str or dtype not in _ITEM_BYTES:
        raise ValueError("it refers to an unknown kind of storage")
    # torch finds members whatever their case, so that "a" and "A" would be one
    if type(key) is not str or not (key.isascii() and key.isdecimal()) or type(place) is not str:
        raise ValueError(_DAMAGED)
    if type(n_values) is not int or sizes.get(key) != n_values * _ITEM_BYTES[dtype]:
        raise ValueError(f"its storage {shorten(key, 20)!r} is of another size than it says")
    return key
