"""Vision Transformer (Dosovitskiy et al. 2020, in the form of Beyer et al. 2022) in PyTorch.

The twin of `model_jax.py`.
"""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.imagenet_vit.positions import sincos_2d
from workloads.layers.attention_pytorch import Key, Out, Query, Value, initialized
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import Conv, constant, dropout, lecun_normal
from workloads.layers.transformer_pytorch import mlp_linear


class Attention(nn.Module):
    """Multi-head attention of queries x (B, T, width) to y (B, S, width) -> (B, T, width)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.query = initialized(Query, width, width)
        self.key = initialized(Key, width, width)
        self.value = initialized(Value, width, width)
        self.out = initialized(Out, width, width)
        self.num_heads = num_heads

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        def heads(z: torch.Tensor) -> torch.Tensor:
            return z.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            heads(self.query(x)), heads(self.key(y)), heads(self.value(y))
        )
        return self.out(attended.transpose(1, 2).flatten(2))


# What the activated values of an MLP are multiplied by: nothing, or a linear function of themselves.
GATES = {"none": lambda num_features: None, "linear": lambda num_features: mlp_linear(num_features, num_features)}


class Mlp(nn.Module):
    """Two linear layers with GELU and perhaps a gate between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, gate: str) -> None:
        super().__init__()
        self.hidden = mlp_linear(width, mlp_dim)
        self.gate = choose("gate", gate, GATES)(mlp_dim)
        self.out = mlp_linear(mlp_dim, width)

    def forward(self, x: torch.Tensor, ctx: ForwardContext | None = None) -> torch.Tensor:
        """ctx: given where the hidden values are subject to dropout."""
        x = functional.gelu(self.hidden(x), approximate="tanh")
        if self.gate is not None:
            x = x * self.gate(x)
        return self.out(x if ctx is None else dropout(x, ctx))


class Block(nn.Module):
    """Attention and MLP, each with a residual: (B, T, width) -> (B, T, width). norm: before each of them, or after."""

    def __init__(self, width: int, mlp_dim: int, num_heads: int, gate: str, norm: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, mlp_dim, gate)
        self.compute = choose("norm", norm, {"pre": Block.pre_norm, "post": Block.post_norm})

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return self.compute(self, x, ctx)

    def pre_norm(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        y = self.norm1(x)
        x = x + dropout(self.attention(y, y), ctx)
        return x + dropout(self.mlp(self.norm2(x), ctx), ctx)

    def post_norm(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = self.norm1(x + dropout(self.attention(x, x), ctx))
        return self.norm2(x + dropout(self.mlp(x, ctx), ctx))


class MeanPool(nn.Module):
    """The mean of all tokens: (B, T, width) -> (B, width)."""

    def __init__(self, width: int, mlp_dim: int, num_heads: int) -> None:
        super().__init__()
        del width, mlp_dim, num_heads  # it has no parameters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1)


class AttentionPool(nn.Module):
    """What a learnt probe attends to (Lee et al. 2019), through an MLP with a residual: (B, T, width) -> (B, width)."""

    TYPES: ClassVar = {"probe": ParameterType.WEIGHT}

    def __init__(self, width: int, mlp_dim: int, num_heads: int) -> None:
        super().__init__()
        self.probe = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width))[None])
        self.attention = Attention(width, num_heads)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, mlp_dim, "none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.attention(self.probe.expand(len(x), -1, -1), x)
        return (y + self.mlp(self.norm(y)))[:, 0]


POOLS = {"gap": MeanPool, "map": AttentionPool}


class ViT(nn.Module):
    """Images (B, 3, H, W) -> logits (B, num_classes). norm: "pre" or "post"; pool: "gap" or "map"."""

    def __init__(
        self,
        patch_size: int,
        width: int,
        depth: int,
        mlp_dim: int,
        num_heads: int,
        gate: str,
        norm: str,
        pool: str,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.patches = Conv(3, width, patch_size, patch_size, padding=0, use_bias=True)
        self.blocks = nn.ModuleList(Block(width, mlp_dim, num_heads, gate, norm) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6) if norm == "pre" else None
        self.pool = choose("pool", pool, POOLS)(width, mlp_dim, num_heads)
        self.pre_logits = nn.Linear(width, width)
        self.head = nn.Linear(width, num_classes)
        with torch.no_grad():
            self.pre_logits.weight.copy_(lecun_normal(width, width))
        for zero in (self.pre_logits.bias, self.head.weight, self.head.bias):
            nn.init.zeros_(zero)

    def forward(self, inputs: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = self.patches(inputs)
        _, width, rows, columns = x.shape
        x = x.flatten(2).transpose(1, 2) + constant(sincos_2d, rows, columns, width, dtype=x.dtype, device=x.device)
        x = dropout(x, ctx)
        for block in self.blocks:
            x = block(x, ctx)
        if self.norm is not None:
            x = self.norm(x)
        x = torch.tanh(self.pre_logits(self.pool(x)))
        return self.head(x)


MODEL = ViT
