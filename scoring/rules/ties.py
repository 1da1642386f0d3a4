"""Where a score read as published is a matter of chance: trials of a study whose targets are met at the same row.

The published code takes, of trials with the same lowest row, whichever the file system lists first, so that their
different times give different scores. Here the first in directory order is taken, and what the others would give is
said.
"""

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from algoperf.benchmark.protocol import Protocol
from scoring.logs.trials import Finding, Trial, in_order
from scoring.rules.score import Reading, Table, integrate, median, settle, tabulate

_MOST_TOGETHER = 256  # combinations of ties that are tried; where there are more, one tie at a time and both extremes
_SAME = 5e-5  # of scores, which are shown to four decimals


@dataclasses.dataclass(frozen=True)
class Tie:
    """trials: of one study of a workload, those with the lowest row, in directory order; times: their seconds."""

    submission: str
    study: str
    workload: str
    trials: tuple[str, ...]
    times: tuple[float, ...]

    def __str__(self) -> str:
        choices = " or ".join(f"{name} {time:,.0f} s" for name, time in zip(self.trials, self.times, strict=True))
        return f"{self.submission}/{self.study} on {self.workload} ({choices})"


def find_ties(trials: Iterable[Trial], protocol: Protocol) -> tuple[Tie, ...]:
    """Those whose times differ; none of a study whose trials missed the target."""
    cells: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    workloads = {*protocol.workloads, *protocol.held_out}
    for trial in trials:
        if trial.readable and trial.hit_row is not None and trial.workload in workloads:
            cells[trial.submission, trial.study, trial.workload].append(trial)
    ties = []
    for cell, members in cells.items():
        lowest = min(trial.hit_row for trial in members)
        first = [trial for trial in in_order(members) if trial.hit_row == lowest]
        if len({trial.hit_row_time for trial in first}) > 1:
            names, times = (tuple(getattr(trial, name) for trial in first) for name in ("trial", "hit_row_time"))
            ties.append(Tie(*cell, names, times))
    return tuple(sorted(ties, key=lambda tie: (tie.submission, tie.study, tie.workload)))


def possible_scores(
    trials: Iterable[Trial], protocol: Protocol, ties: Sequence[Tie], reading: Reading = "as-published"
) -> dict[str, tuple[float, ...]]:
    """Every score that a submission has by some choice of tied trials, ascending, where that is more than one."""
    if not ties:
        return {}
    table = tabulate(trials, protocol, reading)
    settled = settle(median(np.stack([*_choices(table, ties)]), axis=2), protocol)
    scores = integrate(settled.ratios, reading)
    found = {}
    for row, submission in enumerate(table.submissions):
        ascending = np.sort(scores[:, row])
        different = ascending[np.concatenate([[True], np.diff(ascending) > _SAME])]
        if len(different) > 1:
            found[submission] = tuple(different.tolist())
    return found


def _choices(table: Table, ties: Sequence[Tie]) -> Iterable[np.ndarray]:
    """The times of a table by each choice: of all ties together, or, where those are too many, of one at a time, and
    all of the fastest and of the slowest."""
    if math.prod(len(tie.times) for tie in ties) <= _MOST_TOGETHER:
        choices = itertools.product(*(tie.times for tie in ties))
    else:
        first = [tie.times[0] for tie in ties]
        choices = [
            *((*first[:place], time, *first[place + 1 :]) for place, tie in enumerate(ties) for time in tie.times),
            *([choose(tie.times) for tie in ties] for choose in (min, max)),
        ]
    places = [_place(table, tie) for tie in ties]
    for choice in choices:
        times = table.times.copy()
        for place, time in zip(places, choice, strict=True):
            times[place] = time
        yield times


def _place(table: Table, tie: Tie) -> tuple[int, int, int]:
    row = table.submissions.index(tie.submission)
    return row, table.studies[row].index(tie.study), table.workloads.index(tie.workload)


def check_ties(ties: Sequence[Tie]) -> list[Finding]:
    return [
        Finding(
            f"{tie.submission}/{tie.study}",
            f"tied by row index: {tie}",
            "the first in directory order counts; the published code takes whichever the file system lists first",
        )
        for tie in ties
    ]


def caveat(ties: Sequence[Tie], scores: dict[str, tuple[float, ...]]) -> str:
    """One sentence on the scores that ties leave open; empty where they leave none."""
    if not scores:
        return ""
    words = "; ".join(f"{submission} {_either(values)}" for submission, values in scores.items())
    return f"tied by row index: {', '.join(map(str, ties))}: by whichever the file system lists first, {words}"


def _either(values: Sequence[float]) -> str:
    if len(values) <= 3:
        return " or ".join(f"{value:.4f}" for value in values)
    return f"between {values[0]:.4f} and {values[-1]:.4f}"
