"""Embeddings that were computed before, found again by the content of the epoch.

Keys are 128-bit hashes of the epoch's values and of everything else that the result depends on:
encoder, montage, rate, unit, pooling, precision.
"""

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from xxhash import xxh3_128

from ..modules.networks import Encoder
from ..signals.container import digest_epochs
from ..signals.errors import tell
from ..signals.validation import Summary, summarize
from ..training.device import fork_safe
from ..weights.files import in_place_of

MEMORY = "memory"
MOST_ARRAYS = 10_000
_NAME = re.compile(r"(\.part-[0-9a-f]{32}-)?[0-9a-f]{32}\.safetensors")  # or what a kill left
_LOCK = fork_safe(threading.RLock())  # of all caches


class EpochCache:
    """Rows of numbers by key: in memory, and in a `folder` (or None) that processes share.

    Each batch of new rows is a file of its own, written in one step, with a checksum: a damaged
    file is passed over, and its rows are computed and written again. A folder that cannot be
    written to is given up. Each gives one warning. Memory holds `limit` bytes, and the folder as
    many; what was used (written) longest ago goes first.
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._rows: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._n_bytes = 0
        self._read: set[str] = set()  # files that were looked into
        self._typical: dict[bytes, float] = {}  # of arrays without a fault

    def summarize(self, values: Any) -> Summary:
        """`signals.validation.summarize`, with hashes of the epochs of an array.

        An array without a fault is looked through once: searches come back with the same folds.
        """
        if not isinstance(values, np.ndarray):
            return summarize(values)
        digests = digest_epochs(values)
        key = xxh3_128(b"".join(digests)).digest()
        if (typical := self._typical.get(key)) is not None:
            faultless, spread = np.ones((1, 1), dtype=bool), np.full((1, 1), typical)
            return Summary(faultless, ~faultless, spread, digests=digests)
        summary = summarize(values)
        if summary.faultless:
            with _LOCK:
                self._typical[key] = summary.typical
                if len(self._typical) > MOST_ARRAYS:
                    del self._typical[next(iter(self._typical))]
        return replace(summary, digests=digests)

    def get(self, keys: Sequence[bytes]) -> list[np.ndarray | None]:
        """The row of each key, or None."""
        with _LOCK:
            if self.folder is not None and any(key not in self._rows for key in keys):
                self._look_for_files()
            for key in keys:
                if key in self._rows:
                    self._rows.move_to_end(key)
            return [self._rows.get(key) for key in keys]

    def put(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Keep rows ``(n, ...)``; they must not be changed afterwards."""
        with _LOCK:
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
        names = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1).copy()
        rows = np.ascontiguousarray(rows)
        path = self.folder / f"{xxh3_128(names.tobytes()).hexdigest()}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with in_place_of(path) as part:
                save_file({"keys": names, "rows": rows, "sum": _checksum(names, rows)}, part)
            self._read.add(path.name)
            self._drop_old_files()
        except (OSError, SafetensorError) as error:
            tell(
                f"embeddings cannot be kept in the folder {str(self.folder)!r} ({error}), and are "
                "kept in memory only: pass a folder with room that can be written to as cache.",
                "unwritable cache",
            )

    def _look_for_files(self) -> None:
        for path in sorted(self._files()):
            if path.name in self._read or path.name.startswith("."):
                continue
            self._read.add(path.name)
            try:
                content = load_file(path)
                names, rows = content["keys"], content["rows"]
                if not np.array_equal(content["sum"], _checksum(names, rows)):
                    raise ValueError("its checksum is another")
            except FileNotFoundError:
                continue  # another process has dropped it meanwhile
            except Exception as error:  # whatever safetensors or the machine says of it
                tell(
                    f"kept embeddings are damaged and computed again: {str(path)!r} ({error}).",
                    "damaged cache",
                )
                continue
            self._keep([name.tobytes() for name in names], rows)

    def _files(self) -> Iterator[Path]:
        """Files of a cache in the folder: whatever else lies there is neither read nor dropped."""
        for path in self.folder.glob("*.safetensors"):
            if _NAME.fullmatch(path.name) and path.is_file():
                yield path

    def _drop_old_files(self) -> None:
        files = []
        for path in self._files():
            with suppress(FileNotFoundError):
                files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files)[:-1]:
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size


def _checksum(names: np.ndarray, rows: np.ndarray) -> np.ndarray:
    content = xxh3_128(f"{names.shape} {rows.shape} {rows.dtype.str}".encode())
    content.update(np.ascontiguousarray(names))
    content.update(np.ascontiguousarray(rows))
    return np.frombuffer(content.digest(), dtype=np.uint8).copy()


_OPEN: dict[tuple[str, int], EpochCache] = {}


def open_cache(cache: str | os.PathLike, cache_mb: int) -> EpochCache:
    """The cache of a ``cache`` parameter; one per process for each folder, and one in memory."""
    if not os.fspath(cache):
        raise ValueError("cache must be None, 'memory' or a folder, got an empty text.")
    place = MEMORY if cache == MEMORY else str(Path(cache).expanduser().absolute())
    if place != MEMORY and Path(place).exists() and not Path(place).is_dir():
        raise ValueError(f"cache={place!r} is not a folder: pass one, new or not, or 'memory'.")
    with _LOCK:
        key = (place, cache_mb)
        if key not in _OPEN:
            folder = None if place == MEMORY else Path(place)
            _OPEN[key] = EpochCache(folder, cache_mb * 1_000_000)
        return _OPEN[key]


def encoder_digest(encoder: Encoder) -> bytes:
    """Hash of an encoder's configuration and weights: some ten milliseconds per 100 MB.

    It reads every weight each time: torch sees no write through ``.data`` or a NumPy view.
    """
    digest = xxh3_128(repr(encoder.config).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        values = tensor.detach().to("cpu").contiguous()
        digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy())
    return digest.digest()
