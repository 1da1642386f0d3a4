"""Where each model drops values, and how often."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.spec import ForwardPassMode
from algoperf.workload import load_workload
from tests.functional_models import MODELS
from tests.small_models import small_batch, small_spec

# Which values share a fate, site by site: of the small models' 2 images of fastMRI, whole channels; of the 3 images of
# ImageNet, 2 x 3 patches each, single values.
_OF_BLOCK = [(3, 6, 16), (3, 6, 24), (3, 6, 16)]  # attention, inside the MLP, behind it
_OF_VIT = [(3, 6, 16), *_OF_BLOCK, *_OF_BLOCK]  # after the positions, and in two blocks
MASKS = {
    "criteo1tb": [(32, 32)],
    "criteo1tb_resnet": [(32, 32)],
    "fastmri": [(2, 1, 1, channels) for channels in (4, 8, 16, 8, 4) for _ in range(2)],
    "imagenet_resnet": [],
    "imagenet_vit": _OF_VIT,
    "imagenet_vit_glu": _OF_VIT,
    "imagenet_vit_post_ln": _OF_VIT,
    "imagenet_vit_map": _OF_VIT,
}


def zeros(shapes):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_its_own_for_every_site(name, framework):
    model = MODELS[framework](small_spec(name))
    masks = model.masks(zeros(model.shapes()), small_batch(name)["inputs"], dropout_rate=0.5)
    assert [mask.shape for mask in masks] == MASKS[name]
    for first, second in itertools.combinations(masks, 2):
        assert first.shape != second.shape or not np.array_equal(first, second)
    if masks:
        kept = np.concatenate([mask.reshape(-1) for mask in masks])
        assert kept.mean() == pytest.approx(0.5, abs=2.5 / np.sqrt(kept.size))


@pytest.mark.parametrize("name", MASKS)
def test_another_rate_is_no_other_function_to_compile(name):
    """In JAX: a traced rate goes through the model, which asks nothing of it."""
    workload = load_workload(name, "jax", model=small_spec(name).model)
    inputs = jnp.asarray(small_batch(name)["inputs"])

    def logits(params, state, rate):
        batch = {"inputs": inputs}
        return workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, jax.random.key(1), True, rate)[0]

    params, state = workload.from_canonical(zeros(workload.canonical_shapes()))
    assert len(jax.eval_shape(logits, params, state, 0.1).shape) > 1
