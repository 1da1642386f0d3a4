"""A torch optimizer into a PyTorch submission in a few lines; the twin of `kit/jax.py`."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from algoperf.pytorch_utils import sum_over_processes
from algoperf.spec import ForwardPassMode

LOGGED_EVERY = 100
_PIECE = 1 << 20  # numbers

Schedule = Callable[[int], float]


@dataclasses.dataclass(frozen=True)
class TorchSubmission:
    """The official functions for `optimizer(parameters, hyperparameters, step_hint)`, which gives it and its schedule.

    The schedule is a factor of the learning rate, by step. The hyperparameters `label_smoothing`, `dropout_rate` and
    `grad_clip` (a global norm) count where a point has them. batch_sizes: by workload name; a variant that is not named
    has its workload's.
    """

    optimizer: Callable[[Iterable[nn.Parameter], Any, int], tuple[torch.optim.Optimizer, Schedule]]
    batch_sizes: Mapping[str, int]

    def get_batch_size(self, workload_name: str) -> int:
        return self.batch_sizes[workload_name]

    def init_optimizer_state(self, workload, model_params, model_state, hyperparameters, rng):
        del model_state, rng
        optimizer, schedule = self.optimizer(model_params.parameters(), hyperparameters, workload.step_hint)
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


class NAdamW(torch.optim.Optimizer):
    """Adam with Nesterov momentum and decoupled weight decay as the benchmark has it.

    Dozat 2016 without its momentum schedule, which `torch.optim.NAdam` has. Weight decay is multiplied by the rate.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        eps: float = 1e-8,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                if not self.state[param]:
                    self.state[param] = {"step": 0, "mu": torch.zeros_like(param), "nu": torch.zeros_like(param)}
                self.state[param]["step"] += 1
            if params:
                self._update(group, params)

    def _update(self, group: dict[str, Any], params: list[nn.Parameter]) -> None:
        states = [self.state[param] for param in params]
        rows = [(param, param.grad, state["mu"], state["nu"]) for param, state in zip(params, states, strict=True)]
        for columns in _together(rows):
            self._update_together(group, states[0]["step"], *columns)

    def _update_together(
        self,
        group: dict[str, Any],
        step: int,
        params: list[torch.Tensor],
        grads: list[torch.Tensor],
        mu: list[torch.Tensor],
        nu: list[torch.Tensor],
    ) -> None:
        b1, b2 = group["betas"]
        torch._foreach_lerp_(mu, grads, 1 - b1)
        torch._foreach_mul_(nu, b2)
        torch._foreach_addcmul_(nu, grads, grads, 1 - b2)
        denominator = torch._foreach_sqrt(nu)
        torch._foreach_div_(denominator, math.sqrt(1 - b2**step))
        torch._foreach_add_(denominator, group["eps"])
        look_ahead = torch._foreach_lerp(mu, grads, 1 - b1)
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_addcdiv_(params, look_ahead, denominator, -group["lr"] / (1 - b1**step))


def _together(rows: list[tuple[torch.Tensor, ...]]) -> Iterator[list[list[torch.Tensor]]]:
    """The rows' columns, as lists of tensors whose update is one sequence of operations.

    On a GPU that is all of them at once: few kernels. On a CPU it is one piece of one row, whose intermediate results
    are small: as large as an embedding table, they would be given new pages at each step, which takes as long again.
    """
    if rows[0][0].device.type != "cpu":
        yield [list(column) for column in zip(*rows, strict=True)]
        return
    for row in rows:
        if all(tensor.is_contiguous() for tensor in row):
            for pieces in zip(*(tensor.view(-1).split(_PIECE) for tensor in row), strict=True):
                yield [[piece] for piece in pieces]
        else:
            yield [[tensor] for tensor in row]


def warmup_cosine(warmup_factor: float, step_hint: int) -> Schedule:
    """Linear from 0 over a fraction of the steps, then a cosine to 0."""
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(step_hint - warmup_steps, 1)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / decay_steps)))

    return factor


def warmup_linear(warmup_factor: float, step_hint: int, decay_steps_factor: float, end_factor: float) -> Schedule:
    """Linear from 0 over a fraction of the steps, then linear to `end_factor` over a fraction of the rest."""
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(int((step_hint - warmup_steps) * decay_steps_factor), 1)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return 1 + (end_factor - 1) * min(1.0, (step - warmup_steps) / decay_steps)

    return factor
