"""Initialisation of the paper's networks."""

from __future__ import annotations

import math

import torch
from torch import nn

from .layers import Block

STD = 0.02


def init_weights(module: nn.Module) -> None:
    """Initialise `module` in place, from torch's global generator.

    Truncated normal 0.02 for linear maps, convolutions and tokens, normal 0.02 for embeddings,
    LayerNorm 1/0, biases 0; in block number l (from 1) the attention's output and the second MLP
    weight are divided by sqrt(2 l).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d):
            nn.init.trunc_normal_(part.weight, std=STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=STD)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        for name, parameter in part.named_parameters(recurse=False):
            if name.endswith("_token"):
                nn.init.trunc_normal_(parameter, std=STD)
    for stack in (part for part in module.modules() if isinstance(part, nn.ModuleList)):
        for layer, block in enumerate(stack, start=1):
            if isinstance(block, Block):
                with torch.no_grad():
                    block.attn.proj.weight.div_(math.sqrt(2 * layer))
                    block.mlp.fc2.weight.div_(math.sqrt(2 * layer))
