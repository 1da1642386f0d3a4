"""Decoder-only Transformer with rotary positions and normalised queries and keys, in JAX.

The twin of `model_pytorch.py`. Sources: RMSNorm, Zhang and Sennrich 2019 (arXiv 1910.07467); rotary positions, Su et
al. 2021 (2104.09864); normalised queries and keys, Henry et al. 2020 (2010.04245); gated linear unit, Dauphin et al.
2016 (1612.08083).
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from algoperf.benchmark.facts import ParameterType
from workloads.finewebedu_lm.rotations import cosines_and_sines
from workloads.layers.attention_jax import Key, Out, Query, Value, attended
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Leaf
from workloads.layers.transformer_jax import TiedEmbedding

STD = 0.02


def linear(
    layer: type[nnx.Linear], in_features: int, out_features: int, std: float, dtype: DTypeLike | None, rngs: nnx.Rngs
) -> nnx.Linear:
    """A layer of this type without a bias, its weight normal; it computes in this dtype."""
    init = nnx.initializers.normal(std)
    return layer(in_features, out_features, use_bias=False, kernel_init=init, dtype=dtype, rngs=rngs)


class RMSNorm(nnx.RMSNorm):
    LEAVES: ClassVar = {"scale": Leaf("weight", type=ParameterType.LAYER_NORM_SCALE)}


def rotated(x: jax.Array) -> jax.Array:
    """x (B, num_heads, T, D) with each two neighbours in D turned, as a point, by an angle that follows from T.

    It and what is computed with it are at least in float32.
    """
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    cos, sin = jnp.asarray(cosines_and_sines(*x.shape[2:]), dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    return jnp.stack([first * cos - second * sin, first * sin + second * cos], axis=-1).reshape(x.shape)


def normalised(x: jax.Array) -> jax.Array:
    """x divided by its length along the last axis."""
    return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)


class Attention(nnx.Module):
    """Causal multi-head attention: (B, T, width) -> (B, T, width).

    length: of the sequences; a cosine of 1 starts with a score of log2(length^2 - length).
    """

    LEAVES: ClassVar = {"scale": Leaf("scale", type=ParameterType.WEIGHT)}

    def __init__(
        self, width: int, num_heads: int, length: int, out_std: float, *, dtype: DTypeLike | None, rngs: nnx.Rngs
    ) -> None:
        self.query = linear(Query, width, width, STD, dtype, rngs)
        self.key = linear(Key, width, width, STD, dtype, rngs)
        self.value = linear(Value, width, width, STD, dtype, rngs)
        self.out = linear(Out, width, width, out_std, dtype, rngs)
        self.scale = nnx.Param(jnp.full(1, math.log2(length**2 - length)))
        self.num_heads = num_heads

    def __call__(self, x: jax.Array) -> jax.Array:
        def heads(z: jax.Array) -> jax.Array:
            return z.reshape(*z.shape[:2], self.num_heads, -1).swapaxes(1, 2)

        queries = self.scale[...] * normalised(rotated(heads(self.query(x))))
        keys = normalised(rotated(heads(self.key(x))))
        values = heads(self.value(x))
        is_past = jnp.tri(x.shape[1], dtype=bool)
        found = attended(queries.astype(values.dtype), keys.astype(values.dtype), values, is_past)
        return self.out(found.swapaxes(1, 2).reshape(x.shape))


class Mlp(nnx.Module):
    """Two linear layers with a gated linear unit between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, out_std: float, *, dtype: DTypeLike | None, rngs: nnx.Rngs) -> None:
        self.hidden = linear(nnx.Linear, width, 2 * mlp_dim, STD, dtype, rngs)
        self.out = linear(nnx.Linear, mlp_dim, width, out_std, dtype, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.glu(self.hidden(x)))


class Block(nnx.Module):
    """Attention and MLP, each with a norm before it and a residual: (B, T, width) -> (B, T, width)."""

    def __init__(
        self,
        width: int,
        mlp_dim: int,
        num_heads: int,
        length: int,
        out_std: float,
        *,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ) -> None:
        self.norm1 = RMSNorm(width, dtype=dtype, rngs=rngs)
        self.attention = Attention(width, num_heads, length, out_std, dtype=dtype, rngs=rngs)
        self.norm2 = RMSNorm(width, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(width, mlp_dim, out_std, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nnx.Module):
    """Ids of tokens (B, T) -> logits (B, T, vocab_size) of the token after each. Nothing is dropped.

    Parameters and logits are in float32; what is between them is in bfloat16 on accelerators.
    """

    def __init__(
        self,
        vocab_size: int,
        sequence_length: int,
        width: int,
        depth: int,
        mlp_dim: int,
        num_heads: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.dtype = None if jax.default_backend() == "cpu" else jnp.bfloat16  # None: that of the parameters
        out_std = STD / math.sqrt(2 * depth)
        self.embedding = TiedEmbedding(vocab_size, width, STD, rngs=rngs)
        self.blocks = nnx.List(
            Block(width, mlp_dim, num_heads, sequence_length, out_std, dtype=self.dtype, rngs=rngs)
            for _ in range(depth)
        )
        self.norm = RMSNorm(width, dtype=self.dtype, rngs=rngs)

    def __call__(self, inputs: jax.Array, ctx: ForwardContext) -> jax.Array:
        del ctx
        x = self.embedding(inputs)
        x = x.astype(self.dtype or x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.embedding.scores(self.norm(x))


MODEL = LanguageModel
