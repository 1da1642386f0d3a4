"""Ties by row index: which there are, and every score that they leave open."""

import dataclasses
import itertools

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.rules.score import score_trials
from scoring.rules.ties import Tie, caveat, check_ties, find_ties, possible_scores
from tests.support.scoring_logs import PUBLISHED, V05, trial

V06 = load_protocol("v0.6")


def case(*tied: tuple[int, float]) -> list:
    """Of three studies of fastmri the first has trials that tie at row 4. tied: their numbers and times."""
    first = [trial("shampoo", 0, "fastmri", number, time, row=4) for number, time in tied]
    later = trial("shampoo", 0, "fastmri", 9, 500, row=5)
    others = [trial("shampoo", study, "fastmri", 1, time) for study, time in ((1, 700), (2, 900))]
    return [*first, later, *others, *(trial("baseline", study, "fastmri", 1, 1_400) for study in range(3))]


def test_a_tie_leaves_open_the_scores_that_its_trials_give():
    trials = case((2, 841), (10, 640))
    (tie,) = find_ties(trials, V06)
    assert tie == Tie("shampoo", "study_0", "fastmri", ("trial_2", "trial_10"), (841, 640))
    by_choice = []
    for left_out in ("trial_10", "trial_2"):
        chosen = [t for t in trials if (t.study, t.trial) != ("study_0", left_out)]
        scores = score_trials(chosen, V06, "as-published").standings
        by_choice.append({standing.submission: standing.score for standing in scores})
    found = possible_scores(trials, V06, (tie,))
    assert found == {"baseline": pytest.approx(sorted(scores["baseline"] for scores in by_choice))}
    low, high = found["baseline"]
    assert caveat((tie,), found).endswith(f"baseline {low:.4f} or {high:.4f}")
    assert "trial_2 841 s or trial_10 640 s" in check_ties((tie,))[0].what


@pytest.mark.parametrize("tied", [((2, 841),), ((2, 841), (3, 841))])
def test_one_trial_or_equal_times_are_no_tie(tied):
    assert find_ties(case(*tied), V06) == ()
    assert possible_scores(case(*tied), V06, ()) == {}
    assert caveat((), {}) == ""


def test_ties_that_change_no_score_are_findings_only():
    """58 of the v0.5 leaderboard: none changes a score in its fourth decimal."""
    ties = find_ties(PUBLISHED, V05)
    assert len(ties) == len(check_ties(ties)) == 58
    assert possible_scores(PUBLISHED, V05, ties) == {}


def test_too_many_ties_for_all_combinations_are_taken_one_at_a_time_and_at_their_extremes():
    names = V05.workloads
    trials = [
        trial("a", study, name, number, time, row=4)
        for study, name in itertools.product(range(3), names)
        for number, time in ((1, 100), (2, 150))
    ]
    trials += [dataclasses.replace(t, submission="b", hit_row_time=120) for t in trials if t.trial == "trial_1"]
    found = possible_scores(trials, V06, find_ties(trials, V06))
    assert len(find_ties(trials, V06)) == 24  # 2^24 combinations
    assert found["a"][-1] == pytest.approx(1)  # 100 s everywhere
    assert found["b"][-1] == pytest.approx(1)  # where a takes 150 s
    assert found["a"][0] == pytest.approx(2.75 / 3, abs=0.01)  # 150 s of 120 s: a ratio of 1.25


def test_256_combinations_are_all_tried():
    assert len(V05.workloads) == 8
    trials = []
    for name in V05.workloads:
        trials += [trial("a", 0, name, number, time, row=4) for number, time in ((1, 100), (2, 150))]
        trials += [trial("a", study, name, 1, time, row=4) for study, time in ((1, 100), (2, 150))]
        trials += [trial("b", study, name, 1, 120, row=4) for study in range(3)]
    ties = find_ties(trials, V06)
    assert 2 ** len(ties) == 256
    assert len(possible_scores(trials, V06, ties)["a"]) == 9  # slow on none of the workloads, on one, ... on all
