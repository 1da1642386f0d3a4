"""Conformer (Gulati et al. 2020) with CTC in JAX. The twin of `model_pytorch.py`."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.layers.attention_jax import XAVIER, Key, Out, Query, Value, attended
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import ACTIVATIONS, Leaf, dropout
from workloads.layers.positions import sinusoids
from workloads.layers.speech_jax import (
    BatchNorm,
    LayerNorm,
    Subsampling,
    linear,
    log_mel_features,
    spec_augment,
)


class FeedForward(nnx.Module):
    """Norm, and two linear layers with an activation between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, hidden_dim: int, activation: str, *, rngs: nnx.Rngs) -> None:
        self.norm = LayerNorm(width)
        self.hidden = linear(width, hidden_dim, rngs=rngs)
        self.out = linear(hidden_dim, width, rngs=rngs)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        return dropout(self.out(self.activation(self.hidden(self.norm(x)))), ctx)


class Attention(nnx.Module):
    """Norm, and self-attention whose queries have a learnt scale for each number: (B, T, width) -> (B, T, width).

    temperature: multiplies what was attended to, not the scores.
    """

    LEAVES: ClassVar = {"query_scale": Leaf("query_scale", type=ParameterType.WEIGHT)}

    def __init__(self, width: int, num_heads: int, temperature: float, *, rngs: nnx.Rngs) -> None:
        self.norm = LayerNorm(width)
        self.query = Query(width, width, kernel_init=XAVIER, rngs=rngs)
        self.key = Key(width, width, kernel_init=XAVIER, rngs=rngs)
        self.value = Value(width, width, kernel_init=XAVIER, rngs=rngs)
        self.out = Out(width, width, kernel_init=XAVIER, rngs=rngs)
        self.query_scale = nnx.Param(jnp.zeros(width // num_heads))
        self.num_heads = num_heads
        self.temperature = temperature

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        def heads(y: jax.Array) -> jax.Array:
            return y.reshape(*y.shape[:2], self.num_heads, -1).swapaxes(1, 2)

        x = self.norm(x)
        # At its start, with a learnt scale of zero, this is the usual division by the root of the heads' size.
        scale = nnx.softplus(self.query_scale[...]) / (math.log(2) * math.sqrt(len(self.query_scale[...])))
        is_valid = (paddings == 0)[:, None, None, :]
        found = attended(heads(self.query(x)) * scale, heads(self.key(x)), heads(self.value(x)), is_valid)
        found = found.swapaxes(1, 2).reshape(x.shape)
        return dropout(self.out(self.temperature * found), ctx)


class Pointwise(nnx.Linear):
    """A convolution of one frame."""

    LEAVES: ClassVar = {
        "kernel": Leaf("weight", axes=(1, 0), type=ParameterType.CONV_WEIGHT),
        "bias": Leaf("bias", type=ParameterType.BIAS),
    }


class Depthwise(nnx.Module):
    """A convolution in time of each channel by itself: (B, T, C) -> (B, T, C)."""

    LEAVES: ClassVar = {"kernel": Leaf("weight", axes=(2, 1, 0), type=ParameterType.CONV_WEIGHT)}

    def __init__(self, num_features: int, kernel_size: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(XAVIER(rngs.params(), (kernel_size, 1, num_features)))

    def __call__(self, x: jax.Array) -> jax.Array:
        # As a sum of shifted products: a convolution of so many groups is slow on any device.
        kernel = self.kernel[...]
        before = (len(kernel) - 1) // 2
        padded = jnp.pad(x, ((0, 0), (before, len(kernel) - 1 - before), (0, 0)))
        return sum(padded[:, i : i + x.shape[1]] * kernel[i] for i in range(len(kernel)))


class Convolution(nnx.Module):
    """Norm, gated pointwise, depthwise and pointwise convolution: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, kernel_size: int, activation: str, *, rngs: nnx.Rngs) -> None:
        self.norm = LayerNorm(width)
        self.value = Pointwise(width, width, kernel_init=XAVIER, rngs=rngs)
        self.gate = Pointwise(width, width, kernel_init=XAVIER, rngs=rngs)
        self.depthwise = Depthwise(width, kernel_size, rngs=rngs)
        self.batch_norm = BatchNorm(width)
        self.out = Pointwise(width, width, kernel_init=XAVIER, rngs=rngs)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = self.norm(x)
        x = self.value(x) * nnx.sigmoid(self.gate(x)) * (1 - paddings)[..., None]
        x = self.activation(self.batch_norm(self.depthwise(x), paddings, ctx))
        return self.out(x)


class Block(nnx.Module):
    """Attention and convolution between two halves of a feed-forward layer: (B, T, width) -> (B, T, width)."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        hidden_dim: int,
        kernel_size: int,
        activation: str,
        attention_temperature: float,
        block_norm: str,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.feed_forward1 = FeedForward(width, hidden_dim, activation, rngs=rngs)
        self.attention = Attention(width, num_heads, attention_temperature, rngs=rngs)
        self.convolution = Convolution(width, kernel_size, activation, rngs=rngs)
        self.feed_forward2 = FeedForward(width, hidden_dim, activation, rngs=rngs)
        self.norm = choose("block norm", block_norm, BLOCK_NORMS)(width)

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = x + 0.5 * self.feed_forward1(x, ctx)
        x = x + self.attention(x, paddings, ctx)
        x = x + self.convolution(x, paddings, ctx)
        x = x + 0.5 * self.feed_forward2(x, ctx)
        return x if self.norm is None else self.norm(x)


BLOCK_NORMS = {"layer": LayerNorm, "none": lambda width: None}


class Conformer(nnx.Module):
    """Audio (B, S) and its paddings -> logits (B, T, vocab_size) and their paddings. block_norm: "layer" or "none"."""

    def __init__(
        self,
        width: int,
        depth: int,
        num_heads: int,
        hidden_dim: int,
        kernel_size: int,
        activation: str,
        attention_temperature: float,
        block_norm: str,
        time_mask_count: int,
        freq_mask_count: int,
        vocab_size: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.subsampling = Subsampling(width, ACTIVATIONS["relu"], rngs=rngs)
        of_block = (width, num_heads, hidden_dim, kernel_size, activation, attention_temperature, block_norm)
        self.blocks = nnx.List(Block(*of_block, rngs=rngs) for _ in range(depth))
        self.norm = LayerNorm(width)
        self.head = linear(width, vocab_size, rngs=rngs)
        self.mask_counts = (time_mask_count, freq_mask_count)

    def __call__(self, inputs: tuple[jax.Array, jax.Array], ctx: ForwardContext) -> tuple[jax.Array, jax.Array]:
        features, paddings = log_mel_features(*inputs)
        features = spec_augment(features, paddings, *self.mask_counts, ctx)
        x, paddings = self.subsampling(features, paddings)
        x = dropout(x + sinusoids(*x.shape[1:]).astype(x.dtype), ctx)
        for block in self.blocks:
            x = block(x, paddings, ctx)
        return self.head(self.norm(x)), paddings


MODEL = Conformer
