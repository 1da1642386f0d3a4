"""Every variant, small and in float64, where the frameworks have no excuse to differ."""

import numpy as np
import pytest

from algoperf.registry import base_of, load_spec
from algoperf.spec import replace
from tests import oracle
from tests.functional_models import EVAL, MODELS, relative_error

AGREEING = [
    "criteo1tb",
    "criteo1tb_layernorm",
    "criteo1tb_resnet",
    "imagenet_resnet",
    "imagenet_resnet_silu",
    "imagenet_resnet_gelu",
]
SAME_BUT_FOR_THE_START = ["criteo1tb_embed_init", "imagenet_resnet_large_bn_init"]
SMALL = {
    "criteo1tb": dict(vocab_size=4_096, embed_dim=16, bottom_mlp=(16, 16, 16), top_mlp=(32, 32, 32)),
    # Blocks of both kinds; images of 40 pixels meet the three strided convolutions with even and with odd sizes.
    "imagenet_resnet": dict(stage_sizes=(2, 1, 1, 1), width=8, num_classes=10),
}


def small(name):
    spec = replace(load_spec(name), {"model": SMALL[base_of(name)]})
    return {framework: model(spec, np.float64) for framework, model in MODELS.items()}


def small_batch(base):
    if base == "criteo1tb":
        return oracle.criteo_batch(32)
    batch = oracle.imagenet_batch(3)
    return {**batch, "inputs": batch["inputs"][:, :40, :40], "targets": batch["targets"] % 10}


def disturbed(tensors):
    """No tensor at a value, such as zero, at which a fault would go unnoticed; variances stay positive."""
    random = np.random.RandomState(0)
    noise = {name: 0.1 * random.standard_normal(array.shape) for name, array in tensors.items()}
    noise.update({name: np.abs(array) for name, array in noise.items() if name.endswith("running_var")})
    return {name: (array + noise[name]).astype(np.float32) for name, array in tensors.items()}


@pytest.mark.parametrize("name", AGREEING)
def test_the_frameworks_agree(name):
    models, batch = small(name), small_batch(base_of(name))
    tensors = disturbed(models["pytorch"].initial(seed=0))
    logits = {framework: model.logits(tensors, batch["inputs"], EVAL) for framework, model in models.items()}
    assert relative_error(logits["pytorch"], logits["jax"]) < 1e-12
    jax, pytorch = (models[framework].train(tensors, batch) for framework in ("jax", "pytorch"))
    assert relative_error(pytorch.logits, jax.logits) < 1e-12
    assert pytorch.mean_loss == pytest.approx(jax.mean_loss, rel=1e-12)
    for parameter, gradient in jax.gradients.items():
        assert relative_error(pytorch.gradients[parameter], gradient) < 1e-9, parameter
    for statistic, array in jax.statistics.items():
        assert relative_error(pytorch.statistics[statistic], array) < 1e-12, statistic


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", SAME_BUT_FOR_THE_START)
def test_only_the_start_differs(name, framework):
    base, batch = base_of(name), small_batch(base_of(name))
    models = [small(each)[framework] for each in (base, name)]
    tensors = disturbed(small(base)["pytorch"].initial(seed=0))
    expected, actual = (model.logits(tensors, batch["inputs"], EVAL) for model in models)
    np.testing.assert_array_equal(actual, expected)
