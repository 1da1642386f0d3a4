"""The rules of the score: against the published leaderboard, rule by rule, and by what must hold for any trials."""

import dataclasses
import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import Protocol, load_protocol
from scoring.logs.published import published_scores
from scoring.logs.read import read_logs
from scoring.logs.record import Record
from scoring.logs.trials import Trial
from scoring.rules.score import READINGS, Scores, integrate, median, profile, score_trials, settle, study_time

V05, V06 = load_protocol("v0.5"), load_protocol("v0.6")
PUBLISHED = read_logs("published:v0.5-external", V05, "external").trials
INF, NAN = math.inf, math.nan


def by_name(scores: Scores) -> dict[str, float]:
    return {standing.submission: standing.score for standing in scores.standings}


def cells(scores: Scores, submission: str) -> dict:
    (standing,) = (standing for standing in scores.standings if standing.submission == submission)
    return standing.cells


def test_crashing_early_is_no_better_than_crashing_late():
    """Two of three studies end out of memory: before their first evaluation, or after it."""
    crashed = Record(status="out_of_memory", has_missed=True)
    for rows in (0, 1):
        trials = [
            Trial("a", f"study_{study}", "wmt", "jax", "trial_1", "", rows=rows, record=crashed) for study in (1, 2)
        ]
        hits = [Trial("a", "study_0", "wmt", "jax", "trial_1", "", 9, 50.0, 3, 50.0, 9.0)]
        found = cells(score_trials([*hits, *trials], V06, "as-documented"), "a")["wmt"]
        assert (found.time, found.lost, found.studies) == (INF, "not reached", 3)
        assert found.why == "reached in 1 of 3 studies; out_of_memory 2 of 3 trials"


def test_a_median_over_fewer_studies_than_the_protocol_has_says_so():
    trials = [Trial("a", "study_0", "wmt", "jax", "trial_1", "", 9, 50.0, 3, 50.0, 9.0)]
    trials += [Trial("a", f"study_{study}", "ogbg", "jax", "trial_1", "", 9, 5.0, 3, 5.0, 9.0) for study in range(3)]
    (standing,) = score_trials(trials, V06, "as-documented").standings
    assert standing.with_fewer_studies(V06) == {1: ["wmt"]}


# The published leaderboard


def test_as_published_gives_all_eleven_published_scores_to_four_decimals():
    scores = score_trials(PUBLISHED, V05, "as-published")
    assert {name: round(score, 4) for name, score in by_name(scores).items()} == published_scores("v0.5-external")
    assert [standing.submission for standing in scores.standings] == list(published_scores("v0.5-external"))
    assert [standing.rank for standing in scores.standings] == list(range(1, 12))


def test_as_documented_is_the_exact_integral_of_the_earliest_hits():
    assert by_name(score_trials(PUBLISHED, V05, "as-documented")) == pytest.approx(
        {
            "shampoo_submission": 0.778512,
            "schedule_free_adamw": 0.706201,
            "generalized_adam": 0.637042,
            "cyclic_lr": 0.628900,
            "nadamp": 0.589918,
            "baseline": 0.569287,
            "amos": 0.491525,
            "caspr_adaptive": 0.472175,
            "lawa_queue": 0.370395,
            "lawa_ema": 0.343093,
            "schedule_free_prodigy": 0.0,
        },
        abs=5e-7,
    )


def test_the_earliest_hit_instead_of_the_lowest_row_changes_wmt_of_lawa_ema():
    documented = cells(score_trials(PUBLISHED, V05, "as-documented"), "lawa_ema")
    published = cells(score_trials(PUBLISHED, V05, "as-published"), "lawa_ema")
    changed = [name for name in V05.workloads if documented[name] != published[name]]
    assert changed == ["wmt"]
    assert (documented["wmt"].ratio, published["wmt"].ratio) == pytest.approx((2.5606, 2.6875), abs=5e-5)


def test_what_is_over_four_times_the_fastest_is_shown_to_be():
    times = {"a": 100.0, "b": 400.04, "c": 400.0, "d": 401.0}
    trials = [
        Trial(name, "study_0", "wmt", "jax", "trial_1", "", 9, time, 3, time, 9.0) for name, time in times.items()
    ]
    scores = score_trials(trials, V06, "as-documented")
    reasons = {name: cells(scores, name)["wmt"].reason for name in times}
    assert reasons["b"] == "over 4x: 4.0004x the fastest"
    assert reasons["d"] == "over 4x: 4.01x the fastest"
    assert reasons["c"] == ""


@pytest.mark.parametrize("reading", READINGS)
def test_lost_workloads_name_their_reason(reading: str):
    scores = score_trials(PUBLISHED, V05, reading)
    rivals = {"schedule_free_adamw": 5.12, "generalized_adam": 5.37, "cyclic_lr": 4.25, "nadamp": 6.25}
    for submission, ratio in rivals.items():
        cell = cells(scores, submission)["ogbg"]
        assert cell.reason == f"held-out missed: ogbg_model_size over 4x: {ratio}x the fastest"
        assert math.isfinite(cell.time)
    assert "ogbg_model_size over 4x: 5." in cells(scores, "baseline")["ogbg"].why
    for submission in ("amos", "lawa_ema", "schedule_free_prodigy"):
        assert cells(scores, submission)["ogbg"].lost == "over 4x"
    assert cells(scores, "caspr_adaptive")["wmt"].reason == "held-out missed: wmt_glu_tanh no data"
    assert cells(scores, "caspr_adaptive")["criteo1tb"].reason == "no data"
    fastmri = cells(scores, "schedule_free_prodigy")["fastmri"]
    assert fastmri.reason == "held-out missed: fastmri_tanh over 4x: 4.25x the fastest"
    assert cells(scores, "shampoo_submission")["imagenet_resnet"].reason == "not reached: reached in 2 of 5 studies"
    # lawa_ema has no DeepSpeech in two studies: they are absent, not missed.
    assert cells(scores, "lawa_ema")["librispeech_deepspeech"].why == "reached in 0 of 3 studies"


def test_who_is_compared_decides_who_wins():
    """Without caspr_adaptive, the fastest on ogbg_model_size, five rivals get ogbg back, and one of them leads."""
    rivals = [trial for trial in PUBLISHED if trial.submission != "caspr_adaptive"]
    scores = score_trials(rivals, V05, "as-published")
    first, second = scores.standings[:2]
    assert (first.submission, round(first.score, 3)) == ("schedule_free_adamw", 0.811)
    assert (second.submission, round(second.score, 3)) == ("shampoo_submission", 0.802)
    for submission in ("schedule_free_adamw", "generalized_adam", "cyclic_lr", "nadamp", "baseline"):
        assert not cells(scores, submission)["ogbg"].lost
    documented = score_trials(rivals, V05, "as-documented").standings[:2]
    assert [(s.submission, round(s.score, 4)) for s in documented] == [
        ("schedule_free_adamw", 0.8091),
        ("shampoo_submission", 0.8026),
    ]


def test_v06_knows_no_held_out_workloads():
    scores = score_trials(PUBLISHED, V06, "as-documented")
    assert set(cells(scores, "cyclic_lr")) == set(V06.workloads)
    assert not cells(scores, "cyclic_lr")["ogbg"].lost
    assert cells(scores, "caspr_adaptive")["wmt"].lost is None


# Rule by rule


def trial(time: float, row: int | None = 3, **identity: str) -> Trial:
    identity = {"submission": "a", "study": "study_0", "workload": "fastmri", "trial": "trial_1", **identity}
    row = None if math.isinf(time) else row
    return Trial(**identity, framework="jax", path="", rows=9, hit_time=time, hit_row=row, hit_row_time=time)


def test_rule_2_the_earliest_hit_or_that_of_the_lowest_row_with_ties_in_directory_order():
    trials = [trial(90, 5), trial(70, 6), trial(95, 5), trial(INF)]
    assert study_time(trials, "as-documented") == 70
    assert study_time(trials, "as-published") == 90
    assert study_time([trial(INF), trial(INF)], "as-published") == INF


@pytest.mark.parametrize(
    ("times", "expected"),
    [([3, 1, 2], 2), ([4, 1, 2, 3], 2.5), ([1, 2, INF], 2), ([1, INF], INF), ([1, INF, INF, 2], INF), ([7], 7)],
)
def test_rule_3_median(times: list[float], expected: float):
    assert median(times) == expected


def test_rule_3_no_study_is_no_data():
    assert math.isnan(median([]))
    assert math.isnan(median([NAN, NAN]))
    assert median(np.empty((2, 0, 3)), axis=1).shape == (2, 3)


@given(
    st.lists(st.lists(st.one_of(st.floats(1, 1e6), st.sampled_from([INF, NAN])), min_size=4, max_size=4), max_size=5)
)
def test_rule_3_of_many_at_once_is_that_of_each_without_its_missing_studies(rows: list[list[float]]):
    table = np.array(rows, dtype=float).reshape(len(rows), 4)
    for axis in (0, 1):
        lines = np.moveaxis(table, axis, -1)
        each = [median([value for value in line if not math.isnan(value)]) for line in lines]
        np.testing.assert_array_equal(median(table, axis=axis), np.array(each, dtype=float).reshape(lines.shape[:-1]))


@given(st.lists(st.floats(1, 1e6), min_size=1))
def test_rule_3_is_the_median(times: list[float]):
    assert median(times) == pytest.approx(statistics.median(times))


def test_rule_3_a_study_without_a_readable_trial_is_absent():
    trials = [
        trial(100, study="study_0"),
        trial(200, study="study_1"),
        dataclasses.replace(trial(INF, study="study_2"), rows=0, record=Record(status="out_of_memory")),
    ]
    assert cells(score_trials(trials, V06, "as-documented"), "a")["fastmri"].time == 150


# One base workload with its held-out is enough for rules 4 to 6: columns fastmri, wmt, fastmri_tanh.
SMALL = dataclasses.replace(V05, workloads=("fastmri", "wmt"), held_out=("fastmri_tanh",))


@pytest.mark.parametrize(
    ("times", "ratios"),
    [
        # 4: a held-out time without its base does not count, so the second's 900 is the fastest and not 9x slower.
        ([[INF, 10, 100], [50, 20, 900]], [[INF, 1], [1, 2]]),
        ([[NAN, 10, 100], [50, 20, 900]], [[INF, 1], [1, 2]]),
        # 5: exactly 4x stays, more is lost; on the held-out too, which 6 passes on to the base.
        ([[10, 10, 10], [40, 40.1, 10]], [[1, 1], [4, INF]]),
        ([[10, 10, 10], [20, 10, 40.1]], [[1, 1], [INF, 1]]),
        # 6: a held-out not reached, or without data, takes its base away; 7: the rest are compared anew.
        ([[10, 10, INF], [20, 10, 30]], [[INF, 1], [1, 1]]),
        ([[10, 10, NAN], [20, 10, 30], [30, 10, 30]], [[INF, 1], [1, 1], [1.5, 1]]),
        # Nobody has data, or nobody reaches.
        ([[NAN, INF, NAN], [NAN, INF, 5]], [[INF, INF], [INF, INF]]),
    ],
)
def test_rules_4_to_7(times: list[list[float]], ratios: list[list[float]]):
    np.testing.assert_array_equal(settle(np.array(times, float), SMALL).ratios, np.array(ratios, float))


def test_rule_8_is_a_share_of_all_workloads_lost_or_not():
    heights = profile(np.array([[1.0, 2.0, INF, INF]]), np.array([1, 1.99, 2, 4]))
    np.testing.assert_array_equal(heights, [[0.25, 0.25, 0.5, 0.5]])


def test_rule_9_exactly():
    ratios = np.array([[1, 1, 1], [2.5, INF, 4], [INF, INF, INF]])
    np.testing.assert_allclose(integrate(ratios, "as-documented"), [1, 0.5 / 3, 0])


def test_equal_scores_share_a_rank_and_stand_by_name():
    trials = [trial(100, submission=name) for name in ("c", "b", "a")] + [trial(150, submission="0")]
    standings = score_trials(trials, V06, "as-documented").standings
    assert [(s.rank, s.submission) for s in standings] == [(1, "a"), (1, "b"), (1, "c"), (4, "0")]


def test_our_own_statuses_are_part_of_the_reason():
    statuses = ["diverged", "diverged", "budget_exhausted"]
    missed = [
        dataclasses.replace(trial(INF, trial=f"trial_{k}"), record=Record(status=status))
        for k, status in enumerate(statuses)
    ]
    crashed = dataclasses.replace(trial(INF, workload="wmt"), rows=0, record=Record(status="out_of_memory"))
    found = cells(score_trials([*missed, crashed], V06, "as-documented"), "a")
    assert found["fastmri"].reason == (
        "not reached: reached in 0 of 1 study; budget_exhausted 1 of 3 trials, diverged 2 of 3 trials"
    )
    assert found["wmt"].reason == "no data: out_of_memory 1 of 1 trial"
    assert found["ogbg"].reason == "no data"


def test_an_unknown_reading_is_a_usage_error():
    with pytest.raises(UsageError, match="the readings are as-documented, as-published"):
        score_trials(PUBLISHED, V05, "as-told")


# What holds for any times

seconds = st.one_of(st.floats(1, 1e5), st.sampled_from([INF, NAN, 100.0, 400.0, 401.0]))


@st.composite
def tables(draw: st.DrawFn, protocol: Protocol) -> np.ndarray:
    width = len(protocol.workloads) + len(protocol.held_out)
    rows = st.lists(st.lists(seconds, min_size=width, max_size=width), min_size=1, max_size=5)
    return np.array(draw(rows), dtype=float)


def scored(times: np.ndarray, protocol: Protocol) -> np.ndarray:
    return integrate(settle(times, protocol).ratios, "as-documented")


both_protocols = st.sampled_from([SMALL, V05, V06]).flatmap(
    lambda protocol: st.tuples(tables(protocol), st.just(protocol))
)


@given(both_protocols)
def test_scores_lie_between_0_and_1_and_ratios_between_1_and_4(case):
    times, protocol = case
    ratios = settle(times, protocol).ratios
    assert ((ratios >= 1) & (ratios <= 4) | np.isinf(ratios)).all()
    for reading in READINGS:
        scores = integrate(ratios, reading)
        assert ((scores >= 0) & (scores <= 1 + 1e-12)).all()


@given(both_protocols, st.randoms())
def test_the_order_of_the_submissions_is_of_no_account(case, shuffle: random.Random):
    times, protocol = case
    order = shuffle.sample(range(len(times)), len(times))
    np.testing.assert_array_equal(settle(times[order], protocol).ratios, settle(times, protocol).ratios[order])


@given(both_protocols, st.integers(0, 100), st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_workload_whose_times_all_scale_keeps_its_scores(case, column: int, factor: float):
    times, protocol = case
    scaled = times.copy()
    scaled[:, column % times.shape[1]] *= factor
    np.testing.assert_array_equal(settle(scaled, protocol).ratios, settle(times, protocol).ratios)


@given(both_protocols, st.integers(0, 100), st.integers(0, 100), st.floats(0.01, 1))
def test_a_submission_that_gets_faster_never_loses(case, row: int, column: int, factor: float):
    """Nowhere, under any protocol; a rival may gain only through a held-out workload (the next test)."""
    times, protocol = case
    row, column = row % len(times), column % times.shape[1]
    faster = times.copy()
    faster[row, column] = 1e5 * factor if not np.isfinite(times[row, column]) else times[row, column] * factor
    change = scored(faster, protocol) - scored(times, protocol)
    assert change[row] >= -1e-12
    if not protocol.held_out:
        assert (np.delete(change, row) <= 1e-12).all()


def test_a_rival_gains_when_a_faster_held_out_removes_the_fastest():
    """The third gets faster on fastmri_tanh, the first is over 4x there now, and the second is no longer behind it."""
    before = np.array([[10, 1, 400], [20, 1, 100], [30, 1, 100]], dtype=float)
    after = before.copy()
    after[2, 2] = 90
    assert scored(after, SMALL)[1] > scored(before, SMALL)[1]


@given(both_protocols)
def test_the_exact_integral_is_what_a_fine_trapezoid_tends_to(case):
    times, protocol = case
    ratios = settle(times, protocol).ratios
    exact = integrate(ratios, "as-documented")
    tau = np.linspace(1, 4, 6001)
    fine = np.trapezoid(profile(ratios, tau), tau) / 3
    np.testing.assert_allclose(fine, exact, atol=0.5 / 6000 + 1e-9)
    np.testing.assert_allclose(integrate(ratios, "as-published"), exact, atol=0.5 / 99 + 1e-9)


@given(tables(SMALL))
def test_many_tables_at_once_are_settled_as_one_by_one(times: np.ndarray):
    stack = np.stack([times, times[::-1], times * [1, 2, 3]])
    for one, ratios in zip(stack, settle(stack, SMALL).ratios, strict=True):
        np.testing.assert_array_equal(ratios, settle(one, SMALL).ratios)


@given(tables(V05), st.randoms())
def test_the_words_of_the_cells_say_what_the_rules_did(times: np.ndarray, shuffle: random.Random):
    """One trial per cell: its time is the median. Also: the order of the trials is of no account."""
    names = (*V05.workloads, *V05.held_out)
    trials = [
        trial(times[row, column], submission=f"s{row}", workload=name)
        for row in range(len(times))
        for column, name in enumerate(names)
        if not math.isnan(times[row, column])
    ]
    scores = score_trials(trials, V05, "as-documented")
    shuffled = score_trials(shuffle.sample(trials, len(trials)), V05, "as-documented")
    assert repr(shuffled) == repr(scores)  # NaN is not equal to itself
    rows = sorted({int(trial.submission[1:]) for trial in trials})
    ratios = settle(times[rows], V05).ratios
    for row, index in enumerate(rows):
        found = cells(scores, f"s{index}")
        for column, name in enumerate(V05.workloads):
            assert found[name].ratio == ratios[row, column]
            assert bool(found[name].lost) == math.isinf(found[name].ratio)
        for held_out in V05.held_out:
            assert bool(found[held_out].lost) == math.isinf(found[held_out].ratio)
