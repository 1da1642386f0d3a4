"""What the two speech models share in PyTorch: from audio to the frames that their blocks see. The twin of
`speech_jax.py`.

Paddings are float tensors (B, T) in which 1 marks padding, at the end of a sequence. What stands in padded frames never
reaches the others.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import nn

from algoperf.benchmark.facts import ParameterType
from algoperf.pytorch_utils import gather_from_processes, num_processes
from workloads.layers import log_mel
from workloads.layers.attention_pytorch import initialized
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import Conv, constant


def linear(in_features: int, out_features: int) -> nn.Linear:
    return initialized(nn.Linear, in_features, out_features)


def log_mel_features(audio: torch.Tensor, paddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio (B, S) in the range of 16 bits -> features (B, T, 80), and their paddings; a frame that begins in the
    padding is padding."""
    window, mel_matrix, (mean, std) = (
        constant(array_of, dtype=audio.dtype, device=audio.device)
        for array_of in (log_mel.window, log_mel.mel_matrix, log_mel.normalisation)
    )
    audio = audio * (1 - paddings) * log_mel.SAMPLE_SCALE
    # The first sample of a frame would be treated otherwise, but the window is zero there.
    audio = audio - log_mel.PREEMPHASIS * nn.functional.pad(audio, (1, 0))[:, :-1]
    num_frames = log_mel.num_frames(audio.shape[1])
    frames = audio.unfold(1, log_mel.FRAME_LENGTH, log_mel.FRAME_STEP)[:, :num_frames] * window
    power = torch.fft.rfft(frames, log_mel.FFT_SIZE).abs().square()
    mel = power @ mel_matrix
    features = (mel.clamp_min(log_mel.LOG_FLOOR).log() - mean) / std
    return features, paddings[:, :: log_mel.FRAME_STEP][:, :num_frames]


def spec_augment(
    features: torch.Tensor, paddings: torch.Tensor, time_masks: int, freq_masks: int, ctx: ForwardContext
) -> torch.Tensor:
    """Hides random stretches of time, and then of frequency (Park et al. 2019), in training: (B, T, 80) both ways."""
    if not ctx.train or time_masks == freq_masks == 0:
        return features
    lengths = (1 - paddings).sum(1)
    _, num_frames, num_bins = features.shape
    hidden_times = _hidden(time_masks, num_frames, lengths, log_mel.TIME_MASK_SHARE * lengths)
    everywhere, longest = (torch.full_like(lengths, bins) for bins in (num_bins, log_mel.FREQ_MASK_BINS))
    hidden_bins = _hidden(freq_masks, num_bins, everywhere, longest)
    return features.masked_fill(hidden_times[:, :, None] | hidden_bins[:, None, :], 0.0)


def _hidden(num_masks: int, size: int, lengths: torch.Tensor, longest: torch.Tensor) -> torch.Tensor:
    """Whether each of `size` places is in one of the masks: (B, size). A mask lies within the first `lengths` (B,)
    places and is shorter than `longest` (B,)."""
    width_draws, start_draws = torch.rand(2, len(lengths), num_masks, dtype=lengths.dtype, device=lengths.device)
    widths = (width_draws * longest[:, None]).floor()
    starts = (start_draws * (lengths[:, None] - widths + 1)).floor()
    places = torch.arange(size, device=lengths.device)[:, None]
    return ((places >= starts[:, None]) & (places < (starts + widths)[:, None])).any(-1)


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis; the scale is stored less one, epsilon 1e-6."""

    TYPES: ClassVar = {"scale": ParameterType.LAYER_NORM_SCALE, "bias": ParameterType.LAYER_NORM_BIAS}

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(
        self, x: torch.Tensor, paddings: torch.Tensor | None = None, ctx: ForwardContext | None = None
    ) -> torch.Tensor:
        """Takes what `BatchNorm` does, where one of both is chosen, and needs only x."""
        del paddings, ctx
        return nn.functional.layer_norm(x, x.shape[-1:], 1 + self.scale, self.bias, eps=1e-6)


class BatchNorm(nn.Module):
    """Batch normalisation of the frames that are not padding, (B, T, C); padding becomes zero.

    The scale is stored less one; momentum 0.999, epsilon 1e-3, a biased running variance. Where several processes share
    the work, the batch is that of all of them.
    """

    TYPES: ClassVar = {"scale": ParameterType.BATCH_NORM_SCALE, "bias": ParameterType.BATCH_NORM_BIAS}

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        valid = (1 - paddings).unsqueeze(-1)
        if ctx.use_running_average:
            mean, var = self.running_mean, self.running_var
        else:
            mean, var = _moments(x, valid)
        if ctx.update_batch_norm:
            self.running_mean.lerp_(mean.detach(), 0.001)
            self.running_var.lerp_(var.detach(), 0.001)
        return torch.addcmul(self.bias, x - mean, torch.rsqrt(var + 1e-3) * (1 + self.scale)) * valid


def _moments(x: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and biased variance, both (C,), of the valid frames (B, T, 1) of x (B, T, C) in all processes."""
    count = valid.sum()
    mean = (x * valid).sum((0, 1)) / count.clamp_min(1)
    squares = ((x - mean).square() * valid).sum((0, 1))
    if num_processes() == 1:
        return mean, squares / count.clamp_min(1)
    # By one collective; the pairwise sums of Chan et al. 1983, which lose no digits where means are large.
    of_all = gather_from_processes(torch.cat([mean, squares, count[None]]))
    means, all_squares, counts = of_all.split([len(mean), len(mean), 1], dim=1)
    total = counts.sum().clamp_min(1)
    mean = (means * counts).sum(0) / total
    return mean, (all_squares + counts * (means - mean).square()).sum(0) / total


class Subsampling(nn.Module):
    """Two convolutions and a linear layer: (B, T, 80) -> (B, T / 4, width) and paddings, T / 4 rounded up twice.

    activation: of 0 it must be 0.
    """

    def __init__(self, width: int, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv1 = Conv(1, width, 3, stride=2, use_bias=True, init=nn.init.xavier_uniform_)
        self.conv2 = Conv(width, width, 3, stride=2, use_bias=True, init=nn.init.xavier_uniform_)
        self.linear = linear(log_mel.NUM_BINS // 4 * width, width)
        self.activation = activation

    def forward(self, features: torch.Tensor, paddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = features.unsqueeze(1)
        for conv in (self.conv1, self.conv2):
            paddings = paddings[:, ::2]
            # In place: what a convolution gives is large, and not needed once it is masked.
            x = self.activation(conv(x).mul_((1 - paddings)[:, None, :, None]))
        return self.linear(x.permute(0, 2, 3, 1).flatten(2)), paddings
