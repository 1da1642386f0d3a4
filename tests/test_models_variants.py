"""Every variant, small and in float64, where the frameworks have no excuse to differ."""

import numpy as np
import pytest

from algoperf.registry import base_of
from tests.functional_models import EVAL, MODELS, disturbed, relative_error
from tests.small_models import NAMES, small_batch, small_spec

SAME_BUT_FOR_THE_START = ["criteo1tb_embed_init", "imagenet_resnet_large_bn_init"]
AGREEING = [name for name in NAMES if name not in SAME_BUT_FOR_THE_START]


def small(name):
    return {framework: model(small_spec(name), np.float64) for framework, model in MODELS.items()}


# JAX's attention takes its softmax in float32, whatever the precision of the rest.
TOLERANCES = {"imagenet_vit": 1e-6}


@pytest.mark.parametrize("name", AGREEING)
def test_the_frameworks_agree(name):
    models, batch = small(name), small_batch(name)
    tolerance = TOLERANCES.get(base_of(name), 1e-12)
    tensors = disturbed(models["pytorch"].initial(seed=0))
    logits = {framework: model.logits(tensors, batch["inputs"], EVAL) for framework, model in models.items()}
    assert relative_error(logits["pytorch"], logits["jax"]) < tolerance
    jax, pytorch = (models[framework].train(tensors, batch) for framework in ("jax", "pytorch"))
    assert relative_error(pytorch.logits, jax.logits) < tolerance
    assert pytorch.mean_loss == pytest.approx(jax.mean_loss, rel=tolerance)
    # The gradients of attention's key biases are zero but for rounding.
    least_norm = 1e-2 * np.linalg.norm([np.linalg.norm(gradient) for gradient in jax.gradients.values()])
    for parameter, gradient in jax.gradients.items():
        difference = np.linalg.norm(pytorch.gradients[parameter] - gradient)
        assert difference < max(tolerance, 1e-9) * max(np.linalg.norm(gradient), least_norm), parameter
    for statistic, array in jax.statistics.items():
        assert relative_error(pytorch.statistics[statistic], array) < tolerance, statistic


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", SAME_BUT_FOR_THE_START)
def test_only_the_start_differs(name, framework):
    base, batch = base_of(name), small_batch(name)
    models = [small(each)[framework] for each in (base, name)]
    tensors = disturbed(small(base)["pytorch"].initial(seed=0))
    expected, actual = (model.logits(tensors, batch["inputs"], EVAL) for model in models)
    np.testing.assert_array_equal(actual, expected)
