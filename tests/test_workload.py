"""The workload object of the contract, in both frameworks, at the mini scale and with the reference's weights."""

import numpy as np
import pytest

from algoperf import load_workload
from algoperf.backends import load_backend
from algoperf.evaluate import Evaluator
from algoperf.spec import FRAMEWORKS, LossType, ParameterType, ShapeTuple, UsageError
from tests import oracle

# Every set of parameter names and shapes there is: the other variants of ImageNet have their workload's.
WORKLOADS = ["imagenet_resnet", "criteo1tb", "criteo1tb_layernorm", "criteo1tb_embed_init", "criteo1tb_resnet"]
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


@pytest.fixture(
    scope="module", params=[(name, framework) for name in WORKLOADS for framework in FRAMEWORKS], ids="-".join
)
def mini(request):
    name, framework = request.param
    return load_workload(name, framework, scale="mini")


@pytest.fixture(scope="module")
def initialised(mini):
    return mini.init_model_fn(load_backend(mini.framework).prng_key(0))


@pytest.fixture(scope="module")
def tensors(mini, initialised):
    """Random tensors under the reference's names."""
    rng = np.random.default_rng(0)
    arrays = mini.to_reference(*initialised)
    return {name: rng.normal(size=array.shape).astype(np.float32) for name, array in arrays.items()}


def leaves(tree):
    return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]


def test_the_official_attributes_are_there(mini):
    assert all(getattr(mini, name) is not None for name in OFFICIAL - {"metrics_logger"})
    assert mini.metrics_logger is None
    assert isinstance(mini.loss_type, LossType)
    assert all(isinstance(shape, ShapeTuple) for shape in leaves(mini.param_shapes))
    assert all(isinstance(kind, ParameterType) for kind in leaves(mini.model_params_types))


def test_shapes_and_types_have_the_structure_of_the_parameters(mini, initialised):
    params, _ = initialised
    tree = params if mini.framework == "jax" else dict(params.named_parameters())

    def structure(tree):
        return {key: structure(value) if isinstance(value, dict) else None for key, value in tree.items()}

    assert structure(mini.param_shapes) == structure(mini.model_params_types) == structure(tree)
    assert [shape.shape_tuple for shape in leaves(mini.param_shapes)] == [tuple(leaf.shape) for leaf in leaves(tree)]


def test_one_layer_is_the_output(mini):
    layer = mini.spec.output_layer
    assert {name for name in mini.canonical_shapes() if mini.is_output_params(name)} == {
        f"{layer}.weight",
        f"{layer}.bias",
    }
    assert mini.is_output_params(layer)
    assert mini.is_output_params(f"{layer}/kernel")
    assert not mini.is_output_params(f"{layer}2.weight")


def test_weights_go_in_and_out_under_the_references_names(mini, tensors):
    found = mini.to_reference(*mini.from_reference(tensors))
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_running_statistics_may_be_left_out_as_a_whole(mini, tensors):
    without = {name: tensor for name, tensor in tensors.items() if ".running_" not in name}
    found = mini.to_reference(*mini.from_reference(without))
    for name, tensor in found.items():
        if name.endswith(".running_mean"):
            assert not tensor.any()
        elif name.endswith(".running_var"):
            assert (tensor == 1).all()
        else:
            np.testing.assert_array_equal(tensor, tensors[name])


def test_pytorchs_counters_are_passed_over(mini, tensors):
    mini.from_reference({**tensors, "bn1.num_batches_tracked": np.int64(3)})


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(mini, tensors):
    first = next(iter(tensors))
    with pytest.raises(UsageError, match=f"{first}.*missing"):
        mini.from_reference({name: tensor for name, tensor in tensors.items() if name != first})
    with pytest.raises(UsageError, match="'surplus'"):
        mini.from_reference({**tensors, "surplus": np.zeros(1)})
    with pytest.raises(UsageError, match=f"{first}.*shape"):
        mini.from_reference({**tensors, first: tensors[first][..., :-1]})


def oracle_batch(name):
    if name == "criteo1tb":
        return oracle.criteo_batch(oracle.numbers(name)["batch_size"])
    return oracle.imagenet_batch(oracle.numbers(name)["batch_size"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("name", "model"), [("criteo1tb", {"vocab_size": 65_536}), ("imagenet_resnet", {})])
def test_the_references_weights_give_its_numbers(name, model, framework):
    workload = load_workload(name, framework, model=model)
    params, state = workload.from_reference(oracle.weights(name))
    batch = oracle_batch(name)
    batch = {"weights": np.ones(len(batch["targets"]), np.float32), **batch}
    rng = load_backend(framework).prng_key(0)
    found = workload.forward_for_evaluation(params, batch, state, rng)
    expected = oracle.arrays(name)
    difference = np.linalg.norm(found["logits"] - expected["eval/logits"])
    assert difference < 1e-5 * np.linalg.norm(expected["eval/logits"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["criteo1tb", "imagenet_resnet"])
def test_an_evaluation_is_the_same_for_every_batch_size(name, framework, data_dir):
    workload, backend = load_workload(name, framework, scale="mini", data_dir=data_dir), load_backend(framework)
    params, state = workload.init_model_fn(backend.prng_key(0))
    sizes = (1_000, 4_096) if name == "criteo1tb" else (500, 700)
    first, second = (Evaluator(workload, backend, size)(params, state, backend.prng_key(1)) for size in sizes)
    assert first.keys() == second.keys()
    assert first["validation/num_examples"] == workload.num_validation_examples
    for key, value in first.items():
        assert second[key] == pytest.approx(value, rel=1e-5), key


def test_what_is_unknown_is_named():
    with pytest.raises(UsageError, match="'tensorflow'"):
        load_workload("criteo1tb", "tensorflow")
    with pytest.raises(UsageError, match=r"'vocab'.*vocab_size"):
        load_workload("criteo1tb", "jax", model={"vocab": 1})
    with pytest.raises(UsageError, match="no model in jax yet"):
        load_workload("wmt", "jax")
    with pytest.raises(UsageError, match=r"no budget in protocol 'v0\.9'"):
        load_workload("criteo1tb", "jax", protocol="v0.9")


def test_model_values_replace_the_specs():
    workload = load_workload("criteo1tb", "pytorch", model={"vocab_size": 65_536})
    assert sum(np.prod(shape) for shape in workload.canonical_shapes().values()) == 10_785_153
    assert workload.step_hint == 10_666
    assert load_workload("imagenet_resnet", "pytorch", protocol="v0.5").step_hint == 186_666
