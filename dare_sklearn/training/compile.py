"""torch.compile as an option: faster where it works, the plain network where it does not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Compiled:
    """A network run through torch.compile, or as it is from the first failure on.

    Compilation happens in the first call, takes from seconds to minutes, and needs a C++ compiler
    (on GPUs: triton); what it fails on is run plainly, with one warning.

    Parameters
    ----------
    module : nn.Module
    owner : str
        Who asks, for the message.
    **options
        Of ``torch.compile``.
    """

    def __init__(self, module: nn.Module, owner: str, **options: Any) -> None:
        self.module, self.owner = module, owner
        self.run: Callable = torch.compile(module, **options)

    def __call__(self, *args: Any) -> Any:
        if self.run is self.module:
            return self.module(*args)
        try:
            return self.run(*args)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).splitlines()[0]
            warnings.warn(
                f"{self.owner} runs without torch.compile, which failed here ({reason}). It needs "
                "a C++ compiler; pass compile=False to silence this.",
                UserWarning,
                stacklevel=2,
            )
            self.run = self.module
            return self.module(*args)
