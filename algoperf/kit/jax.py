"""An optax optimizer into a JAX submission in a few lines; the twin of `kit/pytorch.py`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.jax_sharding_utils import get_replicate_sharding
from algoperf.spec import ForwardPassMode

LOGGED_EVERY = 100


@dataclasses.dataclass(frozen=True)
class OptaxSubmission:
    """The official functions for an optimizer made by `optimizer(hyperparameters, step_hint)`.

    The hyperparameters `label_smoothing`, `dropout_rate` and `grad_clip` (a global norm) count where a point has them.
    batch_sizes: by workload name; a variant that is not named has its workload's.
    """

    optimizer: Callable[[Any, int], optax.GradientTransformation]
    batch_sizes: Mapping[str, int]

    def get_batch_size(self, workload_name: str) -> int:
        return self.batch_sizes[workload_name]

    def init_optimizer_state(self, workload, model_params, model_state, hyperparameters, rng):
        del model_state, rng
        transformation = self.optimizer(hyperparameters, workload.step_hint)
        return transformation.init(model_params), _train_step(workload, transformation, hyperparameters)

    def update_params(
        self,
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
        del current_params_types, hyperparameters, loss_type, eval_results
        state, train_step = optimizer_state
        state, params, model_state, metrics = train_step(state, current_param_container, model_state, batch, rng)
        if workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0:
            workload.metrics_logger.append_scalar_metrics(metrics, global_step)
        return (state, train_step), params, model_state

    def data_selection(
        self,
        workload,
        input_queue,
        optimizer_state,
        current_param_container,
        model_state,
        hyperparameters,
        global_step,
        rng,
    ):
        del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
        return next(input_queue)


def _train_step(workload, transformation: optax.GradientTransformation, hyperparameters) -> Callable:
    """The compiled step: gradient of the mean loss over the valid examples, clipping, update."""
    optional = hyperparameters._asdict()
    label_smoothing = optional.get("label_smoothing", 0.0)
    dropout_rate = optional.get("dropout_rate")
    grad_clip = optional.get("grad_clip")

    def mean_loss(params, model_state, batch, rng):
        logits, model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True, dropout_rate=dropout_rate
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing)
        return loss["summed"] / loss["n_valid_examples"], model_state

    def train_step(optimizer_state, params, model_state, batch, rng):
        (loss, model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, model_state, batch, rng)
        grad_norm = optax.tree.norm(grads)
        if grad_clip is not None:
            scale = jnp.minimum(1.0, grad_clip / (grad_norm + 1e-6))
            grads = jax.tree.map(lambda grad: scale * grad, grads)
        updates, optimizer_state = transformation.update(grads, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        return optimizer_state, params, model_state, {"loss": loss, "grad_norm": grad_norm}

    return jax.jit(train_step, donate_argnums=(0, 1, 2), out_shardings=get_replicate_sharding())


class ScaleByNadamState(NamedTuple):
    """count: steps taken, int32; mu, nu: running means of the gradient and of its square, like the parameters."""

    count: jax.Array
    mu: Any
    nu: Any


def scale_by_nadam(b1: float, b2: float, eps: float = 1e-8) -> optax.GradientTransformation:
    """Adam with Nesterov momentum as the benchmark's NAdamW has it (Dozat 2016, without its momentum schedule).

    The look-ahead first moment is divided by 1 - b1^t, where optax's own corrects its two terms separately.
    """

    def init(params):
        return ScaleByNadamState(
            jnp.zeros([], jnp.int32), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
        )

    def update(grads, state, params=None):
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, grads)
        mu_correction, nu_correction = 1 - b1**count, 1 - b2**count

        def scaled(m, v, g):
            look_ahead = (b1 * m + (1 - b1) * g) / mu_correction
            return look_ahead / (jnp.sqrt(v / nu_correction) + eps)

        return jax.tree.map(scaled, mu, nu, grads), ScaleByNadamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def warmup_cosine(learning_rate: float, warmup_factor: float, step_hint: int) -> optax.Schedule:
    """Linear from 0 over a fraction of the steps, then a cosine to 0."""
    warmup_steps = int(warmup_factor * step_hint)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, warmup_steps),
            optax.cosine_decay_schedule(learning_rate, max(step_hint - warmup_steps, 1)),
        ],
        [warmup_steps],
    )


def warmup_linear(
    learning_rate: float, warmup_factor: float, step_hint: int, decay_steps_factor: float, end_factor: float
) -> optax.Schedule:
    """Linear from 0 over a fraction of the steps, linear to `end_factor` of the rate over a fraction of the rest."""
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(int((step_hint - warmup_steps) * decay_steps_factor), 1)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, warmup_steps),
            optax.linear_schedule(learning_rate, learning_rate * end_factor, decay_steps),
        ],
        [warmup_steps],
    )
