"""An optax optimizer into a JAX submission in a few lines; the twin of `kit/pytorch.py`."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.benchmark.facts import ForwardPassMode
from algoperf.benchmark.workload import Workload
from algoperf.jax_sharding_utils import get_replicate_sharding

LOGGED_EVERY = 100

# ((mean loss, model state), gradient) at some parameters.
ValueAndGrad = Callable[[Any], tuple[tuple[jax.Array, Any], Any]]


@dataclasses.dataclass(frozen=True)
class Average:
    """For optimizers that evaluate an average of what they train: the way there, and back before the next step.

    Both are functions of the optimizer's state and the parameters.
    """

    evaluated: Callable[[Any, Any], Any]
    trained: Callable[[Any, Any], Any]


class KitState(NamedTuple):
    """state: the optimizer's; step: the compiled step; is_averaged: whether the parameters are those to evaluate."""

    state: Any
    step: Callable[..., Any]
    is_averaged: bool = False


def gradient_at_parameters(value_and_grad: ValueAndGrad, params: Any, hyperparameters: Any) -> Any:
    del hyperparameters
    return value_and_grad(params)


@dataclasses.dataclass(frozen=True)
class OptaxSubmission:
    """The official functions for an optimizer made by `optimizer(hyperparameters, workload)`.

    The hyperparameters `label_smoothing`, `dropout_rate` and `grad_clip` (a global norm) count where a point has them.
    batch_sizes: by workload name; a variant that is not named has its workload's. gradient: how a step's gradient,
    which is then clipped, comes of those of the loss. average: None where what is trained is what is evaluated.
    """

    optimizer: Callable[[Any, Workload], optax.GradientTransformation]
    batch_sizes: Mapping[str, int]
    gradient: Callable[[ValueAndGrad, Any, Any], Any] = gradient_at_parameters
    average: Average | None = None

    def get_batch_size(self, workload_name: str) -> int:
        return self.batch_sizes[workload_name]

    def init_optimizer_state(self, workload, model_params, model_state, hyperparameters, rng):
        del model_state, rng
        transformation = self.optimizer(hyperparameters, workload)
        step = _train_step(workload, transformation, self.gradient, hyperparameters)
        return KitState(transformation.init(model_params), step)

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
        state, step, is_averaged = optimizer_state
        params = current_param_container
        if is_averaged:
            params = _moved(self.average.trained)(state, params)
        state, params, model_state, metrics = step(state, params, model_state, batch, rng)
        if workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0:
            workload.metrics_logger.append_scalar_metrics(metrics, global_step)
        return KitState(state, step), params, model_state

    def prepare_for_eval(
        self,
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
        del workload, current_params_types, hyperparameters, loss_type, eval_results, global_step, rng
        params = current_param_container
        if self.average is not None and not optimizer_state.is_averaged:
            params = _moved(self.average.evaluated)(optimizer_state.state, params)
            optimizer_state = optimizer_state._replace(is_averaged=True)
        return optimizer_state, params, model_state

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


def _train_step(
    workload: Workload, transformation: optax.GradientTransformation, gradient: Callable, hyperparameters: Any
) -> Callable:
    """The compiled step: gradient of the mean loss over the valid examples, clipping, update."""
    optional = hyperparameters._asdict()
    label_smoothing = optional.get("label_smoothing") or 0.0
    dropout_rate = optional.get("dropout_rate")
    grad_clip = optional.get("grad_clip")

    def mean_loss(params, model_state, batch, rng):
        logits, model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True, dropout_rate=dropout_rate
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing)
        return loss["summed"] / loss["n_valid_examples"], model_state

    def train_step(optimizer_state, params, model_state, batch, rng):
        def value_and_grad(params):
            return jax.value_and_grad(mean_loss, has_aux=True)(params, model_state, batch, rng)

        (loss, model_state_after), grads = gradient(value_and_grad, params, hyperparameters)
        grad_norm = optax.tree.norm(grads)
        if grad_clip is not None:
            scale = jnp.minimum(1.0, grad_clip / (grad_norm + 1e-6))
            grads = jax.tree.map(lambda grad: scale * grad, grads)
        updates, optimizer_state = transformation.update(grads, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        return optimizer_state, params, model_state_after, {"loss": loss, "grad_norm": grad_norm}

    return jax.jit(train_step, donate_argnums=(0, 1, 2), out_shardings=get_replicate_sharding())


@functools.cache
def _moved(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The function, compiled, of parameters that it may overwrite; they stay where the step expects them."""
    return jax.jit(function, donate_argnums=1, out_shardings=get_replicate_sharding())
