"""Names, shapes, types and initial values of every variant's parameters, in both frameworks."""

import collections
import functools

import numpy as np
import pytest

from algoperf.benchmark.facts import ParameterType, replace
from algoperf.benchmark.reference_names import pieces, reference_shapes
from algoperf.benchmark.registry import base_of, has_scale, load_spec
from tests import oracle
from tests.support.functional_models import MODELS
from tests.support.nightly import FULL_SIZE, of_bases, some_first
from tests.support.small_models import small_spec

LANDING = "initial values and weights of both frameworks"
PYTORCH_FIRST = some_first(MODELS, ["pytorch"], LANDING)

# The table of the benchmark: parameters, parameter tensors (a table in one piece, an attention's q, k and v each in its
# own), and tensors of each type.
_DLRM_TYPES = dict(EMBEDDING=1, WEIGHT=8, BIAS=8)
_UNET_TYPES = dict(CONV_WEIGHT=23, BIAS=1)
_RESNET_TYPES = dict(CONV_WEIGHT=53, BATCH_NORM_SCALE=53, BATCH_NORM_BIAS=53, WEIGHT=1, BIAS=1)
_ATTENTION_TYPES = dict(ATTENTION_Q=12, ATTENTION_K=12, ATTENTION_V=12, ATTENTION_OUT=12, ATTENTION_BIAS=48)
_VIT_TYPES = {**_ATTENTION_TYPES, **dict(CONV_WEIGHT=1, LAYER_NORM_SCALE=25, LAYER_NORM_BIAS=25, WEIGHT=26, BIAS=27)}
_POOL_TYPES = dict(ATTENTION_Q=1, ATTENTION_K=1, ATTENTION_V=1, ATTENTION_OUT=1, ATTENTION_BIAS=4)
_POOL_TYPES |= dict(LAYER_NORM_SCALE=1, LAYER_NORM_BIAS=1, WEIGHT=3, BIAS=2)
_CONFORMER_TYPES = dict(ATTENTION_Q=4, ATTENTION_K=4, ATTENTION_V=4, ATTENTION_OUT=4, ATTENTION_BIAS=16)
_CONFORMER_TYPES |= dict(BATCH_NORM_SCALE=4, BATCH_NORM_BIAS=4, LAYER_NORM_SCALE=21, LAYER_NORM_BIAS=21)
_CONFORMER_TYPES |= dict(CONV_WEIGHT=18, WEIGHT=22, BIAS=32)
# An LSTM has two weights and a bias in each direction.
_DEEPSPEECH_TYPES = dict(CONV_WEIGHT=2, WEIGHT=29, BIAS=19, LAYER_NORM_SCALE=1, LAYER_NORM_BIAS=1)
_DEEPSPEECH_TYPES |= dict(BATCH_NORM_SCALE=9, BATCH_NORM_BIAS=9)
_OGBG_TYPES = dict(EMBEDDING=2, WEIGHT=16, BIAS=18, LAYER_NORM_SCALE=15, LAYER_NORM_BIAS=15)
_WMT_TYPES = dict(ATTENTION_Q=18, ATTENTION_K=18, ATTENTION_V=18, ATTENTION_OUT=18, EMBEDDING=1)
_WMT_TYPES |= dict(LAYER_NORM_SCALE=32, LAYER_NORM_BIAS=32, WEIGHT=24, BIAS=24)
_LM_TYPES = dict(ATTENTION_Q=12, ATTENTION_K=12, ATTENTION_V=12, ATTENTION_OUT=12, EMBEDDING=1)
_LM_TYPES |= dict(LAYER_NORM_SCALE=25, WEIGHT=36)
TABLE = {
    "criteo1tb": (539_267_457, 17, _DLRM_TYPES),
    "criteo1tb_layernorm": (539_275_137, 33, {**_DLRM_TYPES, "LAYER_NORM_SCALE": 8, "LAYER_NORM_BIAS": 8}),
    "criteo1tb_embed_init": (539_267_457, 17, _DLRM_TYPES),
    "criteo1tb_resnet": (538_121_473, 17, _DLRM_TYPES),
    "fastmri": (7_756_097, 24, _UNET_TYPES),
    "fastmri_tanh": (7_756_097, 24, _UNET_TYPES),
    "fastmri_layernorm": (7_761_985, 60, {**_UNET_TYPES, "LAYER_NORM_SCALE": 18, "LAYER_NORM_BIAS": 18}),
    "fastmri_model_size": (7_692_929, 19, dict(CONV_WEIGHT=18, BIAS=1)),
    "imagenet_resnet": (25_557_032, 161, _RESNET_TYPES),
    "imagenet_resnet_silu": (25_557_032, 161, _RESNET_TYPES),
    "imagenet_resnet_gelu": (25_557_032, 161, _RESNET_TYPES),
    "imagenet_resnet_large_bn_init": (25_557_032, 161, _RESNET_TYPES),
    "imagenet_vit": (22_122_472, 200, _VIT_TYPES),
    "imagenet_vit_glu": (50_452_456, 224, {**_VIT_TYPES, "WEIGHT": 38, "BIAS": 39}),
    "imagenet_vit_post_ln": (22_121_704, 198, {**_VIT_TYPES, "LAYER_NORM_SCALE": 24, "LAYER_NORM_BIAS": 24}),
    "imagenet_vit_map": (23_896_552, 215, collections.Counter(_VIT_TYPES) + collections.Counter(_POOL_TYPES)),
    "finewebedu_lm": (252_815_372, 110, _LM_TYPES),
    "librispeech_conformer": (32_321_792, 154, _CONFORMER_TYPES),
    "librispeech_conformer_attention_temperature": (32_321_792, 154, _CONFORMER_TYPES),
    "librispeech_conformer_gelu": (32_321_792, 154, _CONFORMER_TYPES),
    "librispeech_conformer_layernorm": (
        *(32_317_696, 146),
        {**_CONFORMER_TYPES, "LAYER_NORM_SCALE": 17, "LAYER_NORM_BIAS": 17},
    ),
    "librispeech_deepspeech": (18_381_312, 70, _DEEPSPEECH_TYPES),
    "librispeech_deepspeech_tanh": (18_381_312, 70, _DEEPSPEECH_TYPES),
    "librispeech_deepspeech_no_resnet": (18_381_312, 70, _DEEPSPEECH_TYPES),
    "librispeech_deepspeech_norm_and_spec_aug": (
        *(18_380_288, 68),
        dict(CONV_WEIGHT=2, WEIGHT=29, BIAS=19, LAYER_NORM_SCALE=9, LAYER_NORM_BIAS=9),
    ),
    "ogbg": (3_554_176, 66, _OGBG_TYPES),
    "ogbg_gelu": (3_554_176, 66, _OGBG_TYPES),
    "ogbg_silu": (3_554_176, 66, _OGBG_TYPES),
    "ogbg_model_size": (
        *(2_571_648, 78),
        dict(EMBEDDING=2, WEIGHT=19, BIAS=21, LAYER_NORM_SCALE=18, LAYER_NORM_BIAS=18),
    ),
    "wmt": (133_521_408, 185, _WMT_TYPES),
    "wmt_post_ln": (133_517_312, 181, {**_WMT_TYPES, "LAYER_NORM_SCALE": 30, "LAYER_NORM_BIAS": 30}),
    "wmt_attention_temp": (133_521_408, 185, _WMT_TYPES),
    "wmt_glu_tanh": (146_116_608, 209, {**_WMT_TYPES, "WEIGHT": 36, "BIAS": 36}),
}
# The others start like one of these, but for one value that has its own test.
INITIALISED = [
    *("criteo1tb", "criteo1tb_layernorm", "criteo1tb_resnet"),
    *("fastmri", "fastmri_layernorm", "imagenet_resnet", "imagenet_vit_glu", "imagenet_vit_map"),
    *("librispeech_conformer", "librispeech_deepspeech"),
    *("ogbg", "ogbg_model_size", "wmt_glu_tanh"),
]
# The reference's numbers are of this many rows; further blocks start like the first of their kind.
FEWER_ROWS_OR_LAYERS = {
    "criteo1tb": dict(vocab_size=65_536),
    "imagenet_resnet": dict(stage_sizes=(2, 1, 1, 1)),
    "imagenet_vit": dict(depth=1),
    "librispeech_conformer": dict(depth=1),
    "librispeech_deepspeech": dict(recurrent_depth=1, feed_forward_depth=1),
    "ogbg": dict(num_message_passing_steps=2),
    "wmt": dict(depth=1, vocab_size=2_000),
}


@functools.cache
def full_model(name, framework):
    return MODELS[framework](load_spec(name))


@pytest.mark.parametrize("framework", PYTORCH_FIRST)
@pytest.mark.parametrize("name", of_bases(TABLE))
def test_counts_and_types(name, framework):
    model = full_model(name, framework)
    types, shapes = model.types(), model.shapes()
    num_parameters, num_tensors, counts = TABLE[name]
    assert sum(int(np.prod(shapes[parameter])) for parameter in types) == num_parameters
    assert len(types) == num_tensors
    assert collections.Counter(types.values()) == {ParameterType[kind]: count for kind, count in counts.items()}
    assert list(shapes)[:num_tensors] == list(types)


@pytest.mark.parametrize("framework", PYTORCH_FIRST)
@pytest.mark.parametrize("name", of_bases(oracle.TREES))
def test_names_and_shapes_are_the_references(name, framework):
    shapes = reference_shapes(load_spec(name), full_model(name, framework).shapes())
    assert {tensor: list(shape) for tensor, shape in shapes.items()} == oracle.TREES[name]


@pytest.mark.parametrize("name", [name for name in TABLE if has_scale(name, "mini")])
def test_the_mini_models_of_the_frameworks_have_the_same_parameters(name):
    jax, pytorch = (model(load_spec(name, "mini")) for model in MODELS.values())
    assert jax.shapes() == pytorch.shapes()
    assert jax.types() == pytorch.types()


@pytest.mark.parametrize("framework", FULL_SIZE)
@pytest.mark.parametrize("name", of_bases(INITIALISED))
def test_initial_values_are_distributed_like_the_references(name, framework):
    spec = replace(load_spec(name), {"model": FEWER_ROWS_OR_LAYERS.get(base_of(name), {})})
    for ours, array in MODELS[framework](spec).initial(seed=0).items():
        assert array.dtype == np.float32
        if ours.endswith(".running_mean"):
            assert np.all(array == 0), ours
        elif ours.endswith(".running_var"):
            assert np.all(array == 1), ours
        else:
            assert_same_distribution(ours, array, *oracle.INIT_STATS[name][pieces(spec, ours)[0].name])


def assert_same_distribution(name, array, mean, std, least, greatest):
    """Whether an array may come from the distribution of which another array of its size has these statistics."""
    if least == greatest and array.size > 1:
        assert np.all(array == mean), name
        return
    five_standard_errors = 5 * std * np.sqrt(2 / array.size)
    assert array.mean() == pytest.approx(mean, abs=five_standard_errors or 3), name
    assert array.std() == pytest.approx(std, abs=five_standard_errors), name
    if array.size > 3_000:
        # Uniform and cut-off normal distributions end at a certain value; the tails of a normal one vary.
        bounded = greatest - mean < 2.5 * std
        tolerance = 0.02 * std if bounded else 2 * std
        assert array.min() == pytest.approx(least, abs=tolerance), name
        assert array.max() == pytest.approx(greatest, abs=tolerance), name


@pytest.mark.landing(LANDING)
@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize(("name", "value"), [("imagenet_resnet", 0.0), ("imagenet_resnet_large_bn_init", 8.0)])
def test_the_last_scale_of_each_block_starts_at_the_variants_value(name, value, framework):
    tiny = {"model": dict(stage_sizes=(1, 1, 1, 1), width=1, num_classes=1)}
    initial = MODELS[framework](replace(load_spec(name), tiny)).initial(seed=0)
    scales = {name: array for name, array in initial.items() if "bn" in name and name.endswith(".weight")}
    assert len(scales) == 17
    for scale, array in scales.items():
        assert np.all(array == (value if scale.endswith(".bn3.weight") else 1.0)), scale


@pytest.mark.parametrize("framework", PYTORCH_FIRST)
def test_the_table_of_embed_init_is_uniform_in_0_1(framework):
    spec = replace(small_spec("criteo1tb_embed_init"), {"model": {"vocab_size": 1_024}})
    table = MODELS[framework](spec).initial(seed=0)["embedding.weight"]
    assert_same_distribution("table", table, mean=0.5, std=12**-0.5, least=0.0, greatest=1.0)


@pytest.mark.landing(LANDING)
@pytest.mark.parametrize("name", of_bases(TABLE))
def test_weights_travel_between_the_frameworks_unchanged(name):
    spec = small_spec(name)
    start = MODELS["pytorch"](spec).initial(seed=1)
    for framework in ("jax", "pytorch"):
        arrived = MODELS[framework](spec).round_trip(start)
        assert set(arrived) == set(start)
        for parameter, array in start.items():
            np.testing.assert_array_equal(arrived[parameter], array, err_msg=parameter)
