"""Where and in which precision networks run."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

import torch

from ..modules.encoder import Encoder
from ._cache import encoder_digest

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
    if not available.get(resolved.type, False):
        raise ValueError(f"device={device!r} is not available on this machine: pass device='auto'.")
    return resolved


# A process decides once per encoder, device and shape.
_CHOSEN: dict[tuple, str] = {}
FASTER = 1.1
MOST_ERROR = 1e-2
N_TRIED = 4  # epochs


def embedding_precision(
    precision: str, encoder: Encoder, channels: torch.Tensor, n_times: int, device: torch.device
) -> str:
    """What "auto" means for embeddings: bfloat16 where it was measured to be faster, and close.

    Both are run on noise, on devices with matrix units for bfloat16 (CUDA, and CPUs with AMX).
    CPUs that have its instructions alone (avx512_bf16) are slower with it, by 0.6 to 0.95 times in
    ``benchmarks/speed/embed.py``, so they are not tried.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
    encoder : Encoder
        On `device`, in evaluation mode.
    channels : LongTensor, shape (n_chans,)
    n_times : int
    device : torch.device

    Returns
    -------
    {"float32", "bfloat16"}
    """
    if precision != "auto":
        return precision
    if not has_fast_bfloat16(device):
        return "float32"
    key = (encoder_digest(encoder), str(device), len(channels), n_times)
    if key not in _CHOSEN:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(N_TRIED, len(channels), n_times, generator=generator).to(device)
        exact, slow = _run(encoder, x, channels, device, "float32")
        rough, fast = _run(encoder, x, channels, device, "bfloat16")
        error = float((rough - exact).norm() / exact.norm())
        better = slow >= FASTER * fast and error <= MOST_ERROR
        _CHOSEN[key] = "bfloat16" if better else "float32"
    return _CHOSEN[key]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has matrix units for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


@torch.inference_mode()
def _run(
    encoder: Encoder, x: torch.Tensor, channels: torch.Tensor, device: torch.device, precision: str
) -> tuple[torch.Tensor, float]:
    """Tokens in float32, and the seconds of the faster of two runs, the first one apart."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        with autocast(device, precision):
            tokens = encoder(x, channels).float().cpu()  # the copy waits for the device
        seconds.append(time.perf_counter() - start)
    return tokens, min(seconds[1:])


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Context in which networks run: bfloat16 where asked for, float32 otherwise.

    "auto" is float32 here: for embeddings, `embedding_precision` decides before.
    """
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
