"""Distributed Shampoo as an optax transformation; the twin of `kit/shampoo_pytorch.py`.

Gupta et al. 2018, arXiv 1802.09568; Anil et al. 2020, arXiv 2002.09018; Shi et al. 2023, arXiv 2309.06497. Constants
are those of the AlgoPerf paper's baseline (Dahl et al. 2023, arXiv 2306.07179): blocks of 1024, roots every 20 steps,
preconditioning from step 101 on (from 0), a ridge of 1e-6 of the largest eigenvalue, steps as long as those of RMSProp
on the normalised gradient without correction of its bias, Nesterov momentum as a moving average. As Shi et al. and
unlike that baseline: roots by eigendecomposition, statistics that begin at zero, one momentum for the steps before and
after preconditioning begins, dimensions merged up to the size of a block, decoupled weight decay. Parameters with a
dimension above 4096, such as tables of embeddings, are left out as by default in Anil et al.'s code; so are vectors.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from algoperf.jax_sharding_utils import get_batch_dim_sharding, get_mesh, get_replicate_sharding
from algoperf.kit.blocks import Block, blocks

_SMALL = 1e-25  # stands for a norm of 0 where something is divided by it
# Small eigenvalues matter most, and TensorFloat32 would drown them.
_product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

# By the shape of blocks, of which there are n: for each dimension, of size d, an (n, d, d) array.
Matrices = Mapping[str, tuple[jax.Array, ...]]


class ScaleByShampooState(NamedTuple):
    """count: steps taken, int32; nu: running mean of the squared normalised gradient; momentum: of the steps."""

    count: jax.Array
    nu: Any
    momentum: Any
    statistics: Matrices
    preconditioners: Matrices


def scale_by_shampoo(
    b1: float,
    b2: float,
    block_size: int = 1024,
    largest: int = 4096,
    interval: int = 20,
    start: int = 101,
    ridge: float = 1e-6,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Gradients times the inverse roots of their second moments in each dimension, as long as RMSProp's steps.

    b1 is of the momentum, b2 of the second moments. Vectors and parameters with a dimension above `largest` take
    RMSProp's steps, as do all in the first `start` steps. The roots are computed every `interval` steps: each device
    has a share of them, and all devices have all of them afterwards.
    """

    def init(params):
        statistics = {
            name: tuple(jnp.zeros((len(group), size, size)) for size in group[0].shape)
            for name, group in blocks(_shapes(params), block_size, largest).items()
        }
        preconditioners = jax.tree.map(lambda zeros: zeros + jnp.eye(zeros.shape[-1]), statistics)
        nu, momentum = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return ScaleByShampooState(jnp.zeros([], jnp.int32), nu, momentum, statistics, preconditioners)

    def update(grads, state, params=None):
        del params
        scaled = jax.tree.map(lambda g: g / (jnp.linalg.norm(g) + _SMALL), grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, scaled)
        rmsprop = jax.tree.map(lambda g, v: g / (jnp.sqrt(v) + eps), scaled, nu)

        groups = blocks(_shapes(grads), block_size, largest)
        leaves, structure = jax.tree.flatten(grads)
        stacks = {name: _stacked(leaves, group) for name, group in groups.items()}
        statistics = {
            name: tuple(
                b2 * old + (1 - b2) * _second_moments(stack, axis) for axis, old in _axes(state.statistics[name])
            )
            for name, stack in stacks.items()
        }
        # Only those roots that are in use before the next ones come.
        is_due = (state.count % interval == 0) & (state.count + interval > start)
        preconditioners = jax.lax.cond(
            is_due, partial(_inverse_roots, ridge), lambda _, previous: previous, statistics, state.preconditioners
        )
        preconditioned = {name: _preconditioned(stack, preconditioners[name]) for name, stack in stacks.items()}

        steps = jax.tree.leaves(rmsprop)
        for index, direction in _joined(leaves, groups, preconditioned).items():
            length = jnp.linalg.norm(steps[index]) / (jnp.linalg.norm(direction) + _SMALL)
            steps[index] = jnp.where(state.count >= start, length * direction, steps[index])
        steps = jax.tree.unflatten(structure, steps)
        momentum = jax.tree.map(lambda m, u: b1 * m + (1 - b1) * u, state.momentum, steps)
        look_ahead = jax.tree.map(lambda m, u: b1 * m + (1 - b1) * u, momentum, steps)
        return look_ahead, ScaleByShampooState(state.count + 1, nu, momentum, statistics, preconditioners)

    return optax.GradientTransformation(init, update)


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(tree)]


def _axes(matrices: Sequence[jax.Array]) -> enumerate:
    """The matrices with the dimension of a stack of blocks that each belongs to."""
    return enumerate(matrices, start=1)


def _stacked(leaves: Sequence[jax.Array], group: Sequence[Block]) -> jax.Array:
    """Blocks of one shape, along a new first axis."""
    return jnp.stack(
        [jax.lax.slice(leaves[block.parameter].reshape(block.merged), block.start, block.stop) for block in group]
    )


def _joined(
    leaves: Sequence[jax.Array], groups: Mapping[str, Sequence[Block]], stacks: Mapping[str, jax.Array]
) -> dict[int, jax.Array]:
    """The blocks back in their places: arrays shaped like those of the `leaves` that have blocks, by index."""
    joined: dict[int, jax.Array] = {}
    for name, group in groups.items():
        for block, part in zip(group, stacks[name], strict=True):
            if block.parameter not in joined:
                joined[block.parameter] = jnp.zeros(block.merged)
            joined[block.parameter] = jax.lax.dynamic_update_slice(joined[block.parameter], part, block.start)
    return {index: whole.reshape(leaves[index].shape) for index, whole in joined.items()}


def _second_moments(stack: jax.Array, axis: int) -> jax.Array:
    """(n, ..., d, ...) -> (n, d, d): products of the slices along one dimension with each other."""
    rows = jnp.moveaxis(stack, axis, 1).reshape(len(stack), stack.shape[axis], -1)
    return _product(rows, rows.mT)


def _preconditioned(stack: jax.Array, preconditioners: Sequence[jax.Array]) -> jax.Array:
    """The blocks, each multiplied in each dimension by its preconditioner."""
    for axis, matrices in _axes(preconditioners):
        moved = jnp.moveaxis(stack, axis, 1)
        product = _product(matrices, moved.reshape(*moved.shape[:2], -1))
        stack = jnp.moveaxis(product.reshape(moved.shape), 1, axis)
    return stack


def _inverse_roots(ridge: float, statistics: Matrices, previous: Matrices) -> Matrices:
    """The matrices to the power of -1 / (2 order); the previous ones where a number would not be finite."""
    orders = {name: (len(stacks),) * len(stacks) for name, stacks in statistics.items()}
    stacks, structure = jax.tree.flatten(statistics)
    exponents = [
        np.full(len(stack), -0.5 / order) for stack, order in zip(stacks, jax.tree.leaves(orders), strict=True)
    ]
    roots: dict[int, jax.Array] = {}
    together = None
    for size in sorted({stack.shape[-1] for stack in stacks}):
        members = [index for index, stack in enumerate(stacks) if stack.shape[-1] == size]
        matrices = jnp.concatenate([stacks[index] for index in members])
        if together is not None:
            matrices = _after(together, matrices)
        together = _shared_powers(ridge, matrices, np.concatenate([exponents[index] for index in members]))
        ends = np.cumsum([len(stacks[index]) for index in members])
        roots |= zip(members, jnp.split(together, ends[:-1]), strict=True)

    def usable(root, old):
        return jnp.where(jnp.isfinite(root).all((1, 2), keepdims=True), root, old)

    return jax.tree.map(usable, jax.tree.unflatten(structure, [roots[index] for index in range(len(stacks))]), previous)


def _after(first: jax.Array, second: jax.Array) -> jax.Array:
    """`second`, once `first` has been computed.

    On a CPU, XLA runs decompositions that do not depend on each other at the same time, and large ones (1024 x 1024,
    JAX 0.10.2) then wait for each other's threads for ever. `optimization_barrier` did not keep them apart there; a
    number that is always 0 does.
    """
    number = first.ravel()[0]
    return second + jnp.where(jnp.isnan(number) & (number > 0), 1.0, 0.0)


def _shared_powers(ridge: float, matrices: jax.Array, exponents: np.ndarray) -> jax.Array:
    """`_powers` of (n, d, d) matrices of which each device computes a part and then gets the whole."""
    padding = -len(matrices) % jax.device_count()
    identities = jnp.tile(jnp.eye(matrices.shape[-1]), (padding, 1, 1))
    divided = get_batch_dim_sharding().spec
    powers = jax.shard_map(partial(_powers, ridge), mesh=get_mesh(), in_specs=divided, out_specs=divided)(
        jnp.concatenate([matrices, identities]), jnp.asarray(np.pad(exponents, (0, padding)), jnp.float32)
    )
    return jax.lax.with_sharding_constraint(powers, get_replicate_sharding())[: len(matrices)]


def _powers(ridge: float, matrices: jax.Array, exponents: jax.Array) -> jax.Array:
    """Positive semidefinite matrices, with `ridge` times their largest eigenvalues on the diagonals, to powers."""
    values, vectors = jnp.linalg.eigh(matrices)
    values = jnp.maximum(values, 0.0) + ridge * values[:, -1:]
    return _product(vectors * (values ** exponents[:, None])[:, None], vectors.mT)
