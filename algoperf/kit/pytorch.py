"""A torch optimizer into a PyTorch submission in a few lines; the twin of `kit/jax.py`."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from algoperf.kit.schedules_pytorch import Schedule
from algoperf.pytorch_utils import sum_over_processes
from algoperf.spec import ForwardPassMode
from algoperf.workload import Workload

LOGGED_EVERY = 100


@dataclasses.dataclass(frozen=True)
class TorchSubmission:
    """The official functions for `optimizer(model, hyperparameters, workload)`, which gives it and its schedule.

    The schedule is a factor of the learning rate, by step. The hyperparameters `label_smoothing`, `dropout_rate` and
    `grad_clip` (a global norm) count where a point has them. batch_sizes: by workload name; a variant that is not named
    has its workload's.
    """

    optimizer: Callable[[nn.Module, Any, Workload], tuple[torch.optim.Optimizer, Schedule]]
    batch_sizes: Mapping[str, int]

    def get_batch_size(self, workload_name: str) -> int:
        return self.batch_sizes[workload_name]

    def init_optimizer_state(self, workload, model_params, model_state, hyperparameters, rng):
        del model_state, rng
        optimizer, schedule = self.optimizer(model_params, hyperparameters, workload)
        return {"optimizer": optimizer, "scheduler": LambdaLR(optimizer, schedule)}

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
        """Gradient of the mean loss over the valid examples of all processes, clipping, update."""
        del current_params_types, loss_type, eval_results
        optional = hyperparameters._asdict()
        model, optimizer = current_param_container, optimizer_state["optimizer"]
        model.train()
        optimizer.zero_grad()
        logits, model_state = workload.model_fn(
            model,
            batch,
            model_state,
            ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=optional.get("dropout_rate"),
        )
        label_smoothing = optional.get("label_smoothing", 0.0)
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing)
        # Each process has this mean over all of them, so the sums' gradients add up to that many times the mean's;
        # DistributedDataParallel then averages over the processes.
        mean_loss = sum_over_processes(loss["summed"]) / sum_over_processes(loss["n_valid_examples"])
        mean_loss.backward()
        is_logged = workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0
        if "grad_clip" in optional or is_logged:
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), optional.get("grad_clip", math.inf))
        optimizer.step()
        optimizer_state["scheduler"].step()
        if is_logged:
            metrics = {"loss": mean_loss.detach(), "grad_norm": grad_norm}
            workload.metrics_logger.append_scalar_metrics(metrics, global_step)
        return optimizer_state, model, model_state

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
