"""DeepSpeech 2 (Amodei et al. 2016), in the benchmark's form, with CTC in PyTorch. The twin of `model_jax.py`."""

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from algoperf.benchmark.facts import ParameterType
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import ACTIVATIONS, dropout, lecun_normal
from workloads.layers.speech_pytorch import (
    BatchNorm,
    LayerNorm,
    Subsampling,
    linear,
    log_mel_features,
    spec_augment,
)

NEVER = -1e9  # to a gate: closed
_CLOSING = 4  # inputs more, of which one says so: tensor cores want multiples of four
NORMS = {"batch": BatchNorm, "layer": LayerNorm}


class Direction(nn.Module):
    """The arrays of an LSTM in one direction of time; its gates are input, forget, cell and output, in this order."""

    TYPES: ClassVar = {
        "input_weight": ParameterType.WEIGHT,
        "hidden_weight": ParameterType.WEIGHT,
        "bias": ParameterType.BIAS,
    }

    def __init__(self, in_features: int, hidden_features: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_features, in_features))
        self.hidden_weight = nn.Parameter(torch.empty(4 * hidden_features, hidden_features))
        with torch.no_grad():
            for gate in self.input_weight.chunk(4):
                gate.copy_(lecun_normal(hidden_features, in_features))
            for gate in self.hidden_weight.chunk(4):
                nn.init.orthogonal_(gate)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_features))


class Lstm(nn.Module):
    """A long short-term memory in both directions: (B, T, width) -> (B, T, width), zero in padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.forwards = Direction(width, width // 2)
        self.backwards = Direction(width, width // 2)

    def forward(self, x: torch.Tensor, paddings: torch.Tensor) -> torch.Tensor:
        compute = self._by_cudnn if x.is_cuda else self._by_loop
        return compute(x, paddings) * (1 - paddings).unsqueeze(-1)

    def _by_loop(self, x: torch.Tensor, paddings: torch.Tensor) -> torch.Tensor:
        both = (self.forwards, self.backwards)
        projected = torch.stack([functional.linear(x, way.input_weight, way.bias) for way in both])
        # Nothing enters a cell in padding, which so is still zero where the second direction comes out of it.
        closed = functional.pad(
            NEVER * paddings.unsqueeze(-1).expand(-1, -1, x.shape[-1] // 2), (0, 3 * x.shape[-1] // 2)
        )
        kernel = torch.stack([way.hidden_weight.T for way in both])
        hidden = Recurrence.apply(_time_first(projected + closed), kernel)
        return torch.cat(_batch_first(hidden), dim=-1)

    def _by_cudnn(self, x: torch.Tensor, paddings: torch.Tensor) -> torch.Tensor:
        # Sequences of several lengths without telling cuDNN these, which it wants on the CPU: that would wait for the
        # device. As in the loop, nothing enters a cell in padding, by a further input that only closes the gate.
        closing = functional.pad(paddings.unsqueeze(-1), (0, _CLOSING - 1))
        half = x.shape[-1] // 2
        weights = []
        for way in (self.forwards, self.backwards):
            closed = functional.pad(x.new_full((half, 1), NEVER), (0, _CLOSING - 1, 0, 3 * half))
            input_weight = torch.cat([way.input_weight, closed], 1)
            # cuDNN has two biases, which it adds.
            weights += [input_weight, way.hidden_weight, way.bias, torch.zeros_like(way.bias)]
        start = x.new_zeros(2, len(x), half)
        x, trains = torch.cat([x, closing], -1), torch.is_grad_enabled()
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        return torch.lstm(x, (start, start), weights, True, 1, 0.0, trains, True, True)[0]


def _time_first(both: torch.Tensor) -> torch.Tensor:
    """(2, B, T, C) -> (T, 2, B, C), the second direction with the last frame first."""
    return torch.stack([both[0].transpose(0, 1), both[1].flip(1).transpose(0, 1)], dim=1)


def _batch_first(both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The inverse of `_time_first`, as two tensors (B, T, C)."""
    return both[:, 0].transpose(0, 1), both[:, 1].flip(0).transpose(0, 1)


class Recurrence(torch.autograd.Function):
    """What an LSTM gives at each time, (T, D, B, H), in D directions at once.

    projected (T, D, B, 4 H): the gates' part of the inputs; kernel (D, H, 4 H): what hidden values give to the gates.
    """

    @staticmethod
    def forward(ctx: Any, projected: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        gates = projected.clone()
        *shape, _ = projected.shape
        hidden, cells = projected.new_empty(2, *shape, kernel.shape[1])
        h = c = torch.zeros_like(hidden[0])
        for gates_now, hidden_now, cell_now in zip(gates, hidden, cells, strict=True):
            i, f, g, o = gates_now.baddbmm_(h, kernel).chunk(4, dim=-1)
            for gate in (i, f, o):
                gate.sigmoid_()
            _tanh_(g)
            c = torch.mul(f, c, out=cell_now).addcmul_(i, g)
            h = torch.mul(o, _tanh_(c.clone()), out=hidden_now)
        ctx.save_for_backward(hidden, cells, gates, kernel)
        return hidden

    @staticmethod
    def backward(ctx: Any, hidden_gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient by hand, so that the kernel's is one product at the end instead of a sum over all times."""
        hidden, cells, gates, kernel = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, dim=-1)
        activated = cells.tanh()
        # How the cell follows the hidden value, and the gates before their activation follow the cell or the hidden
        # value.
        cell_factors = o * (1 - activated.square())
        gate_factors = [g * i * (1 - i), _one_earlier(cells) * f * (1 - f), i * (1 - g.square())]
        of_gates = torch.stack([*gate_factors, activated * o * (1 - o)], dim=-2)  # times what reaches them, in the loop
        gradients = of_gates.flatten(-2)
        kernel_transposed = kernel.transpose(1, 2).contiguous()
        h = c = torch.zeros_like(hidden[0])
        for now in reversed(range(len(gates))):
            h = h + hidden_gradients[now]
            c = torch.addcmul(c, h, cell_factors[now])
            of_gates[now, ..., :3, :].mul_(c.unsqueeze(-2))
            of_gates[now, ..., 3, :].mul_(h)
            h, c = torch.bmm(gradients[now], kernel_transposed), c * f[now]
        return gradients, torch.einsum("tdbh,tdbk->dhk", _one_earlier(hidden), gradients)


def _tanh_(x: torch.Tensor) -> torch.Tensor:
    """In place. PyTorch's own wakes threads for however few numbers, which takes 0.1 ms where they wait passively."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _one_earlier(of_times: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(of_times[:1]), of_times[:-1]])


class Recurrent(nn.Module):
    """Norm and LSTM: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.norm = choose("norm", norm, NORMS)(width)
        self.lstm = Lstm(width)

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return self.lstm(self.norm(x, paddings, ctx), paddings)


class FeedForward(nn.Module):
    """Norm, linear layer and activation: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, norm: str, activation: str) -> None:
        super().__init__()
        self.norm = choose("norm", norm, NORMS)(width)
        self.linear = linear(width, width)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def forward(self, x: torch.Tensor, paddings: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return dropout(self.activation(self.linear(self.norm(x, paddings, ctx))), ctx)


# What reaches the next layer beside a layer's own output.
SHORTCUTS = {"identity": lambda x: x, "none": lambda x: 0.0}


class DeepSpeech(nn.Module):
    """Audio (B, S) and its paddings -> logits (B, T, vocab_size) and their paddings.

    norm: "batch" or "layer", the latter without another one before the logits; shortcut: "identity" or "none".
    """

    def __init__(
        self,
        width: int,
        recurrent_depth: int,
        feed_forward_depth: int,
        activation: str,
        norm: str,
        shortcut: str,
        time_mask_count: int,
        freq_mask_count: int,
        vocab_size: int,
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(width, choose("activation", activation, ACTIVATIONS))
        self.recurrent = nn.ModuleList(Recurrent(width, norm) for _ in range(recurrent_depth))
        self.feed_forward = nn.ModuleList(FeedForward(width, norm, activation) for _ in range(feed_forward_depth))
        self.norm = LayerNorm(width) if norm == "batch" else None
        self.head = linear(width, vocab_size)
        self.mask_counts = (time_mask_count, freq_mask_count)
        self.shortcut = choose("shortcut", shortcut, SHORTCUTS)

    def forward(
        self, inputs: tuple[torch.Tensor, torch.Tensor], ctx: ForwardContext
    ) -> tuple[torch.Tensor, torch.Tensor]:
        features, paddings = log_mel_features(*inputs)
        features = spec_augment(features, paddings, *self.mask_counts, ctx)
        x, paddings = self.subsampling(features, paddings)
        x = dropout(x, ctx)
        for layer in (*self.recurrent, *self.feed_forward):
            x = self.shortcut(x) + layer(x, paddings, ctx)
        return self.head(x if self.norm is None else self.norm(x)), paddings


MODEL = DeepSpeech
