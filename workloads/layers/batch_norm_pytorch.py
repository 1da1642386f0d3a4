"""Batch normalisation over the batches of several processes, in PyTorch: statistics by one sum, and no copy kept of x.

On a GPU by the kernels of `torch.nn.SyncBatchNorm`, which itself waits for the device in every layer: it looks for
processes without any example. Here all have equally many. On a CPU by the same formulas (Ioffe and Szegedy 2015).
"""

from typing import Any

import torch

from algoperf.pytorch_utils import gather_from_processes, num_processes, sum_over_processes

Moments = tuple[torch.Tensor, torch.Tensor]


def normalised_globally(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x (B, C, ...) normalised by the batches of all processes, and their mean and biased variance, both (C,).

    No gradient flows through the latter two. Under `torch.compile`, which decides by itself what to keep, the same as
    operations that it can fuse.
    """
    if not torch.compiler.is_compiling():
        return _Normalised.apply(x, weight, bias, eps)
    axes, shape = _axes_and_shape(x)
    # Under autocast x may be of half precision, in which sums over a batch would be lost.
    var, mean = torch.var_mean(x.to(weight.dtype), axes, correction=0)
    mean, second = (sum_over_processes(torch.stack([mean, var + mean.square()])) / num_processes()).unbind()
    var = (second - mean.square()).clamp_min(0.0)  # rounding must not make the difference negative
    scale = weight * torch.rsqrt(var + eps)
    y = torch.addcmul(bias.view(shape), x - mean.view(shape), scale.view(shape))
    return y.to(x.dtype), mean.detach(), var.detach()


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = _dense(x)
        of_all = gather_from_processes(torch.stack(_local_moments(x, weight.dtype, eps)))
        mean, inverse_std = _joined_moments(x, of_all[:, 0], of_all[:, 1], eps)
        ctx.save_for_backward(x, weight, mean, inverse_std)
        var = (inverse_std.pow(-2) - eps).clamp_min(0.0)
        ctx.mark_non_differentiable(mean, var)
        return _scaled(x, weight, bias, mean, inverse_std, eps), mean, var

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        gradient = _dense(gradient)
        sums, weight_gradient, bias_gradient = _gradient_sums(gradient, x, weight, mean, inverse_std)
        # The parameters' gradients stay this process's own: DistributedDataParallel averages them with all others.
        sums = sum_over_processes(sums)
        return _input_gradient(gradient, x, weight, mean, inverse_std, sums), weight_gradient, bias_gradient, None


def _dense(x: torch.Tensor) -> torch.Tensor:
    """The kernels want images one channel after the other, or channels last."""
    return x if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


def _axes_and_shape(x: torch.Tensor) -> tuple[list[int], tuple[int, ...]]:
    """All axes but that of the channels, and the shape in which a value for each channel meets x."""
    return [axis for axis in range(x.ndim) if axis != 1], (1, -1, *(1 for _ in x.shape[2:]))


def _local_moments(x: torch.Tensor, dtype: torch.dtype, eps: float) -> Moments:
    """The mean of each channel, and one over the root of its variance plus eps."""
    if x.is_cuda:
        return torch.batch_norm_stats(x, eps)
    var, mean = torch.var_mean(x.to(dtype), _axes_and_shape(x)[0], correction=0)
    return mean, torch.rsqrt(var + eps)


def _joined_moments(x: torch.Tensor, means: torch.Tensor, inverse_stds: torch.Tensor, eps: float) -> Moments:
    """The moments of all processes' equally large batches from those of each, (P, C) both."""
    if x.is_cuda:
        counts = means.new_full((len(means),), _count(x))
        # No running statistics, whose momentum then says nothing.
        return torch.batch_norm_gather_stats_with_counts(x, means, inverse_stds, None, None, 0.0, eps, counts)
    mean = means.mean(0)
    return mean, torch.rsqrt((inverse_stds.pow(-2) + (means - mean).square()).mean(0))


def _scaled(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, inverse_std: torch.Tensor, eps: float
) -> torch.Tensor:
    if x.is_cuda:
        return torch.batch_norm_elemt(x, weight, bias, mean, inverse_std, eps)
    _, shape = _axes_and_shape(x)
    y = torch.addcmul(bias.view(shape), x - mean.view(shape), (weight * inverse_std).view(shape))
    return y.to(x.dtype)


def _gradient_sums(
    gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, mean: torch.Tensor, inverse_std: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums over this process's batch of the gradient, and of it times x less its mean, (2, C); the parameters' own."""
    if x.is_cuda:
        *sums, of_weight, of_bias = torch.batch_norm_backward_reduce(
            gradient, x, mean, inverse_std, weight, True, True, True
        )
        return torch.stack(sums), of_weight, of_bias
    axes, shape = _axes_and_shape(x)
    gradient = gradient.to(mean.dtype)
    of_bias, with_x = gradient.sum(axes), (gradient * (x - mean.view(shape))).sum(axes)
    return torch.stack([of_bias, with_x]), with_x * inverse_std, of_bias


def _input_gradient(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    mean: torch.Tensor,
    inverse_std: torch.Tensor,
    sums: torch.Tensor,
) -> torch.Tensor:
    """sums: those of `_gradient_sums`, over all processes."""
    if x.is_cuda:
        counts = torch.full((num_processes(),), _count(x), dtype=torch.int32, device=x.device)
        return torch.batch_norm_backward_elemt(gradient, x, mean, inverse_std, weight, *sums, counts)
    _, shape = _axes_and_shape(x)
    of_bias, with_x = (total.view(shape) / (num_processes() * _count(x)) for total in sums)
    inverse_std = inverse_std.view(shape)
    centred = (x - mean.view(shape)) * (inverse_std.square() * with_x)
    return ((gradient - of_bias - centred) * (inverse_std * weight.view(shape))).to(x.dtype)


def _count(x: torch.Tensor) -> int:
    """Values of each channel."""
    return x.numel() // x.shape[1]
