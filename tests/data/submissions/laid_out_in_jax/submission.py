"""The twin of `laid_out` in JAX: its modules are named by folders that are not here any more, relatively and by
`sys.path`; the package under its old name; the optimizer made in the first step.
"""

import functools
import importlib
import os
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
from absl import logging
from algoperf.workloads.workloads import get_base_workload_name
from algorithmic_efficiency import spec
from algorithmic_efficiency.workloads.criteo1tb.workload import BaseCriteo1TbDlrmSmallWorkload
from submissions.self_tuning.laid_out_in_jax.optimizers import rule
from submissions_algorithms.leaderboard.self_tuning.laid_out_before.schedule import decayed

from .schedule import HALVED

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizers", "parts"))
from rule_types import Momentum

HPARAMS = SimpleNamespace(learning_rate=0.001, momentum=Momentum(0.9), dropout_rate=0.1)


def get_batch_size(workload_name):
    return {"criteo1tb": 262_144}[get_base_workload_name(workload_name)]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    assert isinstance(workload, BaseCriteo1TbDlrmSmallWorkload) and isinstance(workload, spec.Workload)
    assert rule.Momentum is Momentum
    logging.debug("nothing yet")
    return {}


@functools.partial(jax.jit, static_argnums=0)
def _step(workload, params, average, batch, rate, rng):
    def mean_loss(params):
        logits, _ = workload.model_fn(
            params, batch, None, spec.ForwardPassMode.TRAIN, rng, True, dropout_rate=HPARAMS.dropout_rate
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"]

    average = rule.direction(average, jax.grad(mean_loss)(params), HPARAMS.momentum)
    return jax.tree.map(lambda leaf, step: leaf - rate * step, params, average), average


def update_params(
    workload: BaseCriteo1TbDlrmSmallWorkload,
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
    if not optimizer_state:
        optimizer_state["average"] = jax.tree.map(jnp.zeros_like, current_param_container)
    late = importlib.import_module("submissions.self_tuning.laid_out_in_jax.schedule")
    assert late.decayed is decayed
    rate = decayed(HPARAMS.learning_rate, global_step, HALVED)
    params, optimizer_state["average"] = _step(
        workload, current_param_container, optimizer_state["average"], batch, rate, rng
    )
    return optimizer_state, params, model_state


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
