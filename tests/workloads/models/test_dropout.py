"""Where each model drops values, and how often."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.benchmark.facts import ForwardPassMode
from algoperf.benchmark.workload import load_workload
from tests.support.functional_models import MODELS
from tests.support.nightly import TWINS, of_bases
from tests.support.small_models import small_batch, small_spec

# Which values share a fate, site by site: of the small models' 2 images of fastMRI, whole channels; of the 3 images of
# ImageNet, 2 x 3 patches each, single values; so of 3 recordings of 12 frames, and of 3 pairs of 24 tokens.
_OF_BLOCK = [(3, 6, 16), (3, 6, 24), (3, 6, 16)]  # attention, inside the MLP, behind it
_OF_VIT = [(3, 6, 16), *_OF_BLOCK, *_OF_BLOCK]  # after the positions, and in two blocks
_FRAMES, _TOKENS, _INSIDE_MLP = (3, 12, 16), (3, 24, 16), (3, 24, 24)
_OF_CONFORMER = [_FRAMES] * (1 + 2 * 3)  # after the positions, and in two blocks: feed-forward, attention, feed-forward
_OF_DEEPSPEECH = [_FRAMES] * (1 + 2)  # after the subsampling, and after each feed-forward layer
_ATTENTION = [(3, 2, 24, 24), _TOKENS]  # of two heads the weights, and behind them
_OF_MLP = [_INSIDE_MLP, _TOKENS]
_OF_ENCODER, _OF_DECODER = [*_ATTENTION, *_OF_MLP], [*_ATTENTION * 2, *_OF_MLP]
_OF_WMT = [_TOKENS, *_OF_ENCODER * 2, _TOKENS, *_OF_DECODER * 2]
# Of the vectors of each step: of edges, nodes and graphs.
_OF_OGBG = [(len(small_batch("ogbg")["inputs"][kind]), 8) for kind in ("edges", "nodes", "n_node")]
MASKS = {
    "criteo1tb": [(32, 32)],
    "criteo1tb_resnet": [(32, 32)],
    "fastmri": [(2, 1, 1, channels) for channels in (4, 8, 16, 8, 4) for _ in range(2)],
    "imagenet_resnet": [],
    "imagenet_vit": _OF_VIT,
    "imagenet_vit_glu": _OF_VIT,
    "imagenet_vit_post_ln": _OF_VIT,
    "imagenet_vit_map": _OF_VIT,
    "librispeech_conformer": _OF_CONFORMER,
    "librispeech_conformer_layernorm": _OF_CONFORMER,
    "librispeech_deepspeech": _OF_DEEPSPEECH,
    "librispeech_deepspeech_no_resnet": _OF_DEEPSPEECH,
    "librispeech_deepspeech_norm_and_spec_aug": _OF_DEEPSPEECH,
    "ogbg": _OF_OGBG * 2,
    "ogbg_model_size": [shape for shape in _OF_OGBG for _ in range(2)] * 2,
    "wmt": _OF_WMT,
    "wmt_post_ln": _OF_WMT,
    "wmt_glu_tanh": _OF_WMT,
}


def zeros(shapes):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("framework", TWINS)
@pytest.mark.parametrize("name", of_bases(MASKS))
def test_a_mask_of_its_own_for_every_site(name, framework):
    model = MODELS[framework](small_spec(name))
    masks = model.masks(zeros(model.shapes()), small_batch(name), dropout_rate=0.5)
    assert [mask.shape for mask in masks] == MASKS[name]
    for first, second in itertools.combinations(masks, 2):
        assert first.shape != second.shape or not np.array_equal(first, second)
    if masks:
        kept = np.concatenate([mask.reshape(-1) for mask in masks])
        assert kept.mean() == pytest.approx(0.5, abs=2.5 / np.sqrt(kept.size))


@pytest.mark.parametrize("name", of_bases(MASKS))
def test_another_rate_is_no_other_function_to_compile(name):
    """In JAX: a traced rate goes through the model, which asks nothing of it."""
    workload = load_workload(name, "jax", model=small_spec(name).model)
    batch = jax.tree.map(jnp.asarray, small_batch(name))

    def logits(params, state, rate):
        return workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, jax.random.key(1), True, rate)[0]

    params, state = workload.from_canonical(zeros(workload.canonical_shapes()))
    assert all(leaf.ndim > 1 for leaf in jax.tree.leaves(jax.eval_shape(logits, params, state, 0.1)))
