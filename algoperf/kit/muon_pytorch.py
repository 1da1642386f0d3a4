"""Muon (Jordan et al. 2024) for hidden matrices; the twin of `muon_jax.py`.

PyTorch's own has neither convolutions nor a CPU's precision, and treats matrix after matrix.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from algoperf.benchmark.workload import Workload
from algoperf.kit.optimizers_pytorch import Row, RowOptimizer, is_at_once, whole
from algoperf.kit.parameters import NEWTON_SCHULZ, is_hidden_matrix


def hidden_and_other(model: nn.Module, workload: Workload) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that Muon is for, and the rest."""
    parts = ([], [])
    for name, param in model.named_parameters():
        key = name.removeprefix("module.")  # where processes share the work
        sides = param.flatten(1).shape if param.ndim > 1 else ()
        is_hidden = is_hidden_matrix(workload, key, workload.model_params_types[key], sides)
        parts[not is_hidden].append(param)
    return parts


class Muon(RowOptimizer):
    """Nesterov momentum, made orthogonal, times the root of rows over columns of the matrix where it is above 1.

    A convolution's weight (out, in, height, width) is a matrix of `out` rows; so is a linear layer's (out, in).
    A transposed convolution's has no type of its own, but `in` first here and `out` last in JAX: its
    matrix is another.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float):
        super().__init__(params, lr, weight_decay, momentum=momentum)

    def _fresh(self, param: nn.Parameter) -> dict[str, torch.Tensor]:
        return {"momentum": torch.zeros_like(param)}

    def _update(self, group: dict[str, Any], rows: list[Row]) -> None:
        for params, grads, momenta in whole(rows):
            torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
            look_ahead = torch._foreach_lerp(grads, momenta, group["momentum"])
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            alike = defaultdict(list)
            for param, update in zip(params, look_ahead, strict=True):
                alike[param.shape].append((param, update.flatten(1)))
            for shape, pairs in alike.items():
                some_params, matrices = zip(*pairs, strict=True)
                # As published; a CPU is no faster at bfloat16.
                dtype = torch.bfloat16 if is_at_once(rows) else param.dtype
                updates = orthogonalized(torch.stack(matrices), dtype).to(param.dtype)
                rate = group["lr"] * max(1, updates.shape[1] / updates.shape[2]) ** 0.5
                torch._foreach_sub_(some_params, [update.reshape(shape) for update in updates], alpha=rate)


def orthogonalized(matrices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Matrices (count, rows, columns) with all singular values near 1, by five steps of a Newton-Schulz iteration.

    dtype: in which it is computed, and what it returns.
    """
    x = (matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)).to(dtype)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
