"""Background processes that read what lies on disk."""

from __future__ import annotations

import multiprocessing
import signal
from typing import Any

import torch


def worker_options(n_workers: int) -> dict[str, Any]:
    """Arguments of a torch DataLoader with this many workers.

    A daemonic process (one of a pool, or of Dask) may have no children, and reads by itself.
    """
    # the loader draws a seed for its workers in each epoch: from here, so that torch's own
    # generator, whose state a checkpoint keeps, is not moved
    options: dict[str, Any] = {"generator": torch.Generator()}
    if n_workers and not multiprocessing.current_process().daemon:
        options |= {
            "num_workers": n_workers,
            "persistent_workers": True,
            "worker_init_fn": _leave_signals_alone,
        }
    return options


def _leave_signals_alone(number: int) -> None:
    """Ctrl-C and SIGTERM reach a whole group of processes: the main one decides when to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
