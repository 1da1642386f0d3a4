"""Vision Transformer (Dosovitskiy et al. 2020, in the form of Beyer et al. 2022) in JAX.

The twin of `model_pytorch.py`.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.imagenet_vit.positions import sincos_2d
from workloads.layers.attention_jax import XAVIER, Key, Out, Query, Value
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Conv, Leaf, dropout
from workloads.layers.transformer_jax import mlp_linear


class Attention(nnx.Module):
    """Multi-head attention of queries x (B, T, width) to y (B, S, width) -> (B, T, width)."""

    def __init__(self, width: int, num_heads: int, *, rngs: nnx.Rngs) -> None:
        self.query = Query(width, width, kernel_init=XAVIER, rngs=rngs)
        self.key = Key(width, width, kernel_init=XAVIER, rngs=rngs)
        self.value = Value(width, width, kernel_init=XAVIER, rngs=rngs)
        self.out = Out(width, width, kernel_init=XAVIER, rngs=rngs)
        self.num_heads = num_heads

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        def heads(z: jax.Array) -> jax.Array:
            return z.reshape(*z.shape[:2], self.num_heads, -1)

        attended = jax.nn.dot_product_attention(heads(self.query(x)), heads(self.key(y)), heads(self.value(y)))
        return self.out(attended.reshape(x.shape))


# What the activated values of an MLP are multiplied by: nothing, or a linear function of themselves.
GATES = {
    "none": lambda num_features, rngs: None,
    "linear": lambda num_features, rngs: mlp_linear(num_features, num_features, rngs=rngs),
}


class Mlp(nnx.Module):
    """Two linear layers with GELU and perhaps a gate between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, gate: str, *, rngs: nnx.Rngs) -> None:
        self.hidden = mlp_linear(width, mlp_dim, rngs=rngs)
        self.gate = choose("gate", gate, GATES)(mlp_dim, rngs=rngs)
        self.out = mlp_linear(mlp_dim, width, rngs=rngs)

    def __call__(self, x: jax.Array, ctx: ForwardContext | None = None) -> jax.Array:
        """ctx: given where the hidden values are subject to dropout."""
        x = nnx.gelu(self.hidden(x), approximate=True)
        if self.gate is not None:
            x = x * self.gate(x)
        return self.out(x if ctx is None else dropout(x, ctx))


class Block(nnx.Module):
    """Attention and MLP, each with a residual: (B, T, width) -> (B, T, width). norm: before each of them, or after."""

    def __init__(self, width: int, mlp_dim: int, num_heads: int, gate: str, norm: str, *, rngs: nnx.Rngs) -> None:
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = Attention(width, num_heads, rngs=rngs)
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.mlp = Mlp(width, mlp_dim, gate, rngs=rngs)
        self.compute = choose("norm", norm, {"pre": Block.pre_norm, "post": Block.post_norm})

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        return self.compute(self, x, ctx)

    def pre_norm(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        y = self.norm1(x)
        x = x + dropout(self.attention(y, y), ctx)
        return x + dropout(self.mlp(self.norm2(x), ctx), ctx)

    def post_norm(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = self.norm1(x + dropout(self.attention(x, x), ctx))
        return self.norm2(x + dropout(self.mlp(x, ctx), ctx))


class MeanPool(nnx.Module):
    """The mean of all tokens: (B, T, width) -> (B, width)."""

    def __init__(self, width: int, mlp_dim: int, num_heads: int, *, rngs: nnx.Rngs) -> None:
        del width, mlp_dim, num_heads, rngs  # it has no parameters

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean(1)


class AttentionPool(nnx.Module):
    """What a learnt probe attends to (Lee et al. 2019), through an MLP with a residual: (B, T, width) -> (B, width)."""

    LEAVES: ClassVar = {"probe": Leaf("probe", axes=(0, 1, 2), type=ParameterType.WEIGHT)}

    def __init__(self, width: int, mlp_dim: int, num_heads: int, *, rngs: nnx.Rngs) -> None:
        self.probe = nnx.Param(XAVIER(rngs.params(), (1, 1, width)))
        self.attention = Attention(width, num_heads, rngs=rngs)
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.mlp = Mlp(width, mlp_dim, "none", rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        probe = jnp.broadcast_to(self.probe[...], (len(x), 1, x.shape[-1]))
        y = self.attention(probe, x)
        return (y + self.mlp(self.norm(y)))[:, 0]


POOLS = {"gap": MeanPool, "map": AttentionPool}


class ViT(nnx.Module):
    """Images (B, H, W, 3) -> logits (B, num_classes). norm: "pre" or "post"; pool: "gap" or "map"."""

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
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.patches = Conv(3, width, patch_size, patch_size, padding=0, use_bias=True, rngs=rngs)
        self.blocks = nnx.List(Block(width, mlp_dim, num_heads, gate, norm, rngs=rngs) for _ in range(depth))
        self.norm = nnx.LayerNorm(width, rngs=rngs) if norm == "pre" else None
        self.pool = choose("pool", pool, POOLS)(width, mlp_dim, num_heads, rngs=rngs)
        self.pre_logits = nnx.Linear(width, width, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, inputs: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = self.patches(inputs)
        batch, rows, columns, width = x.shape
        x = x.reshape(batch, rows * columns, width) + sincos_2d(rows, columns, width)
        x = dropout(x, ctx)
        for block in self.blocks:
            x = block(x, ctx)
        if self.norm is not None:
            x = self.norm(x)
        x = jnp.tanh(self.pre_logits(self.pool(x)))
        return self.head(x)


MODEL = ViT
