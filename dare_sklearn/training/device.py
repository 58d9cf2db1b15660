"""How networks run: device, precision, threads, seeds, and what to do without memory.

Sums over epochs are split by thread, so the last bits of what is fitted depend on their number:
fits with the smallest networks run on one. Embeddings have the same bits with any.
"""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from sklearn.utils import check_random_state
from threadpoolctl import ThreadpoolController

from ..modules.config import DAREConfig
from ..signals.errors import tell
from ..weights.files import shorten

PRECISIONS = ("auto", "float32", "bfloat16")
WIDE = 128  # width from which a network uses all of torch's threads
BUSY = 1.5  # processes that want to run, for each core
_here = threading.local()  # whether this Python thread is inside a block
_running, _before = 0, (0, None)  # blocks of all threads; the numbers before the first of them
Part = TypeVar("Part")

# Messages of torch's errors without a class of their own; the last two are oneDNN's, on CPUs.
_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
    "could not create a primitive",
    "could not create a memory",
)
ADVICE = "free memory, cut shorter epochs, or take a smaller encoder or another device"


def fork_safe(lock: Any) -> Any:
    """A lock that is free in a forked process, even if another thread held it before the fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock


_THREADS = fork_safe(threading.Lock())
# torch draws initial weights and dropout from generators that all threads share
_SEEDING = fork_safe(threading.RLock())
_DRAWING = fork_safe(threading.RLock())


def resolve_device(device: str) -> torch.device:
    """The device of a ``device`` parameter; "auto" takes CUDA, then MPS, then the CPU."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        n_devices = torch.get_device_module(resolved).device_count()
    except RuntimeError:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda', 'cuda:<n>' or 'mps', got {device!r}."
        ) from None
    if (resolved.index or 0) >= n_devices:
        raise ValueError(
            f"device={device!r} is not available on this machine, which has {n_devices} of that "
            "kind, counted from 0: pass device='auto'."
        )
    return resolved


def resolve_precision(precision: str, device: torch.device) -> str:
    """The precision of a ``precision`` parameter; "auto" is bfloat16 on GPUs that have it.

    The choice depends on the device only, so that the same seed gives the same numbers.
    """
    if precision != "auto":
        return precision
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Context in which networks run (see `resolve_precision`), whatever the caller's own is."""
    enabled = resolve_precision(precision, device) == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def n_threads_of(config: DAREConfig) -> int:
    """One thread for networks narrower than 128 (nano); torch's own number for the others."""
    return 1 if config.embed_dim < WIDE else torch.get_num_threads()


def n_threads_to_embed() -> int:
    """torch's own number, or one thread if other processes use the cores."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return 1 if load > BUSY * (os.cpu_count() or 1) else torch.get_num_threads()


def _start_alone() -> None:
    """Start a forked process with one thread, and without the blocks of the parent's threads.

    torch's own threads do not survive a fork, and torch would wait for them forever.
    """
    global _running
    _running = 0
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # a fork while a thread draws leaves torch's generator locked in the child for good
    os.register_at_fork(
        before=_DRAWING.acquire, after_in_parent=_DRAWING.release, after_in_child=_start_alone
    )


@contextmanager
def compute_threads(n_threads: int) -> Iterator[None]:
    """Compute with this many threads in torch and BLAS, and restore the user's numbers afterwards.

    A block inside another one changes nothing. BLAS has one number for the whole process. torch has
    one for each Python thread, and a new thread starts with the number that was set last: blocks
    that overlap all restore what the first one found.
    """
    global _running, _before
    if getattr(_here, "inside", False):
        yield
        return
    with _THREADS:
        if not _running:
            _before = torch.get_num_threads(), _blas().limit(limits=n_threads)
        _running += 1
        torch.set_num_threads(n_threads)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _THREADS:
            _running -= 1
            torch.set_num_threads(_before[0])
            if not _running:
                _before[1].restore_original_limits()


@cache
def _blas() -> ThreadpoolController:
    """NumPy's and SciPy's BLAS."""
    return ThreadpoolController().select(user_api="blas")


def draw_seeds(random_state: Any, n_seeds: int) -> list[int]:
    """Seeds of `n_seeds` streams; a generator passed as `random_state` is advanced."""
    rng = check_random_state(random_state)
    return [int(seed) for seed in rng.randint(2**31 - 1, size=n_seeds)]


@contextmanager
def torch_seed(seed: int, *, brief: bool = False) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were found.

    Threads take turns, so that each gets the numbers of its own seed; a fork waits for a `brief`
    block, which only draws. CUDA is not started, since a forked process could not use it again.
    """
    n_gpus, started = torch.cuda.device_count(), torch.cuda.is_initialized()
    turn = _DRAWING if brief else nullcontext()
    try:
        with _SEEDING, turn, torch.random.fork_rng(devices=range(n_gpus if started else 0)):
            if n_gpus or torch.backends.mps.is_available():
                torch.manual_seed(seed)
            else:  # torch.manual_seed would also take locks of devices that do not exist
                torch.default_generator.manual_seed(seed)
            yield
    finally:
        if n_gpus and not started:
            torch.cuda.manual_seed_all(torch.initial_seed())  # its seed when it starts


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or a GPU ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _PHRASES)


def free_memory(error: BaseException) -> str:
    """Free what a call held when memory ran out, and say what its error says; raise any other."""
    if not is_out_of_memory(error):
        raise error
    error.with_traceback(None)  # whose frames hold the tensors
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return shorten(error).rstrip(".")


def run_in_batches(run: Callable[[int, int], Part], n_epochs: int, batch_size: int) -> list[Part]:
    """``run(start, stop)`` for all epochs in order; halve the batches if memory runs out."""
    size = fits = max(min(batch_size, n_epochs), 1)
    done, start = [], 0
    while start < n_epochs:
        try:
            done.append(run(start, min(start + size, n_epochs)))
            start += size
        except (RuntimeError, MemoryError) as error:
            reason = free_memory(error)
            if size == 1:
                raise MemoryError(
                    f"Memory ran out with a single epoch ({reason}): {ADVICE}."
                ) from error
            size //= 2
    if size < fits:
        tell(
            f"memory ran out with batch_size={batch_size}, so the work continued with {size}: "
            f"pass batch_size={size}."
        )
    return done
