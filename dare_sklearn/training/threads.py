"""How many threads compute.

Sums over epochs are split by thread, so the last bits of what is fitted depend on the number of
threads. Fits with the smallest networks are short and run on one thread everywhere, which also
costs least where other processes use the cores. Embedding sums nothing over epochs: its bits are
the same with any number, and on two idle cores a second thread takes a third to a half of its time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

from ..modules.config import DAREConfig
from .seeds import fork_safe

WIDE = 128  # width from which a network uses all of torch's threads
BUSY = 1.5  # processes that want to run, for each core
_LOCK = fork_safe(threading.Lock())
_here = threading.local()  # whether this Python thread computes in a block
_running, _before = 0, (0, None)  # blocks of all threads, and what the first of them replaced


def n_threads_of(config: DAREConfig) -> int:
    """One thread for networks narrower than 128 (nano); torch's own number for the others."""
    return 1 if config.embed_dim < WIDE else torch.get_num_threads()


def n_threads_to_embed() -> int:
    """Torch's own number, or one thread where other processes use the cores."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return 1 if load > BUSY * (os.cpu_count() or 1) else torch.get_num_threads()


@contextmanager
def compute_threads(n_threads: int) -> Iterator[None]:
    """Compute with this many threads in torch and BLAS, and restore the user's numbers afterwards.

    A block within another one changes nothing. BLAS has one number for the whole process, and torch
    one for each Python thread, where a new thread begins with the number that was set last: blocks
    that overlap all restore what the first found.
    """
    global _running, _before
    if getattr(_here, "inside", False):
        yield
        return
    with _LOCK:
        if not _running:
            _before = torch.get_num_threads(), _blas().limit(limits=n_threads)
        _running += 1
        torch.set_num_threads(n_threads)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _LOCK:
            _running -= 1
            torch.set_num_threads(_before[0])
            if not _running:
                _before[1].restore_original_limits()


@cache
def _blas() -> ThreadpoolController:
    """NumPy's and SciPy's BLAS."""
    return ThreadpoolController().select(user_api="blas")
