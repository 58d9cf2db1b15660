"""Where memory runs out: smaller batches, or a message that names one that fits."""

from __future__ import annotations

import ctypes
import gc
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")

# How torch says so where it has no error class for it; the last two are oneDNN's, on CPUs.
_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
    "could not create a primitive",
    "could not create a memory",
)

_ADVICE = "free memory, cut shorter epochs, or take a smaller encoder or another device."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of the machine (torch, numpy) or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _PHRASES)


def run_in_batches(
    run: Callable[[int, int], Part], n_epochs: int, batch_size: int, owner: str
) -> list[Part]:
    """``run(start, stop)`` for all epochs; batches are halved where memory runs out.

    Parameters
    ----------
    run : callable
        Gives the result of epochs `start` to `stop`, and may be called again after a failure.
    n_epochs, batch_size : int
    owner : str
        Who asks, for messages.

    Returns
    -------
    list
        The results, in order.

    Raises
    ------
    MemoryError
        If a single epoch is too much.
    """
    size = max(min(batch_size, n_epochs), 1)
    fits, done, start = size, [], 0
    while start < n_epochs:
        part = attempt(run, start, min(start + size, n_epochs))
        if not isinstance(part, TooLarge):
            done.append(part)
            start += size
        elif size == 1:
            raise MemoryError(
                f"{owner} ran out of memory with a single epoch ({part.reason}): {_ADVICE}"
            ) from part.error
        else:
            size //= 2
    if size < fits:
        warnings.warn(
            f"{owner} ran out of memory with batch_size={batch_size} and went on with {size}: pass "
            f"batch_size={size}.",
            UserWarning,
            stacklevel=4,
        )
    return done


def fit_or_name_batch_size(
    fit: Callable[[], Any],
    step: Callable[[int], Any],
    batch_size: int,
    n_epochs: int,
    owner: str,
) -> None:
    """Run `fit`; where memory runs out, try single steps to find a batch size that fits.

    Parameters
    ----------
    fit : callable
    step : callable
        One training step on so many epochs, from a fresh optimizer.
    batch_size, n_epochs : int
    owner : str
        Who asks, for messages.

    Raises
    ------
    MemoryError
        Naming a batch size that fits.
    """
    failure = attempt(fit)
    if not isinstance(failure, TooLarge):
        return
    size = min(batch_size, n_epochs)
    while size > 1:
        size //= 2
        if not isinstance(attempt(step, size), TooLarge):
            raise MemoryError(
                f"{owner} ran out of memory in fit with batch_size={batch_size} "
                f"({failure.reason}): pass batch_size={size}, which fits."
            ) from failure.error
    raise MemoryError(
        f"{owner} ran out of memory in fit, and not even batch_size=1 fits ({failure.reason}): "
        f"{_ADVICE}"
    ) from failure.error


class TooLarge:
    """Memory ran out. The error has no traceback, which would keep memory taken."""

    def __init__(self, error: BaseException) -> None:
        self.error = error.with_traceback(None)
        self.reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__


def attempt(run: Callable[..., Part], *args: Any) -> Part | TooLarge:
    """``run(*args)``, or `TooLarge` where memory runs out."""
    try:
        return run(*args)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = TooLarge(error)
    _give_back()
    return failure


def _give_back() -> None:
    """Let go of memory that torch and the C library have freed, and keep for later."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
