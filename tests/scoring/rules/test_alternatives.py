"""Scores under other rules: by hand, and of the published leaderboard."""

import dataclasses
import math

import numpy as np
import pytest

from scoring.rules.alternatives import AS_SCORED, BY_STEPS, NO_HELD_OUT, NO_LIMIT, TAU_MAX, alternatives
from scoring.rules.score import score_trials
from tests.support.scoring_logs import PUBLISHED, SMALL, V05, trial


def found(trials, protocol):
    scores = score_trials(trials, protocol, "as-documented")
    return scores, {way.name: way for way in alternatives(scores)}


def test_one_of_them_is_the_score_itself():
    scores, ways = found(PUBLISHED, V05)
    assert ways[AS_SCORED].scores == pytest.approx([standing.score for standing in scores.standings])
    assert ways["tau_max 4"].scores == ways[AS_SCORED].scores
    assert ways[AS_SCORED].ranks == tuple(standing.rank for standing in scores.standings)


def test_without_the_4x_rule_a_slow_held_out_takes_nothing_away():
    """b is five times slower on the held-out workload of fastmri, and as fast on the others."""
    times = {"a": (100.0, 100.0, 100.0), "b": (100.0, 100.0, 500.0)}
    names = (*SMALL.workloads, *SMALL.held_out)
    trials = [trial(who, 0, name, 1, time) for who, of in times.items() for name, time in zip(names, of, strict=True)]
    scores, ways = found(trials, SMALL)
    assert [standing.score for standing in scores.standings] == [1, 0.5]
    for name in (NO_LIMIT, NO_HELD_OUT, "tau_max 5"):
        assert ways[name].scores == (1, 1)
        assert ways[name].ranks == (1, 1)


def test_by_steps_and_where_a_limit_lies():
    protocol = dataclasses.replace(SMALL, workloads=("wmt",), held_out=())
    trials = [trial("a", 0, "wmt", 1, 100.0, step=200), trial("b", 0, "wmt", 1, 150.0, step=100)]
    _, ways = found(trials, protocol)
    assert ways[AS_SCORED].ranks == (1, 2)
    assert ways[BY_STEPS].ranks == (2, 1)
    assert ways[BY_STEPS].scores == pytest.approx((2 / 3, 1))
    assert ways["tau_max 2"].scores == pytest.approx((1, 0.5))
    assert ways["tau_max 1.35"].scores == (1, 0)


def test_steps_that_are_none_have_no_score_by_steps():
    scores, ways = found(PUBLISHED, V05)
    names = [standing.submission for standing in scores.standings]
    without = {name for name, score in zip(names, ways[BY_STEPS].scores, strict=True) if math.isnan(score)}
    assert without == {"lawa_ema", "lawa_queue"}
    assert {rank for name, rank in zip(names, ways[BY_STEPS].ranks, strict=True) if name in without} == {0}


def test_the_further_the_profile_goes_the_higher_is_a_score_without_other_rules():
    protocol = dataclasses.replace(V05, held_out=())
    _, ways = found([t for t in PUBLISHED if t.workload in protocol.workloads], protocol)
    heights = np.array([ways[f"tau_max {limit:g}"].scores for limit in TAU_MAX])
    assert (np.diff(heights, axis=0) >= -1e-12).all()
