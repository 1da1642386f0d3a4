"""A training algorithm in JAX: the five functions of the official API, written out. It is AdamW; make it yours.

The harness calls `init_optimizer_state` once, and then at each step `data_selection` and `update_params`, which are
charged to you. Evaluations, the preparation of data and checkpoints are free. Start with `update`, below.
"""

import functools

import jax
import jax.numpy as jnp

from algoperf.jax_sharding_utils import get_replicate_sharding
from algoperf.spec import ForwardPassMode
from submissions.batch_sizes import BATCH_SIZES

EPSILON = 1e-8
LOGGED_EVERY = 100  # steps


def get_batch_size(workload_name):
    """How many examples a step has, over all devices. These are the baselines' numbers; yours can be others."""
    return BATCH_SIZES[workload_name]


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    """All that you need at each step. A checkpoint keeps its arrays and numbers; functions are made here anew."""
    del model_state, rng
    state = {
        "mean": jax.tree.map(jnp.zeros_like, model_params),
        "mean_of_squares": jax.tree.map(jnp.zeros_like, model_params),
    }
    # Compiled once, in the first step; the memory of the old state, parameters and model state is used for the new.
    step = jax.jit(
        functools.partial(train_step, workload, hyperparameters),
        donate_argnums=(0, 1, 2),
        out_shardings=get_replicate_sharding(),
    )
    return state, step


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
    """One step. The harness keeps what you return and gives it back at the next one."""
    del current_params_types, hyperparameters, loss_type, eval_results
    state, step = optimizer_state
    state, params, model_state, loss = step(state, current_param_container, model_state, batch, global_step, rng)
    if workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0:
        # Costs you nothing: the value is looked at when the clock has stopped. So no float(loss) here.
        workload.metrics_logger.append_scalar_metrics({"loss": loss}, global_step)
    return (state, step), params, model_state


def train_step(workload, hyperparameters, state, params, model_state, batch, global_step, rng):
    """The gradient of the mean loss, and the update. An array is that of all devices, and so is its mean."""

    def mean_loss(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    (loss, new_model_state), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
    rate = hyperparameters.learning_rate * schedule(hyperparameters.warmup_factor, global_step, workload.step_hint)
    state, params = update(hyperparameters, rate, state, params, gradient, global_step + 1)
    return state, params, new_model_state, loss


def schedule(warmup_factor, global_step, step_hint):
    """A factor of the learning rate: linear warm-up, then a cosine to 0 at about the step where time is up."""
    warmup_steps = max(1, int(warmup_factor * step_hint))
    progress = jnp.clip((global_step - warmup_steps) / max(1, step_hint - warmup_steps), 0.0, 1.0)
    return jnp.minimum(1.0, (global_step + 1) / warmup_steps) * 0.5 * (1 + jnp.cos(jnp.pi * progress))


def update(hyperparameters, rate, state, params, gradient, count):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): here your idea goes.

    state, params and gradient are trees of arrays; `count` is 1 at the first step. Returns the new state and params.
    """
    b1, b2 = 1 - hyperparameters.one_minus_beta1, hyperparameters.beta2
    mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state["mean"], gradient)
    mean_of_squares = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state["mean_of_squares"], gradient)

    def updated(p, m, v):
        direction = (m / (1 - b1**count)) / (jnp.sqrt(v / (1 - b2**count)) + EPSILON)
        return p - rate * (direction + hyperparameters.weight_decay * p)

    return {"mean": mean, "mean_of_squares": mean_of_squares}, jax.tree.map(updated, params, mean, mean_of_squares)


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    """Called before each evaluation, and charged: return other parameters here, such as an average. May be deleted."""
    del workload, current_params_types, hyperparameters, loss_type, eval_results, global_step, rng
    return optimizer_state, current_param_container, model_state


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
    """The batch of the next step: the queue gives as many examples as `get_batch_size` says, shuffled each epoch."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)
