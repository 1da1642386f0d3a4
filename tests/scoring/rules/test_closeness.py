"""How near a miss was, in both directions of a metric, over studies of several trials."""

import math

import pytest

from algoperf.benchmark.facts import Target
from scoring.logs.curves import Curve
from scoring.logs.trials import Trial
from scoring.rules.closeness import best, closest, shortfall
from scoring.rules.studies import studies

WER, ACCURACY = Target("wer", 0.1, None, "min"), Target("accuracy", 0.8, None, "max")


def trial(study: int, number: int, values: list[float], hit: float = math.inf, steps: tuple[float, ...] = ()) -> Trial:
    curve = Curve([10.0 * k for k in range(1, 1 + len(values))], steps, values)
    hits = {} if math.isinf(hit) else dict(hit_time=hit, hit_row=0, hit_row_time=hit)
    return Trial("a", f"study_{study}", "wmt", "jax", f"trial_{number}", "", len(values), **hits, curve=curve)


def test_the_best_of_a_trial_is_its_nearest_and_first_such_evaluation():
    found = best(trial(0, 1, [0.5, 0.2, math.nan, 0.2, 0.4], steps=(1, 2, 3, 4, 5)), WER)
    assert (found.value, found.seconds, found.step) == (0.2, 20.0, 2)
    assert best(trial(0, 1, [0.5, math.inf, 0.7]), ACCURACY).value == 0.7
    assert math.isnan(best(trial(0, 1, [0.5]), WER).step)
    assert best(trial(0, 1, [math.nan]), WER) is None


def test_the_sign_of_a_shortfall():
    assert shortfall(0.12, WER) == pytest.approx(0.02)
    assert shortfall(0.78, ACCURACY) == pytest.approx(0.02)
    assert shortfall(0.8, ACCURACY) == 0
    assert shortfall(0.09, WER) < 0


def test_a_cell_comes_as_near_as_the_median_of_its_studies_best_trials():
    of_cell = studies(
        [
            trial(0, 1, [0.5]),
            trial(0, 2, [0.13]),
            trial(1, 1, [0.12, 0.3]),
            trial(2, 1, [0.09], hit=10.0),
            trial(2, 2, [0.2]),
        ],
        "as-documented",
    )["a", "wmt"]
    found = closest(of_cell, WER)
    assert found.gap == pytest.approx(0.02)
    assert found.share == pytest.approx(0.2)
    assert (found.best.value, found.trial.study) == (0.09, "study_2")
    assert (found.studies_reached, found.studies, found.trials_reached, found.trials) == (1, 3, 1, 5)


def test_times_alone_tell_nothing():
    (of_cell,) = studies([Trial("a", "s", "wmt", "jax", "trial_1", "", 9, 5.0, 0, 5.0)], "as-documented").values()
    assert closest(of_cell, WER) is None
    assert closest((), WER) is None
