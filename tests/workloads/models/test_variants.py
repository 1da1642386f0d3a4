"""Every variant, small and in float64, where the frameworks have no excuse to differ."""

import numpy as np
import pytest

from algoperf.benchmark.registry import base_of
from tests.support.functional_models import EVAL, MODELS, relative_error, valid
from tests.support.nightly import of_bases, some_first
from tests.support.small_models import NAMES, small_batch, small_model, small_tensors

SAME_BUT_FOR_THE_START = ["criteo1tb_embed_init", "imagenet_resnet_large_bn_init"]
AGREEING = [name for name in NAMES if name not in SAME_BUT_FOR_THE_START]
# JAX compiles these longest.
SLOW = ("fastmri", "imagenet_resnet", "librispeech_conformer", "librispeech_deepspeech")
LANDING = pytest.mark.landing("models of both frameworks")
BASES_AND_NIGHTLY = [
    pytest.param(*param.values, marks=[*param.marks, *([LANDING] * (param.values[0] in SLOW))])
    for param in of_bases(AGREEING)
]


# JAX's attention takes its softmax in float32, whatever the precision of the rest.
TOLERANCES = {"imagenet_vit": 1e-6}


@pytest.mark.parametrize("name", BASES_AND_NIGHTLY)
def test_the_frameworks_agree(name):
    models, batch = [small_model(name, framework) for framework in ("jax", "pytorch")], small_batch(name)
    tolerance = TOLERANCES.get(base_of(name), 1e-12)
    tensors = small_tensors(name)
    of_jax, of_pytorch = (valid(model.logits(tensors, batch, EVAL)) for model in models)
    assert relative_error(of_pytorch, of_jax) < tolerance
    jax, pytorch = (model.train(tensors, batch) for model in models)
    assert relative_error(valid(pytorch.logits), valid(jax.logits)) < tolerance
    assert pytorch.mean_loss == pytest.approx(jax.mean_loss, rel=tolerance)
    # The gradients of attention's key biases are zero but for rounding.
    least_norm = 1e-2 * np.linalg.norm([np.linalg.norm(gradient) for gradient in jax.gradients.values()])
    for parameter, gradient in jax.gradients.items():
        difference = np.linalg.norm(pytorch.gradients[parameter] - gradient)
        assert difference < max(tolerance, 1e-9) * max(np.linalg.norm(gradient), least_norm), parameter
    for statistic, array in jax.statistics.items():
        assert relative_error(pytorch.statistics[statistic], array) < tolerance, statistic


@pytest.mark.parametrize("framework", some_first(MODELS, ["pytorch"], "models of both frameworks"))
@pytest.mark.parametrize("name", of_bases(SAME_BUT_FOR_THE_START))
def test_only_the_start_differs(name, framework):
    base, batch = base_of(name), small_batch(name)
    models = [small_model(each, framework) for each in (base, name)]
    tensors = small_tensors(base)
    expected, actual = (model.logits(tensors, batch, EVAL) for model in models)
    np.testing.assert_array_equal(actual, expected)
