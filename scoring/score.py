"""Trials -> times to target -> performance profile -> scores: the benchmark's rules as pure functions.

Source: Dahl et al. 2023 (arXiv 2306.07179), section 4, and the scoring of the AlgoPerf v0.5 leaderboard (2024). Times
are charged seconds; inf is "not reached" or "lost", NaN is "no data". Arrays have the shape (..., submissions,
workloads), a protocol's workloads first and its held-out workloads after them.
"""

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from algoperf.protocol import Protocol
from algoperf.registry import base_of
from algoperf.spec import UsageError
from scoring.trials import Trial, in_order

Reading: TypeAlias = Literal["as-documented", "as-published"]
READINGS: tuple[Reading, ...] = ("as-documented", "as-published")
Loss: TypeAlias = Literal["not reached", "over 4x", "held-out missed", "base missed", "no data"]
MAX_RATIO = 4.0  # both the limit of the 4x rule and the end of the profile


@dataclasses.dataclass(frozen=True)
class Cell:
    """One submission on one workload.

    time: median seconds over the studies, before any rule takes the workload away; inf not reached, NaN no data.
    ratio: over the fastest submission, inf where the workload is lost. lost, why: the reason and its particulars, empty
    where the workload counts.
    """

    time: float
    ratio: float
    lost: Loss | None = None
    why: str = ""

    @property
    def reason(self) -> str:
        return ": ".join(part for part in (self.lost, self.why) if part)


@dataclasses.dataclass(frozen=True)
class Standing:
    """One submission's place. cells: by workload, the held-out workloads after those that are scored."""

    rank: int
    submission: str
    score: float
    cells: Mapping[str, Cell]


@dataclasses.dataclass(frozen=True)
class Scores:
    """standings: best first; equal scores share a rank and stand in the order of their names."""

    protocol: Protocol
    reading: Reading
    standings: tuple[Standing, ...]

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


def winner(trials: Iterable[Trial], reading: Reading) -> Trial:
    """Rule 2: the trial that a study counts by, of its readable trials in directory order; the first of equals."""
    if reading == "as-documented":
        return min(trials, key=lambda trial: trial.hit_time)
    return min(trials, key=lambda trial: math.inf if trial.hit_row is None else trial.hit_row)


def study_time(trials: Iterable[Trial], reading: Reading) -> float:
    """Rule 2: seconds of one study on one workload, from its readable trials in directory order; inf: no hit."""
    best = winner(trials, reading)
    return best.hit_time if reading == "as-documented" else best.hit_row_time


def median(times: Sequence[float]) -> float:
    """Rule 3: NaN of nothing; of an even count the mean of the middle two, inf if either is."""
    if not times:
        return math.nan
    ordered, middle = sorted(times), len(times) // 2
    return ordered[middle] if len(times) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def fastest(times: np.ndarray) -> np.ndarray:
    """(..., 1, workloads): the smallest time of any submission; NaN is skipped, and is what nobody's data give."""
    return np.fmin.reduce(times, axis=-2, keepdims=True, initial=np.nan)


def settle(times: np.ndarray, protocol: Protocol) -> Settled:
    """Rules 4 to 7, for times (..., submissions, workloads)."""
    num_scored = len(protocol.workloads)
    held_outs = [
        (num_scored + place, protocol.workloads.index(base_of(name))) for place, name in enumerate(protocol.held_out)
    ]
    times = np.array(times, dtype=float)
    for held_out, base in held_outs:  # 4: a held-out is voided by its base
        times[..., held_out] = np.where(np.isfinite(times[..., base]), times[..., held_out], np.inf)
    against = _ratios(times)
    times = np.where(against > MAX_RATIO, np.inf, times)  # 5
    for held_out, base in held_outs:  # 6: a base is voided by its held-out
        times[..., base] = np.where(np.isfinite(times[..., held_out]), times[..., base], np.inf)
    return Settled(against, _ratios(times[..., :num_scored]))  # 7


def _ratios(times: np.ndarray) -> np.ndarray:
    reached = np.isfinite(times)
    return np.divide(times, fastest(times), out=np.full_like(times, np.inf), where=reached)


def profile(ratios: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Rule 8: (..., submissions, len(tau)), the share of workloads within each factor tau of the fastest."""
    return (ratios[..., None, :] <= tau[:, None]).mean(axis=-1)


def jumps(ratios: np.ndarray) -> np.ndarray:
    """(steps,): the factors between 1 and 4 at which any submission's profile rises, and those two."""
    return np.unique(np.concatenate([[1, MAX_RATIO], ratios[ratios <= MAX_RATIO]]))


def integrate(ratios: np.ndarray, reading: Reading) -> np.ndarray:
    """Rule 9: (..., submissions), the mean height of the profile between tau = 1 and 4: 0 to 1."""
    if reading == "as-documented":
        return (MAX_RATIO - np.minimum(ratios, MAX_RATIO)).mean(axis=-1) / (MAX_RATIO - 1)
    heights = profile(ratios, np.linspace(1, MAX_RATIO, 100))
    return ((heights[..., 1:] + heights[..., :-1]) / 2).mean(axis=-1)


def score_trials(trials: Iterable[Trial], protocol: Protocol, reading: Reading) -> Scores:
    """The leaderboard. Raises UsageError for an unknown reading.

    A submission takes part if it has a trial, readable or not, of any workload of the protocol.
    """
    if reading not in READINGS:
        raise UsageError(f"there is no reading {reading!r}; the readings are {', '.join(READINGS)}.")
    names = (*protocol.workloads, *protocol.held_out)
    cells: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in in_order(trials):
        if trial.workload in names:
            cells[trial.submission, trial.workload].append(trial)
    submissions = sorted({submission for submission, _ in cells})
    studies = {key: _study_times(members, reading) for key, members in cells.items()}
    times = np.array(
        [[median(studies.get((submission, name), ())) for name in names] for submission in submissions]
    ).reshape(len(submissions), len(names))
    settled = settle(times, protocol)
    scores = integrate(settled.ratios, reading).tolist()
    standings = []
    for row in sorted(range(len(submissions)), key=lambda row: (-scores[row], submissions[row])):
        submission = submissions[row]
        facts = {name: _fact(studies.get((submission, name), ()), cells[submission, name]) for name in names}
        standings.append(
            Standing(
                rank=1 + sum(other > scores[row] for other in scores),
                submission=submission,
                score=scores[row],
                cells=_explain(protocol, times[row], settled.against[row], settled.ratios[row], facts),
            )
        )
    return Scores(protocol, reading, tuple(standings))


def _study_times(trials: Iterable[Trial], reading: Reading) -> list[float]:
    """Each study's time; a study without a readable trial is not among them."""
    studies: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.readable:
            studies[trial.study].append(trial)
    return [study_time(members, reading) for members in studies.values()]


def _fact(times: Sequence[float], trials: Sequence[Trial]) -> str:
    """What the trials of a cell that has no time of its own did instead."""
    statuses = Counter(trial.status for trial in trials if trial.status not in (None, "reached"))
    reached = f"reached in {sum(map(math.isfinite, times))} of {len(times)} studies" if times else ""
    ended = ", ".join(f"{status} {count} of {len(trials)} trials" for status, count in sorted(statuses.items()))
    return "; ".join(part for part in (reached, ended) if part)


def _explain(
    protocol: Protocol, times: np.ndarray, against: np.ndarray, ratios: np.ndarray, facts: Mapping[str, str]
) -> dict[str, Cell]:
    """One submission's cells, from its rows of the arrays: the rules of `settle` once more, as words."""
    cells = {}
    for column, (name, fact) in enumerate(facts.items()):
        time, ratio = float(times[column]), float(against[column])
        if math.isnan(time):
            cells[name] = Cell(time, math.inf, "no data", fact)
        elif math.isinf(time):
            cells[name] = Cell(time, math.inf, "not reached", fact)
        elif math.isinf(ratio):
            cells[name] = Cell(time, math.inf, "base missed", f"{base_of(name)} {cells[base_of(name)].lost}")
        elif ratio > MAX_RATIO:
            cells[name] = Cell(time, math.inf, "over 4x", f"{ratio:.2f}x the fastest")
        else:
            cells[name] = Cell(time, ratio)
    for held_out in protocol.held_out:
        base, missed = base_of(held_out), cells[held_out]
        if missed.lost and not cells[base].lost:
            cells[base] = dataclasses.replace(
                cells[base], ratio=math.inf, lost="held-out missed", why=f"{held_out} {missed.reason}"
            )
    for name, ratio in zip(protocol.workloads, ratios, strict=True):
        if not cells[name].lost:
            cells[name] = dataclasses.replace(cells[name], ratio=float(ratio))
    return cells
