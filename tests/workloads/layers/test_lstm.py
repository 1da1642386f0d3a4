"""DeepSpeech's LSTM: its gradient is written by hand, and on a GPU it hands its arrays to cuDNN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.experimental import rnn

from workloads.librispeech_deepspeech import model_jax, model_pytorch

WIDTH = 6
LENGTHS = np.array([7, 4, 1])
PADDINGS = jnp.asarray(np.arange(7) >= LENGTHS[:, None], jnp.float32)


@pytest.fixture
def lstm():
    lstm = model_jax.Lstm(WIDTH, rngs=nnx.Rngs(0))
    for seed, way in enumerate((lstm.forwards, lstm.backwards)):
        way.bias[...] = jax.random.normal(jax.random.key(seed), way.bias.shape)
    return lstm


def test_the_gradient_by_hand_is_that_of_differentiation():
    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        arguments = (random.normal(size=(7, 2, 3, 12)), random.normal(size=(2, 3, 12)))
        weights = random.normal(size=(7, 2, 3, 3))
        by_hand = jax.grad(lambda *args: (model_jax.recurrence(*args) * weights).sum(), (0, 1))(*arguments)
        automatic = jax.grad(lambda *args: (model_jax._scan(*args)[0] * weights).sum(), (0, 1))(*arguments)
        for found, expected in zip(by_hand, automatic, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.landing("an LSTM as cuDNN has it")
def test_cudnn_gets_the_arrays_as_it_lays_them_out(lstm, monkeypatch):
    """There is no GPU here: cuDNN's place is taken by JAX's own account of what it computes from such arrays."""

    def computed(x, h, c, weights, lengths, **shape):
        sizes = (shape["input_size"], shape["hidden_size"], shape["num_layers"], shape["bidirectional"])
        return rnn.lstm_ref(x, h, c, *rnn.unpack_lstm_weights(weights, *sizes), lengths, **shape)

    monkeypatch.setattr(rnn, "lstm", computed)
    x = jax.random.normal(jax.random.key(5), (3, 7, WIDTH))
    by_cudnn = lstm._by_cudnn(x, PADDINGS) * (1 - PADDINGS)[..., None]
    np.testing.assert_allclose(by_cudnn, lstm(x, PADDINGS), atol=1e-6)


def test_each_gate_starts_with_an_orthogonal_matrix(lstm):
    for gate in jnp.split(lstm.forwards.hidden_kernel[...], 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(WIDTH // 2), atol=1e-6)


def test_cudnn_needs_no_lengths_in_pytorch():
    """The call that a GPU's cuDNN answers, which here PyTorch's own code for CPUs does."""
    torch.manual_seed(0)
    lstm, x, paddings = model_pytorch.Lstm(WIDTH), torch.randn(3, 7, WIDTH), torch.tensor(np.asarray(PADDINGS))
    for parameter in lstm.parameters():
        torch.nn.init.normal_(parameter)
    weights, results = torch.randn(3, 7, WIDTH) * (1 - paddings).unsqueeze(-1), []
    for compute in (lstm._by_loop, lstm._by_cudnn):
        lstm.zero_grad()
        inputs = x.clone().requires_grad_()
        y = compute(inputs, paddings) * (1 - paddings).unsqueeze(-1)
        (y * weights).sum().backward()
        results.append([y.detach(), inputs.grad, *(parameter.grad for parameter in lstm.parameters())])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
