"""Shaped like the official PyTorch baseline: annotations, keyword calls, schedules, logging; modules beside it."""

from typing import Any, Dict, Iterator, List, Optional, Tuple  # noqa: UP035 (as published submissions do)

import torch
import torch.distributed.nn as dist_nn
from absl import logging
from beside import grouped
from parts.clipping import clip
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup

USE_PYTORCH_DDP, RANK, DEVICE, N_GPUS = pytorch_setup()


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    del model_state, rng
    groups = grouped(model_params, workload.model_params_types, hyperparameters.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=hyperparameters.learning_rate, eps=1e-8)
    warmup_steps = int(hyperparameters.warmup_factor * workload.step_hint)
    warmup = LinearLR(optimizer, start_factor=1e-10, end_factor=1.0, total_iters=warmup_steps)
    cosine = CosineAnnealingLR(optimizer, T_max=max(workload.step_hint - warmup_steps, 1))
    return {"optimizer": optimizer, "scheduler": SequentialLR(optimizer, [warmup, cosine], [warmup_steps])}


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: Dict[str, spec.Tensor],  # noqa: UP006
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: List[Tuple[int, float]],  # noqa: UP006
    global_step: int,
    rng: spec.RandomState,
    train_state: Optional[Dict[str, Any]] = None,  # noqa: UP006, UP045
) -> spec.UpdateReturn:
    assert set(current_params_types) == set(workload.param_shapes)
    assert loss_type == workload.loss_type == spec.LossType.SIGMOID_CROSS_ENTROPY
    assert train_state["accumulated_submission_time"] >= 0
    assert all(isinstance(step, int) and "validation/loss" in row for step, row in eval_results)
    model = current_param_container
    model.train()
    optimizer_state["optimizer"].zero_grad()
    logits_batch, new_model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=hyperparameters.dropout_rate,
    )
    label_smoothing = hyperparameters.label_smoothing if hasattr(hyperparameters, "label_smoothing") else 0.0
    loss_dict = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits_batch,
        mask_batch=batch.get("weights"),
        label_smoothing=label_smoothing,
    )
    summed_loss, n_valid_examples = loss_dict["summed"], loss_dict["n_valid_examples"]
    if USE_PYTORCH_DDP:
        summed_loss, n_valid_examples = dist_nn.all_reduce(summed_loss), dist_nn.all_reduce(n_valid_examples)
    loss = summed_loss / n_valid_examples
    loss.backward()
    clip(model, getattr(hyperparameters, "grad_clip", None))
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    if global_step <= 100 or global_step % 500 == 0:
        with torch.no_grad():
            norms = [torch.norm(p.grad.detach(), 2) for p in model.parameters() if p.grad is not None]
            grad_norm = torch.norm(torch.stack(norms), 2)
        if workload.metrics_logger is not None:
            workload.metrics_logger.append_scalar_metrics(
                {"loss": loss.item(), "grad_norm": grad_norm.item()}, global_step
            )
        logging.info("%d) loss = %0.3f, grad_norm = %0.3f", global_step, loss.item(), grad_norm.item())
    return (optimizer_state, current_param_container, new_model_state)


def prepare_for_eval(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: List[Tuple[int, float]],  # noqa: UP006
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    return (optimizer_state, current_param_container, model_state)


def get_batch_size(workload_name: str) -> int:
    if workload_name == "criteo1tb":
        return 262_144
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[Dict[str, spec.Tensor]],  # noqa: UP006
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> Dict[str, spec.Tensor]:  # noqa: UP006
    return next(input_queue)
