"""Checkpoints of the authors' training code (PyTorch Lightning ``.ckpt``), read as data."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from ..modules.config import DAREConfig
from ..pretraining.losses.mask_alignment import TEMPERATURE
from .files import shorten
from .torch_zip import read_state_dict

# What the authors pretrained on, which their files do not say: millivolts, average reference.
SCALE = {"amplitude_uv": 1000.0, "reference": "average"}
# Theirs -> ours; the first rule that matches a name applies.
_RENAMES = (
    (r"^(encoder|target_encoder)\.patch_embed\.proj\.", r"\1.patch_embed."),
    (r"^(encoder|target_encoder|reconstructor)\.chan_embed\.", r"\1.channel_embed."),
    (r"^(predictor|reconstructor)\.\1_(embed|blocks|norm|proj)\.", r"\1.\2."),
    (r"^(predictor|reconstructor)\.time_embed\.", r"\1.rotary."),
    (r"^loss_mc\.projection_head\.0\.", r"projection.fc1."),
    (r"^loss_mc\.projection_head\.2\.", r"projection.fc2."),
)


def read_lightning(path: str | Path) -> tuple[DAREConfig, dict[str, Tensor]]:
    """Configuration and tensors, under this library's names, of a Lightning checkpoint.

    The sizes are read off the tensors' shapes. The scale of the signals is not part of the files;
    the authors pretrained on millivolts against a common average, and so the configuration says. A
    ValueError says what is wrong with the file.
    """
    state = read_state_dict(path)
    tensors = {_rename(name): tensor for name, tensor in state.items()}
    if len(tensors) < len(state):
        raise ValueError(f"{str(path)!r} holds two tensors of one name.")
    temperature = tensors.pop("loss_mc.temperature", None)
    if temperature is not None and not (
        temperature.is_floating_point()
        and temperature.numel() == 1
        and abs(float(temperature) - TEMPERATURE)
        <= max(1e-6, TEMPERATURE * torch.finfo(temperature.dtype).eps)
    ):
        raise ValueError(
            f"{str(path)!r} was trained with the temperature {temperature.flatten()[:3].tolist()}; "
            f"this library has {TEMPERATURE:g}."
        )
    for part in ("encoder", "target_encoder"):
        name = f"{part}.patch_embed.weight"
        if name in tensors and tensors[name].ndim == 4:  # a convolution over (1, P) there
            tensors[name] = tensors[name].flatten(1)  # (D, 1, 1, P) -> (D, P)
    return _infer_config(tensors, str(path)), tensors


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        renamed, n_found = re.subn(pattern, replacement, name)
        if n_found:
            return renamed
    return name


def _infer_config(tensors: dict[str, Tensor], path: str) -> DAREConfig:
    try:
        _, embed_num, embed_dim = tensors["target_encoder.summary_token"].shape
        patch_size = tensors["target_encoder.patch_embed.weight"].shape[1]
        n_freqs = tensors["predictor.rotary.freqs"].shape[0]
        depth = tuple(
            len({m[1] for name in tensors if (m := re.match(rf"{part}\.blocks\.(\d+)\.", name))})
            for part in ("target_encoder", "predictor", "reconstructor")
        )
        # R/2 frequencies, R = (D / H) / 2
        num_heads = max(embed_dim // (4 * n_freqs), 1)
        return DAREConfig(embed_num, embed_dim, depth, num_heads, patch_size, **SCALE)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path!r} lacks a part of the model, or it is misshapen: {shorten(error)}."
        ) from None
