"""Transformer for translation (Vaswani et al. 2017) in PyTorch.

The twin of `model_jax.py`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from workloads.layers.attention_pytorch import Key, Out, Query, Value, initialized
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.positions import sinusoids
from workloads.layers.pytorch import ACTIVATIONS, constant, dropout
from workloads.layers.transformer_pytorch import TiedEmbedding, mlp_linear
from workloads.wmt.model_beam_search_pytorch import beam_search

KeysAndValues = tuple[torch.Tensor, torch.Tensor]
BEAM_SIZE = 4
LENGTH_ALPHA = 0.6
EVALUATION = ForwardContext(train=False, update_batch_norm=False, use_running_average=True)


class Attention(nn.Module):
    """Multi-head attention of queries x (B, T, width) to y (B, S, width) -> (B, T, width).

    temperature: what the queries are multiplied by. bias: (B, 1, T, S), see `as_bias`.
    """

    def __init__(self, width: int, num_heads: int, temperature: float) -> None:
        super().__init__()
        self.query = initialized(Query, width, width, bias=False)
        self.key = initialized(Key, width, width, bias=False)
        self.value = initialized(Value, width, width, bias=False)
        self.out = initialized(Out, width, width, bias=False)
        self.num_heads = num_heads
        self.scale = temperature * (width // num_heads) ** -0.5

    def forward(self, x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return self.attend(x, *self.keys_and_values(y), bias, ctx)

    def keys_and_values(self, y: torch.Tensor) -> KeysAndValues:
        """(B, S, width) -> two of (B, num_heads, S, width / num_heads)."""
        return self._heads(self.key(y)), self._heads(self.value(y))

    def attend(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor, ctx: ForwardContext
    ) -> torch.Tensor:
        queries = self._heads(self.query(x))
        attended = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            bias.to(queries.dtype),
            dropout_p=ctx.dropout_rate if ctx.train else 0.0,
            scale=self.scale,
        )
        return self.out(attended.transpose(1, 2).flatten(2))

    def _heads(self, z: torch.Tensor) -> torch.Tensor:
        return z.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def as_bias(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Whether a query sees a key -> what is added to their score.

    It is finite, so that what sees nothing, which is padding, has no NaN.
    """
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, 0.7 * torch.finfo(dtype).min)


# What the activated values of an MLP are multiplied by: nothing, or a linear function of the MLP's input.
GATES = {"none": lambda width, mlp_dim: None, "linear": mlp_linear}


class Mlp(nn.Module):
    """Two linear layers with an activation and perhaps a gate between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, mlp_dim: int, activation: str, gate: str) -> None:
        super().__init__()
        self.hidden = mlp_linear(width, mlp_dim)
        self.gate = choose("gate", gate, GATES)(width, mlp_dim)
        self.out = mlp_linear(mlp_dim, width)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        y = self.activation(self.hidden(x))
        if self.gate is not None:
            y = y * self.gate(x)
        return self.out(dropout(y, ctx))


def normed(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    return norm(x)


def unchanged(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    del norm
    return x


# What becomes of the input of attention or MLP, and of its sum with the output.
NORMS = {"pre": (normed, unchanged), "post": (unchanged, normed)}


class EncoderBlock(nn.Module):
    """Attention and MLP, each with a residual: (B, S, width) -> (B, S, width). norm: before each of them, or after."""

    def __init__(self, width: int, norm: str, attention: Callable[[], Attention], mlp: Callable[[], Mlp]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = attention()
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp()
        self.before, self.after = choose("norm", norm, NORMS)

    def forward(self, x: torch.Tensor, bias: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        y = self.before(self.norm1, x)
        x = self.after(self.norm1, x + dropout(self.attention(y, y, bias, ctx), ctx))
        y = self.before(self.norm2, x)
        return self.after(self.norm2, x + dropout(self.mlp(y, ctx), ctx))


class DecoderBlock(nn.Module):
    """Attention to itself and to the encoder, and MLP, each with a residual: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, norm: str, attention: Callable[[], Attention], mlp: Callable[[], Mlp]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = attention()
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.cross_attention = attention()
        self.norm3 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = mlp()
        self.before, self.after = choose("norm", norm, NORMS)

    def forward(
        self,
        x: torch.Tensor,
        encoded: torch.Tensor,
        self_bias: torch.Tensor,
        cross_bias: torch.Tensor,
        ctx: ForwardContext,
    ) -> torch.Tensor:
        y = self.before(self.norm1, x)
        x = self.after(self.norm1, x + dropout(self.self_attention(y, y, self_bias, ctx), ctx))
        return self._after_self_attention(x, self.cross_attention.keys_and_values(encoded), cross_bias, ctx)

    def step(
        self,
        x: torch.Tensor,
        position: int,
        cache: KeysAndValues,
        encoded: KeysAndValues,
        self_bias: torch.Tensor,
        cross_bias: torch.Tensor,
    ) -> torch.Tensor:
        """One token of each beam, (B, K, width) -> (B, K, width); the cache gains its keys and values.

        cache: those of the earlier tokens, (B, num_heads, T * K, width / num_heads). encoded: those of the encoder.
        self_bias: (B, 1, K, (position + 1) * K).
        """
        y = self.before(self.norm1, x)
        start, end = position * x.shape[1], (position + 1) * x.shape[1]
        for old, added in zip(cache, self.self_attention.keys_and_values(y), strict=True):
            old[:, :, start:end] = added
        keys, values = (old[:, :, :end] for old in cache)
        x = self.after(self.norm1, x + self.self_attention.attend(y, keys, values, self_bias, EVALUATION))
        return self._after_self_attention(x, encoded, cross_bias, EVALUATION)

    def _after_self_attention(
        self, x: torch.Tensor, encoded: KeysAndValues, cross_bias: torch.Tensor, ctx: ForwardContext
    ) -> torch.Tensor:
        y = self.before(self.norm2, x)
        x = self.after(self.norm2, x + dropout(self.cross_attention.attend(y, *encoded, cross_bias, ctx), ctx))
        y = self.before(self.norm3, x)
        return self.after(self.norm3, x + dropout(self.mlp(y, ctx), ctx))


class Tokens(NamedTuple):
    """Rows of tokens, all (B, T): ids, position in its sentence, number of its sentence in the row (0: padding)."""

    ids: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor

    @classmethod
    def of(cls, batch: Mapping[str, torch.Tensor], name: str) -> "Tokens":
        """Those called `name` in a batch; where it does not say otherwise, each row has one sentence."""
        ids = batch[name]
        positions = batch.get(f"{name}_position", torch.arange(ids.shape[1], device=ids.device)[None])
        return cls(ids, positions, batch.get(f"{name}_segmentation", (ids > 0).to(ids.dtype)))

    def sees(self, others: "Tokens") -> torch.Tensor:
        """Whether each of these tokens and each of others are of one sentence: (B, 1, T, S)."""
        same = self.segments[:, :, None] == others.segments[:, None]
        return (same & (others.segments[:, None] > 0))[:, None]


class Transformer(nn.Module):
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
    ) -> None:
        super().__init__()
        attention = functools.partial(Attention, width, num_heads, attention_temperature)
        mlp = functools.partial(Mlp, width, mlp_dim, activation, gate)
        self.shared_embedding = TiedEmbedding(vocab_size, width, std=1.0)
        self.encoder = nn.ModuleList(EncoderBlock(width, norm, attention, mlp) for _ in range(depth))
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6) if norm == "pre" else None
        self.decoder = nn.ModuleList(DecoderBlock(width, norm, attention, mlp) for _ in range(depth))
        self.decoder_norm = nn.LayerNorm(width, eps=1e-6) if norm == "pre" else None

    def forward(self, inputs: Mapping[str, torch.Tensor], ctx: ForwardContext) -> torch.Tensor:
        source, target = Tokens.of(inputs, "inputs"), Tokens.of(inputs, "targets")
        encoded = self.encode(source, ctx)
        length = target.ids.shape[1]
        is_past = torch.ones(length, length, dtype=torch.bool, device=target.ids.device).tril()
        self_bias = as_bias(target.sees(target) & is_past, encoded.dtype)
        cross_bias = as_bias(target.sees(source), encoded.dtype)
        # What a target is told from is the token before it, which the reference takes from the sentence before, too.
        before = functional.pad(target.ids, (1, 0))[:, :-1]
        x = dropout(self.embed(before, target.positions, length), ctx)
        for block in self.decoder:
            x = block(x, encoded, self_bias, cross_bias, ctx)
        return self.logits(x)

    @torch.no_grad()
    def translate(self, inputs: torch.Tensor) -> torch.Tensor:
        """Ids of source tokens (B, T) -> those of the translation that beam search finds, (B, T), 0 behind its end."""
        batch_size, length = inputs.shape
        source = Tokens.of({"inputs": inputs}, "inputs")
        encoded = self.encode(source, EVALUATION)
        cross_bias = as_bias((source.segments > 0)[:, None, None], encoded.dtype)
        encoded = [block.cross_attention.keys_and_values(encoded) for block in self.decoder]
        places = torch.arange(BEAM_SIZE, device=inputs.device)

        def step(
            tokens: torch.Tensor, ancestors: torch.Tensor, position: int, cache: list[KeysAndValues]
        ) -> tuple[torch.Tensor, list[KeysAndValues]]:
            x = self.embed(tokens, position, length)
            is_own = ancestors[:, :, : position + 1, None] == places
            self_bias = as_bias(is_own.flatten(2)[:, None], x.dtype)
            for block, of_block, of_encoder in zip(self.decoder, cache, encoded, strict=True):
                x = block.step(x, position, of_block, of_encoder, self_bias, cross_bias)
            return self.logits(x), cache

        cache = [
            tuple(x.new_empty(*x.shape[:2], length * BEAM_SIZE, x.shape[-1]) for x in of_encoder)
            for of_encoder in encoded
        ]
        sentences, _ = beam_search(step, cache, batch_size, length, BEAM_SIZE, LENGTH_ALPHA, inputs.device)
        return sentences[:, 0]

    def encode(self, source: Tokens, ctx: ForwardContext) -> torch.Tensor:
        """(B, S) tokens -> (B, S, width)."""
        x = dropout(self.embed(source.ids, source.positions, source.ids.shape[1]), ctx)
        bias = as_bias(source.sees(source), x.dtype)
        for block in self.encoder:
            x = block(x, bias, ctx)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def embed(self, ids: torch.Tensor, positions: torch.Tensor | int, length: int) -> torch.Tensor:
        """ids (B, T), at positions below length -> (B, T, width)."""
        x = self.shared_embedding(ids)
        return x + constant(sinusoids, length, x.shape[-1], dtype=x.dtype, device=x.device)[positions]

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        return self.shared_embedding.scores(x * x.shape[-1] ** -0.5)


MODEL = Transformer
