"""What Transformers share beside attention, in JAX. The twin of `transformer_pytorch.py`."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.layers.attention_jax import XAVIER
from workloads.layers.jax import Leaf

TINY = nnx.initializers.normal(1e-6)


def mlp_linear(in_features: int, out_features: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A layer of an MLP; its bias starts from next to nothing."""
    return nnx.Linear(in_features, out_features, kernel_init=XAVIER, bias_init=TINY, rngs=rngs)


class TiedEmbedding(nnx.Module):
    """A table of a vector for each token, from a normal distribution, which also scores the tokens at the end."""

    LEAVES: ClassVar = {"embedding": Leaf("weight", axes=(0, 1), type=ParameterType.EMBEDDING)}

    def __init__(self, num_embeddings: int, features: int, std: float, *, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Param(nnx.initializers.normal(std)(rngs.params(), (num_embeddings, features)))

    def __call__(self, ids: jax.Array) -> jax.Array:
        """ids (...) -> (..., features)."""
        return self.embedding[...].at[ids].get(mode="promise_in_bounds")

    def scores(self, x: jax.Array) -> jax.Array:
        """(..., features) -> its product with the vector of each token, (..., num_embeddings) in the table's dtype."""
        table = self.embedding[...]
        return jnp.matmul(x, table.astype(x.dtype).T, preferred_element_type=table.dtype)
