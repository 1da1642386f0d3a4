"""Hours and shares, of logs that say all, a part, or nothing."""

import math

import pytest

from scoring.logs.curves import Curve
from scoring.logs.record import Record
from scoring.logs.trials import Trial
from scoring.rules.cost import cost, test_time
from scoring.rules.studies import studies

test_time.__test__ = False  # a function of the scores, whose name pytest would take for a test


def trial(study: int, **facts) -> Trial:
    curve = Curve([1_800.0, 3_600.0], [500.0, 1_000.0], [0.5, 0.4])
    return Trial("a", f"study_{study}", "wmt", "jax", "trial_1", "", 2, curve=curve, end_time=3_600.0, **facts)


def test_hours_shares_and_seconds_a_step():
    eight = Record(hardware="8 x Tesla V100-SXM2-16GB")
    found = cost(
        [
            trial(0, total_time=7_200.0, eval_time=1_800.0, record=eight),
            trial(1, total_time=3_600.0, eval_time=900.0),
            trial(2),
        ]
    )
    assert (found.trials, found.charged, found.timed, found.wall) == (3, 3.0, 2, 3.0)
    assert found.eval_share == pytest.approx(0.25)
    assert found.accelerator == 16.0  # of the one that says what it ran on
    assert found.step == pytest.approx(3.6)


def test_what_is_not_logged_is_not_none():
    found = cost([trial(0)])
    assert [math.isnan(part) for part in (found.wall, found.eval_share, found.accelerator)] == [True] * 3
    assert math.isnan(cost([]).charged)


def test_the_target_on_test_counts_as_the_one_on_validation_does():
    members = [trial(0, test_time=30.0), trial(1, test_time=math.inf), trial(2, test_time=10.0), trial(3)]
    assert test_time(studies(members, "as-documented")["a", "wmt"]) == 30.0
    assert math.isinf(test_time(studies([trial(0, test_time=math.inf)], "as-documented")["a", "wmt"]))
    assert math.isnan(test_time(studies([trial(0)], "as-documented")["a", "wmt"]))
