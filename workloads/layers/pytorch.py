"""What the PyTorch models share: layers, the type of each of their parameters, and the way to and from plain arrays.

The twin of `jax.py`. The module is the container of the parameters, and its names and layouts are the canonical ones.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from algoperf.pytorch_utils import num_processes
from workloads.layers.batch_norm_pytorch import normalised_globally
from workloads.layers.context import ForwardContext

ACTIVATIONS = {
    "relu": functools.partial(functional.relu, inplace=True),
    "silu": functional.silu,
    "gelu": functools.partial(functional.gelu, approximate="tanh"),
    "tanh": torch.tanh,
}


class Conv(nn.Module):
    """A square convolution: (B, in_features, H, W) -> (B, out_features, H', W').

    padding: pixels on every side, or "SAME": as few as make H' = ceil(H / stride), an odd one at the end.
    """

    TYPES: ClassVar = {"weight": ParameterType.CONV_WEIGHT, "bias": ParameterType.BIAS}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Literal["SAME"] = "SAME",
        *,
        use_bias: bool = False,
        init: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """init: fills the weight, by default with `lecun_normal`."""
        super().__init__()
        shape = (out_features, in_features, kernel_size, kernel_size)
        self.weight = nn.Parameter(lecun_normal(*shape) if init is None else init(torch.empty(shape)))
        self.bias = nn.Parameter(torch.zeros(out_features)) if use_bias else None
        self.stride = stride
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding != "SAME":
            return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        (top, bottom), (left, right) = (self._same_padding(size) for size in x.shape[2:])
        if (top, left) == (bottom, right):
            return functional.conv2d(x, self.weight, self.bias, self.stride, (top, left))
        return functional.conv2d(functional.pad(x, (left, right, top, bottom)), self.weight, self.bias, self.stride)

    def _same_padding(self, size: int) -> tuple[int, int]:
        covered = (-(-size // self.stride) - 1) * self.stride + self.weight.shape[-1]
        total = max(covered - size, 0)
        return total // 2, total - total // 2


def lecun_normal(*shape: int) -> torch.Tensor:
    """Values of a normal distribution cut off at two standard deviations, scaled to a variance of 1 / fan-in."""
    # 0.8796 is the standard deviation of the standard normal distribution cut off at two.
    std = math.prod(shape[1:]) ** -0.5 / 0.87962566103423978
    end = math.erf(math.sqrt(2))
    return torch.empty(shape).uniform_(-end, end).erfinv_().mul_(math.sqrt(2) * std)


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the second; momentum 0.9, epsilon 1e-5, a biased running variance.

    Where several processes share the work, the batch is that of all of them.
    """

    TYPES: ClassVar = {"weight": ParameterType.BATCH_NORM_SCALE, "bias": ParameterType.BATCH_NORM_BIAS}

    def __init__(self, num_features: int, scale_init: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((num_features,), scale_init))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        if ctx.use_running_average:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-5)
        if num_processes() == 1:
            y, mean, var = self._by_own_batch(x)
        else:
            y, mean, var = normalised_globally(x, self.weight, self.bias, 1e-5)
        if ctx.update_batch_norm:
            self.running_mean.lerp_(mean, 0.1)
            self.running_var.lerp_(var, 0.1)
        return y

    def _by_own_batch(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x normalised, and its mean and biased variance, both (C,), through which no gradient flows."""
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = functional.batch_norm(x, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=1e-5)
        count = x.numel() // x.shape[1]
        return y, mean, var * ((count - 1) / count)  # PyTorch's is the unbiased variance


class Embedding(nn.Module):
    """A table of num_embeddings rows, uniform in [0, max_init): ids (...) -> (..., features)."""

    TYPES: ClassVar = {"weight": ParameterType.EMBEDDING}

    def __init__(self, num_embeddings: int, features: int, max_init: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_embeddings, features).uniform_(0.0, max_init))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.weight)


_CONSTANTS: dict[str, torch.Tensor] = {}


def constant(
    array_of: Callable[..., np.ndarray], *arguments: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """`array_of(*arguments)` on the device: brought there once and not at each step.

    array_of: a function of a module, by whose name the array is known.
    """
    return _CONSTANTS[_made(array_of, arguments, dtype, device)]


def _made(
    array_of: Callable[..., np.ndarray], arguments: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> str:
    """Its name in _CONSTANTS, where it is from now on."""
    name = f"{array_of.__module__}.{array_of.__qualname__}{arguments} {dtype} {device}"
    if name not in _CONSTANTS:
        _CONSTANTS[name] = torch.from_numpy(array_of(*arguments)).to(device, dtype)
    return name


# What `torch.compiler.assume_constant_result` does, but for the import of PyTorch's compiler, which takes a second: it
# would otherwise compile how the array is made, and break off where it cannot. Of a name and not of the tensor itself:
# by the function's name the compiler would take a model's second constant for the first.
_made._dynamo_marked_constant = True


def max_pool(x: torch.Tensor) -> torch.Tensor:
    """The largest value of each 3x3 window, stride 2, one pixel of padding: (B, C, H, W) -> (B, C, ceil(H/2), ...)."""
    return functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)


def dropout(x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
    """Drops values with probability ctx.dropout_rate and scales the others up, in training only."""
    if not ctx.train or ctx.dropout_rate == 0:
        return x
    return functional.dropout(x, ctx.dropout_rate)


def channel_dropout(x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
    """The same for whole channels of images (B, C, H, W)."""
    if not ctx.train or ctx.dropout_rate == 0:
        return x
    return functional.dropout2d(x, ctx.dropout_rate)


# The layers that PyTorch brings; a layer of our own says itself what its parameters are, in its TYPES.
PYTORCH_TYPES: Mapping[type[nn.Module], Mapping[str, ParameterType]] = {
    nn.Linear: {"weight": ParameterType.WEIGHT, "bias": ParameterType.BIAS},
    nn.LayerNorm: {"weight": ParameterType.LAYER_NORM_SCALE, "bias": ParameterType.LAYER_NORM_BIAS},
}


def parameter_types(model: nn.Module) -> dict[str, ParameterType]:
    """The type of every parameter, by name."""
    return {
        f"{path}.{name}": (PYTORCH_TYPES.get(type(module)) or module.TYPES)[name]
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }


def canonical_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter and running statistic."""
    return {name: tuple(tensor.shape) for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def to_canonical(model: nn.Module) -> dict[str, np.ndarray]:
    """A copy of every parameter and running statistic, by name."""
    return {name: tensor.to("cpu", copy=True).numpy() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def from_canonical(model: nn.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Gives a model the values of canonical arrays; running statistics may be missing, and then stay as they are."""
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.tensor(tensors[name]))
    for name, buffer in model.named_buffers():
        if name in tensors:
            buffer.copy_(torch.tensor(tensors[name]))
