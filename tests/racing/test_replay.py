"""The published v0.5 leaderboard, raced again: no number that a level promises changes, and what it saves."""

import pytest

from algoperf.progress import costs
from benchmarks.racing import counting, end_of, ended, least, level_is_kept, orders, replay
from tests.support.scoring_logs import PUBLISHED, V05

TRIALS = counting(PUBLISHED, V05)
WHOLE = sum(map(end_of, TRIALS))
NIGHTLY = pytest.mark.nightly("other replays of racing")


@pytest.mark.parametrize(
    ("level", "order", "saved"),
    [
        pytest.param("trials", "parallel", 0.14, marks=NIGHTLY),
        pytest.param("studies", "sequential", 0.22, marks=NIGHTLY),
        pytest.param("scores", "parallel", 0.28, marks=NIGHTLY),
        pytest.param("scores", "sequential", 0.33, marks=pytest.mark.landing("a replay of racing")),
        pytest.param("scores", "sequential, held-outs before their base", 0.25, marks=NIGHTLY),
    ],
)
def test_a_replay_is_exact_and_saves(level, order, saved):
    charged = replay(TRIALS, V05, level, orders(V05)[order], 100)
    raced = [ended(trial, level, seconds) for trial, seconds in zip(TRIALS, charged, strict=True)]
    assert level_is_kept(TRIALS, raced, V05, level)
    left = sum(end_of(trial) if seconds is None else seconds for trial, seconds in zip(TRIALS, charged, strict=True))
    assert 1 - left / WHOLE >= saved
    # By the evaluations of the logs themselves, which the published table does not have.
    if (known := costs.saved_by_racing("v0.5", "external", level, order)) is not None:
        assert 1 - left / WHOLE == pytest.approx(known, abs=0.03)


def test_no_more_can_be_saved_at_level_trials_than_by_who_knows_the_best_times_beforehand():
    assert 1 - 3_600 * least(TRIALS) / WHOLE == pytest.approx(0.151, abs=0.002)


def test_what_was_replayed_is_known_by_protocol_ruleset_level_and_order():
    assert costs.saved_by_racing("v0.5", "external", "none", "parallel") is None
    assert costs.saved_by_racing("mini", "external", "scores", "parallel") is None
