"""Muon (Jordan et al. 2024) for hidden matrices; the twin of `muon_pytorch.py`.

optax.contrib's own corrects the momentum's bias, which the published one does not.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf.benchmark.workload import Workload
from algoperf.kit.parameters import NEWTON_SCHULZ, is_hidden_matrix


def hidden_matrices(workload: Workload) -> Any:
    """The tree of the parameters with True at those that Muon is for."""

    def is_hidden(path: Any, kind: Any, shape: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        *rows, columns = shape.shape_tuple
        return is_hidden_matrix(workload, name, kind, (math.prod(rows), columns))

    return jax.tree_util.tree_map_with_path(is_hidden, workload.model_params_types, workload.param_shapes)


def scale_by_muon(momentum: float) -> optax.GradientTransformation:
    """Nesterov momentum, made orthogonal, times the root of rows over columns of the matrix where it is above 1.

    A convolution's kernel (height, width, in, out) is a matrix of `out` rows; so is a linear layer's (in, out).
    A transposed convolution's has no type of its own, but `out` last here and `in` first in PyTorch: its
    matrix is another.
    """

    def update(grads: Any, state: optax.TraceState, params: Any = None) -> tuple[Any, optax.TraceState]:
        del params
        trace = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, state.trace, grads)
        look_ahead = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, trace, grads)
        leaves, structure = jax.tree.flatten(look_ahead)
        matrices = [leaf.reshape(-1, leaf.shape[-1]).T for leaf in leaves]
        updates = [None] * len(leaves)
        for shape in dict.fromkeys(matrix.shape for matrix in matrices):
            alike = [i for i, matrix in enumerate(matrices) if matrix.shape == shape]
            stacked = jnp.stack([matrices[i] for i in alike])
            # As published; a CPU is no faster at bfloat16.
            dtype = stacked.dtype if jax.default_backend() == "cpu" else jnp.bfloat16
            scaled = orthogonalized(stacked, dtype).astype(stacked.dtype) * max(1, shape[0] / shape[1]) ** 0.5
            for i, matrix in zip(alike, scaled, strict=True):
                updates[i] = matrix.T.reshape(leaves[i].shape)
        return jax.tree.unflatten(structure, updates), optax.TraceState(trace)

    return optax.GradientTransformation(lambda params: optax.TraceState(jax.tree.map(jnp.zeros_like, params)), update)


def orthogonalized(matrices: jax.Array, dtype: Any) -> jax.Array:
    """Matrices (count, rows, columns) with all singular values near 1, by five steps of a Newton-Schulz iteration.

    dtype: in which it is computed, and what it returns.
    """
    x = (matrices / (jnp.linalg.matrix_norm(matrices, keepdims=True) + 1e-7)).astype(dtype)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
