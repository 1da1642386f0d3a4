"""What processes have in common is written once, and each gets all of its own again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from algoperf.records import shares
from tests.records.test_checkpoint import same

_ARRAYS = st_numpy.arrays(st.sampled_from(["float32", "int64", "bool"]), st_numpy.array_shapes(min_dims=0, max_side=2))
_TREES = st.recursive(
    st.one_of(st.integers(), st.text(), _ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", "b", 1]), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(own=_TREES, first=_TREES)
def test_what_is_left_out_comes_back_from_the_firsts(own, first):
    own = {"own": own, "common": first}
    first = {"own": 0, "common": first}
    without = shares.without(own, shares.digests(first))
    assert same(shares.together(without, first), own)


def test_only_what_is_equal_at_the_same_place_is_left_out():
    big = np.arange(1_000.0)
    first = {"a": big, "b": [np.zeros(2), np.float32(1) * np.ones(())]}
    own = {"a": big.copy(), "b": [np.zeros(2, np.int64), big]}
    without = shares.without(own, shares.digests(first))
    assert not isinstance(without["a"], np.ndarray)
    assert isinstance(without["b"][0], np.ndarray)
    assert isinstance(without["b"][1], np.ndarray)
    assert shares.digests({}).shape == (0, 4)
