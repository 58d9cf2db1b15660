"""Independent random streams from one ``random_state``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.utils import check_random_state

# torch draws initial weights and dropout from generators that all threads share
_LOCK = threading.RLock()


def draw_seeds(random_state: Any, n_seeds: int) -> list[int]:
    """Seeds of `n_seeds` streams; a generator passed as `random_state` moves on."""
    rng = check_random_state(random_state)
    return [int(seed) for seed in rng.randint(2**31 - 1, size=n_seeds)]


def torch_generator(seed: int) -> torch.Generator:
    """A generator of its own on the CPU."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were found.

    Threads take turns here, so that each gets the numbers of its own seed.
    """
    with _LOCK, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _after_fork() -> None:
    """In a forked process, only the thread that forked continues.

    torch's own threads are gone, and it would wait for them forever; so is a thread that may have
    held the lock.
    """
    global _LOCK
    _LOCK = threading.RLock()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
