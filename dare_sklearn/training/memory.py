"""Where memory runs out: smaller batches, or a message that names one to try."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ..signals.errors import tell

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
_ADVICE = "free memory, cut shorter epochs, or take a smaller encoder or another device"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of the machine (torch, numpy) or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _PHRASES)


def _attempt(run: Callable[..., Part], *args: Any) -> tuple[Part | None, BaseException | None]:
    """``run(*args)``, and the error where memory runs out, without what it keeps in memory."""
    try:
        return run(*args), None
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = error.with_traceback(None)
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None, failure


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__


def run_in_batches(run: Callable[[int, int], Part], n_epochs: int, batch_size: int) -> list[Part]:
    """``run(start, stop)`` for all epochs in order; batches are halved where memory runs out."""
    size = fits = max(min(batch_size, n_epochs), 1)
    done, start = [], 0
    while start < n_epochs:
        part, error = _attempt(run, start, min(start + size, n_epochs))
        if error is None:
            done.append(part)
            start += size
        elif size > 1:
            size //= 2
        else:
            raise MemoryError(
                f"Memory ran out with a single epoch ({_reason(error)}): {_ADVICE}."
            ) from error
    if size < fits:
        tell(
            f"memory ran out with batch_size={batch_size}, so the work continued with {size}: "
            f"pass batch_size={size}."
        )
    return done


def fit_or_name_batch_size(fit: Callable[[], Part], batch_size: int, n_epochs: int) -> Part:
    """Run `fit`; where memory runs out, raise a MemoryError that names a batch size to try."""
    result, error = _attempt(fit)
    if error is None:
        return result
    size = min(batch_size, n_epochs)
    hint = f"try batch_size={size // 2}" if size > 1 else _ADVICE
    raise MemoryError(
        f"Memory ran out in fit with batch_size={batch_size} ({_reason(error)}): {hint}."
    ) from error
