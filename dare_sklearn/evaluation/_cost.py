"""What a computation takes of memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Growth:
    """By how many megabytes the process grows at its largest, from here on.

    Linux reports the peak of the resident memory since a reset. Elsewhere only the peak since the
    start of the process is known, so that growth shows beyond what was reached before; on Windows
    memory is NaN. A process that reuses memory it holds already does not grow, and threads of one
    process cannot be told apart.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            _RESET.write_text("5")
        self._before = _resident("VmRSS:")

    def megabytes(self) -> float:
        """The growth so far."""
        return float(np.maximum(_resident("VmHWM:") - self._before, 0.0))


def _resident(field: str) -> float:
    """Megabytes, in that field of Linux' report; elsewhere the largest so far."""
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
