"""What a computation costs: wall time and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isnan
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """Filled when the block of `measure` ends."""

    seconds: float = float("nan")
    peak_mb: float = float("nan")


@contextmanager
def measure() -> Iterator[Cost]:
    """Seconds of the block, and by how many megabytes the process grew at its largest.

    Linux reports the peak of the resident memory since a reset. Elsewhere only the peak since the
    start of the process is known, so that growth shows beyond what was reached before; on Windows
    memory is NaN. A process that reuses memory it holds already does not grow, and threads of one
    process cannot be told apart.
    """
    cost = Cost()
    with suppress(OSError):
        _RESET.write_text("5")
    before, start = _resident(), time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.peak_mb = before if isnan(before) else max(0.0, _peak() - before)


def _resident() -> float:
    """Megabytes now; where the system does not report them, the largest so far."""
    return _status("VmRSS:") if _STATUS.exists() else _peak()


def _peak() -> float:
    if _STATUS.exists():
        return _status("VmHWM:")
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _status(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
