"""Draws of leaderboards: against every possible one of a small case, on published ones, and by what must hold."""

import dataclasses
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.registry import load_spec
from scoring.certainty.uncertainty import TAU, WAYS, Spread, Uncertainty, _quantiles, draw
from scoring.logs.trials import Trial
from scoring.rules.score import READINGS, integrate, jumps, median, profile, score_trials, settle, study_time
from tests.support.scoring_logs import PUBLISHED, SMALL, V05, logs, trial

INF = math.inf
_, STUDIES, TRIALS = WAYS


def by_name(uncertainty: Uncertainty) -> dict[str, Spread]:
    return {spread.submission: spread for spread in uncertainty.spreads}


# The published leaderboard


@pytest.fixture(scope="module")
def published() -> dict[str, Uncertainty]:
    return {way: draw(PUBLISHED, V05, "as-documented", way) for way in WAYS}


def test_the_first_place_of_v05_is_less_sure_than_it_looks(published: dict[str, Uncertainty]):
    """A bootstrap of whole studies, made independently: standard deviation 0.08, probability about 0.74."""
    for way in ("posterior", "studies"):
        shampoo = by_name(published[way])["shampoo_submission"]
        assert (shampoo.studies, shampoo.rank) == (5, 1)
        assert shampoo.score == pytest.approx(0.778512, abs=1e-6)
        assert shampoo.sd == pytest.approx(0.08, abs=0.025)
        assert shampoo.p_rank[0] == pytest.approx(0.74, abs=0.1)
        assert shampoo.low_rank == 1 < shampoo.high_rank < 6


def test_the_luck_of_the_search_makes_it_less_sure_still(published: dict[str, Uncertainty]):
    studies, both = (by_name(published[way]) for way in (STUDIES, TRIALS))
    assert both["shampoo_submission"].p_rank[0] < studies["shampoo_submission"].p_rank[0] - 0.1
    assert sum(both[name].sd > studies[name].sd for name in studies) >= 10
    # Fewer distinct points are never better: the draws lie lower.
    assert sum(both[name].low < studies[name].low for name in studies) >= 9


@pytest.mark.parametrize("way", WAYS)
def test_spreads_and_bands_stand_in_the_order_of_the_standings(published: dict[str, Uncertainty], way: str):
    uncertainty = published[way]
    scores = score_trials(PUBLISHED, V05, "as-documented")
    assert [(s.submission, s.score) for s in uncertainty.spreads] == [(s.submission, s.score) for s in scores.standings]
    if way == "posterior":
        np.testing.assert_array_equal(uncertainty.bands.heights, profile(scores.ratios(), TAU))
        assert "of the score that infinitely many studies would give, from 1,000 draws." in uncertainty.note
    else:
        assert uncertainty.note == f"95 % intervals from 1,000 draws of {way}, with replacement."


@pytest.mark.parametrize("way", WAYS)
def test_what_was_observed_is_never_outside_of_its_interval(published: dict[str, Uncertainty], way: str):
    for spread in published[way].spreads:
        assert spread.low <= spread.score <= spread.high
        assert spread.low_rank <= spread.rank <= spread.high_rank
        assert spread.low_rank == int(spread.low_rank)
    if bands := published[way].bands:
        assert (bands.low <= bands.heights).all()
        assert (bands.heights <= bands.high).all()
        for edge in (bands.low, bands.high):
            assert (np.diff(edge, axis=1) >= 0).all()


def test_who_beats_whom_and_by_how_much(published: dict[str, Uncertainty]):
    found = published["posterior"]
    beats = found.duels.beats
    together = beats + beats.T  # the rest: equal scores
    assert np.nanmax(together) <= 1 + 1e-12
    assert np.nanmin(together[:-1, :-1]) > 0.97
    assert beats[0, 1] > 0.6
    assert np.isnan(np.diag(beats)).all()
    for ends in (found.duels.ratios, found.duels.capped):
        np.testing.assert_allclose(ends[0] * ends[1].T, 1, rtol=0.02)  # a over b is the inverse of b over a
        np.testing.assert_allclose(ends[:, range(11), range(11)], 1, atol=1e-9)
    # Measured, 0.688 over seven workloads and 0.721 over all, lies within.
    names = [spread.submission for spread in found.spreads]
    place = names.index("shampoo_submission"), names.index("baseline")
    for measured, ends in ((0.688, found.duels.ratios), (0.721, found.duels.capped)):
        assert ends[0][place] < measured < ends[1][place] < 1


def test_the_official_speed_up_has_an_interval_in_which_a_miss_is_the_budget():
    budgets = {name: V05.max_runtime(load_spec(name), "external") for name in V05.workloads}
    found = draw(PUBLISHED, V05, "as-published", budgets=budgets)
    names = [spread.submission for spread in found.spreads]
    place = names.index("shampoo_submission"), names.index("baseline")
    low, high = found.duels.budget[0][place], found.duels.budget[1][place]
    assert low < 0.7211 < high < 1  # as the benchmark publishes it
    np.testing.assert_allclose(found.duels.budget[0] * found.duels.budget[1].T, 1, rtol=0.02)
    without = draw(PUBLISHED, V05, "as-published", draws=50)
    assert np.isnan(without.duels.budget).all()


def test_of_a_workload_that_nobody_reached_no_time_is_known():
    """A draw in which one of them does reach it is a hit, but no speed-up."""
    times = {"a": (100.0, math.inf), "b": (200.0, math.inf)}
    protocol = dataclasses.replace(SMALL, workloads=("fastmri", "wmt"), held_out=())
    trials = [
        trial(who, study, name, 1, time)
        for who, of in times.items()
        for study in range(3)
        for name, time in zip(protocol.workloads, of, strict=True)
    ]
    found = draw(trials, protocol, "as-documented", budgets={"fastmri": 400, "wmt": 400})
    assert 0.45 < found.duels.ratios[0][0, 1] <= found.duels.ratios[1][0, 1] < 0.55
    # At most one of them misses the workload that both reach, and neither is faster on the other.
    low, high = found.duels.budget[:, 0, 1]
    assert math.sqrt(100 / 401) * 0.99 < low < high < math.sqrt(401 / 200) * 1.01


def test_more_studies_tell_smaller_differences():
    protocol = dataclasses.replace(SMALL, workloads=("wmt",), held_out=())

    def smallest(studies: int) -> float:
        trials = [
            trial(who, study, "wmt", 1, time * (1 + 0.1 * (study % 3)))
            for who, time in (("a", 100.0), ("b", 120.0))
            for study in range(studies)
        ]
        duels = draw(trials, protocol, "as-documented").duels
        (low, high), (found,) = duels.difference[:, 0, 1], duels.smallest_differences()
        assert found == pytest.approx((high - low) / 2)
        return found

    assert 0 < smallest(12) < smallest(3) < 1


def test_the_seed_decides_and_the_order_of_the_trials_does_not():
    shuffled = random.Random(3).sample(PUBLISHED, len(PUBLISHED))
    for way in WAYS:
        first = draw(PUBLISHED, V05, "as-published", way, draws=50)
        assert repr(draw(shuffled, V05, "as-published", way, draws=50)) == repr(first)
        assert repr(draw(PUBLISHED, V05, "as-published", way, draws=50, seed=1)) != repr(first)


# Every possible draw of studies and trials

CASE = [
    # submission, study, workload, times of two trials: a workload missed in one study, a held-out near the 4x limit.
    *(("a", 0, "fastmri", 100, 150), ("a", 1, "fastmri", 120, 90), ("a", 0, "wmt", 50, 60), ("a", 1, "wmt", INF, INF)),
    *(("a", 0, "fastmri_tanh", 100, 300), ("a", 1, "fastmri_tanh", 110, 400)),
    *(("b", 0, "fastmri", 200, 80), ("b", 1, "fastmri", 300, 130), ("b", 0, "wmt", 70, 40), ("b", 1, "wmt", 55, 90)),
    *(("b", 0, "fastmri_tanh", 410, 420), ("b", 1, "fastmri_tanh", 350, INF)),
]
CASE_TRIALS = [
    trial(submission, study, workload, number, time, row=3 - number)  # the later row is the earlier hit, or not
    for submission, study, workload, *times in CASE
    for number, time in enumerate(times, 1)
]


_UNREADABLE = ("a", "study_0", "fastmri", "trial_1")
DAMAGED_TRIALS = [
    # One trial unreadable on one workload, and a study that is there on wmt only: draws may have no data at all.
    dataclasses.replace(t, rows=0) if (t.submission, t.study, t.workload, t.trial) == _UNREADABLE else t
    for t in CASE_TRIALS
    if (t.submission, t.study) != ("b", "study_1") or t.workload == "wmt"
]


def multisets(names: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Every draw of as many names, whatever their order, and how often it comes."""
    drawn = itertools.product(names, repeat=len(names))
    counts = Counter(tuple(sorted(choice)) for choice in drawn)
    return [(count, choice) for choice, count in counts.items()]


def medians_of_all_draws(
    trials: Sequence[Trial], submission: str, reading: str, with_trials: bool
) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Of a submission with two studies of two trials each: every draw's medians by workload, and how often it comes."""
    names = (*SMALL.workloads, *SMALL.held_out)
    points = multisets(("trial_1", "trial_2")) if with_trials else [(1, ("trial_1", "trial_2"))]
    for count, chosen in points:
        cells = {
            (study, name): [
                t
                for t in trials
                if (t.submission, t.study, t.workload) == (submission, study, name) and t.trial in chosen and t.readable
            ]
            for study in ("study_0", "study_1")
            for name in names
        }
        times = {cell: study_time(members, reading) if members else math.nan for cell, members in cells.items()}
        for by_workload in itertools.product(multisets(("study_0", "study_1")), repeat=len(names)):
            medians = [
                float(median([times[study, name] for study in studies]))
                for name, (_, studies) in zip(names, by_workload, strict=True)
            ]
            yield count * math.prod(number for number, _ in by_workload), tuple(medians)


@pytest.mark.parametrize("trials", [CASE_TRIALS, DAMAGED_TRIALS])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("way", [STUDIES, TRIALS])
def test_draws_are_those_that_can_be_counted(way: str, reading: str, trials: list[Trial]):
    a, b = (list(medians_of_all_draws(trials, name, reading, way == TRIALS)) for name in "ab")
    pairs = list(itertools.product(a, b))
    weights = np.array([number * other for (number, _), (other, _) in pairs], dtype=float)
    scores = integrate(settle(np.array([(own, other) for (_, own), (_, other) in pairs]), SMALL).ratios, reading)
    found = by_name(draw(trials, SMALL, reading, way, draws=20_000))
    for place, name in enumerate("ab"):
        own = scores[:, place]
        assert len(set(own.round(9))) > 2  # the case is worth counting
        mean = np.average(own, weights=weights)
        assert found[name].sd == pytest.approx(math.sqrt(np.average((own - mean) ** 2, weights=weights)), rel=0.03)
        first = np.average(own >= scores[:, 1 - place], weights=weights)
        assert 0 < first < 1
        assert found[name].p_rank[0] == pytest.approx(first, abs=0.015)
        assert own.min() - 1e-9 <= found[name].low <= found[name].high <= own.max() + 1e-9


def test_trials_that_are_no_one_point_are_drawn_for_each_study_by_themselves():
    """Three studies, in each another of two trials reaches: with one draw for all, none has all three."""
    reaching = [("study_0", "trial_1"), ("study_1", "trial_2"), ("study_2", "trial_1")]
    cells = itertools.product(range(3), (1, 2), ("fastmri", "fastmri_tanh", "wmt"))
    trials = [
        trial("a", study, workload, number, 100 if (f"study_{study}", f"trial_{number}") in reaching else INF)
        for study, number, workload in cells
    ]
    trials += [trial("b", study, name, 1, 200) for study, name in itertools.product(range(3), ("fastmri", "wmt"))]
    together = by_name(draw(trials, SMALL, "as-documented", TRIALS, draws=4_000))["a"]
    apart = by_name(draw(trials, SMALL, "as-documented", TRIALS, loose={"a"}, draws=4_000))["a"]
    assert abs(together.sd - apart.sd) > 0.02  # not the same draws
    # By itself a study keeps its reaching trial in 3 of 4 draws, and so does the median of three, drawn anew.
    reached = draw(trials, SMALL, "as-documented", TRIALS, loose={"a"}, draws=4_000)
    assert 0.5 < by_name(reached)["a"].p_rank[0] < 0.95


# What there is to draw from


def test_one_study_each_gives_no_interval_and_says_so():
    single = [t for t in CASE_TRIALS if t.study == "study_0"]
    for way in WAYS:
        found = draw(single, SMALL, "as-documented", way)
        assert found.draws == 0
        assert "no submission has more than one study, so there is nothing to draw from" in found.note
        for spread in found.spreads:
            assert spread.studies == 1
            assert math.isfinite(spread.score)
            empty = (spread.low, spread.high, spread.sd, spread.low_rank, spread.high_rank, *spread.p_rank)
            assert all(map(math.isnan, empty))
    found = draw(single, SMALL, "as-documented")
    assert np.isnan(found.bands.low).all()
    assert np.isfinite(found.bands.heights).all()
    assert np.isnan(found.duels.beats).all()


def test_one_study_has_an_interval_by_what_the_others_tell():
    trials = [t for t in CASE_TRIALS if (t.submission, t.study) != ("a", "study_1")]
    found = draw(trials, SMALL, "as-documented")
    a, b = by_name(found)["a"], by_name(found)["b"]
    assert (a.studies, b.studies) == (1, 2)
    assert a.low < a.score < a.high
    assert found.note.endswith("what has one study leans on how far the others' lie apart: a.")
    by_draws = draw(trials, SMALL, "as-documented", STUDIES)
    a, b = by_name(by_draws)["a"], by_name(by_draws)["b"]
    assert math.isnan(a.low)
    assert b.low <= b.high
    assert sum(a.p_rank) == pytest.approx(1)
    assert by_draws.note.endswith("with replacement; none for what has one study: a.")


def test_nothing_is_no_error_and_an_unknown_reading_is_one():
    for way in WAYS:
        assert draw([], SMALL, "as-documented", way).spreads == ()
    with pytest.raises(UsageError, match="the readings are as-documented, as-published"):
        draw(CASE_TRIALS, SMALL, "as-told")


# What holds for any times


@settings(max_examples=40, deadline=None)
@given(logs(), st.sampled_from(WAYS), st.sampled_from(READINGS), st.sampled_from([0.25, 2.0, 1024.0]), st.randoms())
def test_probabilities_intervals_order_and_scale(trials, way, reading, factor: float, shuffle: random.Random):
    found = draw(trials, SMALL, reading, way, draws=30)
    for spread in found.spreads:
        if found.draws:
            assert sum(spread.p_rank) == pytest.approx(1)
            assert 1 <= spread.low_rank <= spread.rank <= spread.high_rank <= len(found.spreads)
        if found.draws and spread.studies > 1:
            assert -1e-12 <= spread.low <= spread.score <= spread.high <= 1 + 1e-12
    assert repr(draw(shuffle.sample(trials, len(trials)), SMALL, reading, way, draws=30)) == repr(found)
    scaled = [
        dataclasses.replace(t, hit_time=t.hit_time * factor, hit_row_time=t.hit_row_time * factor) for t in trials
    ]
    again = draw(scaled, SMALL, reading, way, draws=30)
    if way == "posterior":  # logarithms are rounded
        for spread, other in zip(found.spreads, again.spreads, strict=True):
            assert (spread.low, spread.high) == pytest.approx((other.low, other.high), abs=0.02, nan_ok=True)
    else:
        assert repr(again) == repr(found)


@settings(max_examples=40, deadline=None)
@given(logs(), st.sampled_from([STUDIES, TRIALS]), st.sampled_from(READINGS))
def test_who_is_dominated_is_never_first(trials: list[Trial], way: str, reading: str):
    """A submission that reaches everything in a second, in each trial, has score 1 in every draw."""
    cells = itertools.product((0, 1), (*SMALL.workloads, *SMALL.held_out))
    best = [trial("z", study, workload, 1, 0.5) for study, workload in cells]
    found = by_name(draw([*trials, *best], SMALL, reading, way, draws=30))
    assert found["z"].p_rank[0] == 1
    assert (found["z"].low, found["z"].high) == pytest.approx((1, 1))
    assert all(spread.p_rank[0] == 0 for name, spread in found.items() if name != "z")


def test_the_bands_are_those_of_the_step_function():
    """Heights at each tau are the profile's from there on, for a case with a jump at every tau that is looked at."""
    scores = score_trials(CASE_TRIALS, SMALL, "as-documented")
    heights = draw(CASE_TRIALS, SMALL, "as-documented", draws=10).bands.heights
    for tau in jumps(scores.ratios()):
        column = int(np.searchsorted(TAU, tau))
        np.testing.assert_array_equal(heights[:, column], profile(scores.ratios(), TAU[[column]])[:, 0])


@pytest.mark.parametrize("draws", [1, 2, 41, 1_000])
def test_the_ends_of_an_interval_are_the_quantiles_without_nan(draws):
    values = np.random.default_rng(draws).normal(size=(draws, 7))
    values[: draws // 3, 2] = values[: draws - 1, 5] = np.nan
    expected = np.nanquantile(values, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(_quantiles(values), expected, rtol=1e-12)
    assert np.isnan(_quantiles(np.full((draws, 1), np.nan))).all()
