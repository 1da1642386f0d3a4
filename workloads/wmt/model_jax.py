"""Transformer for translation (Vaswani et al. 2017) in JAX.

The twin of `model_pytorch.py`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from workloads.layers.attention_jax import XAVIER, Key, Out, Query, Value, attended
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import ACTIVATIONS, dropout
from workloads.layers.positions import sinusoids
from workloads.layers.transformer_jax import TiedEmbedding, mlp_linear
from workloads.wmt.model_beam_search_jax import beam_search

KeysAndValues = tuple[jax.Array, jax.Array]
BEAM_SIZE = 4
LENGTH_ALPHA = 0.6
EVALUATION = ForwardContext(train=False, update_batch_norm=False, use_running_average=True)


class Attention(nnx.Module):
    """Multi-head attention of queries x (B, T, width) to y (B, S, width) -> (B, T, width).

    temperature: what the queries are multiplied by. mask: (B, 1, T, S), whether a query sees a key.
    """

    def __init__(self, width: int, num_heads: int, temperature: float, *, rngs: nnx.Rngs) -> None:
        self.query = Query(width, width, use_bias=False, kernel_init=XAVIER, rngs=rngs)
        self.key = Key(width, width, use_bias=False, kernel_init=XAVIER, rngs=rngs)
        self.value = Value(width, width, use_bias=False, kernel_init=XAVIER, rngs=rngs)
        self.out = Out(width, width, use_bias=False, kernel_init=XAVIER, rngs=rngs)
        self.num_heads = num_heads
        self.scale = temperature * (width // num_heads) ** -0.5

    def __call__(self, x: jax.Array, y: jax.Array, mask: jax.Array, ctx: ForwardContext) -> jax.Array:
        return self.attend(x, *self.keys_and_values(y), mask, ctx)

    def keys_and_values(self, y: jax.Array) -> KeysAndValues:
        """(B, S, width) -> two of (B, num_heads, S, width / num_heads)."""
        return self._heads(self.key(y)), self._heads(self.value(y))

    def attend(
        self, x: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array, ctx: ForwardContext
    ) -> jax.Array:
        found = attended(self._heads(self.scale * self.query(x)), keys, values, mask, ctx)
        return self.out(found.swapaxes(1, 2).reshape(x.shape))

    def _heads(self, z: jax.Array) -> jax.Array:
        return z.reshape(*z.shape[:2], self.num_heads, -1).swapaxes(1, 2)


# What the activated values of an MLP are multiplied by: nothing, or a linear function of the MLP's input.
GATES = {
    "none": lambda width, mlp_dim, rngs: None,
    "linear": lambda width, mlp_dim, rngs: mlp_linear(width, mlp_dim, rngs=rngs),
}


class Mlp(nnx.Module):
    """Two linear layers with an activation and perhaps a gate between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, activation: str, gate: str, *, rngs: nnx.Rngs) -> None:
        self.hidden = mlp_linear(width, mlp_dim, rngs=rngs)
        self.gate = choose("gate", gate, GATES)(width, mlp_dim, rngs=rngs)
        self.out = mlp_linear(mlp_dim, width, rngs=rngs)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        y = self.activation(self.hidden(x))
        if self.gate is not None:
            y = y * self.gate(x)
        return self.out(dropout(y, ctx))


def normed(norm: nnx.LayerNorm, x: jax.Array) -> jax.Array:
    return norm(x)


def unchanged(norm: nnx.LayerNorm, x: jax.Array) -> jax.Array:
    del norm
    return x


# What becomes of the input of attention or MLP, and of its sum with the output.
NORMS = {"pre": (normed, unchanged), "post": (unchanged, normed)}


class EncoderBlock(nnx.Module):
    """Attention and MLP, each with a residual: (B, S, width) -> (B, S, width). norm: before each of them, or after."""

    def __init__(
        self, width: int, norm: str, attention: Callable[[], Attention], mlp: Callable[[], Mlp], *, rngs: nnx.Rngs
    ) -> None:
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = attention()
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.mlp = mlp()
        self.before, self.after = choose("norm", norm, NORMS)

    def __call__(self, x: jax.Array, mask: jax.Array, ctx: ForwardContext) -> jax.Array:
        y = self.before(self.norm1, x)
        x = self.after(self.norm1, x + dropout(self.attention(y, y, mask, ctx), ctx))
        y = self.before(self.norm2, x)
        return self.after(self.norm2, x + dropout(self.mlp(y, ctx), ctx))


class DecoderBlock(nnx.Module):
    """Attention to itself and to the encoder, and MLP, each with a residual: (B, T, width) -> (B, T, width)."""

    def __init__(
        self, width: int, norm: str, attention: Callable[[], Attention], mlp: Callable[[], Mlp], *, rngs: nnx.Rngs
    ) -> None:
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.self_attention = attention()
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.cross_attention = attention()
        self.norm3 = nnx.LayerNorm(width, rngs=rngs)
        self.mlp = mlp()
        self.before, self.after = choose("norm", norm, NORMS)

    def __call__(
        self, x: jax.Array, encoded: jax.Array, self_mask: jax.Array, cross_mask: jax.Array, ctx: ForwardContext
    ) -> jax.Array:
        y = self.before(self.norm1, x)
        x = self.after(self.norm1, x + dropout(self.self_attention(y, y, self_mask, ctx), ctx))
        return self._after_self_attention(x, self.cross_attention.keys_and_values(encoded), cross_mask, ctx)

    def step(
        self,
        x: jax.Array,
        position: jax.Array,
        cache: KeysAndValues,
        encoded: KeysAndValues,
        self_mask: jax.Array,
        cross_mask: jax.Array,
    ) -> tuple[jax.Array, KeysAndValues]:
        """One token of each beam, (B, K, width) -> (B, K, width), and the cache with its keys and values.

        cache: those of the earlier tokens, (B, num_heads, T * K, width / num_heads). encoded: those of the encoder.
        self_mask: (B, 1, K, T * K).
        """
        y = self.before(self.norm1, x)
        new = self.self_attention.keys_and_values(y)
        place = position * x.shape[1]
        cache = tuple(
            jax.lax.dynamic_update_slice_in_dim(old, added, place, axis=2)
            for old, added in zip(cache, new, strict=True)
        )
        x = self.after(self.norm1, x + self.self_attention.attend(y, *cache, self_mask, EVALUATION))
        return self._after_self_attention(x, encoded, cross_mask, EVALUATION), cache

    def _after_self_attention(
        self, x: jax.Array, encoded: KeysAndValues, cross_mask: jax.Array, ctx: ForwardContext
    ) -> jax.Array:
        y = self.before(self.norm2, x)
        x = self.after(self.norm2, x + dropout(self.cross_attention.attend(y, *encoded, cross_mask, ctx), ctx))
        y = self.before(self.norm3, x)
        return self.after(self.norm3, x + dropout(self.mlp(y, ctx), ctx))


class Tokens(NamedTuple):
    """Rows of tokens, all (B, T): ids, position in its sentence, number of its sentence in the row (0: padding)."""

    ids: jax.Array
    positions: jax.Array
    segments: jax.Array

    @classmethod
    def of(cls, batch: Mapping[str, jax.Array], name: str) -> "Tokens":
        """Those called `name` in a batch; where it does not say otherwise, each row has one sentence."""
        ids = batch[name]
        positions = batch.get(f"{name}_position", jnp.arange(ids.shape[1])[None])
        return cls(ids, positions, batch.get(f"{name}_segmentation", (ids > 0).astype(ids.dtype)))

    def sees(self, others: "Tokens") -> jax.Array:
        """Whether each of these tokens and each of others are of one sentence: (B, 1, T, S)."""
        same = self.segments[:, :, None] == others.segments[:, None]
        return (same & (others.segments[:, None] > 0))[:, None]


class Transformer(nnx.Module):
    """Ids of source and target tokens, 0 for padding -> logits (B, T, vocab_size) of the target tokens.

    Each target is told from the source and the targets before it. norm: "pre" or "post". gate: "none" or "linear".
    """

    def __init__(
        self,
        vocab_size: int,
        width: int,
        depth: int,
        mlp_dim: int,
        num_heads: int,
        activation: str,
        gate: str,
        norm: str,
        attention_temperature: float,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        attention = functools.partial(Attention, width, num_heads, attention_temperature, rngs=rngs)
        mlp = functools.partial(Mlp, width, mlp_dim, activation, gate, rngs=rngs)
        self.shared_embedding = TiedEmbedding(vocab_size, width, std=1.0, rngs=rngs)
        self.encoder = nnx.List(EncoderBlock(width, norm, attention, mlp, rngs=rngs) for _ in range(depth))
        self.encoder_norm = nnx.LayerNorm(width, rngs=rngs) if norm == "pre" else None
        self.decoder = nnx.List(DecoderBlock(width, norm, attention, mlp, rngs=rngs) for _ in range(depth))
        self.decoder_norm = nnx.LayerNorm(width, rngs=rngs) if norm == "pre" else None

    def __call__(self, inputs: Mapping[str, jax.Array], ctx: ForwardContext) -> jax.Array:
        source, target = Tokens.of(inputs, "inputs"), Tokens.of(inputs, "targets")
        encoded = self.encode(source, ctx)
        length = target.ids.shape[1]
        self_mask, cross_mask = target.sees(target) & jnp.tri(length, dtype=bool), target.sees(source)
        # What a target is told from is the token before it, which the reference takes from the sentence before, too.
        before = jnp.pad(target.ids, ((0, 0), (1, 0)))[:, :-1]
        x = dropout(self.embed(before, target.positions, length), ctx)
        for block in self.decoder:
            x = block(x, encoded, self_mask, cross_mask, ctx)
        return self.logits(x)

    def translate(self, inputs: jax.Array) -> jax.Array:
        """Ids of source tokens (B, T) -> those of the translation that beam search finds, (B, T), 0 behind its end."""
        batch_size, length = inputs.shape
        source = Tokens.of({"inputs": inputs}, "inputs")
        encoded = self.encode(source, EVALUATION)
        encoded = [block.cross_attention.keys_and_values(encoded) for block in self.decoder]
        cross_mask = (source.segments > 0)[:, None, None]

        def step(tokens: jax.Array, ancestors: jax.Array, position: jax.Array, cache: Any) -> tuple[jax.Array, Any]:
            x = self.embed(tokens, position, length)
            self_mask = (ancestors[..., None] == jnp.arange(BEAM_SIZE)).reshape(batch_size, 1, BEAM_SIZE, -1)
            caches = []
            for block, of_block, of_encoder in zip(self.decoder, cache, encoded, strict=True):
                x, cache = block.step(x, position, of_block, of_encoder, self_mask, cross_mask)
                caches.append(cache)
            return self.logits(x), caches

        nothing = [jnp.zeros((*keys.shape[:2], length * BEAM_SIZE, keys.shape[-1]), keys.dtype) for keys, _ in encoded]
        cache = [(zeros, zeros) for zeros in nothing]
        sentences, _ = beam_search(step, cache, batch_size, length, BEAM_SIZE, LENGTH_ALPHA)
        return sentences[:, 0]

    def encode(self, source: Tokens, ctx: ForwardContext) -> jax.Array:
        """(B, S) tokens -> (B, S, width)."""
        mask = source.sees(source)
        x = dropout(self.embed(source.ids, source.positions, source.ids.shape[1]), ctx)
        for block in self.encoder:
            x = block(x, mask, ctx)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def embed(self, ids: jax.Array, positions: jax.Array, length: int) -> jax.Array:
        """ids (B, T), at positions below length -> (B, T, width)."""
        x = self.shared_embedding(ids)
        return x + jnp.asarray(sinusoids(length, x.shape[-1]), x.dtype)[positions]

    def logits(self, x: jax.Array) -> jax.Array:
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        return self.shared_embedding.scores(x * x.shape[-1] ** -0.5)


MODEL = Transformer
