"""The workload object of the contract, in both frameworks, with small models and with the reference's weights."""

import importlib.util

import numpy as np
import pytest

from algoperf import load_workload
from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS, LossType, ParameterType, ShapeTuple, Sum, UsageError
from algoperf.benchmark.reference_names import reference_shapes
from tests import oracle
from tests.support.nightly import FULL_SIZE, of_bases, pytorch_first, some_first
from tests.support.small_models import NAMES, small_batch, small_spec, small_tensors

OFFICIAL = {
    "target_metric_name",
    "validation_target_value",
    "test_target_value",
    "loss_type",
    "step_hint",
    "max_allowed_runtime_sec",
    "eval_period_time_sec",
    "eval_batch_size",
    "num_train_examples",
    "num_eval_train_examples",
    "num_validation_examples",
    "num_test_examples",
    "param_shapes",
    "model_params_types",
    "metrics_logger",
    "name",
}


@pytest.fixture(scope="module", params=of_bases(NAMES))
def name(request):
    return request.param


@pytest.fixture(scope="module", params=FRAMEWORKS)
def small(request, name):
    framework = request.param
    return load_workload(name, framework, model=small_spec(name).model)


@pytest.fixture(scope="module")
def tensors(small):
    """Random tensors under the reference's names."""
    rng = np.random.default_rng(0)
    shapes = reference_shapes(small.spec, small.canonical_shapes())
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def leaves(tree):
    return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]


def test_the_official_attributes_are_there(small):
    empty = {name for name in OFFICIAL if getattr(small, name) is None}
    # The language model has no test split.
    assert empty == {"metrics_logger"} | ({"test_target_value"} if small.num_test_examples == 0 else set())
    assert isinstance(small.loss_type, LossType)
    assert all(isinstance(shape, ShapeTuple) for shape in leaves(small.param_shapes))
    assert all(isinstance(kind, ParameterType) for kind in leaves(small.model_params_types))


def tree_of(params):
    return params if isinstance(params, dict) else dict(params.named_parameters())


def structure(tree):
    return {key: structure(value) if isinstance(value, dict) else None for key, value in tree.items()}


def test_shapes_and_types_have_the_structure_of_the_parameters(small, tensors):
    tree = tree_of(small.from_reference(tensors)[0])
    assert structure(small.param_shapes) == structure(small.model_params_types) == structure(tree)
    assert [shape.shape_tuple for shape in leaves(small.param_shapes)] == [tuple(leaf.shape) for leaf in leaves(tree)]


@pytest.mark.parametrize("framework", pytorch_first("initial weights in JAX under the reference's names"))
@pytest.mark.parametrize("name", ["criteo1tb", "imagenet_resnet"])
def test_initialisation_gives_what_the_references_weights_give(name, framework):
    workload = load_workload(name, framework, model=small_spec(name).model)
    initial = workload.init_model_fn(load_backend(framework).prng_key(0))
    loaded = workload.from_reference(workload.to_reference(*initial))
    assert structure(tree_of(initial[0])) == structure(tree_of(loaded[0]))
    assert (initial[1] is None) == (loaded[1] is None)
    for before, after in zip(*(leaves(tree_of(params)) for params, _ in (initial, loaded)), strict=True):
        assert (before == after).all()


def test_one_layer_is_the_output(small):
    """A table of tokens, which scores them at the end, has no bias."""
    layer = small.spec.output_layer
    of_layer = {name for name in small.canonical_shapes() if small.is_output_params(name)}
    assert of_layer == {f"{layer}.weight"} | (set() if layer.endswith("embedding") else {f"{layer}.bias"})
    assert small.is_output_params(layer)
    assert small.is_output_params(f"{layer}/kernel")
    assert not small.is_output_params(f"{layer}2.weight")


def test_weights_go_in_and_out_under_the_references_names(small, tensors):
    """Of tensors that the reference only ever adds up, the first comes out as the sum."""
    expected = dict(tensors)
    for added in small.spec.reference_names.values():
        if isinstance(added, Sum) and added.names[0] in expected:
            first, *others = added.names
            expected[first] = sum(expected[name] for name in added.names)
            expected |= {name: np.zeros_like(expected[name]) for name in others}
    found = small.to_reference(*small.from_reference(tensors))
    assert set(found) == set(tensors)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_running_statistics_may_be_left_out_as_a_whole(small, tensors):
    without = {name: tensor for name, tensor in tensors.items() if ".running_" not in name}
    found = small.to_reference(*small.from_reference(without))
    assert set(found) == set(tensors)
    for name, tensor in found.items():
        if name.endswith(".running_mean"):
            assert not tensor.any()
        elif name.endswith(".running_var"):
            assert (tensor == 1).all()


def test_pytorchs_counters_are_passed_over(small, tensors):
    small.from_reference({**tensors, "bn1.num_batches_tracked": np.int64(3)})


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(small, tensors):
    first = next(iter(tensors))
    with pytest.raises(UsageError, match=f"{first}.*missing"):
        small.from_reference({name: tensor for name, tensor in tensors.items() if name != first})
    with pytest.raises(UsageError, match="'surplus'"):
        small.from_reference({**tensors, "surplus": np.zeros(1)})
    with pytest.raises(UsageError, match=f"{first}.*shape"):
        small.from_reference({**tensors, first: tensors[first][..., :-1]})


# The larger ones are compared with the reference in their own tests.
ORACLE_BATCHES = {
    "criteo1tb": lambda numbers: oracle.criteo_batch(numbers["batch_size"]),
    "fastmri": lambda numbers: oracle.fastmri_batch(numbers["batch_size"], numbers["size"]),
    "imagenet_resnet": lambda numbers: oracle.imagenet_batch(numbers["batch_size"]),
    "imagenet_vit": lambda numbers: oracle.imagenet_batch(numbers["batch_size"]),
    "ogbg": lambda numbers: oracle.ogbg_batch(numbers["batch_size"]),
}


@pytest.mark.parametrize("framework", FULL_SIZE)
@pytest.mark.parametrize("name", ORACLE_BATCHES)
def test_the_references_weights_give_its_numbers_and_come_out_again(name, framework):
    workload = load_workload(name, framework, model={"vocab_size": 65_536} if name == "criteo1tb" else {})
    weights = oracle.weights(name)
    params, state = workload.from_reference(weights)
    rng, batch = load_backend(framework).prng_key(0), ORACLE_BATCHES[name](oracle.numbers(name))
    logits = workload.forward_for_evaluation(params, batch, state, rng, frozenset({"logits"}))["logits"]
    expected = oracle.arrays(name)["eval/logits"]
    kept = logits.reshape(-1)[:: -(-logits.size // expected.size)].reshape(expected.shape)
    assert np.linalg.norm(kept - expected) < 1e-5 * np.linalg.norm(expected)
    found = workload.to_reference(params, state)
    for tensor, array in weights.items():
        np.testing.assert_array_equal(found[tensor], array, err_msg=tensor)


# What metrics may ask for of models of each kind.
ASKED = {
    "criteo1tb": {"logits"},
    "finewebedu_lm": set(),
    "imagenet_vit": {"logits", "predictions"},
    "librispeech_conformer": {"predictions"},
    "librispeech_deepspeech": {"predictions"},
    "ogbg": {"logits", "predictions"},
    "wmt": {"logits", "predictions", "translations"},
}


@pytest.mark.parametrize("name", some_first(ASKED, ("criteo1tb", "imagenet_vit"), "evaluations by both frameworks"))
def test_the_frameworks_evaluate_a_batch_alike(name):
    spec, batch = small_spec(name), small_batch(name)
    batch.setdefault("weights", np.float32([1, 0, 1]))
    outputs = {}
    for framework in FRAMEWORKS:
        workload = load_workload(name, framework, model=spec.model)
        params, state = workload.from_canonical(small_tensors(name))
        rng = load_backend(framework).prng_key(0)
        outputs[framework] = workload.forward_for_evaluation(params, batch, state, rng, frozenset(ASKED[name]))
    jax, pytorch = outputs["jax"], outputs["pytorch"]
    assert set(jax) == set(pytorch) == ASKED[name] | {"per_example", "n_valid_examples"}
    assert pytorch["n_valid_examples"] == jax["n_valid_examples"]
    for output in ASKED[name] & {"predictions", "translations"}:
        np.testing.assert_array_equal(pytorch[output], jax[output])
    for output in ({"logits"} & ASKED[name]) | {"per_example"}:
        np.testing.assert_allclose(pytorch[output], jax[output], rtol=1e-4, atol=1e-4)


def test_what_is_unknown_is_named(monkeypatch):
    with pytest.raises(UsageError, match="'tensorflow'"):
        load_workload("criteo1tb", "tensorflow")
    with pytest.raises(UsageError, match=r"'vocab'.*vocab_size"):
        load_workload("criteo1tb", "jax", model={"vocab": 1})
    with pytest.raises(UsageError, match=r"no budget in protocol 'v0\.9'"):
        load_workload("criteo1tb", "jax", protocol="v0.9")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="no model in jax yet"):
        load_workload("wmt", "jax")


def test_model_values_replace_the_specs():
    workload = load_workload("criteo1tb", "pytorch", model={"vocab_size": 65_536})
    assert sum(np.prod(shape) for shape in workload.canonical_shapes().values()) == 10_785_153
    assert workload.step_hint == 10_666
    assert load_workload("imagenet_resnet", "pytorch", protocol="v0.5").step_hint == 186_666
