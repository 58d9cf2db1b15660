"""Independent random streams from one ``random_state``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from sklearn.utils import check_random_state


def fork_safe(lock: Any) -> Any:
    """A lock that is free in a forked process, even if another thread held it before the fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock


# torch draws initial weights and dropout from generators that all threads share
_LOCK = fork_safe(threading.RLock())
_drawing = fork_safe(threading.RLock())
if hasattr(os, "register_at_fork"):
    # A fork while a thread draws leaves torch's generator locked in the child for good.
    os.register_at_fork(before=_drawing.acquire, after_in_parent=_drawing.release)
    # torch's own threads do not survive a fork, and torch would wait for them forever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def draw_seeds(random_state: Any, n_seeds: int) -> list[int]:
    """Seeds of `n_seeds` streams; a generator passed as `random_state` is advanced."""
    rng = check_random_state(random_state)
    return [int(seed) for seed in rng.randint(2**31 - 1, size=n_seeds)]


def torch_generator(seed: int) -> torch.Generator:
    """A new generator on the CPU."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def torch_seed(seed: int, *, brief: bool = False) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were found.

    Threads take turns, so that each gets the numbers of its own seed; a fork waits for a `brief`
    block, which only draws. CUDA is not started, since a forked process could not use it again.
    """
    n_gpus, started = torch.cuda.device_count(), torch.cuda.is_initialized()
    turn = _drawing if brief else nullcontext()
    try:
        with _LOCK, turn, torch.random.fork_rng(devices=range(n_gpus if started else 0)):
            if n_gpus or torch.backends.mps.is_available():
                torch.manual_seed(seed)
            else:  # torch.manual_seed would also take locks of devices that do not exist
                torch.default_generator.manual_seed(seed)
            yield
    finally:
        if n_gpus and not started:
            torch.cuda.manual_seed_all(torch.initial_seed())  # its seed when it starts
