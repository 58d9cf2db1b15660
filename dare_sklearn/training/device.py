"""Where and in which precision networks run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """The device of a ``device`` parameter; "auto" takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ValueError
        If the device is not a device of torch, or this machine lacks it.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda', 'cuda:<n>' or 'mps', got {device!r}."
        ) from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    missing = not available.get(resolved.type, False)
    if resolved.type == "cuda" and not missing:
        missing = (resolved.index or 0) >= torch.cuda.device_count()
    if missing:
        raise ValueError(f"device={device!r} is not available on this machine: pass device='auto'.")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} is not available: this machine has {torch.cuda.device_count()} "
            "CUDA device(s), counted from 0."
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
    """Context in which networks run (see `resolve_precision`)."""
    if resolve_precision(precision, device) == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
