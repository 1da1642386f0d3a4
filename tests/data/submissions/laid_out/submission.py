"""In a repository of folders that are not here any more: its modules are named by them, relatively, and by `sys.path`.

The package under its old name; a vendored package; the step's collective without asking who is there; the optimizer
made in the first step.
"""

import importlib
import os
import sys
from types import SimpleNamespace

import torch.distributed as dist
from algoperf.workloads.workloads import get_base_workload_name
from algorithmic_efficiency import spec
from algorithmic_efficiency.pytorch_utils import pytorch_setup
from algorithmic_efficiency.workloads.criteo1tb.workload import BaseCriteo1TbDlrmSmallWorkload
from submissions.self_tuning.laid_out.optimizers import rule
from submissions.self_tuning.laid_out_before.schedule import decayed
from submissions_algorithms.leaderboard.self_tuning.laid_out_before.optimizers.parts import clipping

from .schedule import HALVED

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizers", "parts"))
import schedulefree
from rule_types import Momentum

USE_PYTORCH_DDP, RANK, DEVICE, N_GPUS = pytorch_setup()
HPARAMS = SimpleNamespace(learning_rate=0.005, momentum=Momentum(0.9), dropout_rate=0.1, max_norm=1.0)


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
    assert schedulefree.VENDORED and rule.Momentum is Momentum
    return {}


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
    model = current_param_container
    if not optimizer_state:
        optimizer_state["optimizer"] = rule.Rule(model.parameters(), HPARAMS.learning_rate, HPARAMS.momentum)
    optimizer = optimizer_state["optimizer"]
    optimizer.zero_grad()
    logits, _ = workload.model_fn(
        model, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True, dropout_rate=HPARAMS.dropout_rate
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad, op=dist.ReduceOp.AVG)
    clipping.clip(model, HPARAMS.max_norm)
    late = importlib.import_module("submissions.self_tuning.laid_out.schedule")
    assert late.decayed is decayed
    for group in optimizer.param_groups:
        group["lr"] = decayed(HPARAMS.learning_rate, global_step, HALVED)
    optimizer.step()
    return optimizer_state, model, None


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
    from optimizers.parts.clipping import clip  # noqa: PLC0415

    assert clip is clipping.clip
    return next(input_queue)
