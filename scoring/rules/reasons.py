"""Why a workload counts for a submission or does not: the rules of the score as words."""

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.protocol import MAX_RATIO, Protocol
from algoperf.benchmark.registry import base_of
from algoperf.records.words import counted

Loss: TypeAlias = Literal["not reached", "ended by racing", "over 4x", "held-out missed", "base missed", "no data"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One submission on one workload.

    time: median seconds over the studies, before any rule takes the workload away; inf not reached, NaN no data.
    steps: median over the studies of the global step of the hit; inf not reached, NaN no data or not logged. ratio: of
    the time over the fastest submission's, inf where the workload is lost. lost, why: the reason and its particulars,
    empty where the workload counts. studies: over how many the medians are.
    """

    time: float
    steps: float
    ratio: float
    lost: Loss | None = None
    why: str = ""
    studies: int = 0

    @property
    def reason(self) -> str:
        return ": ".join(part for part in (self.lost, self.why) if part)


@dataclasses.dataclass(frozen=True)
class Table:
    """What the studies gave, before the rules that look across studies and submissions.

    workloads: the protocol's, then its held-out workloads. studies: of each submission, those with a trial that counts.
    times, steps: (submissions, studies, workloads), charged seconds and global step of the hit that counts; inf where
    there is none, NaN where the study has no trial that counts (or its steps are not logged). Submissions with fewer
    studies than the others are padded with NaN. statuses: of all trials of a (submission, workload), by study.
    """

    submissions: tuple[str, ...]
    studies: tuple[tuple[str, ...], ...]
    workloads: tuple[str, ...]
    times: np.ndarray
    steps: np.ndarray
    statuses: Mapping[tuple[str, str], Mapping[str, tuple[str | None, ...]]]


def explain(
    protocol: Protocol,
    table: Table,
    row: int,
    medians: tuple[np.ndarray, np.ndarray],
    against: np.ndarray,
    ratios: np.ndarray,
) -> dict[str, Cell]:
    """One submission's cells: the rules of `settle` once more, as words.

    row: its place in the table. medians: its times and steps. against, ratios: its rows of `Settled`.
    """
    cells = {}
    studies = np.count_nonzero(~np.isnan(table.times[row]), axis=0)
    # Of held-out workloads no ratio is settled.
    counted_ratios = np.concatenate([ratios, against[len(ratios) :]])
    numbers = zip(*(values.tolist() for values in (*medians, against, counted_ratios, studies)), strict=True)
    for column, (name, (time, steps, ratio, counted_ratio, there)) in enumerate(
        zip(table.workloads, numbers, strict=True)
    ):
        lost, why = None, ""
        if math.isnan(time):
            lost, why = "no data", _fact(table, row, column)
        elif math.isinf(time):
            lost = "ended by racing" if _is_censored(table, row, column) else "not reached"
            why = _fact(table, row, column)
        elif math.isinf(ratio):
            lost, why = "base missed", f"{base_of(name)} {cells[base_of(name)].lost}"
        elif ratio > MAX_RATIO:
            lost, why = "over 4x", f"{_over(ratio)}x the fastest"
        cells[name] = Cell(time, steps, math.inf if lost else counted_ratio, lost, why, there)
    for held_out in protocol.held_out:
        base, missed = base_of(held_out), cells[held_out]
        if missed.lost and not cells[base].lost:
            cells[base] = dataclasses.replace(
                cells[base], ratio=math.inf, lost="held-out missed", why=f"{held_out} {missed.reason}"
            )
    return cells


def _over(ratio: float) -> str:
    """A ratio above the most that is allowed, with as many digits as show that it is above: 4.0004, not 4.00."""
    return next(shown for digits in range(2, 17) if float(shown := f"{ratio:.{digits}f}") > MAX_RATIO)


def _fact(table: Table, row: int, column: int) -> str:
    """What the trials of a cell did, for one that has no time of its own."""
    times = table.times[row, :, column]
    there = np.count_nonzero(~np.isnan(times))
    by_study = table.statuses.get((table.submissions[row], table.workloads[column]), {})
    statuses = [status for study in by_study.values() for status in study]
    ended = Counter(status for status in statuses if status not in (None, "reached"))
    reached = f"reached in {np.count_nonzero(np.isfinite(times))} of {counted(there, 'study')}" if there else ""
    of = counted(len(statuses), "trial")
    words = ", ".join(f"{status} {count} of {of}" for status, count in sorted(ended.items()))
    return "; ".join(part for part in (reached, words) if part)


def _is_censored(table: Table, row: int, column: int) -> bool:
    """Whether racing has ended so much of a cell that its median, which is infinite now, might be finite."""
    by_study = table.statuses.get((table.submissions[row], table.workloads[column]), {})
    if not any("pruned" in statuses for statuses in by_study.values()):
        return False
    times = dict(zip(table.studies[row], table.times[row, :, column].tolist(), strict=False))
    there = {study: time for study, time in times.items() if not math.isnan(time)}
    could_be = [0.0 if math.isinf(time) and "pruned" in by_study[study] else time for study, time in there.items()]
    return bool(there) and math.isfinite(statistics.median(could_be))
