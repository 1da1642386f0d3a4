"""What trials cost by what others took: hand-computed, and what must hold of any."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest

from algoperf.benchmark.protocol import PROTOCOLS, TARGET_SETTING, load_protocol
from algoperf.experiment import config, plan
from algoperf.progress import costs, estimate
from algoperf.progress.costs import Took
from algoperf.progress.estimate import Kind

FASTMRI = Kind("v0.6", "external", "fastmri")
MINI = Kind("mini", "external", "wmt")


def make(**changed):
    content = {"protocol": "v0.6", "submissions": [{"name": "nadamw", "framework": "jax"}], **changed}
    return plan.trials(config.parse(content))


def test_at_most_a_trial_uses_its_budget_is_evaluated_throughout_and_set_up():
    cost = estimate.at_most(FASTMRI)
    a_save = 4 * 3 * 7_756_097 / estimate.SAVED_A_SECOND
    assert cost.charged == 4_430
    assert cost.free == pytest.approx((1 + 4_430 // 80) * (4 + a_save))
    assert cost.set_up == estimate.SET_UP["full"]
    assert cost.held == cost.charged + cost.free + cost.set_up


def test_expected_is_the_mean_over_the_published_trials_none_beyond_the_budget():
    published = costs.took("fastmri", "external", load_protocol("v0.6"))
    mean = math.fsum(min(took.charged, 4_430.0) for took in published) / len(published)
    assert estimate.expected(FASTMRI).charged == pytest.approx(mean)
    assert estimate.expected(Kind("v0.5", "external", "fastmri")).charged > mean  # has twice the budget
    assert estimate.share_reached(FASTMRI) < sum(took.reached for took in published) / len(published)


def test_what_nobody_has_published_is_expected_to_cost_the_most():
    kind = Kind("v0.6", TARGET_SETTING, "wmt")
    assert estimate.expected(kind) == estimate.at_most(kind)
    assert estimate.share_reached(kind) is None
    assert estimate.facts(kind).evaluations == 100


def test_what_was_expected_counts_as_one_of_the_finished_trials():
    expected = estimate.expected(MINI)
    took = Took(True, charged=6.0, free=5.0, set_up=4.0)
    forecast = estimate.forecast(MINI, [took, took, took])
    assert forecast.charged == pytest.approx((expected.charged + 3 * 6.0) / 4)
    assert forecast.held == pytest.approx((expected.held + 3 * 15.0) / 4)


def test_a_finished_trial_that_does_not_say_what_was_free_is_completed_from_its_workload():
    forecast = estimate.forecast(FASTMRI, [Took(True, 1_000.0)] * 10**4)
    assert forecast.free == pytest.approx((1 + 1_000 // 80) * estimate.facts(FASTMRI).evaluation, rel=0.01)


def test_the_end_of_a_trial_is_that_of_the_others_that_went_on_as_long():
    published = costs.took("fastmri", "external", load_protocol("v0.6"))
    later = [min(took.charged, 4_430.0) for took in published if took.charged > 2_000.0]
    assert estimate.charged_at_the_end(FASTMRI, (), 2_000.0, 1) == pytest.approx(math.fsum(later) / len(later))
    assert estimate.charged_at_the_end(FASTMRI, (), 0.0, 1) == pytest.approx(estimate.expected(FASTMRI).charged)
    assert estimate.charged_at_the_end(FASTMRI, (), 4_430.5, 1) == 4_430.5


@hypothesis.given(after=st.floats(0, 4_430), more=st.floats(0, 4_430))
def test_the_longer_a_trial_has_gone_on_the_later_it_ends(after, more):
    first, second = sorted((after, more))
    ends = [estimate.charged_at_the_end(FASTMRI, (), passed, 1) for passed in (first, second)]
    assert first - 1e-6 <= ends[0] <= ends[1] + 1e-6
    assert ends[1] <= 4_430 + 1e-6


def test_a_trial_that_ends_by_its_steps_goes_on_at_its_own_pace_to_where_others_ended():
    steps, max_steps = (
        [took.steps for took in costs.took("wmt", "external", load_protocol("mini"))],
        estimate.facts(MINI).max_steps,
    )
    assert max_steps == 400
    later = [min(end, 400) for end in steps if end > 100]
    mean = math.fsum(later) / len(later)
    assert estimate.charged_at_the_end(MINI, (), 3.0, 100) == pytest.approx(3.0 * mean / 100)
    assert estimate.charged_at_the_end(MINI, (), 3_000.0, 100) == pytest.approx(3_000.0 * mean / 100)
    assert estimate.charged_at_the_end(MINI, (), 8.0, 400) == 8.0
    # Where nobody has gone on as long, to the end of its steps; published seconds say nothing of steps.
    full = Kind("v0.6", "target_setting", "fastmri")
    assert estimate.charged_at_the_end(full, (), 100.0, 1_000) == pytest.approx(100.0 * int(0.75 * 18_094) / 1_000)


def test_at_most_a_trial_takes_all_its_steps_at_the_slowest_pace_that_was_measured():
    paces = [took.charged / took.steps for took in costs.took("wmt", "external", load_protocol("mini"))]
    cost = estimate.at_most(MINI)
    assert cost.charged == pytest.approx(400 * max(paces))
    assert cost.free == pytest.approx((1 + math.ceil(400 / 9)) * estimate.facts(MINI).evaluation)
    half = estimate.forecast(MINI, [Took(True, 100.0, 5.0, 2.0, steps=800)] * 10**4)
    assert half.charged == pytest.approx(50.0, rel=0.01)


@pytest.mark.parametrize("protocol", ["v0.5", "v0.6", "mini"])
@pytest.mark.parametrize("ruleset", ["external", "self"])
def test_nothing_is_expected_to_cost_more_than_the_most(protocol, ruleset):
    for workload in PROTOCOLS[protocol].workloads:
        kind = Kind(protocol, ruleset, workload)
        assert 0 < estimate.expected(kind).held <= estimate.at_most(kind).held * (1 + 1e-9)


def test_an_experiment_workload_by_workload_with_what_its_finished_trials_took():
    trials = make(workloads=["fastmri", "wmt"], rulesets=["external", "self"])
    finished = {FASTMRI: [Took(True, 1_000.0, free=100.0, set_up=50.0)] * 2}
    rows = estimate.estimates(trials, finished, {})
    assert [(row.kind.workload, row.kind.ruleset, row.trials, row.done) for row in rows] == [
        ("fastmri", "external", 15, 2),
        ("fastmri", "self", 3, 0),
        ("wmt", "external", 15, 0),
        ("wmt", "self", 3, 0),
    ]
    first, others = rows[0], rows[1:]
    assert first.took == 2 * 1_150.0
    assert first.expected_of_done == pytest.approx(2 * estimate.expected(FASTMRI).held)
    assert first.left == pytest.approx(13 * estimate.forecast(FASTMRI, finished[FASTMRI]).held)
    assert first.at_most == 15 * estimate.at_most(FASTMRI).held
    assert all(row.left == pytest.approx(row.expected) for row in others)


def test_the_wall_clock_of_several_trials_at_once():
    trials = make(workloads=["fastmri"])
    one = estimate.at_most(FASTMRI).held
    assert estimate.wall_clock(trials, 1, estimate.at_most) == pytest.approx(15 * one)
    assert estimate.wall_clock(trials, 4, estimate.at_most) == pytest.approx(4 * one)
    assert estimate.wall_clock(trials, 100, estimate.at_most) == one
    assert estimate.wall_clock([], 2, estimate.at_most) == 0.0
