"""How often the intervals cover a truth that is known: a simulation, of which benchmarks/coverage.py runs more."""

import numpy as np
import pytest

from algoperf.benchmark.protocol import load_protocol
from benchmarks.coverage import World, coverage, coverage_of_one_study, scores
from scoring.certainty.posterior import draw_medians
from scoring.rules.score import median

LEADERBOARDS = 50  # of ten submissions: 500 intervals, whose coverage is known to about 1.5 %


@pytest.mark.parametrize("tails", ["light", "heavy"])
def test_95_percent_of_three_studies_are_95_percent(tails: str):
    """And those of draws of whole studies, which we once gave, are not."""
    found = coverage(load_protocol("v0.6-a100"), 3, tails, LEADERBOARDS, seed=1)
    assert 0.92 <= found["posterior"] <= 0.985
    assert found["whole studies"] < 0.9
    assert found["whole studies"] < found["studies by workload"] < found["posterior"]
    assert found["again"] < found["posterior"]


def test_95_percent_of_five_studies_with_held_outs():
    assert 0.92 <= coverage(load_protocol("v0.5"), 5, "light", 30, seed=2)["posterior"] <= 0.985


def test_one_study_beside_three_of_its_rivals_is_covered_too():
    assert coverage_of_one_study(load_protocol("v0.6-a100"), 3, "light", 120, seed=3) >= 0.9


@pytest.mark.parametrize("tails", ["light", "heavy"])
def test_the_truth_of_a_world_is_what_many_studies_give(tails: str):
    protocol = load_protocol("v0.6")
    generator = np.random.default_rng(4)
    world = World.drawn(generator, protocol, tails)
    many = median(world.times(generator, 20_000), axis=1)
    np.testing.assert_allclose(scores(many, protocol), scores(world.medians(), protocol), atol=0.02)


def test_with_many_studies_the_posterior_is_what_they_give():
    generator = np.random.default_rng(5)
    times = World.drawn(generator, load_protocol("v0.6"), "light").times(generator, 4_000)
    drawn = draw_medians(times, 50, generator)
    observed = median(times, axis=1)
    sure = np.abs(np.isfinite(times).mean(axis=1) - 0.5) > 0.1
    assert (np.isfinite(drawn) == np.isfinite(observed))[:, sure].all()
    reached = sure & np.isfinite(observed)
    np.testing.assert_allclose(
        drawn[:, reached], np.broadcast_to(observed[reached], drawn[:, reached].shape), rtol=0.05
    )
