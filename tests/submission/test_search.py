"""The points of a search space, against the official sampler's and by their properties."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.submission.loading import SUBMISSIONS
from algoperf.submission.search import halton, load_point, load_search_space, points
from tests.conftest import REPOSITORY

REFERENCE = json.loads((REPOSITORY / "tests" / "data" / "reference_values.json").read_text())


def test_the_sequence_is_the_official_one_bit_by_bit():
    np.testing.assert_array_equal(halton(5, 6), REFERENCE["halton_raw_seq_5x6_noshuffle"])


def test_the_points_are_the_official_set_bit_by_bit():
    space = load_search_space(SUBMISSIONS / "nadamw" / "search_space.json")
    found = sorted(points(space, 5), key=lambda point: point["learning_rate"])
    assert found == sorted(REFERENCE["halton_first"], key=lambda point: point["learning_rate"])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12))
def test_fewer_points_are_the_first_of_more(few, more, num_dims):
    few, more = sorted((few, more))
    np.testing.assert_array_equal(halton(few, num_dims), halton(more, num_dims)[:few])


@given(
    st.integers(1, 40),
    st.dictionaries(
        st.text(min_size=1),
        st.one_of(
            st.tuples(st.floats(1e-6, 1e3), st.floats(1.0, 1e3), st.sampled_from(["log", "linear"])).map(
                lambda t: {"min": t[0], "max": t[0] * t[1], "scaling": t[2]}
            ),
            st.lists(st.integers(), min_size=1).map(lambda values: {"feasible_points": values}),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_every_value_is_one_that_the_space_allows(num_points, space):
    found = points(space, num_points)
    assert len(found) == num_points
    for point in found:
        assert list(point) == list(space)
        for name, value in point.items():
            dimension = space[name]
            if "feasible_points" in dimension:
                assert value in dimension["feasible_points"]
            else:
                slack = 1e-9 * dimension["max"]
                assert dimension["min"] - slack <= value <= dimension["max"] + slack


def test_a_list_of_points_is_taken_in_order():
    listed = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]
    assert points(listed, 2) == listed[:2]
    assert points(listed, 5) == listed


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("{", "not JSON"),
        ("3", "dictionary of ranges or a list of points"),
        ("{}", "dictionary of ranges or a list of points"),
        ("[]", "each entry must be a point"),
        ('[{"lr": 0.1}, 3]', "each entry must be a point"),
        ('{"lr": 3}', "'lr'"),
        ('{"lr": {"min": 1}}', "'lr'"),
        ('{"lr": {"min": 2, "max": 1}}', "empty range: its min 2 is above its max 1"),
        ('{"lr": {"min": 0, "max": 1, "scaling": "log"}}', "log it must be above 0"),
        ('{"lr": {"max": 1}}', "no 'min'"),
        ('{"lr": {"min": 0, "max": 1, "scaling": "cubic"}}', "'cubic'"),
        ('{"lr": {"min": "a", "max": 1}}', "min 'a', which is not a number"),
        ('{"lr": {"min": 0, "max": true}}', "max True, which is not a number"),
        ('{"lr": {"min": 0, "max": 1, "step": 1}}', "unknown key 'step'; it can have min, max, scaling"),
        ('{"lr": {"feasible_points": []}}', "at least one value"),
        ('{"lr": {"feasible_points": 0.1}}', "at least one value"),
        ('{"lr": {"feasible_points": [1], "min": 0}}', "unknown key 'min'; it can have feasible_points"),
        ('{"lr": {"min": 0, "max": 1}, "lr": {"min": 1, "max": 2}}', "'lr' is in it twice"),
        ('{"lr": {"min": 0, "min": 1, "max": 1}}', "'min' is in it twice"),
        ('{"lr": {"min": NaN, "max": 1}}', "NaN is not a finite number"),
        ('{"lr": {"min": 0, "max": Infinity}}', "Infinity is not a finite number"),
        ('{"lr": {"feasible_points": [1, -Infinity]}}', "-Infinity is not a finite number"),
        ('[{"lr": 1e999}]', "1e999 is not a finite number"),
        ('{"learning rate": {"min": 0, "max": 1}}', "'learning rate', which is not a name"),
        ('[{"lr": 1}, {"lambda": 1}]', "'lambda', which is not a name"),
        ('[{"_lr": 1}]', "'_lr', which may not begin with an underscore"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_malformed_space_is_named(tmp_path, content, names):
    path = tmp_path / "search_space.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=names) as error:
        load_search_space(path)
    assert str(path) in str(error.value)
    assert str(error.value).count("\n") == 0


def test_a_missing_space_is_named(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_search_space(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_search_space(tmp_path)


def test_a_range_of_one_value_is_that_value(tmp_path):
    path = tmp_path / "search_space.json"
    path.write_text('{"lr": {"min": 0.1, "max": 0.1, "scaling": "log"}, "beta": {"min": 2, "max": 2}}')
    assert points(load_search_space(path), 3) == [{"lr": 0.1, "beta": 2}] * 3


def test_one_point_may_be_empty_and_is_checked(tmp_path):
    path = tmp_path / "self_tuning.json"
    for content, point in (("{}", {}), ('{"lr": 0.1, "name": "x"}', {"lr": 0.1, "name": "x"})):
        path.write_text(content)
        assert load_point(path) == point
    for content, names in (("[1]", "dictionary"), ('{"lr": NaN}', "NaN"), ('{"a b": 1}', "'a b'"), ("{", "not JSON")):
        path.write_text(content)
        with pytest.raises(UsageError, match=names):
            load_point(path)


def test_points_from_a_number_on_are_those_of_the_whole_sequence():
    space = {"lr": {"min": 1e-4, "max": 1e-2, "scaling": "log"}, "size": {"feasible_points": [1, 2, 3]}}
    whole = points(space, 15)
    assert [points(space, 5, first) for first in (0, 5, 10)] == [whole[:5], whole[5:10], whole[10:]]
    listed = [{"lr": 0.1}, {"lr": 0.2}]
    assert points(listed, 5, 10) == listed
