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
    for column, name in enumerate(table.workloads):
        fact, time, ratio = _fact(table, row, column), float(medians[0][column]), float(against[column])
        studies = int(np.count_nonzero(~np.isnan(table.times[row, :, column])))
        own = dict(time=time, steps=float(medians[1][column]), ratio=math.inf, studies=studies)
        if math.isnan(time):
            cells[name] = Cell(**own, lost="no data", why=fact)
        elif math.isinf(time):
            is_censored = _is_censored(table, row, column)
            cells[name] = Cell(**own, lost="ended by racing" if is_censored else "not reached", why=fact)
        elif math.isinf(ratio):
            cells[name] = Cell(**own, lost="base missed", why=f"{base_of(name)} {cells[base_of(name)].lost}")
        elif ratio > MAX_RATIO:
            cells[name] = Cell(**own, lost="over 4x", why=f"{_over(ratio)}x the fastest")
        else:
            cells[name] = Cell(**{**own, "ratio": ratio})
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
    times = dict(zip(table.studies[row], table.times[row, :, column].tolist(), strict=False))
    there = {study: time for study, time in times.items() if not math.isnan(time)}
    could_be = [0.0 if math.isinf(time) and "pruned" in by_study[study] else time for study, time in there.items()]
    return bool(there) and math.isfinite(statistics.median(could_be))
