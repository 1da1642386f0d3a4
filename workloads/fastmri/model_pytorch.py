"""U-Net (Ronneberger et al. 2015, as fastMRI has it: Zbontar et al. 2018) in PyTorch.

The twin of `model_jax.py`.
"""

import functools
import itertools
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.fastmri.sizes import check_size
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import Conv, channel_dropout, lecun_normal

Activation = Callable[[torch.Tensor], torch.Tensor]
ACTIVATIONS = {"leaky_relu": functools.partial(functional.leaky_relu, negative_slope=0.2), "tanh": torch.tanh}


class InstanceNorm(nn.Module):
    """Normalises each channel of each image."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        del num_features  # it has no parameters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, x.shape[1], eps=1e-5)


class LayerNorm(nn.Module):
    """Normalises each image as a whole; a scale and a bias for each channel."""

    TYPES: ClassVar = {"weight": ParameterType.LAYER_NORM_SCALE, "bias": ParameterType.LAYER_NORM_BIAS}

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, 1, self.weight, self.bias, eps=1e-6)


NORMS = {"instance": InstanceNorm, "layer": LayerNorm}


class ConvTranspose(nn.Module):
    """Each pixel becomes a square of 2 x 2: (B, in_features, H, W) -> (B, out_features, 2 H, 2 W)."""

    TYPES: ClassVar = {"weight": ParameterType.CONV_WEIGHT}

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        # The fan-in is that of the other direction, as in the twin.
        kernel = lecun_normal(out_features, in_features, 2, 2)
        self.weight = nn.Parameter(kernel.transpose(0, 1).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose2d(x, self.weight, stride=2)


def average_pool(x: torch.Tensor) -> torch.Tensor:
    """The mean of each square of 2 x 2: (B, C, H, W) -> (B, C, H / 2, W / 2)."""
    return functional.avg_pool2d(x, 2)


class ConvBlock(nn.Module):
    """Two convolutions: (B, in_features, H, W) -> (B, out_features, H, W)."""

    def __init__(self, in_features: int, out_features: int, activation: Activation, norm: str) -> None:
        super().__init__()
        self.conv1 = Conv(in_features, out_features, 3)
        self.norm1 = choose("norm", norm, NORMS)(out_features)
        self.conv2 = Conv(out_features, out_features, 3)
        self.norm2 = choose("norm", norm, NORMS)(out_features)
        self.activation = activation

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = channel_dropout(self.activation(self.norm1(self.conv1(x))), ctx)
        return channel_dropout(self.activation(self.norm2(self.conv2(x))), ctx)


class UpBlock(nn.Module):
    """From a level to the one above it, whose `skip` joins: (B, 2 C, H, W), (B, C, 2 H, 2 W) -> (B, C, 2 H, 2 W)."""

    def __init__(self, num_features: int, activation: Activation, norm: str) -> None:
        super().__init__()
        self.conv = ConvTranspose(2 * num_features, num_features)
        self.norm = InstanceNorm(num_features)
        self.block = ConvBlock(2 * num_features, num_features, activation, norm)
        self.activation = activation

    def forward(self, x: torch.Tensor, skip: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = self.activation(self.norm(self.conv(x)))
        return self.block(torch.cat([x, skip], dim=1), ctx)


class UNet(nn.Module):
    """Images (B, H, W) -> images (B, H, W). H and W are multiples of 2 ** num_pool_layers.

    num_channels: features of the first level; each of the num_pool_layers levels below it has twice as many.
    """

    def __init__(self, num_channels: int, num_pool_layers: int, activation: str, norm: str) -> None:
        super().__init__()
        activation = choose("activation", activation, ACTIVATIONS)
        widths = [num_channels * 2**level for level in range(num_pool_layers)]
        shapes = itertools.pairwise((1, *widths))
        self.num_pool_layers = num_pool_layers
        self.down = nn.ModuleList(ConvBlock(*shape, activation, norm) for shape in shapes)
        self.bottom = ConvBlock(widths[-1], 2 * widths[-1], activation, norm)
        self.up = nn.ModuleList(UpBlock(width, activation, norm) for width in reversed(widths))
        self.head = Conv(num_channels, 1, 1, use_bias=True)

    def forward(self, inputs: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        check_size(inputs.shape, self.num_pool_layers)
        x = inputs[:, None]
        skips = []
        for block in self.down:
            x = block(x, ctx)
            skips.append(x)
            x = average_pool(x)
        x = self.bottom(x, ctx)
        for block in self.up:
            x = block(x, skips.pop(), ctx)
        return self.head(x)[:, 0]


MODEL = UNet
