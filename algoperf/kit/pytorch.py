"""A torch optimizer into a PyTorch submission in a few lines; the twin of `kit/jax.py`."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from algoperf.benchmark.facts import ForwardPassMode
from algoperf.benchmark.workload import Workload
from algoperf.pytorch_utils import sum_over_processes

LOGGED_EVERY = 100


# The mean loss at the model's parameters, whose gradient it leaves in them; whether running statistics are updated.
Backward = Callable[[bool], torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Average:
    """For optimizers that evaluate an average of what they train: the way there, and back before the next step.

    Both are functions of the optimizer, which change the parameters, and do nothing where that is done already.
    """

    evaluated: Callable[[torch.optim.Optimizer], None]
    trained: Callable[[torch.optim.Optimizer], None]


def gradient_at_parameters(backward: Backward, model: nn.Module, hyperparameters: Any) -> torch.Tensor:
    del model, hyperparameters
    return backward(True)


@dataclasses.dataclass(frozen=True)
class TorchSubmission:
    """The official functions for what `optimizer(model, hyperparameters, workload)` gives: optimizers and a schedule.

    There may be several optimizers, each for its parameters; the schedule, which comes last, is a factor of their
    learning rates, by step. The hyperparameters `label_smoothing`, `dropout_rate` and `grad_clip` (a global norm) count
    where a point has them. batch_sizes: by workload name; a variant that is not named has its workload's. gradient: how
    a step's gradient, which is then clipped, comes of those of the loss. average: None where what is trained is what is
    evaluated.
    """

    optimizer: Callable[[nn.Module, Any, Workload], tuple[Any, ...]]
    batch_sizes: Mapping[str, int]
    gradient: Callable[[Backward, nn.Module, Any], torch.Tensor] = gradient_at_parameters
    average: Average | None = None

    def get_batch_size(self, workload_name: str) -> int:
        return self.batch_sizes[workload_name]

    def init_optimizer_state(self, workload, model_params, model_state, hyperparameters, rng):
        del model_state, rng
        *optimizers, schedule = self.optimizer(model_params, hyperparameters, workload)
        schedulers = [LambdaLR(optimizer, schedule) for optimizer in optimizers]
        return {"optimizers": optimizers, "schedulers": schedulers}

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
        del current_params_types, model_state, loss_type, eval_results, rng
        model, grad_clip = current_param_container, hyperparameters._asdict().get("grad_clip")
        model.train()
        if self.average is not None:
            for optimizer in optimizer_state["optimizers"]:
                self.average.trained(optimizer)
        backward = functools.partial(_backward, workload, model, batch, hyperparameters)
        loss = self.gradient(backward, model, hyperparameters)
        is_logged = workload.metrics_logger is not None and global_step % LOGGED_EVERY == 0
        if grad_clip is not None or is_logged:
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf if grad_clip is None else grad_clip)
        for stepping in (*optimizer_state["optimizers"], *optimizer_state["schedulers"]):
            stepping.step()
        if is_logged:
            workload.metrics_logger.append_scalar_metrics({"loss": loss, "grad_norm": grad_norm}, global_step)
        model.zero_grad()  # the next step makes its own: a checkpoint need not hold these
        return optimizer_state, model, None

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
        if self.average is not None:
            for optimizer in optimizer_state["optimizers"]:
                self.average.evaluated(optimizer)
        return optimizer_state, current_param_container, model_state

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


def _backward(
    workload: Workload, model: nn.Module, batch: Mapping[str, Any], hyperparameters: Any, update_statistics: bool
) -> torch.Tensor:
    optional = hyperparameters._asdict()
    model.zero_grad()
    logits, _ = workload.model_fn(
        model,
        batch,
        None,
        ForwardPassMode.TRAIN,
        None,
        update_batch_norm=update_statistics,
        dropout_rate=optional.get("dropout_rate"),
        use_running_average_bn=False,
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), optional.get("label_smoothing") or 0.0)
    # Each process has this mean over all of them, so the sums' gradients add up to that many times the mean's;
    # DistributedDataParallel then averages over the processes.
    mean_loss = sum_over_processes(loss["summed"]) / sum_over_processes(loss["n_valid_examples"])
    mean_loss.backward()
    return mean_loss.detach()
