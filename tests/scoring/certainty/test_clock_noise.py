"""What the clock alone can make of scores: hand-computed where it can be, and what must hold of any logs."""

import dataclasses
import math

import pytest
from hypothesis import given

from algoperf.benchmark.protocol import load_protocol
from scoring.certainty.clock_noise import clock_noise
from scoring.logs.curves import Curve
from scoring.logs.trials import Trial
from scoring.rules.score import score_trials
from tests.support.scoring_logs import SMALL, logs

MINI = load_protocol("mini")
# One workload, so that a score is 1 for the fastest and (4 - ratio) / 3 for another.
ONE = dataclasses.replace(MINI, workloads=("wmt",))


def trial(submission: str, times: list[float], hit: int | None) -> Trial:
    """Evaluated at these charged seconds; `hit`: which of them reached the target."""
    found = {} if hit is None else dict(hit_time=times[hit], hit_row=hit, hit_row_time=times[hit], hit_step=10.0 * hit)
    steps = [10.0 * (row + 1) for row in range(len(times))]
    curve = Curve(times, steps, [1.0] * len(times))
    return Trial(submission, "study_0", "wmt", "jax", "trial_1", "", len(times), **found, curve=curve)


def noise_of(*trials: Trial):
    return clock_noise(trials, score_trials(trials, ONE, "as-documented"))


def even(tick: float) -> list[float]:
    return [tick * (row + 1) for row in range(30)]


def test_a_lead_of_much_more_than_a_tick_is_larger_and_one_of_less_is_not():
    wide = noise_of(trial("a", even(1.0), 9), trial("b", even(1.0), 19))
    assert [(lead.ahead, lead.behind, lead.share, lead.is_larger) for lead in wide.leads] == [("a", "b", 1.0, True)]
    assert wide.sentence == "Larger than the clock's noise: a over b"
    close = noise_of(trial("a", even(1.0), 9), trial("b", even(1.02), 9), trial("c", even(1.0), 25))
    first, second = close.leads
    # The ticks nearly coincide, so that either may be first.
    assert first.share == pytest.approx(0.5 + 10 * 0.02 * 0.9, abs=0.1)
    assert (first.is_larger, second.is_larger) == (False, True)
    assert close.sentence == (
        f"Larger than the clock's noise: b over c. Not larger, with how often ahead: a over b ({first.share:.0%})"
    )


def test_the_noise_is_that_of_the_tick_and_of_the_pace():
    alone = trial("a", even(1.0), 9)
    tick = noise_of(alone, trial("b", even(2.0), 9)).sds["b"]
    # b's ratio to a's 9.5 on the average is 19 +- a tick of 2 over the square root of 12, a's tick on top.
    assert tick == pytest.approx(math.hypot(2 / math.sqrt(12) / 9.5, 19 * (1 / math.sqrt(12)) / 9.5**2) / 3, rel=0.1)
    # The same time in steps that took now 1 s, now 3 s.
    uneven = [0.0]
    for row in range(30):
        uneven.append(uneven[-1] + (1.0 if row % 2 else 3.0))
    assert noise_of(alone, trial("b", uneven[1:], 9)).sds["b"] > 2 * tick
    # One that compiles for long before its first evaluation is no less certain for it.
    late = [time + 5.0 for time in even(1.5)]
    assert noise_of(alone, trial("b", late, 9)).sds["b"] < tick


def test_a_finer_tick_makes_less_noise():
    sds = [noise_of(trial("a", even(10 / n), n - 1), trial("b", even(20 / n), n - 1)).sds["b"] for n in (2, 8, 24)]
    assert sds[0] > 2 * sds[1] > 4 * sds[2] > 0


def test_a_miss_stays_a_miss_and_equal_submissions_do_not_lead():
    found = noise_of(trial("a", even(1.0), None), trial("b", even(1.0), None), trial("c", even(1.0), 3))
    assert [(lead.ahead, lead.share) for lead in found.leads] == [("c", 1.0), ("a", 0.0)]
    assert found.sds == {"c": 0.0, "a": 0.0, "b": 0.0}
    assert noise_of(trial("a", even(1.0), 3)).sentence == ""


@given(logs())
def test_any_logs_give_shares_and_the_same_ones_again(trials):
    scores = score_trials(trials, SMALL, "as-documented")
    found = clock_noise(trials, scores, draws=50)
    assert found == clock_noise(list(reversed(trials)), scores, draws=50)
    assert all(0 <= lead.share <= 1 for lead in found.leads)
    assert len(found.leads) == max(0, len(scores.standings) - 1)
