"""What the two speech models share in JAX: from audio to the frames that their blocks see. The twin is
`speech_pytorch.py`.

Paddings are float arrays (B, T) in which 1 marks padding, at the end of a sequence. What stands in padded frames never
reaches the others.
"""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from algoperf.benchmark.facts import ParameterType
from workloads.layers import log_mel
from workloads.layers.attention_jax import XAVIER
from workloads.layers.context import ForwardContext
from workloads.layers.jax import Conv, Leaf, on_each_device


def linear(in_features: int, out_features: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(in_features, out_features, kernel_init=XAVIER, rngs=rngs)


def log_mel_features(audio: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Audio (B, S) in the range of 16 bits -> features (B, T, 80), and their paddings; a frame that begins in the
    padding is padding."""
    audio = audio * (1 - paddings) * log_mel.SAMPLE_SCALE
    # The first sample of a frame would be treated otherwise, but the window is zero there.
    audio = audio - log_mel.PREEMPHASIS * jnp.pad(audio, ((0, 0), (1, 0)))[:, :-1]
    num_frames = log_mel.num_frames(audio.shape[1])
    starts = log_mel.FRAME_STEP * np.arange(num_frames)
    frames = audio[:, starts[:, None] + np.arange(log_mel.FRAME_LENGTH)] * log_mel.window()
    power = jnp.square(jnp.abs(on_each_device(_spectrum, (frames,), ())))
    mel = jnp.matmul(power, log_mel.mel_matrix(), precision="highest")
    features = (jnp.log(jnp.maximum(mel, log_mel.LOG_FLOOR)) - log_mel.MEAN) / log_mel.STD
    return features, paddings[:, starts]


def _spectrum(frames: jax.Array) -> jax.Array:
    """Of a device's own frames: for an FFT, XLA gathers those of the whole batch."""
    return jnp.fft.rfft(frames, log_mel.FFT_SIZE)


def spec_augment(
    features: jax.Array, paddings: jax.Array, time_masks: int, freq_masks: int, ctx: ForwardContext
) -> jax.Array:
    """Hides random stretches of time, and then of frequency (Park et al. 2019), in training: (B, T, 80) both ways."""
    if not ctx.train or time_masks == freq_masks == 0:
        return features
    times_key, bins_key = jax.random.split(jax.random.fold_in(ctx.rng, next(ctx.sites)))
    lengths = (1 - paddings).sum(1)
    batch, num_frames, num_bins = features.shape
    hidden_times = _hidden(times_key, time_masks, num_frames, lengths, log_mel.TIME_MASK_SHARE * lengths)
    everywhere, longest = (jnp.full(batch, bins, lengths.dtype) for bins in (num_bins, log_mel.FREQ_MASK_BINS))
    hidden_bins = _hidden(bins_key, freq_masks, num_bins, everywhere, longest)
    return jnp.where(hidden_times[:, :, None] | hidden_bins[:, None, :], 0.0, features)


def _hidden(key: jax.Array, num_masks: int, size: int, lengths: jax.Array, longest: jax.Array) -> jax.Array:
    """Whether each of `size` places is in one of the masks: (B, size). A mask lies within the first `lengths` (B,)
    places and is shorter than `longest` (B,)."""
    width_draws, start_draws = jax.random.uniform(key, (2, len(lengths), num_masks))
    widths = jnp.floor(width_draws * longest[:, None])
    starts = jnp.floor(start_draws * (lengths[:, None] - widths + 1))
    places = jnp.arange(size)[:, None]
    return ((places >= starts[:, None]) & (places < (starts + widths)[:, None])).any(-1)


class LayerNorm(nnx.Module):
    """Layer normalisation over the last axis; the scale is stored less one, epsilon 1e-6."""

    LEAVES: ClassVar = {
        "scale": Leaf("scale", type=ParameterType.LAYER_NORM_SCALE),
        "bias": Leaf("bias", type=ParameterType.LAYER_NORM_BIAS),
    }

    def __init__(self, num_features: int) -> None:
        self.scale = nnx.Param(jnp.zeros(num_features))
        self.bias = nnx.Param(jnp.zeros(num_features))

    def __call__(self, x: jax.Array, paddings: jax.Array | None = None, ctx: ForwardContext | None = None) -> jax.Array:
        """Takes what `BatchNorm` does, where one of both is chosen, and needs only x."""
        del paddings, ctx
        centered = x - x.mean(-1, keepdims=True)
        var = jnp.square(centered).mean(-1, keepdims=True)
        return centered * jax.lax.rsqrt(var + 1e-6) * (1 + self.scale[...]) + self.bias[...]


class BatchNorm(nnx.Module):
    """Batch normalisation of the frames that are not padding, (B, T, C); padding becomes zero.

    The scale is stored less one; momentum 0.999, epsilon 1e-3, a biased running variance.
    """

    LEAVES: ClassVar = {
        "scale": Leaf("scale", type=ParameterType.BATCH_NORM_SCALE),
        "bias": Leaf("bias", type=ParameterType.BATCH_NORM_BIAS),
        "mean": Leaf("running_mean", fresh=0.0),
        "var": Leaf("running_var", fresh=1.0),
    }

    def __init__(self, num_features: int) -> None:
        self.scale = nnx.Param(jnp.zeros(num_features))
        self.bias = nnx.Param(jnp.zeros(num_features))
        self.mean = nnx.BatchStat(jnp.zeros(num_features))
        self.var = nnx.BatchStat(jnp.ones(num_features))

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        valid = (1 - paddings)[..., None]
        if ctx.use_running_average:
            mean, var = self.mean[...], self.var[...]
        else:
            count = jnp.maximum(valid.sum(), 1)
            mean = (x * valid).sum((0, 1)) / count
            var = (jnp.square(x - mean) * valid).sum((0, 1)) / count
        if ctx.update_batch_norm:
            self.mean[...] = 0.999 * self.mean[...] + 0.001 * mean
            self.var[...] = 0.999 * self.var[...] + 0.001 * var
        return ((x - mean) * (jax.lax.rsqrt(var + 1e-3) * (1 + self.scale[...])) + self.bias[...]) * valid


class Subsampling(nnx.Module):
    """Two convolutions and a linear layer: (B, T, 80) -> (B, T / 4, width) and paddings, T / 4 rounded up twice.

    activation: of 0 it must be 0.
    """

    def __init__(self, width: int, activation: Callable[[jax.Array], jax.Array], *, rngs: nnx.Rngs) -> None:
        self.conv1 = Conv(1, width, 3, stride=2, use_bias=True, kernel_init=XAVIER, rngs=rngs)
        self.conv2 = Conv(width, width, 3, stride=2, use_bias=True, kernel_init=XAVIER, rngs=rngs)
        self.linear = linear(log_mel.NUM_BINS // 4 * width, width, rngs=rngs)
        self.activation = activation

    def __call__(self, features: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = features[..., None]
        for conv in (self.conv1, self.conv2):
            paddings = paddings[:, ::2]
            x = self.activation(conv(x) * (1 - paddings)[:, :, None, None])
        return self.linear(x.reshape(*x.shape[:2], -1)), paddings
