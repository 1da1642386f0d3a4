"""DeepSpeech 2 (Amodei et al. 2016), in the benchmark's form, with CTC in JAX. The twin of `model_pytorch.py`."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.experimental import rnn

from algoperf.benchmark.facts import ParameterType
from workloads.layers.choices import choose
from workloads.layers.context import ForwardContext
from workloads.layers.jax import ACTIVATIONS, LECUN_NORMAL, Leaf, dropout, on_each_device
from workloads.layers.speech_jax import (
    BatchNorm,
    LayerNorm,
    Subsampling,
    linear,
    log_mel_features,
    spec_augment,
)

NORMS = {"batch": BatchNorm, "layer": LayerNorm}
ORTHOGONAL = nnx.initializers.orthogonal()
NEVER = -1e9  # to a gate: closed


class Direction(nnx.Module):
    """The arrays of an LSTM in one direction of time; its gates are input, forget, cell and output, in this order."""

    LEAVES: ClassVar = {
        "input_kernel": Leaf("input_weight", axes=(1, 0), type=ParameterType.WEIGHT),
        "hidden_kernel": Leaf("hidden_weight", axes=(1, 0), type=ParameterType.WEIGHT),
        "bias": Leaf("bias", type=ParameterType.BIAS),
    }

    def __init__(self, in_features: int, hidden_features: int, *, rngs: nnx.Rngs) -> None:
        def of_gates(init: nnx.Initializer, rows: int) -> nnx.Param:
            return nnx.Param(jnp.concatenate([init(rngs.params(), (rows, hidden_features)) for _ in range(4)], axis=1))

        self.input_kernel = of_gates(LECUN_NORMAL, in_features)
        self.hidden_kernel = of_gates(ORTHOGONAL, hidden_features)
        self.bias = nnx.Param(jnp.zeros(4 * hidden_features))


class Lstm(nnx.Module):
    """A long short-term memory in both directions: (B, T, width) -> (B, T, width), zero in padding."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.forwards = Direction(width, width // 2, rngs=rngs)
        self.backwards = Direction(width, width // 2, rngs=rngs)

    def __call__(self, x: jax.Array, paddings: jax.Array) -> jax.Array:
        compute = self._by_cudnn if jax.default_backend() == "gpu" else self._by_scan
        return compute(x, paddings) * (1 - paddings)[..., None]

    def _by_scan(self, x: jax.Array, paddings: jax.Array) -> jax.Array:
        both = (self.forwards, self.backwards)
        projected = jnp.stack([x @ way.input_kernel[...] + way.bias[...] for way in both])
        # Nothing enters a cell in padding, which so is still zero where the second direction comes out of it.
        projected = projected.at[..., : x.shape[-1] // 2].add(NEVER * paddings[..., None])
        kernel = jnp.stack([way.hidden_kernel[...] for way in both])
        return jnp.concatenate(_batch_first(recurrence(_time_first(projected), kernel)), axis=-1)

    def _by_cudnn(self, x: jax.Array, paddings: jax.Array) -> jax.Array:
        both = (self.forwards, self.backwards)
        kernels = [kernel[...].T for way in both for kernel in (way.input_kernel, way.hidden_kernel)]
        # cuDNN has two biases, which it adds.
        biases = [bias for way in both for bias in (way.bias[...], jnp.zeros_like(way.bias[...]))]
        weights = jnp.concatenate([array.reshape(-1) for array in (*kernels, *biases)])
        lengths = jnp.maximum((1 - paddings).sum(1), 1).astype(jnp.int32)  # cuDNN refuses the length 0
        return on_each_device(_cudnn_lstm, (x, lengths), (weights,))


def _cudnn_lstm(x: jax.Array, lengths: jax.Array, weights: jax.Array) -> jax.Array:
    batch, _, width = x.shape
    start = jnp.zeros((2, batch, width // 2), x.dtype)
    shape = dict(input_size=width, hidden_size=width // 2, num_layers=1, dropout=0.0, bidirectional=True)
    return rnn.lstm(x, start, start, weights, lengths, **shape)[0]


def _time_first(both: jax.Array) -> jax.Array:
    """(2, B, T, C) -> (T, 2, B, C), the second direction with the last frame first."""
    return jnp.stack([both[0].swapaxes(0, 1), both[1, :, ::-1].swapaxes(0, 1)], axis=1)


def _batch_first(both: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The inverse of `_time_first`, as two arrays (B, T, C)."""
    return both[:, 0].swapaxes(0, 1), both[::-1, 1].swapaxes(0, 1)


@jax.custom_vjp
def recurrence(projected: jax.Array, kernel: jax.Array) -> jax.Array:
    """What an LSTM gives at each time, (T, D, B, H), in D directions at once.

    projected (T, D, B, 4 H): the gates' part of the inputs; kernel (D, H, 4 H): what hidden values give to the gates.
    """
    return _scan(projected, kernel)[0]


def _scan(projected: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Hidden values, cells (T, D, B, H both) and the activated gates (T, D, B, 4 H)."""

    def step(state, projected):
        hidden, cell = state
        i, f, g, o = jnp.split(projected + jnp.matmul(hidden, kernel), 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        cell = f * cell + i * g
        hidden = o * jnp.tanh(cell)
        return (hidden, cell), (hidden, cell, jnp.concatenate([i, f, g, o], axis=-1))

    zero = jnp.zeros((*projected.shape[1:-1], kernel.shape[1]), projected.dtype)
    return jax.lax.scan(step, (zero, zero), projected)[1]


def _recurrence_forward(projected, kernel):
    hidden, cells, gates = _scan(projected, kernel)
    return hidden, (hidden, cells, gates, kernel)


def _recurrence_backward(saved, hidden_gradients):
    """The gradient by hand, so that the kernel's is one product at the end instead of a sum over all times."""
    hidden, cells, gates, kernel = saved
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    activated = jnp.tanh(cells)
    # How the cell follows the hidden value, and the gates before their activation follow the cell or the hidden value.
    cell_factors = o * (1 - activated**2)
    gate_factors = (g * i * (1 - i), _one_earlier(cells) * f * (1 - f), i * (1 - g**2), activated * o * (1 - o))

    def step(state, now):
        hidden_gradient, cell_gradient = state
        from_output, cell_factor, (i_factor, f_factor, g_factor, o_factor), f = now
        hidden_gradient = hidden_gradient + from_output
        cell_gradient = cell_gradient + hidden_gradient * cell_factor
        of_gates = (cell_gradient * i_factor, cell_gradient * f_factor, cell_gradient * g_factor)
        gradient = jnp.concatenate([*of_gates, hidden_gradient * o_factor], axis=-1)
        return (jnp.matmul(gradient, kernel.swapaxes(1, 2)), cell_gradient * f), gradient

    zero = jnp.zeros_like(cells[0])
    of_times = (hidden_gradients, cell_factors, gate_factors, f)
    gradients = jax.lax.scan(step, (zero, zero), of_times, reverse=True)[1]
    return gradients, jnp.einsum("tdbh,tdbk->dhk", _one_earlier(hidden), gradients)


def _one_earlier(of_times: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.zeros_like(of_times[:1]), of_times[:-1]])


recurrence.defvjp(_recurrence_forward, _recurrence_backward)


class Recurrent(nnx.Module):
    """Norm and LSTM: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, norm: str, *, rngs: nnx.Rngs) -> None:
        self.norm = choose("norm", norm, NORMS)(width)
        self.lstm = Lstm(width, rngs=rngs)

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        return self.lstm(self.norm(x, paddings, ctx), paddings)


class FeedForward(nnx.Module):
    """Norm, linear layer and activation: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, norm: str, activation: str, *, rngs: nnx.Rngs) -> None:
        self.norm = choose("norm", norm, NORMS)(width)
        self.linear = linear(width, width, rngs=rngs)
        self.activation = choose("activation", activation, ACTIVATIONS)

    def __call__(self, x: jax.Array, paddings: jax.Array, ctx: ForwardContext) -> jax.Array:
        return dropout(self.activation(self.linear(self.norm(x, paddings, ctx))), ctx)


# What reaches the next layer beside a layer's own output.
SHORTCUTS = {"identity": lambda x: x, "none": lambda x: 0.0}


class DeepSpeech(nnx.Module):
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
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.subsampling = Subsampling(width, choose("activation", activation, ACTIVATIONS), rngs=rngs)
        recurrent = [Recurrent(width, norm, rngs=rngs) for _ in range(recurrent_depth)]
        feed_forward = [FeedForward(width, norm, activation, rngs=rngs) for _ in range(feed_forward_depth)]
        self.recurrent, self.feed_forward = nnx.List(recurrent), nnx.List(feed_forward)
        self.norm = LayerNorm(width) if norm == "batch" else None
        self.head = linear(width, vocab_size, rngs=rngs)
        self.mask_counts = (time_mask_count, freq_mask_count)
        self.shortcut = choose("shortcut", shortcut, SHORTCUTS)

    def __call__(self, inputs: tuple[jax.Array, jax.Array], ctx: ForwardContext) -> tuple[jax.Array, jax.Array]:
        features, paddings = log_mel_features(*inputs)
        features = spec_augment(features, paddings, *self.mask_counts, ctx)
        x, paddings = self.subsampling(features, paddings)
        x = dropout(x, ctx)
        for layer in (*self.recurrent, *self.feed_forward):
            x = self.shortcut(x) + layer(x, paddings, ctx)
        return self.head(x if self.norm is None else self.norm(x)), paddings


MODEL = DeepSpeech
