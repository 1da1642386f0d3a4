"""Published updates that PyTorch does not have, and what several baselines share; the twin of `optimizers_jax.py`."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from algoperf.kit.hyperparameters import beta1
from algoperf.kit.schedules_pytorch import Schedule, warmup_linear
from algoperf.workload import Workload

_PIECE = 1 << 20  # numbers


def sgd(
    model: nn.Module, hyperparameters: Any, workload: Workload, *, nesterov: bool
) -> tuple[torch.optim.Optimizer, Schedule]:
    """SGD with momentum; weight decay is part of the gradient, the rate decays linearly after a warm-up."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=hyperparameters.learning_rate,
        momentum=beta1(hyperparameters),
        nesterov=nesterov,
        weight_decay=hyperparameters.weight_decay,
    )
    return optimizer, warmup_linear(hyperparameters, workload.step_hint)


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
