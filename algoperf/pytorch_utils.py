"""How the processes of a PyTorch trial share its work: names that published submissions import, and our own sums.

One process has one device; `torch.distributed` joins them, and `DistributedDataParallel` averages their gradients.
"""

import os
from typing import Any

import torch
from torch import distributed


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(whether processes share the work, this one's rank on its node, its device, how many GPUs share the work)."""
    use_ddp = "LOCAL_RANK" in os.environ
    rank = int(os.environ["LOCAL_RANK"]) if use_ddp else 0
    device = torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu")
    return use_ddp, rank, device, int(os.environ["WORLD_SIZE"]) if use_ddp else torch.cuda.device_count()


def num_processes() -> int:
    """How many processes share the work; 1 where none have been joined."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def sum_over_processes(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of the tensor over all processes, in each of them, with gradients to all of them."""
    return tensor if num_processes() == 1 else _SumOverProcesses.apply(tensor)


class _SumOverProcesses(torch.autograd.Function):
    """Each process's part counts in the results of all, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        del ctx
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _SumOverProcesses.forward(ctx, gradient)


def gather_from_processes(tensor: torch.Tensor) -> torch.Tensor:
    """The tensors of all processes, which have one shape, stacked: (P, ...), in each of them, with gradients to all."""
    return tensor[None] if num_processes() == 1 else _GatherFromProcesses.apply(tensor)


class _GatherFromProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        del ctx
        found = tensor.new_empty(num_processes() * tensor.numel())
        distributed.all_gather_single(found, tensor.flatten())
        return found.view(num_processes(), *tensor.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _SumOverProcesses.forward(ctx, gradient)[distributed.get_rank()]
