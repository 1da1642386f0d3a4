"""Written for an older JAX, in a folder that is called after its framework, beside the other framework's.

Types of chex, names that JAX has dropped, modules named by the folders of a repository, a vendored package, a dataclass
of hyperparameters, a named tuple as its state.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from algorithmic_efficiency import random_utils as prng
from algorithmic_efficiency import sharding_utils, spec
from jax.config import config
from jax.numpy import clip
from reference_algorithms.paper_baselines.by_another_name.jax.parts.rule import clipped

from ..hyperparameters import own

assert config is jax.config and optax.VENDORED


class State(NamedTuple):
    count: chex.Array
    average: chex.ArrayTree


def init_optimizer_state(
    workload: spec.Workload, model_params, model_state, hyperparameters, rng: jax.random.KeyArray
) -> State:
    assert prng.split(rng, 3).shape == jax.random.split(rng, 3).shape
    zeros = jax.tree_map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    return jax.device_put(State(jnp.zeros((), jnp.int32), zeros), sharding_utils.get_replicate_sharding())


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _step(workload, point, state, params, model_state, batch, rng):
    def mean_loss(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    grads, new_model_state = jax.grad(mean_loss, has_aux=True)(params)
    grads = clipped(grads, point.limit)
    beta = point.beta
    average = jax.tree_map(lambda old, new: beta * old + (1 - beta) * clip(new, -1, 1), state.average, grads)
    leaves, structure = jax.tree_flatten(params)
    moved = [leaf - point.learning_rate * m for leaf, m in zip(leaves, jax.tree_leaves(average), strict=True)]
    return State(state.count + 1, average), jax.tree_unflatten(structure, moved), new_model_state


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    return _step(workload, own(hyperparameters), optimizer_state, current_param_container, model_state, batch, rng)


def get_batch_size(workload_name):
    return 262_144


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
