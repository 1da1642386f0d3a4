"""Distributed Shampoo as a torch optimizer; the twin of `kit/shampoo_jax.py`, which has the sources of its numbers.

PyTorch's kernels have the dimensions of JAX's in reverse. They are read in reverse, so that both cut the same blocks
(of transposed convolutions, whose kernels have them in yet another order, other ones).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import distributed, nn

from algoperf.kit.blocks import Block, blocks, shared
from algoperf.pytorch_utils import num_processes

_SMALL = 1e-25  # stands for a norm of 0 where something is divided by it

# By the shape of blocks, of which there are n: for each dimension, of size d, an (n, d, d) tensor.
Matrices = Mapping[str, Sequence[torch.Tensor]]


class Shampoo(torch.optim.Optimizer):
    """Gradients times the inverse roots of their second moments in each dimension, as long as RMSProp's steps.

    betas: of the momentum, of the second moments. Weight decay is decoupled and multiplied by the rate. Vectors and
    parameters with a dimension above `largest` take RMSProp's steps, as do all in the first `start` steps. The roots
    are computed every `interval` steps: each process has a share of them, and all processes have all of them
    afterwards. A parameter without a gradient counts as one whose gradient is zero.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        block_size: int = 1024,
        largest: int = 4096,
        interval: int = 20,
        start: int = 101,
        ridge: float = 1e-6,
        eps: float = 1e-8,
    ):
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "block_size": block_size}
        defaults |= {"largest": largest, "interval": interval, "start": start, "ridge": ridge, "eps": eps}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every parameter."""
        del closure
        for number, group in enumerate(self.param_groups):
            for param in group["params"]:
                if not self.state[param]:
                    self.state[param] = {"nu": torch.zeros_like(param), "momentum": torch.zeros_like(param)}
            # What several parameters share has no place at one of them.
            self._update(group, self.state[f"group_{number}"])

    def _update(self, group: dict[str, Any], state: dict[str, Any]) -> None:
        params, (b1, b2) = group["params"], group["betas"]
        grads = [torch.zeros_like(param) if param.grad is None else param.grad for param in params]
        momentum = [self.state[param]["momentum"] for param in params]
        steps = _rmsprop(grads, [self.state[param]["nu"] for param in params], b2, group["eps"])
        for index, direction in _directions(grads, group, state).items():
            length = torch.linalg.vector_norm(steps[index])
            steps[index].copy_(direction).mul_(length / (torch.linalg.vector_norm(direction) + _SMALL))
        torch._foreach_lerp_(momentum, steps, 1 - b1)
        look_ahead = torch._foreach_lerp(momentum, steps, 1 - b1)
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, look_ahead, alpha=-group["lr"])


def _rmsprop(grads: list[torch.Tensor], nu: list[torch.Tensor], b2: float, eps: float) -> list[torch.Tensor]:
    """The steps of RMSProp on the normalised gradients; updates the running means of their squares."""
    norms = torch._foreach_norm(grads)
    torch._foreach_add_(norms, _SMALL)
    scaled = torch._foreach_div(grads, norms)
    torch._foreach_mul_(nu, b2)
    torch._foreach_addcmul_(nu, scaled, scaled, 1 - b2)
    denominator = torch._foreach_sqrt(nu)
    torch._foreach_add_(denominator, eps)
    torch._foreach_div_(scaled, denominator)
    return scaled


def _directions(grads: list[torch.Tensor], group: dict[str, Any], state: dict[str, Any]) -> dict[int, torch.Tensor]:
    """The preconditioned gradients by index, none before preconditioning starts; updates the group's state."""
    shapes = [tuple(grad.shape[::-1]) for grad in grads]
    groups = blocks(shapes, group["block_size"], group["largest"])
    if not groups:
        return {}
    if not state:
        state |= _initial(groups, grads[0])
    stacks = _stacked(grads, groups)
    for name, stack in stacks.items():
        for axis, statistics in _axes(state["statistics"][name]):
            rows = stack.movedim(axis, 1).flatten(2)
            statistics.baddbmm_(rows, rows.mT, beta=group["betas"][1], alpha=1 - group["betas"][1])
    step = state["step"]
    state["step"] += 1
    # Only those roots that are in use before the next ones come.
    if step % group["interval"] == 0 and step + group["interval"] > group["start"]:
        _update_roots(state["statistics"], state["preconditioners"], group["ridge"])
    if step < group["start"]:
        return {}
    return _joined(
        shapes, groups, {name: _preconditioned(s, state["preconditioners"][name]) for name, s in stacks.items()}
    )


def _initial(groups: Mapping[str, Sequence[Block]], like: torch.Tensor) -> dict[str, Any]:
    options = {"device": like.device, "dtype": like.dtype}
    statistics, preconditioners = {}, {}
    for name, places in groups.items():
        sizes = places[0].shape
        statistics[name] = [torch.zeros(len(places), size, size, **options) for size in sizes]
        preconditioners[name] = [torch.eye(size, **options).repeat(len(places), 1, 1) for size in sizes]
    return {"step": 0, "statistics": statistics, "preconditioners": preconditioners}


def _axes(matrices: Sequence[torch.Tensor]) -> enumerate:
    """The matrices with the dimension of a stack of blocks that each belongs to."""
    return enumerate(matrices, start=1)


def _reversed(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(*reversed(range(tensor.ndim)))


def _stacked(grads: list[torch.Tensor], groups: Mapping[str, Sequence[Block]]) -> dict[str, torch.Tensor]:
    """Blocks of one shape, along a new first axis."""
    merged = {block.parameter: block.merged for places in groups.values() for block in places}
    read = {index: _reversed(grads[index]).reshape(shape) for index, shape in merged.items()}
    return {name: torch.stack([read[b.parameter][b.slices] for b in places]) for name, places in groups.items()}


def _joined(
    shapes: Sequence[tuple[int, ...]], groups: Mapping[str, Sequence[Block]], stacks: Mapping[str, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """The blocks back in their places: tensors like those parameters that have blocks, by index."""
    joined: dict[int, torch.Tensor] = {}
    for name, places in groups.items():
        for block, part in zip(places, stacks[name], strict=True):
            if block.parameter not in joined:
                joined[block.parameter] = part.new_empty(block.merged)
            joined[block.parameter][block.slices] = part
    return {index: _reversed(whole.reshape(shapes[index])) for index, whole in joined.items()}


def _preconditioned(stack: torch.Tensor, preconditioners: Sequence[torch.Tensor]) -> torch.Tensor:
    """The blocks, each multiplied in each dimension by its preconditioner."""
    for axis, matrices in _axes(preconditioners):
        moved = stack.movedim(axis, 1)
        stack = (matrices @ moved.flatten(2)).reshape(moved.shape).movedim(1, axis)
    return stack


def _update_roots(statistics: Matrices, preconditioners: Matrices, ridge: float) -> None:
    """Preconditioners become statistics to the power of -1 / (2 order), or stay where a number would not be finite."""
    tasks = [
        (matrix, -0.5 / len(stacks), old)
        for name, stacks in statistics.items()
        for stack, olds in zip(stacks, preconditioners[name], strict=True)
        for matrix, old in zip(stack, olds, strict=True)
    ]
    for root, (_, _, old) in zip(_shared_powers(tasks, ridge), tasks, strict=True):
        old.copy_(torch.where(root.isfinite().all(), root, old))


def _shared_powers(tasks: Sequence[tuple[torch.Tensor, float, torch.Tensor]], ridge: float) -> list[torch.Tensor]:
    """`_powers` of the tasks' matrices, of which each process computes a part and then gets the whole."""
    sizes = [len(matrix) for matrix, _, _ in tasks]
    shares = shared([size**3 for size in sizes], num_processes())
    own = shares[distributed.get_rank() if num_processes() > 1 else 0]
    roots: dict[int, torch.Tensor] = {}
    for size in sorted({sizes[index] for index in own}):
        members = [index for index in own if sizes[index] == size]
        matrices = torch.stack([tasks[index][0] for index in members])
        exponents = matrices.new_tensor([tasks[index][1] for index in members])
        roots |= zip(members, _powers(matrices, exponents, ridge), strict=True)
    if num_processes() > 1:
        roots = _gathered(roots, shares, sizes, like=tasks[0][0])
    return [roots[index] for index in range(len(tasks))]


def _gathered(
    own: Mapping[int, torch.Tensor], shares: Sequence[Sequence[int]], sizes: Sequence[int], like: torch.Tensor
) -> dict[int, torch.Tensor]:
    """The matrices of all processes, each of which has those of its share, in its order."""
    rank, numbers = distributed.get_rank(), [[sizes[index] ** 2 for index in share] for share in shares]
    sent = like.new_zeros(max(map(sum, numbers)))
    for index, place in zip(shares[rank], sent[: sum(numbers[rank])].split(numbers[rank]), strict=True):
        place.copy_(own[index].flatten())
    received = [torch.empty_like(sent) for _ in shares]
    distributed.all_gather(received, sent)
    return {
        index: part.view(sizes[index], sizes[index])
        for share, counts, flat in zip(shares, numbers, received, strict=True)
        for index, part in zip(share, flat[: sum(counts)].split(counts), strict=True)
    }


def _powers(matrices: torch.Tensor, exponents: torch.Tensor, ridge: float) -> torch.Tensor:
    """Positive semidefinite matrices, with `ridge` times their largest eigenvalues on the diagonals, to powers."""
    values, vectors = _eigh(matrices)
    values = values.clamp(min=0.0) + ridge * values[:, -1:]
    return (vectors * (values ** exponents[:, None])[:, None]) @ vectors.mT


def _eigh(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `torch.linalg.eigh`, but not a number where a matrix has no decomposition, where that raises for all."""
    try:
        return torch.linalg.eigh(matrices)
    except torch.linalg.LinAlgError:
        if len(matrices) == 1:
            return torch.full_like(matrices[:, 0], torch.nan), torch.full_like(matrices, torch.nan)
        return tuple(torch.cat(parts) for parts in zip(*map(_eigh, matrices.split(1)), strict=True))
