"""Shaped like the official JAX baseline: the step is jitted anew at each step, with shardings, static and donated."""

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec

HPARAMS = {"learning_rate": 0.003, "dropout_rate": 0.1}


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_params, model_state, hyperparameters, rng
    schedule = optax.cosine_decay_schedule(HPARAMS["learning_rate"], workload.step_hint)
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    labels = jax.tree.map(lambda zero: "matrix" if zero.ndim > 1 else "vector", zeros)
    optimizer = optax.multi_transform({"matrix": optax.adamw(schedule), "vector": optax.sgd(schedule)}, labels)
    return optimizer.init(zeros), optimizer.update


def train_step(workload, opt_update_fn, model_state, optimizer_state, params, batch, rng, grad_clip, dropout_rate):
    def _loss_fn(params):
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=dropout_rate,
        )
        loss_dict = workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"), label_smoothing=0.0
        )
        return loss_dict["summed"], (loss_dict["n_valid_examples"], new_model_state)

    (summed, (n_valid, new_model_state)), grad = jax.value_and_grad(_loss_fn, has_aux=True)(params)
    grad = jax.tree.map(lambda x: x / n_valid, grad)
    assert grad_clip is None
    updates, new_optimizer_state = opt_update_fn(grad, optimizer_state, params)
    return new_optimizer_state, optax.apply_updates(params, updates), new_model_state, summed / n_valid


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
    train_state=None,
):
    assert jax.tree.structure(current_params_types) == jax.tree.structure(current_param_container)
    optimizer_state, opt_update_fn = optimizer_state
    replicated, sharded = jax_sharding_utils.get_replicate_sharding(), jax_sharding_utils.get_batch_dim_sharding()
    jitted_train_step = jax.jit(
        train_step,
        static_argnums=(0, 1),
        donate_argnums=(2, 3, 4),
        in_shardings=(*[replicated] * 3, sharded, *[replicated] * 3),
        out_shardings=(replicated,) * 4,
    )
    new_optimizer_state, new_params, new_model_state, loss = jitted_train_step(
        workload,
        opt_update_fn,
        model_state,
        optimizer_state,
        current_param_container,
        batch,
        rng,
        None,
        HPARAMS["dropout_rate"],
    )
    if global_step <= 100 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss.item()}, global_step)
    return (new_optimizer_state, opt_update_fn), new_params, new_model_state


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
