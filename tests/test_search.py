"""The points of a search space, against the official sampler's and by their properties."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.search import halton, load_search_space, points
from algoperf.spec import UsageError
from algoperf.submission import SUBMISSIONS

REFERENCE = json.loads((Path(__file__).parent / "data" / "reference_values.json").read_text())


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
        ('{"lr": {"min": 2, "max": 1}}', "min <= max"),
        ('{"lr": {"min": 0, "max": 1, "scaling": "log"}}', "min > 0"),
        ('{"lr": {"min": 0, "max": 1, "scaling": "cubic"}}', "'cubic'"),
        ('{"lr": {"min": "a", "max": 1}}', "numbers"),
        ('{"lr": {"min": 0, "max": 1, "step": 1}}', "'lr'"),
        ('{"lr": {"feasible_points": []}}', "at least one value"),
        ('{"lr": {"feasible_points": [1], "min": 0}}', "only entry"),
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
