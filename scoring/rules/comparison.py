"""How much faster one submission is than another, in charged time and in steps, and which is the machine's part in it.

Times compare on one kind of hardware only. Steps are the same on any, but a step is not: submissions choose their batch
sizes, and a step of one may cost several of another. Side by side the two say how much of a difference in time comes
from fewer steps and how much from faster ones. A ratio below 1 is the faster.

A workload is reached where the median over the studies is finite, before any rule of the score takes it away: that a
rival loses it by a held-out workload does not change how long it took. Means are geometric, so that the ratio of a to b
is the inverse of b to a (Fleming & Wallace 1986, How not to lie with statistics).
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from algoperf.records.words import counted
from scoring.logs.trials import Finding
from scoring.rules.score import MAX_RATIO, Scores, fastest, median

# A logged step that takes so many times the median submission's is no step of an optimizer: LAWA's logs of v0.5 count
# something else, and a step of theirs takes 36 to 600 times as long. Batch sizes and hardware make less than 10.
_ODD_PACE = 25


@dataclasses.dataclass(frozen=True)
class Pair:
    """`submission` compared with `to`: geometric means of its charged seconds, or steps, over those of `to`.

    time_ratio: over the `workloads` that both reach; a submission that reaches few may look fast. capped_ratio: over
    all scored workloads, each time as a multiple of the fastest submission's, and 4 where it is not reached or beyond
    that, where its score ends, too. budget_ratio: over all scored workloads, a miss as the workload's budget and a
    second, which the benchmark publishes as the inverse of its speed-up. step_ratio: over the `step_workloads` that
    both reach and whose steps compare. A ratio over no workload is NaN.
    """

    submission: str
    to: str
    workloads: int
    time_ratio: float
    capped_ratio: float
    budget_ratio: float
    step_workloads: int
    step_ratio: float


@dataclasses.dataclass(frozen=True)
class Reach:
    """One submission on one scored workload that it reaches.

    time, steps: medians over the studies, charged seconds and global steps at the target; steps are NaN where the logs
    have none. time_ratio: over the fastest submission's time. step_ratio: over the fewest steps of any submission, NaN
    where steps do not compare.
    """

    submission: str
    workload: str
    time: float
    steps: float
    time_ratio: float
    step_ratio: float


def pairs(scores: Scores, budgets: Mapping[str, float]) -> tuple[Pair, ...]:
    """Every ordered pair of two submissions, in the order of the standings. budgets: charged seconds by workload."""
    times, steps = _medians(scores, "time"), comparable_steps(scores)
    capped = np.fmin(times / fastest(times), MAX_RATIO)
    capped[~np.isfinite(times)] = MAX_RATIO
    whole = np.array([budgets[name] for name in scores.protocol.workloads]) + 1
    filled = np.where(np.isfinite(times), times, whole)
    names = [standing.submission for standing in scores.standings]
    found = []
    for row, submission in enumerate(names):
        for other, to in enumerate(names):
            if row == other:
                continue
            in_time, in_steps = _ratios(times[row], times[other]), _ratios(steps[row], steps[other])
            found.append(
                Pair(
                    submission=submission,
                    to=to,
                    workloads=len(in_time),
                    time_ratio=geometric_mean(in_time),
                    capped_ratio=geometric_mean(capped[row] / capped[other]),
                    budget_ratio=geometric_mean(filled[row] / filled[other]),
                    step_workloads=len(in_steps),
                    step_ratio=geometric_mean(in_steps),
                )
            )
    return tuple(found)


def reaches(scores: Scores) -> tuple[Reach, ...]:
    """Submissions in the order of the standings, each on the protocol's workloads that it reaches."""
    times, steps, comparable = _medians(scores, "time"), _medians(scores, "steps"), comparable_steps(scores)
    time_ratios, step_ratios = times / fastest(times), comparable / fastest(comparable)
    return tuple(
        Reach(
            submission=standing.submission,
            workload=workload,
            time=times[row, column].item(),
            steps=steps[row, column].item(),
            time_ratio=time_ratios[row, column].item(),
            step_ratio=step_ratios[row, column].item(),
        )
        for row, standing in enumerate(scores.standings)
        for column, workload in enumerate(scores.protocol.workloads)
        if math.isfinite(times[row, column])
    )


def check_steps(scores: Scores) -> list[Finding]:
    """Submissions whose logged steps are none: what is left out of the ratios of steps."""
    paces = _paces(scores)
    odd = paces > _ODD_PACE
    return [
        Finding(
            standing.submission,
            f"a logged step takes up to {paces[row][odd[row]].max():,.0f} times the median submission's",
            f"not compared in steps, on {counted(np.count_nonzero(odd[row]), 'workload')}",
        )
        for row, standing in enumerate(scores.standings)
        if odd[row].any()
    ]


def geometric_mean(ratios: np.ndarray) -> float:
    """NaN of nothing."""
    return math.exp(np.log(ratios).mean()) if len(ratios) else math.nan


def _medians(scores: Scores, what: str) -> np.ndarray:
    """(submissions, scored workloads): `time` or `steps` of the cells, NaN where not reached."""
    names = scores.protocol.workloads
    values = [[getattr(standing.cells[name], what) for name in names] for standing in scores.standings]
    found = np.array(values, dtype=float).reshape(len(values), len(names))
    return np.where(np.isfinite(found), found, np.nan)


def _paces(scores: Scores) -> np.ndarray:
    """(submissions, scored workloads): seconds of a step, as a multiple of the median submission's; NaN: not known."""
    paces = _medians(scores, "time") / np.fmax(_medians(scores, "steps"), 1)
    return paces / median(paces, axis=0)


def comparable_steps(scores: Scores) -> np.ndarray:
    """(submissions, scored workloads): steps at the target, NaN where not reached or where they compare with none."""
    return np.where(_paces(scores) > _ODD_PACE, np.nan, _medians(scores, "steps"))


def _ratios(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    both = ~np.isnan(own) & ~np.isnan(others)
    return own[both] / others[both]
