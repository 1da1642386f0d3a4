"""U-Net (Ronneberger et al. 2015, as fastMRI has it: Zbontar et al. 2018) in JAX.

The twin of `model_pytorch.py`.
"""

import itertools
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.fastmri.sizes import check_size
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Conv, Leaf, channel_dropout

Activation = Callable[[jax.Array], jax.Array]
ACTIVATIONS = {"leaky_relu": lambda x: nnx.leaky_relu(x, 0.2), "tanh": jnp.tanh}


def normalised(x: jax.Array, axes: tuple[int, ...], epsilon: float) -> jax.Array:
    """x less its mean over the axes, divided by its deviation."""
    mean = x.mean(axes, keepdims=True)
    # One pass over x instead of two; rounding must not make the difference negative.
    var = jnp.maximum(jnp.square(x).mean(axes, keepdims=True) - jnp.square(mean), 0.0)
    return (x - mean) * jax.lax.rsqrt(var + epsilon)


class InstanceNorm(nnx.Module):
    """Normalises each channel of each image."""

    def __init__(self, num_features: int) -> None:
        del num_features  # it has no parameters

    def __call__(self, x: jax.Array) -> jax.Array:
        return normalised(x, (1, 2), 1e-5)


class LayerNorm(nnx.Module):
    """Normalises each image as a whole; a scale and a bias for each channel."""

    LEAVES: ClassVar = {
        "scale": Leaf("weight", type=ParameterType.LAYER_NORM_SCALE),
        "bias": Leaf("bias", type=ParameterType.LAYER_NORM_BIAS),
    }

    def __init__(self, num_features: int) -> None:
        self.scale = nnx.Param(jnp.ones(num_features))
        self.bias = nnx.Param(jnp.zeros(num_features))

    def __call__(self, x: jax.Array) -> jax.Array:
        return normalised(x, (1, 2, 3), 1e-6) * self.scale[...] + self.bias[...]


NORMS = {"instance": InstanceNorm, "layer": LayerNorm}


class ConvTranspose(nnx.Module):
    """Each pixel becomes a square of 2 x 2: (B, H, W, in_features) -> (B, 2 H, 2 W, out_features)."""

    LEAVES: ClassVar = {"kernel": Leaf("weight", axes=(2, 3, 0, 1), type=ParameterType.CONV_WEIGHT)}

    def __init__(self, in_features: int, out_features: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (2, 2, in_features, out_features)))

    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, _ = x.shape
        # The squares do not overlap, so this is one product of matrices.
        squares = jnp.einsum("bhwi,klio->bhkwlo", x, self.kernel[...])
        return squares.reshape(batch, 2 * height, 2 * width, -1)


def average_pool(x: jax.Array) -> jax.Array:
    """The mean of each square of 2 x 2: (B, H, W, C) -> (B, H / 2, W / 2, C)."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


class ConvBlock(nnx.Module):
    """Two convolutions: (B, H, W, in_features) -> (B, H, W, out_features)."""

    def __init__(
        self, in_features: int, out_features: int, activation: Activation, norm: str, *, rngs: nnx.Rngs
    ) -> None:
        self.conv1 = Conv(in_features, out_features, 3, rngs=rngs)
        self.norm1 = choose("norm", norm, NORMS)(out_features)
        self.conv2 = Conv(out_features, out_features, 3, rngs=rngs)
        self.norm2 = choose("norm", norm, NORMS)(out_features)
        self.activation = activation

    def __call__(self, x: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = channel_dropout(self.activation(self.norm1(self.conv1(x))), ctx)
        return channel_dropout(self.activation(self.norm2(self.conv2(x))), ctx)


class UpBlock(nnx.Module):
    """From a level to the one above it, whose `skip` joins: (B, H, W, 2 C), (B, 2 H, 2 W, C) -> (B, 2 H, 2 W, C)."""

    def __init__(self, num_features: int, activation: Activation, norm: str, *, rngs: nnx.Rngs) -> None:
        self.conv = ConvTranspose(2 * num_features, num_features, rngs=rngs)
        self.norm = InstanceNorm(num_features)
        self.block = ConvBlock(2 * num_features, num_features, activation, norm, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array, skip: jax.Array, ctx: ForwardContext) -> jax.Array:
        x = self.activation(self.norm(self.conv(x)))
        return self.block(jnp.concatenate([x, skip], axis=-1), ctx)


class UNet(nnx.Module):
    """Images (B, H, W) -> images (B, H, W). H and W are multiples of 2 ** num_pool_layers.

    num_channels: features of the first level; each of the num_pool_layers levels below it has twice as many.
    """

    def __init__(self, num_channels: int, num_pool_layers: int, activation: str, norm: str, *, rngs: nnx.Rngs) -> None:
        activation = choose("activation", activation, ACTIVATIONS)
        widths = [num_channels * 2**level for level in range(num_pool_layers)]
        shapes = itertools.pairwise((1, *widths))
        self.num_pool_layers = num_pool_layers
        self.down = nnx.List(ConvBlock(*shape, activation, norm, rngs=rngs) for shape in shapes)
        self.bottom = ConvBlock(widths[-1], 2 * widths[-1], activation, norm, rngs=rngs)
        self.up = nnx.List(UpBlock(width, activation, norm, rngs=rngs) for width in reversed(widths))
        self.head = Conv(num_channels, 1, 1, use_bias=True, rngs=rngs)

    def __call__(self, inputs: jax.Array, ctx: ForwardContext) -> jax.Array:
        check_size(inputs.shape, self.num_pool_layers)
        x = inputs[..., None]
        skips = []
        for block in self.down:
            x = block(x, ctx)
            skips.append(x)
            x = average_pool(x)
        x = self.bottom(x, ctx)
        for block in self.up:
            x = block(x, skips.pop(), ctx)
        return self.head(x)[..., 0]


MODEL = UNet
