"""Published updates that PyTorch does not have, and what several baselines share; the twin of `optimizers_jax.py`."""

import abc
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from algoperf.benchmark.workload import Workload
from algoperf.kit.hyperparameters import beta1
from algoperf.kit.pytorch import Backward
from algoperf.kit.schedules_pytorch import Schedule, warmup_linear

_PIECE = 1 << 20  # numbers, on a CPU
_TOGETHER = 1 << 26  # numbers, on a GPU: 256 MiB of float32 for each intermediate result
_LONG_ENOUGH = 128
_ADAFACTOR_EPS = 1e-30

# A parameter, its gradient, and the tensors of its state.
Row = tuple[torch.Tensor, ...]


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
        fused=True,
    )
    return optimizer, warmup_linear(hyperparameters, workload.step_hint)


def sharpness_aware(backward: Backward, model: nn.Module, hyperparameters: Any) -> torch.Tensor:
    """SAM (Foret et al. 2021, equation 2): the gradient `rho` further along the normalised gradient.

    The same batch and the same dropout both times. The loss and the running statistics are those at the parameters.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # what is drawn here is drawn again
        loss = backward(True)
    with torch.no_grad():
        params = [param for param in model.parameters() if param.grad is not None]
        steps = [param.grad for param in params]
        torch._foreach_mul_(steps, hyperparameters.rho / (nn.utils.get_total_norm(steps) + 1e-6))
        before = [param.clone() for param in params]
        torch._foreach_add_(params, steps)
    backward(False)
    with torch.no_grad():
        torch._foreach_copy_(params, before)
    return loss


class RowOptimizer(torch.optim.Optimizer, abc.ABC):
    """An optimizer that says what state a parameter begins with and how many parameters are updated together.

    Weight decay is decoupled and multiplied by the learning rate.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, **others: Any):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "step": 0, **others})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            group["step"] += 1
            for param in params:
                if not self.state[param]:
                    self.state[param] = self._fresh(param)
            self._update(group, [(param, param.grad, *self.state[param].values()) for param in params])

    @abc.abstractmethod
    def _fresh(self, param: nn.Parameter) -> dict[str, torch.Tensor]:
        """The state of a parameter before the first step."""

    @abc.abstractmethod
    def _update(self, group: dict[str, Any], rows: list[Row]) -> None:
        """Updates parameters and states in place; the group's `step` counts from 1."""


class _AdamMoments(RowOptimizer):
    """Has the running means of the gradient and of its square, and betas and an epsilon as Adam has them."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        eps: float = 1e-8,
    ):
        super().__init__(params, lr, weight_decay, betas=betas, eps=eps)

    def _fresh(self, param: nn.Parameter) -> dict[str, torch.Tensor]:
        return {"mu": torch.zeros_like(param), "nu": torch.zeros_like(param)}


class NAdamW(_AdamMoments):
    """Adam with Nesterov momentum as the benchmark has it.

    Dozat 2016 without its momentum schedule, which `torch.optim.NAdam` has.
    """

    def _update(self, group: dict[str, Any], rows: list[Row]) -> None:
        b1, _ = group["betas"]
        for params, grads, mu, nu in _in_pieces(rows):
            denominator = _adam_denominator(group, grads, mu, nu)
            look_ahead = torch._foreach_lerp(mu, grads, 1 - b1)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_addcdiv_(params, look_ahead, denominator, -group["lr"] / (1 - b1 ** group["step"]))


class Lamb(_AdamMoments):
    """LAMB (You et al. 2020, algorithm 2): each parameter's AdamW update is made as long as the parameter is.

    Where one of the two is zero, the update is left as long as it is.
    """

    def _update(self, group: dict[str, Any], rows: list[Row]) -> None:
        b1, _ = group["betas"]
        for params, grads, mu, nu in whole(rows):
            denominator = _adam_denominator(group, grads, mu, nu)
            updates = torch._foreach_div(mu, denominator)
            torch._foreach_div_(updates, 1 - b1 ** group["step"])
            torch._foreach_add_(updates, params, alpha=group["weight_decay"])
            lengths, update_lengths = (torch.stack(torch._foreach_norm(tensors)) for tensors in (params, updates))
            ratios = torch.where((lengths == 0) | (update_lengths == 0), 1.0, lengths / update_lengths)
            torch._foreach_mul_(updates, ratios.unbind())
            torch._foreach_sub_(params, updates, alpha=group["lr"])


def _adam_denominator(
    group: dict[str, Any], grads: list[torch.Tensor], mu: list[torch.Tensor], nu: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Updates the means; the root of the corrected second one, plus epsilon."""
    b1, b2 = group["betas"]
    torch._foreach_lerp_(mu, grads, 1 - b1)
    torch._foreach_mul_(nu, b2)
    torch._foreach_addcmul_(nu, grads, grads, 1 - b2)
    denominator = torch._foreach_sqrt(nu)
    torch._foreach_div_(denominator, math.sqrt(1 - b2 ** group["step"]))
    torch._foreach_add_(denominator, group["eps"])
    return denominator


class Adafactor(RowOptimizer):
    """Adafactor (Shazeer and Stern 2018) with a learning rate from outside and momentum, as the AlgoPerf paper had it.

    Where the two longest axes of a parameter have 128 or more entries each, the squares of its gradient are known by
    their means along either axis. As in Pax, whose Adafactor the paper took: these decay as Adam's corrected second
    moment does, at 0.99; an update is clipped to a root mean square of 1; the momentum is that of updates times the
    learning rate. Pax kept the momentum in eight bits, which is left out.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float):
        super().__init__(params, lr, weight_decay, momentum=momentum)

    def _fresh(self, param: nn.Parameter) -> dict[str, torch.Tensor]:
        state = {"momentum": torch.zeros_like(param)}
        if (axes := _longest_axes(param)) is None:
            return {**state, "squares": torch.zeros_like(param)}
        first, second = (torch.zeros_like(param.mean(axis, keepdim=True)) for axis in axes)
        return {**state, "first_means": first, "second_means": second}

    def _update(self, group: dict[str, Any], rows: list[Row]) -> None:
        decay = 0.99 * (1 - 0.99 ** (group["step"] - 1)) / (1 - 0.99 ** group["step"])
        factored, plain = ([row for row in rows if len(row) == length] for length in (5, 4))
        for params, grads, momenta, first, second in whole(factored):
            updates = [_by_factors(*tensors, decay) for tensors in zip(grads, first, second, strict=True)]
            self._apply(group, params, momenta, updates)
        for params, grads, momenta, squares in whole(plain):
            new = torch._foreach_mul(grads, grads)
            torch._foreach_add_(new, _ADAFACTOR_EPS)
            torch._foreach_lerp_(squares, new, 1 - decay)
            self._apply(group, params, momenta, torch._foreach_div(grads, torch._foreach_sqrt(squares)))

    def _apply(
        self,
        group: dict[str, Any],
        params: list[torch.Tensor],
        momenta: list[torch.Tensor],
        updates: list[torch.Tensor],
    ) -> None:
        root_mean_squares = torch._foreach_div(
            torch._foreach_norm(updates), [math.sqrt(update.numel()) for update in updates]
        )
        torch._foreach_div_(updates, torch._foreach_clamp_min(root_mean_squares, 1.0))
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, updates, alpha=(1 - group["momentum"]) * group["lr"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_sub_(params, momenta)


def _longest_axes(param: torch.Tensor) -> tuple[int, int] | None:
    """The longest two, where both are long enough to factor."""
    axes = sorted(range(param.ndim), key=param.shape.__getitem__)[-2:]
    return tuple(axes) if len(axes) == 2 and param.shape[axes[0]] >= _LONG_ENOUGH else None


def _by_factors(grad: torch.Tensor, first: torch.Tensor, second: torch.Tensor, decay: float) -> torch.Tensor:
    """The gradient over the root of its squares' estimate, after updating their means along the longest two axes."""
    axes = _longest_axes(grad)
    squares = grad.square().add_(_ADAFACTOR_EPS)
    for axis, means in zip(axes, (first, second), strict=True):
        means.lerp_(squares.mean(axis, keepdim=True), 1 - decay)
    return grad * torch.rsqrt(first / first.mean(axes[1], keepdim=True)) * torch.rsqrt(second)


def is_at_once(rows: list[Row]) -> bool:
    """Whether rows are updated together: on a GPU, where that makes few kernels.

    On a CPU it is one row after the other, whose intermediate results are soon free.
    """
    return bool(rows) and rows[0][0].device.type != "cpu"


def whole(rows: list[Row]) -> Iterator[list[list[torch.Tensor]]]:
    """The rows' columns, as lists of tensors whose update is one sequence of operations."""
    for batch in _together(rows) if is_at_once(rows) else [[row] for row in rows]:
        yield [list(column) for column in zip(*batch, strict=True)]


def _in_pieces(rows: list[Row]) -> Iterator[list[list[torch.Tensor]]]:
    """The same for an update that does not ask for a tensor as a whole: large ones come in pieces.

    As large as an embedding table, intermediate results would on a CPU be given new pages at each step, which takes as
    long again, and on a GPU take the memory of the table once more, each of them.
    """
    largest = _TOGETHER if is_at_once(rows) else _PIECE
    pieces = []
    for row in rows:
        # Others than these are small, and no view of them is one run of numbers.
        may_split = row[0].numel() > largest and all(tensor.is_contiguous() for tensor in row)
        of_row = (tensor.view(-1).split(largest) for tensor in row)
        pieces += zip(*of_row, strict=True) if may_split else [row]
    return whole(pieces)


def _together(rows: list[Row]) -> Iterator[list[Row]]:
    """As many rows at once as have `_TOGETHER` numbers, each in one tensor of a row, or one that has more."""
    batch, numbers = [], 0
    for row in rows:
        if batch and numbers + row[0].numel() > _TOGETHER:
            yield batch
            batch, numbers = [], 0
        batch.append(row)
        numbers += row[0].numel()
    if batch:
        yield batch
