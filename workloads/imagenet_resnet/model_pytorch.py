"""ResNet-50 version 1.5 (He et al. 2015, but with the stride in the 3x3 convolution) in PyTorch.

The twin of `model_jax.py`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import ACTIVATIONS, BatchNorm, Conv, max_pool

EXPANSION = 4


class Downsample(nn.Module):
    """The shortcut where a block changes the shape: (B, C, H, W) -> (B, C', H / stride, W / stride)."""

    def __init__(self, in_features: int, out_features: int, stride: int) -> None:
        super().__init__()
        self.conv = Conv(in_features, out_features, 1, stride)
        self.bn = BatchNorm(out_features)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return self.bn(self.conv(x), ctx)


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut: (B, C, H, W) -> (B, EXPANSION * width, H / stride, W / stride)."""

    def __init__(
        self,
        in_features: int,
        width: int,
        stride: int,
        activation: Callable[[torch.Tensor], torch.Tensor],
        bn_init_scale: float,
    ) -> None:
        super().__init__()
        out_features = EXPANSION * width
        self.conv1 = Conv(in_features, width, 1)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, stride)
        self.bn2 = BatchNorm(width)
        self.conv3 = Conv(width, out_features, 1)
        self.bn3 = BatchNorm(out_features, bn_init_scale)
        same_shape = stride == 1 and in_features == out_features
        self.downsample = None if same_shape else Downsample(in_features, out_features, stride)
        self.activation = activation

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        y = self.activation(self.bn1(self.conv1(x), ctx))
        y = self.activation(self.bn2(self.conv2(y), ctx))
        y = self.bn3(self.conv3(y), ctx)
        shortcut = x if self.downsample is None else self.downsample(x, ctx)
        return self.activation(shortcut + y)


class ResNet(nn.Module):
    """Images (B, 3, H, W) -> logits (B, num_classes).

    stage_sizes: blocks in each of the four stages. width: features of the stem. bn_init_scale: what the scale of each
    block's last batch normalisation starts from.
    """

    def __init__(
        self, stage_sizes: Sequence[int], width: int, activation: str, bn_init_scale: float, num_classes: int
    ) -> None:
        super().__init__()
        self.activation = choose("activation", activation, ACTIVATIONS)

        def stage(in_features: int, width: int, num_blocks: int, stride: int) -> nn.ModuleList:
            shapes = [(in_features, stride)] + [(EXPANSION * width, 1)] * (num_blocks - 1)
            return nn.ModuleList(
                Bottleneck(features, width, stride, self.activation, bn_init_scale) for features, stride in shapes
            )

        w1, w2, w3, w4 = width, 2 * width, 4 * width, 8 * width
        self.conv1 = Conv(3, w1, 7, stride=2, padding=3)
        self.bn1 = BatchNorm(w1)
        self.layer1 = stage(w1, w1, stage_sizes[0], stride=1)
        self.layer2 = stage(EXPANSION * w1, w2, stage_sizes[1], stride=2)
        self.layer3 = stage(EXPANSION * w2, w3, stage_sizes[2], stride=2)
        self.layer4 = stage(EXPANSION * w3, w4, stage_sizes[3], stride=2)
        self.fc = nn.Linear(EXPANSION * w4, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)
        # The format of the images, to which every convolution would else bring its weights anew.
        self.to(memory_format=torch.channels_last)

    def forward(self, inputs: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = self.activation(self.bn1(self.conv1(inputs), ctx))
        x = max_pool(x)
        for block in (*self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = block(x, ctx)
        return self.fc(x.mean((2, 3)))


MODEL = ResNet
