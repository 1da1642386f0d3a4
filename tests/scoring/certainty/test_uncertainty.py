"""The bootstrap: against every possible draw of a small case, on the published leaderboard, and by what must hold."""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from scoring.certainty.uncertainty import RESAMPLED, TAU, Spread, Uncertainty, resample
from scoring.logs.trials import Trial
from scoring.rules.score import READINGS, jumps, profile, score_trials
from tests.support.scoring_logs import PUBLISHED, SMALL, V05, logs, trial

INF = math.inf


def by_name(uncertainty: Uncertainty) -> dict[str, Spread]:
    return {spread.submission: spread for spread in uncertainty.spreads}


# The published leaderboard


@pytest.fixture(scope="module")
def published() -> dict[str, Uncertainty]:
    return {resampled: resample(PUBLISHED, V05, "as-documented", resampled) for resampled in RESAMPLED}


def test_the_first_place_of_v05_is_less_sure_than_it_looks(published: dict[str, Uncertainty]):
    """Found by an independent bootstrap over the studies: standard deviation 0.08, probability about 0.74."""
    shampoo = by_name(published["studies"])["shampoo_submission"]
    assert shampoo.studies == 5
    assert shampoo.score == pytest.approx(0.778512, abs=1e-6)
    assert shampoo.sd == pytest.approx(0.08, abs=0.005)
    assert shampoo.p_rank[0] == pytest.approx(0.75, abs=0.03)
    assert (shampoo.low, shampoo.high) == pytest.approx((0.64, 0.916), abs=0.01)
    assert by_name(published["studies"])["schedule_free_adamw"].p_rank[0] == pytest.approx(0.2, abs=0.03)


def test_the_luck_of_the_search_makes_it_less_sure_still(published: dict[str, Uncertainty]):
    studies, both = (by_name(published[resampled]) for resampled in RESAMPLED)
    assert both["shampoo_submission"].p_rank[0] < studies["shampoo_submission"].p_rank[0] - 0.1
    assert all(both[name].sd > studies[name].sd for name in studies)
    # Fewer distinct points are never better: the draws lie lower.
    assert sum(both[name].low < studies[name].low for name in studies) >= 9


@pytest.mark.parametrize("resampled", RESAMPLED)
def test_spreads_and_bands_stand_in_the_order_of_the_standings(published: dict[str, Uncertainty], resampled: str):
    uncertainty = published[resampled]
    scores = score_trials(PUBLISHED, V05, "as-documented")
    assert [(s.submission, s.score) for s in uncertainty.spreads] == [(s.submission, s.score) for s in scores.standings]
    np.testing.assert_array_equal(uncertainty.bands.heights, profile(scores.ratios(), TAU))
    assert uncertainty.note == f"95% intervals from 1,000 draws of {resampled}, with replacement."


def test_the_mean_height_of_the_draws_is_the_score_of_the_draws(published: dict[str, Uncertainty]):
    """The bands and the intervals come from the same draws: a band's edges enclose an area near the interval."""
    for row, spread in enumerate(published["studies"].spreads):
        bands = published["studies"].bands
        assert (bands.low[row] <= bands.high[row]).all()
        assert (np.diff(bands.low[row]) >= 0).all()
        assert (np.diff(bands.high[row]) >= 0).all()
        # Pointwise edges lie outside of what any one curve does: their areas enclose the interval of the areas.
        assert np.trapezoid(bands.low[row], TAU) / 3 <= spread.low + 0.01
        assert np.trapezoid(bands.high[row], TAU) / 3 >= spread.high - 0.01


def test_the_seed_decides_and_the_order_of_the_trials_does_not():
    shuffled = random.Random(3).sample(PUBLISHED, len(PUBLISHED))
    for resampled in RESAMPLED:
        first = resample(PUBLISHED, V05, "as-published", resampled, draws=50)
        assert repr(resample(shuffled, V05, "as-published", resampled, draws=50)) == repr(first)
        assert repr(resample(PUBLISHED, V05, "as-published", resampled, draws=50, seed=1)) != repr(first)


def test_the_names_of_the_studies_do_not_matter():
    """Other names are other draws, of the same distribution."""
    renamed = [dataclasses.replace(t, study=f"study_{(int(t.study[-1]) + 2) % 5}") for t in PUBLISHED]
    for own, other in zip(*(resample(ts, V05, "as-documented").spreads for ts in (PUBLISHED, renamed)), strict=True):
        assert own.sd == pytest.approx(other.sd, abs=0.01)
        np.testing.assert_allclose(own.p_rank, other.p_rank, atol=0.07)


# Every possible draw, scored one by one by `score_trials`


def scores_of_all_draws(trials: Sequence[Trial], reading: str, with_trials: bool) -> list[dict[str, float]]:
    """Of two submissions with two studies of two trials each: every draw once."""
    studies = list(itertools.product(("study_0", "study_1"), repeat=2))
    points = list(itertools.product(("trial_1", "trial_2"), repeat=2)) if with_trials else [("trial_1", "trial_2")]
    draws = []
    for choice in itertools.product(itertools.product(studies, points), repeat=2):
        drawn = [
            dataclasses.replace(t, study=f"study_{place}", trial=f"trial_{number}")
            for submission, (of_submission, names) in zip("ab", choice, strict=True)
            for place, study in enumerate(of_submission)
            for number, name in enumerate(names)
            for t in trials
            if (t.submission, t.study, t.trial) == (submission, study, name)
        ]
        draws.append({s.submission: s.score for s in score_trials(drawn, SMALL, reading).standings})
    return draws


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


@pytest.mark.parametrize("trials", [CASE_TRIALS, DAMAGED_TRIALS])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("resampled", RESAMPLED)
def test_draws_are_those_that_can_be_counted(resampled: str, reading: str, trials: list[Trial]):
    draws = scores_of_all_draws(trials, reading, with_trials=resampled == "studies and trials")
    found = by_name(resample(trials, SMALL, reading, resampled, draws=20_000))
    for name, other in ("ab", "ba"):
        scores = np.array([draw[name] for draw in draws])
        assert len(set(scores.round(9))) > 2  # the case is worth counting
        assert found[name].sd == pytest.approx(scores.std(), rel=0.02)
        first = np.mean([draw[name] >= draw[other] for draw in draws])
        assert 0 < first < 1
        assert found[name].p_rank[0] == pytest.approx(first, abs=0.012)
        assert scores.min() - 1e-9 <= found[name].low <= found[name].high <= scores.max() + 1e-9


# What there is to resample over


def test_one_study_each_gives_no_interval_and_says_so():
    single = [t for t in CASE_TRIALS if t.study == "study_0"]
    for resampled in RESAMPLED:
        found = resample(single, SMALL, "as-documented", resampled)
        assert found.draws == 0
        assert "no submission has more than one study, so there is nothing to resample over" in found.note
        for spread in found.spreads:
            assert spread.studies == 1
            assert math.isfinite(spread.score)
            assert all(map(math.isnan, (spread.low, spread.high, spread.sd, *spread.p_rank)))
        assert np.isnan(found.bands.low).all()
        assert np.isfinite(found.bands.heights).all()


def test_one_submission_with_one_study_has_no_interval_and_its_rivals_have():
    trials = [t for t in CASE_TRIALS if (t.submission, t.study) != ("a", "study_1")]
    found = resample(trials, SMALL, "as-documented")
    a, b = by_name(found)["a"], by_name(found)["b"]
    assert (a.studies, b.studies) == (1, 2)
    assert math.isnan(a.low)
    assert b.low <= b.high
    assert sum(a.p_rank) == pytest.approx(1)
    assert found.note.endswith("with replacement; none for what has one study: a.")


def test_nothing_is_no_error_and_an_unknown_reading_is_one():
    assert resample([], SMALL, "as-documented").spreads == ()
    with pytest.raises(UsageError, match="the readings are as-documented, as-published"):
        resample(CASE_TRIALS, SMALL, "as-told")


# What holds for any times


@settings(max_examples=40, deadline=None)
@given(
    logs(), st.sampled_from(RESAMPLED), st.sampled_from(READINGS), st.sampled_from([0.25, 2.0, 1024.0]), st.randoms()
)
def test_probabilities_intervals_order_and_scale(trials, resampled, reading, factor: float, shuffle: random.Random):
    found = resample(trials, SMALL, reading, resampled, draws=30)
    for spread in found.spreads:
        if found.draws:
            assert sum(spread.p_rank) == pytest.approx(1)
        if found.draws and spread.studies > 1:
            assert -1e-12 <= spread.low <= spread.high <= 1 + 1e-12
    assert repr(resample(shuffle.sample(trials, len(trials)), SMALL, reading, resampled, draws=30)) == repr(found)
    scaled = [
        dataclasses.replace(t, hit_time=t.hit_time * factor, hit_row_time=t.hit_row_time * factor) for t in trials
    ]
    assert repr(resample(scaled, SMALL, reading, resampled, draws=30)) == repr(found)


@settings(max_examples=40, deadline=None)
@given(logs(), st.sampled_from(RESAMPLED), st.sampled_from(READINGS))
def test_who_is_dominated_is_never_first(trials: list[Trial], resampled: str, reading: str):
    """A submission that reaches everything in a second, in each trial, has score 1 in every draw."""
    cells = itertools.product((0, 1), (*SMALL.workloads, *SMALL.held_out))
    best = [trial("z", study, workload, 1, 0.5) for study, workload in cells]
    found = by_name(resample([*trials, *best], SMALL, reading, resampled, draws=30))
    assert found["z"].p_rank[0] == 1
    assert (found["z"].low, found["z"].high) == pytest.approx((1, 1))
    assert all(spread.p_rank[0] == 0 for name, spread in found.items() if name != "z")


def test_the_bands_are_those_of_the_step_function():
    """Heights at each tau are the profile's from there on, for a case with a jump at every tau that is looked at."""
    scores = score_trials(CASE_TRIALS, SMALL, "as-documented")
    heights = resample(CASE_TRIALS, SMALL, "as-documented", draws=10).bands.heights
    for tau in jumps(scores.ratios()):
        column = int(np.searchsorted(TAU, tau))
        np.testing.assert_array_equal(heights[:, column], profile(scores.ratios(), TAU[[column]])[:, 0])
