"""Which differences between scores are larger than what the clock alone can make, where nothing was repeated.

With one study there is nothing to resample over (uncertainty.py), but the logs show how well each time is known. A
target was met somewhere between the evaluation before and the one that says so: the tick. And the steps between two
evaluations do not always take the same time: the pace. A draw moves each time to target back by a uniform part of its
tick, and by the error of a sum of as many intervals as it has, each as uncertain as they differ among themselves
(the first one, which compiles, does not count); then all rules of the score follow. So this is what the same steps
would give when they are timed again. What other seeds would give, nobody knows without more studies.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from algoperf.benchmark.protocol import Protocol
from scoring.certainty.uncertainty import CONFIDENCE, DRAWS, SEED
from scoring.logs.trials import Trial, in_order
from scoring.rules.score import Reading, Scores, counted_time, integrate, settle, winner


@dataclasses.dataclass(frozen=True)
class Lead:
    """One submission's lead over the next. share: of the draws in which it is ahead."""

    ahead: str
    behind: str
    share: float

    @property
    def is_larger(self) -> bool:
        """Whether it is larger than the noise."""
        return self.share >= CONFIDENCE


@dataclasses.dataclass(frozen=True)
class ClockNoise:
    """leads: of each submission of a leaderboard over the next one, in its order. sds: of the scores of the draws, by
    submission."""

    leads: tuple[Lead, ...]
    sds: dict[str, float]

    @property
    def sentence(self) -> str:
        """For the top of a leaderboard; empty for one with a single submission."""
        larger = [f"{lead.ahead} over {lead.behind}" for lead in self.leads if lead.is_larger]
        smaller = [f"{lead.ahead} over {lead.behind} ({lead.share:.0%})" for lead in self.leads if not lead.is_larger]
        words = (("Larger than the clock's noise", larger), ("Not larger, with how often ahead", smaller))
        return ". ".join(f"{what}: {', '.join(leads)}" for what, leads in words if leads)


def clock_noise(trials: Iterable[Trial], scores: Scores, draws: int = DRAWS, seed: int = SEED) -> ClockNoise:
    """trials: those that the scores are of, of one study each. The same trials and seed give the same draws."""
    protocol, order = scores.protocol, [standing.submission for standing in scores.standings]
    times = _times(trials, protocol, scores.reading, order, draws, seed)
    drawn = integrate(settle(times, protocol).ratios, scores.reading)
    leads = tuple(
        Lead(order[row], order[row + 1], float((drawn[:, row] > drawn[:, row + 1]).mean()))
        for row in range(len(order) - 1)
    )
    return ClockNoise(leads, dict(zip(order, drawn.std(axis=0, ddof=1).tolist(), strict=True)))


def _times(
    trials: Iterable[Trial], protocol: Protocol, reading: Reading, submissions: list[str], draws: int, seed: int
) -> np.ndarray:
    """(draws, submissions, workloads): the times to target, drawn."""
    workloads = (*protocol.workloads, *protocol.held_out)
    cells: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in in_order(trials):
        if trial.readable:
            cells[trial.submission, trial.workload].append(trial)
    generator = np.random.default_rng(seed)
    times = np.full((draws, len(submissions), len(workloads)), np.nan)
    for row, submission in enumerate(submissions):
        for column, workload in enumerate(workloads):
            # Drawn for every cell, so that one trial more or less leaves the other cells' draws as they are.
            back, error = generator.random(draws), generator.standard_normal(draws)
            if members := cells.get((submission, workload)):
                best = winner(members, reading)
                hit = counted_time(best, reading)
                tick, spread = _tick(best, hit), _spread(best, hit)
                times[:, row, column] = np.maximum(hit - back * tick + error * spread, hit / 2)
    return times


def _tick(trial: Trial, hit: float) -> float:
    """Seconds between the evaluation before the hit and the hit; 0 where there was no hit."""
    if math.isinf(hit):
        return 0.0
    return hit - max((time for time in trial.curve.times if time < hit), default=0.0)


def _spread(trial: Trial, hit: float) -> float:
    """The standard error, in seconds, of the time to the hit, by how much its intervals differ; 0 for a few of them."""
    times = np.array([time for time in trial.curve.times if time <= hit], dtype=float)
    gaps = np.diff(times[np.isfinite(times)])
    return float(gaps.std(ddof=1) * math.sqrt(len(gaps))) if len(gaps) > 2 and math.isfinite(hit) else 0.0
