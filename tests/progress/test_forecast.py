"""When trials will have ended: hand-computed from what they and others took."""

import dataclasses
import json
from pathlib import Path

import pytest

from algoperf.experiment import config, plan
from algoperf.progress import estimate, forecast, status
from algoperf.progress.costs import Took
from algoperf.progress.estimate import Kind

NOW = 1_000_000.0
MINI = Kind("mini", "external", "wmt")


def make(**states):
    """One trial of wmt for each label; states: label -> what its status has."""
    submissions = [{"name": name, "framework": "jax"} for name in ("nadamw", "nesterov")]
    trials = plan.trials(config.parse({"protocol": "mini", "workloads": ["wmt"], "submissions": submissions}))
    (empty,) = status.statuses(trials[:1], Path("nowhere"))
    return [
        dataclasses.replace(empty, trial=dataclasses.replace(trials[0], label=label), **state)
        for label, state in states.items()
    ]


def done(charged, free=5.0):
    return dict(progress="done", outcome="reached", charged=charged, free=free, set_up=2.0, global_step=200)


def running(charged, free=None, since=NOW, steps=100):
    return dict(progress="running", charged=charged, free=free, since=since, global_step=charged and steps)


def ends(found, now=NOW):
    return {trial.label: seconds for trial, seconds in forecast.forecast(found, now).ends.items()}


def test_where_nothing_is_left_nothing_is_forecast():
    seen = forecast.forecast(make(a=done(6.0), b=dict(progress="failed"), c=dict(progress="stopped")), NOW)
    assert (seen.ends, seen.end, seen.is_running) == ({}, 0.0, False)


def test_a_trial_that_has_just_begun_takes_what_was_expected_less_what_has_passed():
    whole = estimate.expected(MINI).held
    assert ends(make(a=running(None))) == {"a": pytest.approx(whole)}
    assert ends(make(a=running(None)), NOW + 3) == {"a": pytest.approx(whole - 3)}
    assert ends(make(a=running(None)), NOW + 10**6) == {"a": 0.0}


def test_a_trial_goes_on_at_its_own_pace_until_others_that_went_on_as_long_had_ended():
    to_come = estimate.charged_at_the_end(MINI, (), 4.0, 100) - 4.0
    assert ends(make(a=running(4.0, free=8.0)))["a"] == pytest.approx(to_come * 3)
    assert ends(make(a=running(4.0, free=8.0)), NOW + 1)["a"] == pytest.approx(to_come * 3 - 1)
    expected = estimate.expected(MINI)
    pace = 1 + expected.free / expected.charged
    assert ends(make(a=running(4.0)))["a"] == pytest.approx(to_come * pace)


def test_a_trial_on_a_slow_machine_is_forecast_by_its_steps():
    quick, slow = (ends(make(a=running(charged, free=charged)))["a"] for charged in (2.0, 200.0))
    assert slow == pytest.approx(100 * quick)


def test_finished_trials_of_the_experiment_change_the_forecast():
    took = Took(True, 11.0, 5.0, 2.0, 200)
    found = make(a=done(11.0), b=done(11.0), c=running(None))
    assert ends(found)["c"] == pytest.approx(estimate.forecast(MINI, [took, took]).held)
    assert forecast.finished_trials(found) == {MINI: [took, took]}


def test_waiting_trials_start_one_after_the_other_where_a_running_one_ends():
    whole = estimate.expected(MINI).held
    found = make(a=running(None), b=running(None, since=NOW - 2), c={}, d={}, e={})
    seen = forecast.forecast(found, NOW)
    by_label = {trial.label: end for trial, end in seen.ends.items()}
    assert [by_label[label] for label in "cde"] == pytest.approx([2 * whole - 2, 2 * whole, 3 * whole - 2])
    assert (seen.at_once, seen.is_running, seen.end) == (2, True, by_label["e"])


def test_where_nothing_runs_the_waiting_ones_are_taken_one_after_the_other():
    seen = forecast.forecast(make(a={}, b={}), NOW)
    assert (seen.at_once, seen.is_running) == (1, False)
    assert seen.end == pytest.approx(2 * estimate.expected(MINI).held)


def test_an_interrupted_trial_that_waits_again_has_only_its_rest_before_it():
    interrupted = ends(make(a=dict(charged=6.0, free=1.0, global_step=399)))["a"]
    assert interrupted < estimate.expected(MINI).held
    json.dumps(interrupted, allow_nan=False)
