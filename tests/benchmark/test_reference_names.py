"""Weights under the reference's names: plain, joined, split, or added up; and what is refused."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from algoperf.benchmark import reference_names
from algoperf.benchmark.facts import Rows, Sum, UsageError
from algoperf.benchmark.registry import load_spec


def spec_of(tables, parts):
    """A model with an embedding that the reference has as `tables`, and layers that are `parts` of one of its own."""
    names = {
        "encoder": "enc",
        "encoder.norm": "ln",
        "embedding": tuple(f"tables.{i}" for i in range(tables)),
        **{f"layers.{i}": Rows("in_proj", part=i, parts=parts) for i in range(parts)},
    }
    return dataclasses.replace(load_spec("wmt"), reference_names=names)


def shapes_of(tables, parts, rows=2):
    """`rows` of each table and of each part."""
    return {
        "head.weight": (3, 2),
        "encoder.weight": (2, 2),
        "encoder.norm.weight": (2,),
        "encoder.norm.running_mean": (2,),
        "encoder.norm.running_var": (2,),
        "embedding.weight": (tables * rows, 4),
        **{f"layers.{i}.weight": (rows, 3) for i in range(parts)},
    }


SPEC, SHAPES = spec_of(tables=2, parts=3), shapes_of(tables=2, parts=3)


def random_arrays(shapes):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_a_name_is_that_of_the_innermost_module_that_the_spec_names():
    assert reference_names.reference_shapes(SPEC, SHAPES) == {
        "head.weight": (3, 2),
        "enc.weight": (2, 2),
        "ln.weight": (2,),
        "ln.running_mean": (2,),
        "ln.running_var": (2,),
        "tables.0.weight": (2, 4),
        "tables.1.weight": (2, 4),
        "in_proj.weight": (6, 3),
    }


def test_several_tensors_are_joined_and_one_is_split_along_the_first_axis():
    tensors = random_arrays(reference_names.reference_shapes(SPEC, SHAPES))
    found = reference_names.from_reference(SPEC, SHAPES, tensors)
    np.testing.assert_array_equal(found["embedding.weight"][:2], tensors["tables.0.weight"])
    np.testing.assert_array_equal(found["embedding.weight"][2:], tensors["tables.1.weight"])
    for part in range(3):
        np.testing.assert_array_equal(
            found[f"layers.{part}.weight"], tensors["in_proj.weight"][2 * part : 2 * part + 2]
        )
    np.testing.assert_array_equal(found["encoder.norm.weight"], tensors["ln.weight"])


@hypothesis.given(tables=strategies.integers(1, 5), parts=strategies.integers(1, 5), rows=strategies.integers(1, 4))
def test_there_and_back_is_where_it_was(tables, parts, rows):
    spec, shapes = spec_of(tables, parts), shapes_of(tables, parts, rows)
    arrays = random_arrays(shapes)
    tensors = reference_names.to_reference(spec, arrays)
    assert {name: tensor.shape for name, tensor in tensors.items()} == reference_names.reference_shapes(spec, shapes)
    found = reference_names.from_reference(spec, shapes, tensors)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_statistics_may_be_left_out_together_but_not_one_of_them():
    tensors = random_arrays(reference_names.reference_shapes(SPEC, SHAPES))
    without = {name: tensor for name, tensor in tensors.items() if ".running_" not in name}
    assert reference_names.from_reference(SPEC, SHAPES, without).keys() == SHAPES.keys() - {
        "encoder.norm.running_mean",
        "encoder.norm.running_var",
    }
    with pytest.raises(UsageError, match=r"^wmt needs the tensor 'ln\.running_var', which is missing\.$"):
        reference_names.from_reference(SPEC, SHAPES, {**without, "ln.running_mean": tensors["ln.running_mean"]})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"in_proj.weight": None}, r"wmt needs the tensor 'in_proj\.weight', which is missing\."),
        (
            {"in_proj.weight": np.zeros((4, 3))},
            r"the tensor 'in_proj\.weight' of wmt has shape \(4, 3\); it must have \(6, 3\)\.",
        ),
        ({"tables.2.weight": np.zeros((2, 4))}, r"wmt has no tensor 'tables\.2\.weight'\."),
    ],
)
def test_a_missing_a_misshapen_and_an_extra_tensor_are_refused_by_name(changed, sentence):
    tensors = {**random_arrays(reference_names.reference_shapes(SPEC, SHAPES)), **changed}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    with pytest.raises(UsageError, match=f"^{sentence}$"):
        reference_names.from_reference(SPEC, SHAPES, tensors)


def test_the_counters_that_pytorch_keeps_are_passed_over():
    tensors = random_arrays(reference_names.reference_shapes(SPEC, SHAPES))
    found = reference_names.from_reference(SPEC, SHAPES, {**tensors, "ln.num_batches_tracked": np.int64(7)})
    assert found.keys() == SHAPES.keys()


# The reference adds up two biases where we have one; the second layer is not part of a smaller model.
SUMS = {f"lstm.{i}.bias": Sum((f"rnn.{i}.bias_ih", f"rnn.{i}.bias_hh")) for i in range(2)}


@pytest.mark.parametrize("depth", [1, 2])
def test_what_the_reference_adds_up_arrives_as_the_sum_and_leaves_in_the_first(depth):
    spec = dataclasses.replace(load_spec("librispeech_deepspeech"), reference_names=SUMS)
    shapes = {f"lstm.{i}.bias": (4,) for i in range(depth)}
    tensors = random_arrays(reference_names.reference_shapes(spec, shapes))
    assert set(tensors) == {f"rnn.{i}.bias_{way}" for i in range(depth) for way in ("ih", "hh")}
    given = {name: tensor.copy() for name, tensor in tensors.items()}
    found = reference_names.from_reference(spec, shapes, tensors)
    for i in range(depth):
        both = given[f"rnn.{i}.bias_ih"] + given[f"rnn.{i}.bias_hh"]
        np.testing.assert_array_equal(found[f"lstm.{i}.bias"], both)
        out = reference_names.to_reference(spec, found)
        np.testing.assert_array_equal(out[f"rnn.{i}.bias_ih"], both)
        np.testing.assert_array_equal(out[f"rnn.{i}.bias_hh"], np.zeros(4))
    for name, tensor in tensors.items():  # they are the caller's
        np.testing.assert_array_equal(tensor, given[name])


@pytest.mark.parametrize("missing", ["bias_ih", "bias_hh"])
def test_each_part_of_a_sum_has_to_be_there(missing):
    spec = dataclasses.replace(
        load_spec("librispeech_deepspeech"), reference_names={"lstm.0.bias": SUMS["lstm.0.bias"]}
    )
    tensors = random_arrays({"rnn.0.bias_ih": (4,), "rnn.0.bias_hh": (4,)})
    del tensors[f"rnn.0.{missing}"]
    with pytest.raises(UsageError, match=rf"needs the tensor 'rnn\.0\.{missing}', which is missing"):
        reference_names.from_reference(spec, {"lstm.0.bias": (4,)}, tensors)
