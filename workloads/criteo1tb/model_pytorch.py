"""DLRM-small (Naumov et al. 2019, with one embedding table for all categories) in PyTorch.

The twin of `model_jax.py`.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from workloads.criteo1tb.sizes import NUM_CATEGORIES, NUM_NUMBERS, NUM_VECTORS, check_sizes
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import Embedding, dropout

BOTTOM_INIT = nn.init.xavier_uniform_
TOP_INIT = nn.init.xavier_normal_
EMBED_INITS = {"scaled": lambda vocab_size: vocab_size**-0.5, "unit": lambda vocab_size: 1.0}
NORMS = {"none": nn.Identity, "layer": functools.partial(nn.LayerNorm, eps=1e-6)}
SKIPS = {"none": lambda x, y: y, "add": operator.add}


def inner_products(numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """(B, D), (B, 26, D) -> (B, 378): the inner product of each two of the 27 vectors, and of each with itself."""
    vectors = torch.cat([numbers[:, None], categories], dim=1)
    products = vectors @ vectors.transpose(1, 2)
    rows, columns = torch.triu_indices(NUM_VECTORS, NUM_VECTORS, device=numbers.device)
    return products.flatten(1).index_select(1, NUM_VECTORS * rows + columns)


def side_by_side(numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """(B, N), (B, 26, D) -> (B, 26 D): the vectors of the categories as they are."""
    return categories.reshape(len(numbers), -1)


# What joins the numbers on the way to the top layers, and how many features that is.
INTERACTIONS = {
    "dot": (inner_products, lambda embed_dim: NUM_VECTORS * (NUM_VECTORS + 1) // 2),
    "concat": (side_by_side, lambda embed_dim: NUM_CATEGORIES * embed_dim),
}


def linear(in_features: int, out_features: int, weight_init: Callable[[torch.Tensor], torch.Tensor]) -> nn.Linear:
    """A linear layer whose bias is normal with variance 1 / out_features."""
    layer = nn.Linear(in_features, out_features)
    weight_init(layer.weight)
    nn.init.normal_(layer.bias, std=out_features**-0.5)
    return layer


class Layer(nn.Module):
    """A hidden layer: (B, in_features) -> (B, out_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        weight_init: Callable[[torch.Tensor], torch.Tensor],
        norm: str,
        skip: str,
    ) -> None:
        super().__init__()
        self.linear = linear(in_features, out_features, weight_init)
        self.norm = choose("norm", norm, NORMS)(out_features)
        self.skip = choose("skip", skip, SKIPS)

    def forward(self, x: torch.Tensor, ctx: ForwardContext | None = None) -> torch.Tensor:
        """ctx: given where the layer's output is subject to dropout."""
        y = self.norm(functional.relu(self.linear(x)))
        return self.skip(x, y if ctx is None else dropout(y, ctx))


def mlp(
    in_features: int, widths: Sequence[int], weight_init: Callable[[torch.Tensor], torch.Tensor], norm: str, skip: str
) -> nn.ModuleList:
    """Hidden layers of these widths; the first has no skip connection."""
    sizes = itertools.pairwise((in_features, *widths))
    skips = itertools.chain(["none"], itertools.repeat(skip))
    return nn.ModuleList(Layer(*size, weight_init, norm, skip) for size, skip in zip(sizes, skips, strict=False))


class Dlrm(nn.Module):
    """Rows (B, 39) of 13 numbers and 26 category ids, which are taken modulo vocab_size -> logits (B, 1)."""

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        bottom_mlp: Sequence[int],
        top_mlp: Sequence[int],
        interaction: str,
        skip: str,
        norm: str,
        embed_init: str,
    ) -> None:
        super().__init__()
        check_sizes(embed_dim, bottom_mlp, top_mlp, interaction, skip)
        self.interact, num_interacted = choose("interaction", interaction, INTERACTIONS)
        in_features = bottom_mlp[-1] + num_interacted(embed_dim)
        max_init = choose("embed_init", embed_init, EMBED_INITS)(vocab_size)
        self.vocab_size = vocab_size
        self.embedding = Embedding(vocab_size, embed_dim, max_init)
        self.embedding_norm = choose("norm", norm, NORMS)(embed_dim)
        self.bottom_mlp = mlp(NUM_NUMBERS, bottom_mlp, BOTTOM_INIT, norm, skip)
        self.top_mlp = mlp(in_features, top_mlp, TOP_INIT, norm, skip)
        self.head = linear(top_mlp[-1], 1, TOP_INIT)

    def forward(self, inputs: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        numbers, ids = inputs[:, :NUM_NUMBERS], inputs[:, NUM_NUMBERS:].int() % self.vocab_size
        for layer in self.bottom_mlp:
            numbers = layer(numbers)
        categories = self.embedding_norm(self.embedding(ids))
        x = torch.cat([numbers, self.interact(numbers, categories)], dim=1)
        *layers, last = self.top_mlp
        for layer in layers:
            x = layer(x)
        return self.head(last(x, ctx))


MODEL = Dlrm
