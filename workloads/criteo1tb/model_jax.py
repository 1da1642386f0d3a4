"""DLRM-small (Naumov et al. 2019, with one embedding table for all categories) in JAX.

The twin of `model_pytorch.py`.
"""

import itertools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from workloads.criteo1tb.sizes import NUM_CATEGORIES, NUM_NUMBERS, NUM_VECTORS, check_sizes
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Embedding, dropout

BOTTOM_INIT = nnx.initializers.glorot_uniform()
TOP_INIT = nnx.initializers.variance_scaling(1.0, "fan_avg", "normal")
EMBED_INITS = {"scaled": lambda vocab_size: vocab_size**-0.5, "unit": lambda vocab_size: 1.0}
NORMS = {"none": lambda num_features, rngs: nnx.identity, "layer": nnx.LayerNorm}
SKIPS = {"none": lambda x, y: y, "add": operator.add}


def inner_products(numbers: jax.Array, categories: jax.Array) -> jax.Array:
    """(B, D), (B, 26, D) -> (B, 378): the inner product of each two of the 27 vectors, and of each with itself."""
    vectors = jnp.concatenate([numbers[:, None], categories], axis=1)
    products = vectors @ vectors.swapaxes(1, 2)
    rows, columns = np.triu_indices(NUM_VECTORS)
    return products[:, rows, columns]


def side_by_side(numbers: jax.Array, categories: jax.Array) -> jax.Array:
    """(B, N), (B, 26, D) -> (B, 26 D): the vectors of the categories as they are."""
    return categories.reshape(len(numbers), -1)


# What joins the numbers on the way to the top layers, and how many features that is.
INTERACTIONS = {
    "dot": (inner_products, lambda embed_dim: NUM_VECTORS * (NUM_VECTORS + 1) // 2),
    "concat": (side_by_side, lambda embed_dim: NUM_CATEGORIES * embed_dim),
}


def linear(in_features: int, out_features: int, weight_init: nnx.Initializer, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer whose bias is normal with variance 1 / out_features."""
    bias_init = nnx.initializers.normal(out_features**-0.5)
    return nnx.Linear(in_features, out_features, kernel_init=weight_init, bias_init=bias_init, rngs=rngs)


class Layer(nnx.Module):
    """A hidden layer: (B, in_features) -> (B, out_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        weight_init: nnx.Initializer,
        norm: str,
        skip: str,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.linear = linear(in_features, out_features, weight_init, rngs=rngs)
        self.norm = choose("norm", norm, NORMS)(out_features, rngs=rngs)
        self.skip = choose("skip", skip, SKIPS)

    def __call__(self, x: jax.Array, ctx: ForwardContext | None = None) -> jax.Array:
        """ctx: given where the layer's output is subject to dropout."""
        y = self.norm(nnx.relu(self.linear(x)))
        return self.skip(x, y if ctx is None else dropout(y, ctx))


def mlp(
    in_features: int, widths: Sequence[int], weight_init: nnx.Initializer, norm: str, skip: str, *, rngs: nnx.Rngs
) -> nnx.List:
    """Hidden layers of these widths; the first has no skip connection."""
    sizes = itertools.pairwise((in_features, *widths))
    skips = itertools.chain(["none"], itertools.repeat(skip))
    return nnx.List(Layer(*size, weight_init, norm, skip, rngs=rngs) for size, skip in zip(sizes, skips, strict=False))


class Dlrm(nnx.Module):
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
        *,
        rngs: nnx.Rngs,
    ) -> None:
        check_sizes(embed_dim, bottom_mlp, top_mlp, interaction, skip)
        self.interact, num_interacted = choose("interaction", interaction, INTERACTIONS)
        in_features = bottom_mlp[-1] + num_interacted(embed_dim)
        max_init = choose("embed_init", embed_init, EMBED_INITS)(vocab_size)
        self.vocab_size = vocab_size
        self.embedding = Embedding(vocab_size, embed_dim, max_init, rngs=rngs)
        self.embedding_norm = choose("norm", norm, NORMS)(embed_dim, rngs=rngs)
        self.bottom_mlp = mlp(NUM_NUMBERS, bottom_mlp, BOTTOM_INIT, norm, skip, rngs=rngs)
        self.top_mlp = mlp(in_features, top_mlp, TOP_INIT, norm, skip, rngs=rngs)
        self.head = linear(top_mlp[-1], 1, TOP_INIT, rngs=rngs)

    def __call__(self, inputs: jax.Array, ctx: ForwardContext) -> jax.Array:
        numbers, ids = inputs[:, :NUM_NUMBERS], inputs[:, NUM_NUMBERS:].astype(jnp.int32) % self.vocab_size
        for layer in self.bottom_mlp:
            numbers = layer(numbers)
        categories = self.embedding_norm(self.embedding(ids))
        x = jnp.concatenate([numbers, self.interact(numbers, categories)], axis=1)
        *layers, last = self.top_mlp
        for layer in layers:
            x = layer(x)
        return self.head(last(x, ctx))


MODEL = Dlrm
