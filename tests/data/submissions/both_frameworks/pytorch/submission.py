"""The twin of the one in JAX: its hyperparameters are shared, its point comes from the folder above."""

import torch
from algorithmic_efficiency import random_utils as prng
from algorithmic_efficiency import spec
from algorithms.archived_paper_baselines.by_another_name.hyperparameters import own


def init_optimizer_state(workload: spec.Workload, model_params, model_state, hyperparameters, rng):
    assert prng.split(rng, 3).shape == (3, 2)
    return {"averages": [torch.zeros_like(parameter) for parameter in model_params.parameters()], "count": 0}


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
    point, model = own(hyperparameters), current_param_container
    model.zero_grad()
    logits, _ = workload.model_fn(model, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    with torch.no_grad():
        for parameter, average in zip(model.parameters(), optimizer_state["averages"], strict=True):
            average.lerp_(parameter.grad.clamp(-point.limit, point.limit), 1 - point.beta)
            parameter.sub_(average, alpha=point.learning_rate)
    optimizer_state["count"] += 1
    return optimizer_state, model, None


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
