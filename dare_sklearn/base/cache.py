"""Embeddings that were computed before, found again by the content of the epoch.

An embedding depends on its own epoch alone, so cross-validation and grid search need each one once,
whatever fold or candidate asks for it. Keys are 128-bit hashes of the epoch's values and of
everything else that the result depends on: encoder, montage, rate, unit, pooling, precision.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from xxhash import xxh3_128

from ..modules.encoder import Encoder
from ..signals.validation import Summary, summarize

MEMORY = "memory"
_SUMMARY = b" summary"
_OPEN: dict[tuple[str, int], EpochCache] = {}
_DIGESTS: WeakKeyDictionary[Encoder, tuple[tuple, bytes]] = WeakKeyDictionary()
_OPEN_LOCK = threading.Lock()


def _after_fork() -> None:
    """A thread that held a lock did not come along into the forked process."""
    global _OPEN_LOCK
    _OPEN_LOCK = threading.Lock()
    for cache in _OPEN.values():
        cache._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class EpochCache:
    """Rows of numbers by key: in memory, and in a folder that processes share.

    Parameters
    ----------
    folder : Path or None
        Where rows are kept too; each batch of new ones is a file of its own, written in one step.
    limit : int
        Bytes in memory, and as many in the folder; what was used (written) longest ago goes first.
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._rows: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._n_bytes = 0
        self._read: set[str] = set()  # files that were looked into
        self._lock = threading.RLock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, keys: Sequence[bytes]) -> list[np.ndarray | None]:
        """The row of each key, or None."""
        with self._lock:
            if self.folder is not None and any(key not in self._rows for key in keys):
                self._look_for_files()
            for key in keys:
                if key in self._rows:
                    self._rows.move_to_end(key)
            return [self._rows.get(key) for key in keys]

    def put(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Keep rows ``(n, ...)``; they must not be changed afterwards."""
        with self._lock:
            self._keep(keys, rows)
            if self.folder is not None:
                self._write(keys, rows)

    def _keep(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        for key, row in zip(keys, rows, strict=True):
            if key not in self._rows:
                self._rows[key] = row = row.copy()  # a view would keep all of its batch
                self._n_bytes += row.nbytes
        while self._n_bytes > self.limit and len(self._rows) > 1:
            self._n_bytes -= self._rows.popitem(last=False)[1].nbytes

    def _write(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        names = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1)
        handle, scratch = tempfile.mkstemp(dir=self.folder, suffix=".part")
        os.close(handle)
        save_file({"keys": names.copy(), "rows": np.ascontiguousarray(rows)}, scratch)
        name = xxh3_128(names.tobytes()).hexdigest() + ".safetensors"
        os.replace(scratch, self.folder / name)
        self._read.add(name)
        self._drop_old_files()

    def _look_for_files(self) -> None:
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._read:
                continue
            try:
                content = load_file(path)
                names, rows = content["keys"], content["rows"]
            except (OSError, SafetensorError, KeyError):
                continue  # dropped meanwhile by another process, or not ours
            self._read.add(path.name)
            self._keep([name.tobytes() for name in names], rows)

    def _drop_old_files(self) -> None:
        files = []
        for path in self.folder.glob("*.safetensors"):
            try:
                files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
            except OSError:
                continue
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files)[:-1]:
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


def open_cache(cache: str | os.PathLike | None, cache_mb: int) -> EpochCache | None:
    """The cache of a ``cache`` parameter; one per process for each folder, and one in memory."""
    if cache is None:
        return None
    place = MEMORY if cache == MEMORY else str(Path(cache).expanduser().absolute())
    with _OPEN_LOCK:
        key = (place, cache_mb)
        if key not in _OPEN:
            folder = None if place == MEMORY else Path(place)
            _OPEN[key] = EpochCache(folder, cache_mb * 1_000_000)
        return _OPEN[key]


def remembered_summary(cache: EpochCache) -> Callable[[Any, str], Summary]:
    """`summarize`, which asks the cache first where epochs have digests."""

    def summary_of(data, owner: str) -> Summary:
        digests = getattr(data, "digests", None)
        if digests is None or data.shape[-1] < 2:
            return summarize(data, owner)
        keys = [digest + _SUMMARY for digest in digests]
        rows = cache.get(keys)
        unseen = [i for i, row in enumerate(rows) if row is None]
        if unseen:
            new = summarize(data.read(np.array(unseen)), owner)
            new = np.stack([new.finite, new.flat, new.spread], axis=1)  # (n, 3, n_chans)
            cache.put([keys[i] for i in unseen], new)
            for i, row in zip(unseen, new, strict=True):
                rows[i] = row
        finite, flat, spread = np.array(rows).transpose(1, 0, 2)
        return Summary(finite.astype(bool), flat.astype(bool), spread)

    return summary_of


def encoder_digest(encoder: Encoder) -> bytes:
    """Hash of an encoder's configuration and weights, remembered until a weight is written to."""
    written = tuple((p.data_ptr(), p._version) for p in encoder.parameters())
    known = _DIGESTS.get(encoder)
    if known is not None and known[0] == written:
        return known[1]
    digest = _encoder_digest(encoder)
    _DIGESTS[encoder] = (written, digest)
    return digest


def _encoder_digest(encoder: Encoder) -> bytes:
    digest = xxh3_128(repr(encoder.config).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy())
    return digest.digest()
