"""The layers of both frameworks against each other and against their definitions, and how arrays get in and out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from algoperf.benchmark.facts import ParameterType, UsageError
from tests.support.functional_models import EVAL, TRAIN
from workloads.layers import jax as jax_layers
from workloads.layers import pytorch as pytorch_layers
from workloads.layers.choices import choose

RANDOM = np.random.RandomState(0)


def images(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def channels_second(array):
    return torch.tensor(np.asarray(array)).permute(0, 3, 1, 2)


def channels_last(tensor):
    return tensor.permute(0, 2, 3, 1).detach().numpy()


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel_size", "padding"), [(1, "SAME"), (3, "SAME"), (7, 3)])
def test_convolutions_are_those_of_xla(size, stride, kernel_size, padding):
    x = images(2, size, size, 3)
    conv = jax_layers.Conv(3, 4, kernel_size, stride, padding, rngs=nnx.Rngs(0))
    kernel = conv.kernel[...]
    pads = padding if padding == "SAME" else [(padding, padding)] * 2
    layout = ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=layout)
    twin = pytorch_layers.Conv(3, 4, kernel_size, stride, padding)
    with torch.no_grad():
        twin.weight.copy_(torch.tensor(np.asarray(kernel)).permute(3, 2, 0, 1))
    np.testing.assert_allclose(conv(x), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(channels_last(twin(channels_second(x))), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [7, 8])
def test_max_pool_and_its_gradient(size):
    x = images(2, size, size, 3)
    window = ((1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected, pull_back = jax.vjp(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *window), jnp.asarray(x))
    cotangent = images(*expected.shape)
    actual, pull_back_actual = jax.vjp(jax_layers.max_pool, jnp.asarray(x))
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_allclose(pull_back_actual(cotangent)[0], pull_back(cotangent)[0], rtol=1e-6)
    np.testing.assert_array_equal(channels_last(pytorch_layers.max_pool(channels_second(x))), expected)


@pytest.mark.parametrize("use_running_average", [False, True])
@pytest.mark.parametrize("update", [False, True])
def test_batch_norm(use_running_average, update):
    x = 3 + 2 * images(4, 5, 6, 2)
    scale, bias, mean, var = images(2), images(2), images(2), np.abs(images(2))
    ctx = dataclasses.replace(TRAIN, use_running_average=use_running_average, update_batch_norm=update)
    batch_mean, batch_var = (mean, var) if use_running_average else (x.mean((0, 1, 2)), x.var((0, 1, 2)))
    expected = (x - batch_mean) / np.sqrt(batch_var + 1e-5) * scale + bias
    expected_mean = 0.9 * mean + 0.1 * batch_mean if update else mean
    expected_var = 0.9 * var + 0.1 * batch_var if update else var

    layer = jax_layers.BatchNorm(2)
    for variable, value in ((layer.scale, scale), (layer.bias, bias), (layer.mean, mean), (layer.var, var)):
        variable[...] = jnp.asarray(value)
    np.testing.assert_allclose(layer(jnp.asarray(x), ctx), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.mean[...], expected_mean, rtol=1e-5)
    np.testing.assert_allclose(layer.var[...], expected_var, rtol=1e-5)

    twin = pytorch_layers.BatchNorm(2)
    arrays = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": var}
    pytorch_layers.from_canonical(twin, arrays)
    np.testing.assert_allclose(channels_last(twin(channels_second(x), ctx)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(twin.running_mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(twin.running_var, expected_var, rtol=1e-5)


def test_a_second_forward_pass_does_not_spoil_the_gradients_of_the_first():
    twin = pytorch_layers.BatchNorm(2)
    x = channels_second(images(4, 5, 6, 2))
    first = twin(x, TRAIN).square().sum()
    twin(2 * x, TRAIN)
    first.backward()
    assert torch.isfinite(twin.weight.grad).all()


def jax_dropout(x, ctx):
    ctx = dataclasses.replace(ctx, rng=jax.random.key(0))
    return np.asarray(jax_layers.dropout(jnp.asarray(x), ctx))


def pytorch_dropout(x, ctx):
    torch.manual_seed(0)
    return pytorch_layers.dropout(torch.tensor(x), ctx).numpy()


@pytest.mark.parametrize("dropout", [jax_dropout, pytorch_dropout])
def test_dropout(dropout):
    x = 1 + np.abs(images(100, 100))
    ctx = dataclasses.replace(TRAIN, dropout_rate=0.3)
    dropped = dropout(x, ctx)
    kept = dropped != 0
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(dropped[kept], x[kept] / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(dropout(x, dataclasses.replace(TRAIN, dropout_rate=0.0)), x)
    np.testing.assert_array_equal(dropout(x, dataclasses.replace(EVAL, dropout_rate=0.3)), x)


def jax_channel_dropout(x, ctx):
    ctx = dataclasses.replace(ctx, rng=jax.random.key(0))
    return np.asarray(jax_layers.channel_dropout(jnp.asarray(x), ctx))


def pytorch_channel_dropout(x, ctx):
    torch.manual_seed(0)
    return channels_last(pytorch_layers.channel_dropout(channels_second(x), ctx))


@pytest.mark.parametrize("channel_dropout", [jax_channel_dropout, pytorch_channel_dropout])
def test_channel_dropout(channel_dropout):
    x = 1 + np.abs(images(50, 3, 4, 200))
    dropped = channel_dropout(x, dataclasses.replace(TRAIN, dropout_rate=0.3))
    kept = (dropped != 0).any((1, 2), keepdims=True)
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(dropped, np.where(kept, x / 0.7, 0), rtol=1e-6)
    np.testing.assert_array_equal(channel_dropout(x, dataclasses.replace(TRAIN, dropout_rate=0.0)), x)
    np.testing.assert_array_equal(channel_dropout(x, dataclasses.replace(EVAL, dropout_rate=0.3)), x)


def test_dropout_takes_a_traced_rate_and_needs_one_compilation():
    x, key, traces = jnp.ones((50, 50)), jax.random.key(1), []

    @jax.jit
    def step(rate):
        traces.append(rate)
        return jax_layers.dropout(x, dataclasses.replace(TRAIN, dropout_rate=rate, rng=key))

    for rate in (0.1, 0.6):
        static = jax_layers.dropout(x, dataclasses.replace(TRAIN, dropout_rate=rate, rng=key))
        np.testing.assert_allclose(step(rate), static, rtol=1e-6)
    np.testing.assert_array_equal(step(0.0), x)
    assert len(traces) == 1


def test_the_gradients_of_repeated_ids_add_up():
    ids = np.array([[0, 2], [2, 2]])
    cotangent = images(2, 2, 3)
    expected = np.zeros((4, 3), np.float32)
    np.add.at(expected, ids, cotangent)
    layer = jax_layers.Embedding(4, 3, max_init=1.0, rngs=nnx.Rngs(0))
    graphdef, params, _ = jax_layers.split(layer)
    gradient = jax.grad(lambda params: (jax_layers.merge(graphdef, params, {})(ids) * cotangent).sum())(params)
    np.testing.assert_allclose(gradient["embedding"], expected, rtol=1e-6)
    twin = pytorch_layers.Embedding(4, 3, max_init=1.0)
    (twin(torch.tensor(ids)) * torch.tensor(cotangent)).sum().backward()
    np.testing.assert_allclose(twin.weight.grad, expected, rtol=1e-6)


class JaxNet(nnx.Module):
    """A layer of every kind, some of them in a list."""

    def __init__(self, *, rngs):
        self.embedding = jax_layers.Embedding(5, 3, 1.0, rngs=rngs)
        self.norm = nnx.LayerNorm(3, rngs=rngs)
        self.blocks = nnx.List([jax_layers.Conv(3, 3, 3, rngs=rngs), jax_layers.BatchNorm(3)])
        self.head = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, ids, ctx):
        conv, batch_norm = self.blocks
        x = batch_norm(conv(self.norm(self.embedding(ids))), ctx)
        return self.head(x.mean((1, 2)))


class PytorchNet(torch.nn.Module):
    """The twin of JaxNet."""

    def __init__(self):
        super().__init__()
        self.embedding = pytorch_layers.Embedding(5, 3, 1.0)
        self.norm = torch.nn.LayerNorm(3, eps=1e-6)
        self.blocks = torch.nn.ModuleList([pytorch_layers.Conv(3, 3, 3), pytorch_layers.BatchNorm(3)])
        self.head = torch.nn.Linear(3, 2)

    def forward(self, ids, ctx):
        conv, batch_norm = self.blocks
        x = batch_norm(conv(self.norm(self.embedding(ids)).permute(0, 3, 1, 2)), ctx)
        return self.head(x.mean((2, 3)))


IDS = np.random.RandomState(0).randint(0, 5, size=(4, 6, 6))


def test_split_gives_plain_dicts_with_string_keys_and_merge_takes_them_back():
    _, params, batch_stats = jax_layers.split(JaxNet(rngs=nnx.Rngs(0)))
    assert type(params) is dict
    assert {name: set(layer) for name, layer in params.items()} == {
        "embedding": {"embedding"},
        "norm": {"scale", "bias"},
        "blocks": {"0", "1"},
        "head": {"kernel", "bias"},
    }
    assert set(params["blocks"]["1"]) == {"scale", "bias"}
    assert {key: set(value) for key, value in batch_stats["blocks"].items()} == {"1": {"mean", "var"}}


def test_a_merged_model_trains_under_jit():
    net = JaxNet(rngs=nnx.Rngs(0))
    graphdef, params, batch_stats = jax_layers.split(net)
    traces = []

    @jax.jit
    def step(params, batch_stats):
        traces.append(params)

        def loss(params):
            model = jax_layers.merge(graphdef, params, batch_stats)
            return jnp.square(model(IDS, TRAIN)).sum(), jax_layers.split(model)[2]

        gradients, new_stats = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients), new_stats, gradients

    new_params, new_stats, gradients = step(params, batch_stats)
    assert jax.tree.structure(new_params) == jax.tree.structure(params)
    assert jax.tree.structure(new_stats) == jax.tree.structure(batch_stats)
    assert all(np.abs(gradient).max() > 0 for gradient in jax.tree.leaves((gradients["head"], gradients["embedding"])))
    assert not np.array_equal(new_stats["blocks"]["1"]["mean"], batch_stats["blocks"]["1"]["mean"])
    # The model that was taken apart keeps its own statistics.
    np.testing.assert_array_equal(net.blocks[1].mean[...], np.zeros(3))
    step(new_params, new_stats)
    assert len(traces) == 1


def test_canonical_arrays_mean_the_same_in_both_frameworks():
    net = JaxNet(rngs=nnx.Rngs(0))
    arrays = jax_layers.to_canonical(net)
    twin = PytorchNet()
    assert {name: array.shape for name, array in arrays.items()} == pytorch_layers.canonical_shapes(twin)
    assert pytorch_layers.canonical_shapes(twin) == jax_layers.canonical_shapes(net)
    pytorch_layers.from_canonical(twin, arrays)
    np.testing.assert_allclose(twin(torch.tensor(IDS), TRAIN).detach(), net(IDS, TRAIN), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(twin(torch.tensor(IDS), EVAL).detach(), net(IDS, EVAL), rtol=1e-4, atol=1e-5)


def test_missing_statistics_start_afresh():
    abstract = nnx.eval_shape(lambda: JaxNet(rngs=nnx.Rngs(0)))
    twin = PytorchNet()
    arrays = {name: array for name, array in pytorch_layers.to_canonical(twin).items() if "running" not in name}
    params, batch_stats = jax_layers.from_canonical(abstract, arrays)
    np.testing.assert_array_equal(params["head"]["kernel"], arrays["head.weight"].T)
    np.testing.assert_array_equal(batch_stats["blocks"]["1"]["mean"], np.zeros(3))
    np.testing.assert_array_equal(batch_stats["blocks"]["1"]["var"], np.ones(3))
    pytorch_layers.from_canonical(twin, arrays)
    np.testing.assert_array_equal(twin.blocks[1].running_var, np.ones(3))


def test_canonical_arrays_of_pytorch_are_copies():
    twin = PytorchNet()
    arrays = pytorch_layers.to_canonical(twin)
    before = arrays["head.weight"].copy()
    with torch.no_grad():
        twin.head.weight.add_(1)
    np.testing.assert_array_equal(arrays["head.weight"], before)


def test_parameter_types_are_declared():
    expected = {
        "embedding.weight": ParameterType.EMBEDDING,
        "norm.weight": ParameterType.LAYER_NORM_SCALE,
        "norm.bias": ParameterType.LAYER_NORM_BIAS,
        "blocks.0.weight": ParameterType.CONV_WEIGHT,
        "blocks.1.weight": ParameterType.BATCH_NORM_SCALE,
        "blocks.1.bias": ParameterType.BATCH_NORM_BIAS,
        "head.weight": ParameterType.WEIGHT,
        "head.bias": ParameterType.BIAS,
    }
    abstract = nnx.eval_shape(lambda: JaxNet(rngs=nnx.Rngs(0)))
    assert jax_layers.parameter_types(abstract) == expected
    assert pytorch_layers.parameter_types(PytorchNet()) == expected
    names = jax_layers.canonical_names(abstract)
    assert jax.tree.structure(names) == jax.tree.structure(jax_layers.split(abstract)[1])
    assert names["blocks"]["1"]["scale"] == "blocks.1.weight"


def test_an_unknown_choice_is_refused_with_the_choices():
    with pytest.raises(UsageError, match="no activation 'swish'; the choices are relu, silu, gelu, tanh"):
        choose("activation", "swish", jax_layers.ACTIVATIONS)
    assert set(jax_layers.ACTIVATIONS) == set(pytorch_layers.ACTIVATIONS)
