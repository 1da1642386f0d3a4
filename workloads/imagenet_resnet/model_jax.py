"""ResNet-50 version 1.5 (He et al. 2015, but with the stride in the 3x3 convolution) in JAX.

The twin of `model_pytorch.py`.
"""

from collections.abc import Callable, Sequence

import jax
from flax import nnx

from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import ACTIVATIONS, BatchNorm, Conv, max_pool

EXPANSION = 4


class Downsample(nnx.Module):
    """The shortcut where a block changes the shape: (B, H, W, C) -> (B, H / stride, W / stride, C')."""

    def __init__(self, in_features: int, out_features: int, stride: int, *, rngs: nnx.Rngs) -> None:
        self.conv = Conv(in_features, out_features, 1, stride, rngs=rngs)
        self.bn = BatchNorm(out_features)

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        return self.bn(self.conv(x), ctx)


class Bottleneck(nnx.Module):
    """Three convolutions and a shortcut: (B, H, W, C) -> (B, H / stride, W / stride, EXPANSION * width)."""

    def __init__(
        self,
        in_features: int,
        width: int,
        stride: int,
        activation: Callable[[jax.Array], jax.Array],
        bn_init_scale: float,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        out_features = EXPANSION * width
        self.conv1 = Conv(in_features, width, 1, rngs=rngs)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, stride, rngs=rngs)
        self.bn2 = BatchNorm(width)
        self.conv3 = Conv(width, out_features, 1, rngs=rngs)
        self.bn3 = BatchNorm(out_features, bn_init_scale)
        same_shape = stride == 1 and in_features == out_features
        self.downsample = None if same_shape else Downsample(in_features, out_features, stride, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        y = self.activation(self.bn1(self.conv1(x), ctx))
        y = self.activation(self.bn2(self.conv2(y), ctx))
        y = self.bn3(self.conv3(y), ctx)
        shortcut = x if self.downsample is None else self.downsample(x, ctx)
        return self.activation(shortcut + y)


class ResNet(nnx.Module):
    """Images (B, H, W, 3) -> logits (B, num_classes).

    stage_sizes: blocks in each of the four stages. width: features of the stem. bn_init_scale: what the scale of each
    block's last batch normalisation starts from.
    """

    def __init__(
        self,
        stage_sizes: Sequence[int],
        width: int,
        activation: str,
        bn_init_scale: float,
        num_classes: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.activation = choose("activation", activation, ACTIVATIONS)

        def stage(in_features: int, width: int, num_blocks: int, stride: int) -> nnx.List:
            shapes = [(in_features, stride)] + [(EXPANSION * width, 1)] * (num_blocks - 1)
            return nnx.List(
                Bottleneck(features, width, stride, self.activation, bn_init_scale, rngs=rngs)
                for features, stride in shapes
            )

        w1, w2, w3, w4 = width, 2 * width, 4 * width, 8 * width
        self.conv1 = Conv(3, w1, 7, stride=2, padding=3, rngs=rngs)
        self.bn1 = BatchNorm(w1)
        self.layer1 = stage(w1, w1, stage_sizes[0], stride=1)
        self.layer2 = stage(EXPANSION * w1, w2, stage_sizes[1], stride=2)
        self.layer3 = stage(EXPANSION * w2, w3, stage_sizes[2], stride=2)
        self.layer4 = stage(EXPANSION * w3, w4, stage_sizes[3], stride=2)
        self.fc = nnx.Linear(EXPANSION * w4, num_classes, kernel_init=nnx.initializers.normal(0.01), rngs=rngs)

    def __call__(self, inputs: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = self.activation(self.bn1(self.conv1(inputs), ctx))
        x = max_pool(x)
        for block in (*self.layer1, *self.layer2, *self.layer3, *self.layer4):
            x = block(x, ctx)
        return self.fc(x.mean((1, 2)))


MODEL = ResNet
