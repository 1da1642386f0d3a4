"""What the scores would be under other rules: another limit than 4, no 4x rule, no held-out workloads, steps for time.

The rules are the benchmark's; which of them decide a rank is seen where one is changed and all else is kept. Steps
count by the trial that a study counts by; where a submission's logged steps are none (`scoring.rules.comparison`), it
has no score by steps.
"""

import dataclasses
import math

import numpy as np

from scoring.rules.comparison import comparable_steps
from scoring.rules.score import MAX_RATIO, Scores, integrate, median, settle

# Limits of the profile and of the 4x rule that are tried, on a logarithmic scale from close to 1.
TAU_MAX = (1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 11.0, 16.0)
AS_SCORED, BY_STEPS, NO_LIMIT, NO_HELD_OUT = "as scored", "by steps", "without the 4x rule", "without held-outs"


@dataclasses.dataclass(frozen=True)
class Alternative:
    """scores, ranks: in the order of the standings; a score of NaN has no rank (0).

    name: of the rule that is another. tau_max: up to which the profile is integrated.
    """

    name: str
    tau_max: float
    scores: tuple[float, ...]
    ranks: tuple[int, ...]


def alternatives(scores: Scores) -> tuple[Alternative, ...]:
    """As scored first; by steps, if there are any; without each of the two rules; then by each limit."""
    protocol, reading, table = scores.protocol, scores.reading, scores.table
    rows = [table.submissions.index(standing.submission) for standing in scores.standings]
    times = median(table.times[rows], axis=1)
    without = dataclasses.replace(protocol, held_out=())
    scored = times[:, : len(protocol.workloads)]

    def made(name: str, ratios: np.ndarray, tau_max: float = MAX_RATIO) -> Alternative:
        found = integrate(ratios, reading, tau_max).tolist()
        return Alternative(name, tau_max, tuple(found), _ranks(found))

    ways = [made(AS_SCORED, settle(times, protocol).ratios)]
    if np.isfinite(table.steps).any():
        ways.append(_by_steps(scores, median(table.steps[rows], axis=1)))
    ways.append(made(NO_LIMIT, settle(times, protocol, math.inf).ratios))
    if protocol.held_out:
        ways.append(made(NO_HELD_OUT, settle(scored, without).ratios))
    ways += [made(f"tau_max {limit:g}", settle(times, protocol, limit).ratios, limit) for limit in TAU_MAX]
    return tuple(ways)


def _by_steps(scores: Scores, steps: np.ndarray) -> Alternative:
    """steps: (submissions, workloads), medians over the studies."""
    protocol = scores.protocol
    of_scored = steps[:, : len(protocol.workloads)]
    # What was reached, and whose steps compare with nobody's.
    odd = (np.isfinite(of_scored) & np.isnan(comparable_steps(scores))).any(axis=1)
    found = integrate(settle(np.where(odd[:, None], np.nan, steps), protocol).ratios, scores.reading)
    shown = np.where(odd, math.nan, found).tolist()
    return Alternative(BY_STEPS, MAX_RATIO, tuple(shown), _ranks(shown))


def _ranks(scores: list[float]) -> tuple[int, ...]:
    """Equal scores share a rank."""
    return tuple(0 if math.isnan(own) else 1 + sum(other > own for other in scores) for own in scores)
