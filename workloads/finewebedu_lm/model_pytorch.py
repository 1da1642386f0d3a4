"""Decoder-only Transformer with rotary positions and normalised queries and keys, in PyTorch.

The twin of `model_jax.py`.
"""

import functools
import math
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.finewebedu_lm.rotations import cosines_and_sines
from workloads.layers.attention_pytorch import Key, Out, Query, Value, initialized
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import constant
from workloads.layers.transformer_pytorch import TiedEmbedding

STD = 0.02


def linear(layer: type[nn.Linear], in_features: int, out_features: int, std: float) -> nn.Linear:
    """A layer of this type without a bias, its weight normal."""
    return initialized(layer, in_features, out_features, functools.partial(nn.init.normal_, std=std), bias=False)


class RMSNorm(nn.Module):
    TYPES: ClassVar = {"weight": ParameterType.LAYER_NORM_SCALE}

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), eps=1e-6)


def rotated(x: torch.Tensor) -> torch.Tensor:
    """x (B, num_heads, T, D) with each two neighbours in D turned, as a point, by an angle that follows from T.

    It and what is computed with it are at least in float32.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    cos, sin = constant(cosines_and_sines, *x.shape[2:], dtype=x.dtype, device=x.device)
    # No complex numbers, which PyTorch's compiler has no code for.
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)


def normalised(x: torch.Tensor) -> torch.Tensor:
    """x divided by its length along the last axis."""
    return x / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    """Causal multi-head attention: (B, T, width) -> (B, T, width).

    length: of the sequences; a cosine of 1 starts with a score of log2(length^2 - length).
    """

    TYPES: ClassVar = {"scale": ParameterType.WEIGHT}

    def __init__(self, width: int, num_heads: int, length: int, out_std: float) -> None:
        super().__init__()
        self.query = linear(Query, width, width, STD)
        self.key = linear(Key, width, width, STD)
        self.value = linear(Value, width, width, STD)
        self.out = linear(Out, width, width, out_std)
        self.scale = nn.Parameter(torch.full((1,), math.log2(length**2 - length)))
        self.num_heads = num_heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def heads(z: torch.Tensor) -> torch.Tensor:
            return z.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

        queries = self.scale * normalised(rotated(heads(self.query(x))))
        keys = normalised(rotated(heads(self.key(x))))
        values = heads(self.value(x))
        found = functional.scaled_dot_product_attention(
            queries.to(values.dtype), keys.to(values.dtype), values, is_causal=True, scale=1.0
        )
        return self.out(found.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a gated linear unit between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, out_std: float) -> None:
        super().__init__()
        self.hidden = linear(nn.Linear, width, 2 * mlp_dim, STD)
        self.out = linear(nn.Linear, mlp_dim, width, out_std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(functional.glu(self.hidden(x)))


class Block(nn.Module):
    """Attention and MLP, each with a norm before it and a residual: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, num_heads: int, length: int, out_std: float) -> None:
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.attention = Attention(width, num_heads, length, out_std)
        self.norm2 = RMSNorm(width)
        self.mlp = Mlp(width, mlp_dim, out_std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """Ids of tokens (B, T) -> logits (B, T, vocab_size) of the token after each. Nothing is dropped.

    Parameters and logits are in float32; what is between them is in bfloat16 on accelerators.
    """

    def __init__(
        self, vocab_size: int, sequence_length: int, width: int, depth: int, mlp_dim: int, num_heads: int
    ) -> None:
        super().__init__()
        out_std = STD / math.sqrt(2 * depth)
        self.embedding = TiedEmbedding(vocab_size, width, STD)
        self.blocks = nn.ModuleList(Block(width, mlp_dim, num_heads, sequence_length, out_std) for _ in range(depth))
        self.norm = RMSNorm(width)

    def forward(self, inputs: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        del ctx
        x = self.embedding(inputs)
        is_accelerated = x.device.type != "cpu"
        x = x.to(torch.bfloat16 if is_accelerated else x.dtype)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=is_accelerated):
            for block in self.blocks:
                x = block(x)
            return self.embedding.scores(self.norm(x))


MODEL = LanguageModel
