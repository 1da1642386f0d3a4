"""Trials -> times to target -> performance profile -> scores: the benchmark's rules as pure functions.

`tabulate` takes the trials as far as the studies' times, `score_table` from there to the leaderboard.

Source: Dahl et al. 2023 (arXiv 2306.07179), section 4, and the scoring of the AlgoPerf v0.5 leaderboard (2024). Times
are charged seconds; inf is "not reached" or "lost", NaN is "no data". Arrays have the shape (..., submissions,
workloads), a protocol's workloads first and its held-out workloads after them.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import MAX_RATIO, Protocol
from algoperf.benchmark.registry import base_of
from scoring.logs.trials import Trial, in_order
from scoring.rules.reasons import Cell, Table, explain

Reading: TypeAlias = Literal["as-documented", "as-published"]
READINGS: tuple[Reading, ...] = ("as-documented", "as-published")


@dataclasses.dataclass(frozen=True)
class Standing:
    """One submission's place. cells: by workload, the held-out workloads after those that are scored."""

    rank: int
    submission: str
    score: float
    cells: Mapping[str, Cell]

    def with_fewer_studies(self, protocol: Protocol) -> dict[int, list[str]]:
        """How many studies -> the workloads whose median is over so many, where the protocol has more."""
        found: dict[int, list[str]] = {}
        for name, cell in self.cells.items():
            if 0 < cell.studies < protocol.studies:
                found.setdefault(cell.studies, []).append(name)
        return dict(sorted(found.items()))


@dataclasses.dataclass(frozen=True)
class Scores:
    """standings: best first; equal ones share a rank and stand in the order of their names. table: what they are of."""

    protocol: Protocol
    reading: Reading
    standings: tuple[Standing, ...]
    table: Table = dataclasses.field(repr=False, compare=False)

    def ratios(self) -> np.ndarray:
        """(submissions, workloads), in the order of the standings and of the protocol's scored workloads."""
        return np.array(
            [[standing.cells[name].ratio for name in self.protocol.workloads] for standing in self.standings]
        ).reshape(len(self.standings), len(self.protocol.workloads))


@dataclasses.dataclass(frozen=True)
class Settled:
    """What the rules make of times. against: ratios to the fastest by which the 4x rule judged, held-outs included.

    ratios: (..., submissions, scored workloads), inf where the workload is lost.
    """

    against: np.ndarray
    ratios: np.ndarray


def preference(trial: Trial, reading: Reading) -> float:
    """Rule 2: the trial with the smallest counts for its study; inf: no hit."""
    if reading == "as-documented":
        return trial.hit_time
    return math.inf if trial.hit_row is None else trial.hit_row


def counted_time(trial: Trial, reading: Reading) -> float:
    """Charged seconds of the hit by which a reading judges a trial; inf: no hit."""
    return trial.hit_time if reading == "as-documented" else trial.hit_row_time


def winner(trials: Iterable[Trial], reading: Reading) -> Trial:
    """Rule 2: the trial that a study counts by, of its trials that count in directory order; the first of equals."""
    return min(trials, key=lambda trial: preference(trial, reading))


def study_time(trials: Iterable[Trial], reading: Reading) -> float:
    """Rule 2: seconds of one study on one workload, from its trials that count in directory order; inf: no hit."""
    return counted_time(winner(trials, reading), reading)


def median(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Rule 3, along an axis: NaN is left out, and is what nothing gives; an even count gives the middle two's mean."""
    ordered = np.sort(np.asarray(values, dtype=float), axis=axis)  # NaN last
    if ordered.shape[axis] == 0:
        return np.full(np.delete(ordered.shape, axis), np.nan)
    if not np.isnan(ordered.take(-1, axis)).any():
        num = ordered.shape[axis]
        return (ordered.take((num - 1) // 2, axis) + ordered.take(num // 2, axis)) / 2
    counts = np.count_nonzero(~np.isnan(ordered), axis=axis, keepdims=True)
    lower = np.take_along_axis(ordered, np.maximum(counts - 1, 0) // 2, axis)
    upper = np.take_along_axis(ordered, counts // 2, axis)
    return np.squeeze((lower + upper) / 2, axis)


def fastest(times: np.ndarray) -> np.ndarray:
    """(..., 1, workloads): the smallest time of any submission; NaN is skipped, and is what nobody's data give."""
    return np.fmin.reduce(times, axis=-2, keepdims=True, initial=np.nan)


def settle(times: np.ndarray, protocol: Protocol, limit: float = MAX_RATIO) -> Settled:
    """Rules 4 to 7, for times (..., submissions, workloads). limit: of the 4x rule, where another is tried."""
    num_scored = len(protocol.workloads)
    held_outs = [
        (num_scored + place, protocol.workloads.index(base_of(name))) for place, name in enumerate(protocol.held_out)
    ]
    times = np.array(times, dtype=float)
    for held_out, base in held_outs:  # 4: a held-out is voided by its base
        times[..., held_out] = np.where(np.isfinite(times[..., base]), times[..., held_out], np.inf)
    against = _ratios(times)
    times = np.where(against > limit, np.inf, times)  # 5
    for held_out, base in held_outs:  # 6: a base is voided by its held-out
        times[..., base] = np.where(np.isfinite(times[..., held_out]), times[..., base], np.inf)
    return Settled(against, _ratios(times[..., :num_scored]))  # 7


def _ratios(times: np.ndarray) -> np.ndarray:
    reached = np.isfinite(times)
    return np.divide(times, fastest(times), out=np.full_like(times, np.inf), where=reached)


def profile(ratios: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Rule 8: (..., submissions, len(tau)), the share of workloads within each factor tau of the fastest."""
    return (ratios[..., None] <= tau).mean(axis=-2)


def jumps(ratios: np.ndarray) -> np.ndarray:
    """(steps,): the factors between 1 and 4 at which any submission's profile rises, and those two."""
    return np.unique(np.concatenate([[1, MAX_RATIO], ratios[ratios <= MAX_RATIO]]))


def integrate(ratios: np.ndarray, reading: Reading, tau_max: float = MAX_RATIO) -> np.ndarray:
    """Rule 9: (..., submissions), the mean height of the profile between tau = 1 and `tau_max`, which is 4: 0 to 1."""
    if reading == "as-documented":
        return (tau_max - np.minimum(ratios, tau_max)).mean(axis=-1) / (tau_max - 1)
    heights = profile(ratios, np.linspace(1, tau_max, 100))
    return ((heights[..., 1:] + heights[..., :-1]) / 2).mean(axis=-1)


def score_trials(trials: Iterable[Trial], protocol: Protocol, reading: Reading) -> Scores:
    """The leaderboard. Raises UsageError for an unknown reading.

    A submission takes part if it has a trial, readable or not, of any workload of the protocol.
    """
    return score_table(tabulate(trials, protocol, reading), protocol, reading)


def tabulate(trials: Iterable[Trial], protocol: Protocol, reading: Reading) -> Table:
    """Rule 2 for every study. Raises UsageError for an unknown reading."""
    if reading not in READINGS:
        raise UsageError(f"there is no reading {reading!r}; the readings are {', '.join(READINGS)}.")
    workloads = (*protocol.workloads, *protocol.held_out)
    cells: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    studies: dict[str, dict[str, int]] = defaultdict(dict)
    for trial in in_order(trial for trial in trials if trial.workload in workloads):
        cells[trial.submission, trial.study, trial.workload].append(trial)
        if trial.counts:
            studies[trial.submission].setdefault(trial.study, len(studies[trial.submission]))
    submissions = sorted({submission for submission, _, _ in cells})
    depth = max(map(len, studies.values()), default=0)
    times = np.full((len(submissions), depth, len(workloads)), np.nan)
    steps = times.copy()
    statuses: dict[tuple[str, str], dict[str, tuple[str | None, ...]]] = defaultdict(dict)
    for (submission, study, workload), members in cells.items():
        statuses[submission, workload][study] = tuple(trial.status for trial in members)
        if counting := [trial for trial in members if trial.counts]:
            place = submissions.index(submission), studies[submission][study], workloads.index(workload)
            best = winner(counting, reading)
            times[place], steps[place] = counted_time(best, reading), best.hit_step
    return Table(
        submissions=tuple(submissions),
        studies=tuple(tuple(studies[submission]) for submission in submissions),
        workloads=workloads,
        times=times,
        steps=steps,
        statuses=dict(statuses),
    )


def score_table(table: Table, protocol: Protocol, reading: Reading) -> Scores:
    """Rules 3 to 9. The table's workloads are those of the protocol."""
    times, steps = median(table.times, axis=1), median(table.steps, axis=1)
    settled = settle(times, protocol)
    scores = integrate(settled.ratios, reading).tolist()
    standings = []
    for row in sorted(range(len(scores)), key=lambda row: (-scores[row], table.submissions[row])):
        standings.append(
            Standing(
                rank=1 + sum(other > scores[row] for other in scores),
                submission=table.submissions[row],
                score=scores[row],
                cells=explain(
                    protocol, table, row, (times[row], steps[row]), settled.against[row], settled.ratios[row]
                ),
            )
        )
    return Scores(protocol, reading, tuple(standings), table)
