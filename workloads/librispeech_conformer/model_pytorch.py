"""Conformer (Gulati et al. 2020) with CTC in PyTorch. The twin of `model_jax.py`."""

import math
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.layers.attention_pytorch import Key, Out, Query, Value, initialized
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.positions import sinusoids
from workloads.layers.pytorch import ACTIVATIONS, constant, dropout
from workloads.layers.speech_pytorch import (
    BatchNorm,
    LayerNorm,
    Subsampling,
    linear,
    log_mel_features,
    spec_augment,
)


class FeedForward(nn.Module):
    """Norm, and two linear layers with an activation between them: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, hidden_dim: int, activation: str) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.hidden = linear(width, hidden_dim)
        self.out = linear(hidden_dim, width)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return dropout(self.out(self.activation(self.hidden(self.norm(x)))), ctx)


class Attention(nn.Module):
    """Norm, and self-attention whose queries have a learnt scale for each number: (B, T, width) -> (B, T, width).

    temperature: multiplies what was attended to, not the scores.
    """

    TYPES: ClassVar = {"query_scale": ParameterType.WEIGHT}

    def __init__(self, width: int, num_heads: int, temperature: float) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.query = initialized(Query, width, width)
        self.key = initialized(Key, width, width)
        self.value = initialized(Value, width, width)
        self.out = initialized(Out, width, width)
        self.query_scale = nn.Parameter(torch.zeros(width // num_heads))
        self.num_heads = num_heads
        self.temperature = temperature

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

        x = self.norm(x)
        # At its start, with a learnt scale of zero, this is the usual division by the root of the heads' size.
        scale = functional.softplus(self.query_scale) / (math.log(2) * math.sqrt(len(self.query_scale)))
        attended = functional.scaled_dot_product_attention(
            heads(self.query(x)) * scale,
            heads(self.key(x)),
            heads(self.value(x)),
            attn_mask=(paddings == 0)[:, None, None, :],
            scale=1.0,
        )
        return dropout(self.out(self.temperature * attended.transpose(1, 2).flatten(2)), ctx)


class Pointwise(nn.Linear):
    """A convolution of one frame."""

    TYPES: ClassVar = {"weight": ParameterType.CONV_WEIGHT, "bias": ParameterType.BIAS}


class Depthwise(nn.Module):
    """A convolution in time of each channel by itself: (B, T, C) -> (B, T, C)."""

    TYPES: ClassVar = {"weight": ParameterType.CONV_WEIGHT}

    def __init__(self, num_features: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_features, 1, kernel_size)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = self.weight.shape[-1]
        before = (size - 1) // 2
        padded = functional.pad(x, (0, 0, before, size - 1 - before))
        return self._by_kernel(padded) if x.is_cuda else self._by_products(padded, x.shape[1])

    def _by_kernel(self, padded: torch.Tensor) -> torch.Tensor:
        """On a GPU, where every product would be written to memory and read again."""
        return functional.conv1d(padded.transpose(1, 2), self.weight, groups=len(self.weight)).transpose(1, 2)

    def _by_products(self, padded: torch.Tensor, length: int) -> torch.Tensor:
        """On a CPU, where a convolution of so many groups is slower than a sum of shifted products."""
        kernel = self.weight[:, 0].T
        return sum(padded[:, i : i + length] * kernel[i] for i in range(len(kernel)))


class Convolution(nn.Module):
    """Norm, gated pointwise, depthwise and pointwise convolution: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.value = initialized(Pointwise, width, width)
        self.gate = initialized(Pointwise, width, width)
        self.depthwise = Depthwise(width, kernel_size)
        self.batch_norm = BatchNorm(width)
        self.out = initialized(Pointwise, width, width)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = self.norm(x)
        x = self.value(x) * torch.sigmoid(self.gate(x)) * (1 - paddings).unsqueeze(-1)
        x = self.activation(self.batch_norm(self.depthwise(x), paddings, ctx))
        return self.out(x)


class Block(nn.Module):
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
    ) -> None:
        super().__init__()
        self.feed_forward1 = FeedForward(width, hidden_dim, activation)
        self.attention = Attention(width, num_heads, attention_temperature)
        self.convolution = Convolution(width, kernel_size, activation)
        self.feed_forward2 = FeedForward(width, hidden_dim, activation)
        self.norm = choose("block norm", block_norm, BLOCK_NORMS)(width)

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = x + 0.5 * self.feed_forward1(x, ctx)
        x = x + self.attention(x, paddings, ctx)
        x = x + self.convolution(x, paddings, ctx)
        x = x + 0.5 * self.feed_forward2(x, ctx)
        return x if self.norm is None else self.norm(x)


BLOCK_NORMS = {"layer": LayerNorm, "none": lambda width: None}


class Conformer(nn.Module):
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
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(width, ACTIVATIONS["relu"])
        of_block = (width, num_heads, hidden_dim, kernel_size, activation, attention_temperature, block_norm)
        self.blocks = nn.ModuleList(Block(*of_block) for _ in range(depth))
        self.norm = LayerNorm(width)
        self.head = linear(width, vocab_size)
        self.mask_counts = (time_mask_count, freq_mask_count)

    def forward(
        self, inputs: tuple[torch.Tensor, torch.Tensor], ctx: ForwardContext
    ) -> tuple[torch.Tensor, torch.Tensor]:
        features, paddings = log_mel_features(*inputs)
        features = spec_augment(features, paddings, *self.mask_counts, ctx)
        x, paddings = self.subsampling(features, paddings)
        x = dropout(x + constant(sinusoids, *x.shape[1:], dtype=x.dtype, device=x.device), ctx)
        for block in self.blocks:
            x = block(x, paddings, ctx)
        return self.head(self.norm(x)), paddings


MODEL = Conformer
