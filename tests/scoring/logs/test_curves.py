"""Curves in few bytes: what a page reads back, and what thinning keeps."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.logs.curves import MAX_POINTS, Curve, Scale, encoded, thinned

NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf, -math.inf])


def decoded(differences: list[int | None], unit: float) -> list[float]:
    """As `column` in curves.js does it."""
    sums = itertools.accumulate(0 if difference is None else difference for difference in differences)
    return [math.nan if d is None else total * unit for d, total in zip(differences, sums, strict=True)]


@given(times=st.lists(NUMBERS, max_size=30), budget=st.floats(1e-3, 1e6), target=st.floats(-1e6, 1e6))
def test_what_is_encoded_reads_back_within_half_a_unit(times: list[float], budget: float, target: float):
    scale = Scale.of(budget, target)
    code = json.loads(json.dumps(encoded(Curve(times, (), times), scale), allow_nan=False))
    for name, unit in (("t", scale.second), ("v", scale.value)):
        for was, now in zip(times, decoded(code[name], unit), strict=True):
            if abs(was / unit) < 2**53:
                assert now == pytest.approx(was, abs=0.51 * unit, rel=1e-9)
            else:
                assert math.isnan(now)
    assert code["n"] == []


@given(count=st.integers(0, 300), keep=st.none() | st.integers(0, 299))
def test_thinning_keeps_the_ends_and_the_hit(count: int, keep: int | None):
    numbers = [float(row) for row in range(count)]
    keep = keep if keep is not None and keep < count else None
    kept = thinned(Curve(numbers, [], numbers), keep)
    assert len(kept.times) <= MAX_POINTS + 1
    assert len(kept.times) == len(kept.values)
    assert len(kept.steps) == 0
    assert list(kept.times) == sorted(kept.times)
    if count:
        assert {0, count - 1} <= set(kept.times)
    if keep is not None:
        assert keep in kept.times
    if count <= MAX_POINTS:
        assert list(kept.times) == numbers


def test_the_unit_is_fine_enough_for_the_benchmarks_targets():
    criteo = Scale.of(7_703, 0.123735)
    assert criteo.second <= 1
    assert criteo.value <= 1e-5
    assert Scale.of(12.0, 0).second == pytest.approx(1e-4)
    assert Scale.of(20_000, 2.0) == Scale(1.0, pytest.approx(1e-4))  # a part of 20,000, and no finer
