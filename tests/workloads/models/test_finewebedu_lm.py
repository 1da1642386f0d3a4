"""The language model in both frameworks: against its definition in NumPy, and against each other."""

import functools
import math

import numpy as np
import pytest

from algoperf.benchmark.facts import ParameterType, replace
from algoperf.benchmark.registry import load_spec
from tests.support.functional_models import EVAL, MODELS, disturbed, relative_error
from workloads.finewebedu_lm.rotations import cosines_and_sines

SPEC = replace(
    load_spec("finewebedu_lm"),
    {"model": dict(vocab_size=50, sequence_length=16, width=32, depth=2, mlp_dim=24, num_heads=2)},
)


@functools.cache
def small_model(framework):
    return MODELS[framework](SPEC, np.float64)


@functools.cache
def tensors():
    return disturbed(small_model("pytorch").initial(seed=0))


@functools.cache
def batch():
    tokens = np.random.default_rng(0).integers(SPEC.model["vocab_size"], size=(3, 17))
    return {"inputs": tokens[:, :-1], "targets": tokens[:, 1:], "weights": np.ones((3, 16), np.float32)}


@functools.cache
def training_pass(framework):
    return small_model(framework).train(tensors(), batch())


def numpy_logits(ids):
    """What the definition of the network gives for one sequence, (T, vocab_size)."""
    weights = {name: array.astype(np.float64) for name, array in tensors().items()}
    num_heads = SPEC.model["num_heads"]

    def norm(name, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weights[f"{name}.weight"]

    def turned(x):
        """As complex numbers: neighbours in D are real and imaginary part."""
        frequencies = 500_000.0 ** (-np.arange(x.shape[-1] // 2) / (x.shape[-1] // 2))
        points = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * np.arange(len(ids))[:, None] * frequencies)
        x = np.stack([points.real, points.imag], axis=-1).reshape(x.shape)
        return x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-6)

    def attention(name, x):
        queries, keys, values = (
            (x @ weights[f"{name}.{part}.weight"].T).reshape(len(x), num_heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = weights[f"{name}.scale"] * turned(queries) @ turned(keys).swapaxes(1, 2)
        shares = np.exp(np.where(np.tri(len(x)) == 1, scores, -np.inf))
        found = shares / shares.sum(-1, keepdims=True) @ values
        return found.swapaxes(0, 1).reshape(x.shape) @ weights[f"{name}.out.weight"].T

    def mlp(name, x):
        first, second = np.split(x @ weights[f"{name}.hidden.weight"].T, 2, axis=-1)
        return first / (1 + np.exp(-second)) @ weights[f"{name}.out.weight"].T

    x = weights["embedding.weight"][ids]
    for block in (f"blocks.{i}" for i in range(SPEC.model["depth"])):
        x = x + attention(f"{block}.attention", norm(f"{block}.norm1", x))
        x = x + mlp(f"{block}.mlp", norm(f"{block}.norm2", x))
    return norm("norm", x) @ weights["embedding.weight"].T


@pytest.mark.parametrize("framework", MODELS)
def test_logits_are_what_the_networks_definition_gives(framework):
    expected = [numpy_logits(ids) for ids in batch()["inputs"]]
    assert relative_error(training_pass(framework).logits, np.array(expected)) < 1e-12


def test_the_frameworks_agree_in_logits_loss_and_gradients():
    jax_pass, pytorch_pass = training_pass("jax"), training_pass("pytorch")
    assert relative_error(jax_pass.logits, pytorch_pass.logits) < 1e-10
    assert jax_pass.mean_loss == pytest.approx(pytorch_pass.mean_loss, rel=1e-10)
    assert jax_pass.gradients.keys() == pytorch_pass.gradients.keys()
    for name, gradient in pytorch_pass.gradients.items():
        assert relative_error(jax_pass.gradients[name], gradient) < 1e-10, name


@pytest.mark.parametrize("framework", MODELS)
def test_a_token_is_told_from_those_before_it_alone(framework):
    changed = {**batch(), "inputs": batch()["inputs"].copy()}
    changed["inputs"][:, 7] = (changed["inputs"][:, 7] + 1) % SPEC.model["vocab_size"]
    model = small_model(framework)
    first, second = (model.logits(tensors(), each, EVAL) for each in (batch(), changed))
    np.testing.assert_array_equal(second[:, :7], first[:, :7])
    assert relative_error(second[:, 7:], first[:, 7:]) > 1e-2


@pytest.mark.parametrize("framework", MODELS)
def test_full_size_parameters_are_as_many_as_described(framework):
    model = MODELS[framework](load_spec("finewebedu_lm"))
    assert sum(map(math.prod, model.shapes().values())) == 252_815_372
    types = model.types()
    assert types["embedding.weight"] == ParameterType.EMBEDDING
    assert types["blocks.0.attention.query.weight"] == ParameterType.ATTENTION_Q
    assert types["blocks.11.mlp.out.weight"] == ParameterType.WEIGHT
    assert types["norm.weight"] == ParameterType.LAYER_NORM_SCALE


@pytest.mark.parametrize("framework", MODELS)
def test_initial_values_are_distributed_as_described(framework):
    spec = replace(load_spec("finewebedu_lm"), {"model": dict(vocab_size=500, width=128, depth=3, mlp_dim=64)})
    for name, array in MODELS[framework](spec).initial(seed=0).items():
        if "norm" in name:
            assert np.all(array == 1), name
        elif name.endswith("scale"):
            assert array.tolist() == pytest.approx([math.log2(1_024**2 - 1_024)]), name
        else:
            std = 0.02 / math.sqrt(2 * 3) if name.endswith("out.weight") else 0.02
            assert array.std() == pytest.approx(std, rel=0.03), name
            assert abs(array.mean()) < std / 20, name


def test_a_turn_depends_on_how_far_tokens_are_apart_alone():
    cos, sin = cosines_and_sines(12, 8)
    turns = cos + 1j * sin
    np.testing.assert_allclose(turns[3:] * turns[:-3].conj(), np.broadcast_to(turns[3], (9, 4)), rtol=1e-12)
    assert cos.shape == (12, 4)
