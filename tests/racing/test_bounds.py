"""Bounds: random experiments, raced in any order, give what they give without racing, to the last digit."""

import dataclasses
import math
import random
from collections.abc import Iterable

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from algoperf.racing.bounds import LEVELS, NEVER, Facts, Known, Level, Place, bound, known, unproved
from scoring.logs.record import Record
from scoring.logs.trials import Trial
from scoring.rules.raced import without_a_bound
from scoring.rules.score import median, score_table, settle, tabulate
from tests.support.nightly import examples
from tests.support.scoring_logs import SMALL

# Few and round, so that there are ties, and hits at four times the fastest and just above.
HITS = (*map(float, (1, 2, 3, 4, 5, 8, 9, 12, 13, 16, 17, 20)), NEVER, NEVER, NEVER, NEVER)


@dataclasses.dataclass
class Run:
    """A trial of an experiment. hit, budget: charged seconds. evaluated: how many evaluations there are on the disk."""

    place: Place
    hit: float
    budget: float
    evaluated: int = 0
    saved: int = 0
    result: Known | None = None
    cut_at: float | None = None

    @property
    def charged(self) -> float:
        """One evaluation a second."""
        return float(self.evaluated)

    def trial(self, is_raced: bool) -> Trial:
        submission, workload, study, number = self.place
        is_cut = is_raced and self.cut_at is not None
        record = Record()
        if is_cut:
            record = Record(status="pruned", has_missed=True, result={"charged_time": self.cut_at})
        is_hit = math.isfinite(self.hit) and not is_cut
        hit = dict(hit_time=self.hit, hit_row=3, hit_row_time=self.hit, hit_step=self.hit) if is_hit else {}
        rows = int(self.cut_at) if is_cut else 9
        return Trial(submission, study, workload, "jax", number, "/".join(self.place), rows, record=record, **hit)


@st.composite
def experiments(draw: st.DrawFn) -> list[Run]:
    """Up to four submissions on a base with its held-out and on one without, 1 to 5 studies of 1 to 3 trials."""
    studies, trials = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    submissions = "abcd"[: draw(st.integers(1, 4))]
    places = [
        Place(submission, workload, f"study_{study}", f"trial_{trial}")
        for workload in (*SMALL.workloads, *SMALL.held_out)
        for submission in submissions
        for study in range(studies)
        for trial in range(1, trials + 1)
    ]
    chance = random.Random(draw(st.integers(0, 2**32)))
    # Of each submission on each workload its own luck: all rarely hit, or all often, and near to each other.
    luck = {
        place[:2]: chance.choice((HITS, HITS[:4], HITS[4:8], HITS[8:], (NEVER,), (1.0, 4.0, 5.0))) for place in places
    }
    return [Run(place, chance.choice(luck[place[:2]]), chance.choice((3.0, 22.0, 22.0))) for place in places]


def race(runs: list[Run], level: Level, seed: int, order: str) -> None:
    """Lets them run as a cluster would: in any order, some at a time, by stale results, and with crashes in between."""
    chance = random.Random(seed)
    protocol_facts = {id(run): Facts((one.place for one in runs), SMALL) for run in runs}
    waiting = list(runs)
    if order == "any":
        chance.shuffle(waiting)
    elif order == "studies":
        waiting.sort(key=lambda run: (run.place.study, run.place.workload not in SMALL.held_out))
    elif order == "held-outs":
        waiting.sort(key=lambda run: run.place.workload not in SMALL.held_out)
    nodes = chance.choice((1, 2, 5, len(runs)))
    running: list[Run] = []
    while waiting or running:
        while waiting and len(running) < nodes:
            run = waiting.pop(0)
            running.append(run)
            look(run, runs, protocol_facts[id(run)], 1.0, chance)
            end_if_lost(run, protocol_facts[id(run)], level)
        run = chance.choice(running)
        if run.result is None:
            step(run, runs, protocol_facts[id(run)], level, chance)
        if run.result is not None:
            running.remove(run)


def step(run: Run, runs: list[Run], facts: Facts, level: Level, chance: random.Random) -> None:
    if (
        run.evaluated and chance.random() < 0.1
    ):  # a crash: the last checkpoint is the one of its last evaluation, or older
        run.evaluated = chance.choice((run.saved, run.evaluated))
        look(run, runs, facts, 1.0, chance)
    else:
        run.evaluated += 1
        if chance.random() < 0.7:
            run.saved = run.evaluated
        if run.charged >= run.hit:
            run.result = known(run.hit, run.charged, False)
            return
        if run.charged >= run.budget:
            run.hit = NEVER  # not within the budget
            run.result = known(None, run.charged, False)
            return
        look(run, runs, facts, chance.choice((0.0, 0.5, 1.0)), chance)
    end_if_lost(run, facts, level)
    seconds = bound(facts, run.place, level).seconds
    if run.result is None and seconds < run.charged + 1:  # it ends between two evaluations
        run.cut_at = seconds
        run.result = known(None, seconds, True)


def look(run: Run, runs: list[Run], facts: Facts, share: float, chance: random.Random) -> None:
    """Reads a share of the results that there are."""
    for other in runs:
        if other.result is not None and chance.random() <= share:
            facts.learn(other.place, other.result)


def end_if_lost(run: Run, facts: Facts, level: Level) -> None:
    if run.charged >= bound(facts, run.place, level).seconds:
        run.cut_at = run.charged
        run.result = known(None, run.charged, True)


def outcome(trials: Iterable[Trial]) -> dict[str, object]:
    """What each level promises."""
    table = tabulate(trials, SMALL, "as-documented")
    medians = median(table.times, axis=1)
    standings = score_table(table, SMALL, "as-documented").standings
    return {
        "trials": table.times,
        "studies": medians,
        "scores": (settle(medians, SMALL).ratios, [(s.rank, s.submission, s.score) for s in standings]),
    }


def within_budget(run: Run) -> Run:
    """As it is without racing."""
    return dataclasses.replace(run, hit=run.hit if run.hit <= run.budget else NEVER)


def assert_same(one: object, other: object) -> None:
    if isinstance(one, tuple):
        assert np.array_equal(one[0], other[0])
        assert one[1] == other[1]
    else:
        assert np.array_equal(one, other, equal_nan=True)


@hypothesis.given(experiments(), st.integers(0, 2**32), st.sampled_from(["any", "studies", "held-outs", "planned"]))
@hypothesis.settings(max_examples=examples(by_day=60, by_night=500))
def test_racing_changes_nothing_that_its_level_promises(experiment, seed, order):
    whole = outcome([within_budget(run).trial(is_raced=False) for run in experiment])
    for level in LEVELS[1:]:
        runs = [dataclasses.replace(run) for run in experiment]
        race(runs, level, seed, order)
        raced = [run.trial(is_raced=True) for run in runs]
        for promised in LEVELS[LEVELS.index(level) :]:
            assert_same(whole[promised], outcome(raced)[promised])
        facts = Facts((run.place for run in runs), SMALL)
        for run in runs:
            facts.learn(run.place, run.result)
        ended = [(run.place, level, run.cut_at) for run in runs if run.cut_at is not None]
        assert not list(unproved(facts, ended))
        if level == "scores":  # what a log without its level is taken to be of
            assert not without_a_bound(raced, SMALL)


@hypothesis.given(experiments(), st.integers(0, 2**32))
@hypothesis.settings(max_examples=50)
def test_a_bound_only_falls(experiment, seed):
    chance = random.Random(seed)
    facts = Facts((run.place for run in experiment), SMALL)
    chance.shuffle(experiment)
    watched = {(run.place, level): NEVER for run in experiment[:5] for level in LEVELS[1:]}
    for run in experiment:
        if run.place not in {place for place, _ in watched}:
            cut = chance.random() < 0.3
            facts.learn(run.place, known(None if cut or run.hit == NEVER else run.hit, chance.choice((0.0, 7.0)), cut))
        for (place, level), before in watched.items():
            watched[place, level] = bound(facts, place, level).seconds
            assert watched[place, level] <= before


def facts_of(*told, studies=3, trials=1, submissions="ab"):
    """told: (place in words, hit, charged, is it ended)."""
    places = [
        Place(submission, workload, f"study_{study}", f"trial_{trial}")
        for submission in submissions
        for workload in (*SMALL.workloads, *SMALL.held_out)
        for study in range(studies)
        for trial in range(1, trials + 1)
    ]
    facts = Facts(places, SMALL)
    for place, *of_it in told:
        facts.learn(at(place), known(*of_it))
    return facts


def at(words):
    submission, workload, study, *trial = words.split()
    return Place(submission, workload, f"study_{study}", f"trial_{trial[0] if trial else 1}")


def test_a_study_is_set_by_its_best_trial():
    facts = facts_of(("a wmt 0 1", 30.0, 30.0, False), ("a wmt 0 2", 20.0, 25.0, False), trials=3)
    found = bound(facts, at("a wmt 0 3"), "trials")
    assert (found.seconds, found.set_by) == (20.0, (at("a wmt 0 2"),))
    assert bound(facts, at("a wmt 1 1"), "trials").seconds == NEVER


def test_a_median_is_set_by_the_upper_middle_study():
    facts = facts_of(("a wmt 0", 30.0, 30.0, False), ("a wmt 1", 20.0, 20.0, False))
    assert bound(facts, at("a wmt 2"), "trials").seconds == NEVER
    found = bound(facts, at("a wmt 2"), "studies")
    assert (found.seconds, set(found.set_by)) == (30.0, {at("a wmt 0"), at("a wmt 1")})


def test_a_trial_need_not_begin_where_the_median_is_known():
    facts = facts_of(("a wmt 0", None, 99.0, False), ("a wmt 1", None, 50.0, False))
    assert bound(facts, at("a wmt 2"), "studies").seconds == 0
    assert bound(facts, at("a wmt 2"), "trials").seconds == NEVER


def test_what_racing_has_ended_has_not_missed():
    facts = facts_of(("a wmt 0", None, 99.0, True), ("a wmt 1", None, 50.0, True))
    assert bound(facts, at("a wmt 2"), "studies").seconds == NEVER


@pytest.mark.parametrize(("studies", "factor"), [(1, 1), (2, 2), (3, 1), (4, 2)])
def test_above_four_times_the_fastest(studies, factor):
    told = [(f"a wmt {study}", 10.0, 10.0, False) for study in range(studies)]
    found = bound(facts_of(*told, studies=studies), at("b wmt 0"), "scores").seconds
    assert found == pytest.approx(40.0 * factor)
    assert (found / factor) / 10.0 > 4.0


def test_a_base_is_not_ended_before_its_held_out_is_known():
    """Where it misses, the times of its held-out are void, which may have been the fastest there."""
    fastest = [(f"a fastmri {study}", 10.0, 10.0, False) for study in range(3)]
    facts = facts_of(*fastest)
    assert bound(facts, at("b fastmri 0"), "scores").seconds == NEVER
    for study in range(3):
        facts.learn(at(f"a fastmri_tanh {study}"), known(10.0, 10.0, False))
        facts.learn(at(f"b fastmri_tanh {study}"), known(20.0, 20.0, False))
    assert bound(facts, at("b fastmri 0"), "scores").seconds == pytest.approx(40.0)


def test_a_base_that_its_held_out_loses_may_still_be_the_fastest():
    fastest = [(f"a {name} {study}", 10.0, 10.0, False) for name in ("fastmri", "fastmri_tanh") for study in range(3)]
    facts = facts_of(*fastest, *((f"b fastmri_tanh {study}", None, 99.0, False) for study in range(3)))
    assert bound(facts, at("b fastmri 0"), "scores").seconds == 10.0
    for study in (1, 2):
        facts.learn(at(f"b fastmri {study}"), known(None, 10.0, True))
    assert bound(facts, at("b fastmri 0"), "scores").seconds == 0


def test_a_held_out_of_a_base_that_is_missed_need_not_begin():
    facts = facts_of(*((f"b fastmri {study}", None, 99.0, False) for study in range(2)))
    assert bound(facts, at("b fastmri_tanh 0"), "scores").seconds == 0
    assert bound(facts, at("b fastmri_tanh 0"), "studies").seconds == NEVER


def test_what_no_score_is_made_of_keeps_its_medians():
    places = [Place("a", "criteo1tb", f"study_{study}", "trial_1") for study in range(3)]
    facts = Facts(places, SMALL)
    facts.learn(places[0], known(10.0, 10.0, False))
    facts.learn(places[1], known(20.0, 20.0, False))
    assert bound(facts, places[2], "scores").seconds == 20.0
