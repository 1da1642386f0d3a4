"""Attention in JAX: projections, whose arrays have types of their own, and what is between them.

The twin of `attention_pytorch.py`, where PyTorch's `scaled_dot_product_attention` is between them.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Leaf, dropout

XAVIER = nnx.initializers.xavier_uniform()


def projection_leaves(kernel: ParameterType) -> dict[str, Leaf]:
    """What the arrays of a projection are whose kernel has this type."""
    return {"kernel": Leaf("weight", axes=(1, 0), type=kernel), "bias": Leaf("bias", type=ParameterType.ATTENTION_BIAS)}


class Query(nnx.Linear):
    LEAVES: ClassVar = projection_leaves(ParameterType.ATTENTION_Q)


class Key(nnx.Linear):
    LEAVES: ClassVar = projection_leaves(ParameterType.ATTENTION_K)


class Value(nnx.Linear):
    LEAVES: ClassVar = projection_leaves(ParameterType.ATTENTION_V)


class Out(nnx.Linear):
    LEAVES: ClassVar = projection_leaves(ParameterType.ATTENTION_OUT)


def attended(
    queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array, ctx: ForwardContext | None = None
) -> jax.Array:
    """What queries (B, num_heads, T, D) find at keys and values (B, num_heads, S, D): (B, num_heads, T, D).

    Scores are products as they are: scale the queries. mask: whether a query sees a key, (B or 1, 1, T or 1, S). The
    softmax is at least in float32, and in float64 where these are, unlike that of `jax.nn.dot_product_attention`. ctx:
    given where the attention's weights are subject to dropout.
    """
    dtype = jnp.promote_types(queries.dtype, jnp.float32)
    scores = jnp.einsum("bhtd,bhsd->bhts", queries, keys, preferred_element_type=dtype)
    # Finite, so that what sees nothing, which is padding, has no NaN.
    weights = jax.nn.softmax(jnp.where(mask, scores, 0.7 * jnp.finfo(dtype).min))
    if ctx is not None:
        weights = dropout(weights, ctx)
    return jnp.einsum("bhts,bhsd->bhtd", weights.astype(values.dtype), values)
