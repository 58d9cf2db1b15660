"""Tables of features by epoch, in memory or, where they are large, in temporary files."""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from math import prod
from typing import Self

import numpy as np

IN_MEMORY_MB = 512
EPOCHS_AT_ONCE = 256  # whatever is read of a row, the system maps 64 kB around it


class FileRows:
    """A float32 array ``(n_epochs, ...)`` in a temporary file, which is read and written in parts.

    ``rows[epochs]`` and, of a table, ``rows[epochs, columns]`` take slices and give copies. Nothing
    stays mapped, so that the memory of the process does not grow with the file. The file has no
    name: it is gone with the object, however the process ends.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file = tempfile.TemporaryFile(prefix="dare_sklearn_")  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def reshape(self, n_epochs: int, n_columns: int) -> Self:
        """The same file as a table; `n_columns` is -1, as numpy has it."""
        table = copy.copy(self)
        table.shape = (n_epochs, prod(self.shape[1:]))
        table._owner = self  # which closes the file when it goes
        return table

    def __setitem__(self, epochs: slice, values: np.ndarray) -> None:
        # not by a map: on a full disk that ends the process, and this raises an OSError
        self._file.seek(4 * epochs.start * prod(self.shape[1:]))
        self._file.write(np.asarray(values, dtype=np.float32).tobytes())
        self._file.flush()

    def __getitem__(self, key: slice | tuple[slice, slice]) -> np.ndarray:
        start, stop, _ = (key[0] if isinstance(key, tuple) else key).indices(len(self))
        parts = []
        for at in range(start, stop, EPOCHS_AT_ONCE):
            mapped = np.memmap(self._file, np.float32, "r", shape=self.shape)
            part = mapped[at : min(at + EPOCHS_AT_ONCE, stop)]
            parts.append(np.array(part[:, key[1]] if isinstance(key, tuple) else part))
        return np.concatenate(parts)


def empty_rows(n_epochs: int, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray | FileRows]:
    """Float32 arrays ``(n_epochs, *shape)``, in temporary files if they are large together.

    In memory where the folder of temporary files lacks the room.
    """
    size = 4 * n_epochs * sum(map(prod, shapes))
    room = shutil.disk_usage(tempfile.gettempdir()).free
    if IN_MEMORY_MB * 1e6 < size < room:
        return [FileRows((n_epochs, *shape)) for shape in shapes]
    return [np.empty((n_epochs, *shape), np.float32) for shape in shapes]
