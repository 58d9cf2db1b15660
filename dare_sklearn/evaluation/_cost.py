"""What a computation takes of memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Growth:
    """By how many megabytes the process grows at its largest, from here on.

    Linux reports the peak since a reset. Elsewhere it is that since the start of the process, so
    that growth shows beyond what was reached before; on Windows memory is NaN. Threads of one
    process cannot be told apart.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            _RESET.write_text("5")
        self._before = _resident("VmRSS:")

    def megabytes(self) -> float:
        """The growth so far."""
        return max(_resident("VmHWM:") - self._before, 0.0)


def _resident(field: str) -> float:
    """Megabytes, in that field of Linux' report; elsewhere the largest so far."""
    if _STATUS.exists():
        return int(_STATUS.read_text().split(field)[1].split()[0]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
