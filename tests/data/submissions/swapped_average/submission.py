"""Evaluates an average of the weights, a copy of the module, and trains on with the module itself; draws numbers.

Random numbers come from the global generators, from the step's key and from generators in the optimizer state.
"""

import copy
import random

import numpy as np
import torch

from algoperf import spec


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    average = copy.deepcopy(model_params).requires_grad_(False)
    return {
        "optimizer": torch.optim.SGD(model_params.parameters(), lr=0.003, momentum=0.9),
        "model": model_params,
        "average": average,
        "generators": (torch.Generator(), np.random.default_rng(rng[0]), np.random.RandomState(3), random.Random(4)),
    }


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
    model, optimizer, average = (optimizer_state[name] for name in ("model", "optimizer", "average"))
    pytorch, numpy, legacy, python = optimizer_state["generators"]
    noise = [torch.rand(1, generator=pytorch).item(), numpy.random(), legacy.rand(), python.random()]
    noise += [torch.rand(1).item(), np.random.rand(), random.random(), np.random.RandomState(rng[0]).rand()]
    optimizer.zero_grad()
    logits, _ = workload.model_fn(
        model, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True, dropout_rate=0.1
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (sum(noise) * loss["summed"] / loss["n_valid_examples"]).backward()
    optimizer.step()
    with torch.no_grad():
        for mean, param in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(param, 0.5)
    return optimizer_state, model, None


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
    return optimizer_state, optimizer_state["average"], model_state


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
