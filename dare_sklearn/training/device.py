"""Where, in which precision and whether compiled networks run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..signals.errors import tell

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """The device of a ``device`` parameter; "auto" takes CUDA, then MPS, then the CPU."""
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
    n_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }.get(resolved.type, 0)
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
    """Context in which networks run (see `resolve_precision`)."""
    if resolve_precision(precision, device) == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class Compiled:
    """A network run through ``torch.compile``; from the first failure on, as it is, with a warning.

    Compilation happens in the first call and takes from seconds to minutes.
    """

    def __init__(self, module: nn.Module, **options: Any) -> None:
        self.module = module
        self.run: Callable = torch.compile(module, **options)

    def __call__(self, *args: Any) -> Any:
        try:
            return self.run(*args)
        except torch._dynamo.exc.TorchDynamoException as error:
            tell(
                f"torch.compile failed here ({str(error).splitlines()[0]}), so the network runs "
                "uncompiled. It needs a C++ compiler (on GPUs, triton); pass compile=False to "
                "silence this."
            )
            self.run = self.module
            return self.module(*args)
