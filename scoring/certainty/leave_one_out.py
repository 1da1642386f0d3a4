"""What a leaderboard hangs on: the ranks that change when one submission, one study or one workload is left out.

A score compares a submission with the fastest of its rivals and takes away workloads by the 4x rule and by held-out
workloads, so that a rival that nobody looks at may decide who is first. Each leaderboard here is scored anew, by all
rules, without the one that is left out: a submission; a study of one submission, where it has others; a scored workload
with its held-out workload, or a held-out workload alone.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.protocol import Protocol
from algoperf.benchmark.registry import base_of
from scoring.rules.score import MAX_RATIO, Cell, Scores, Standing, Table, score_table

Kind: TypeAlias = Literal["submission", "study", "workload"]
_WORTH_SAYING = 0.05  # of the point that a workload gives: a ratio that moves by less is not named


@dataclasses.dataclass(frozen=True)
class Change:
    """One submission whose rank changes, or that regains or loses a workload.

    rank_before: among those that are not left out. why: the cause in words.
    """

    submission: str
    rank_before: int
    rank_after: int
    score_before: float
    score_after: float
    why: str


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """One leaderboard without something. name: of a study `<submission>/<study>`. first: who is first without it.

    changes: best rank first; empty where no rank and no workload changes hands.
    """

    kind: Kind
    name: str
    first: tuple[str, ...]
    changes: tuple[Change, ...]


def leave_one_out(before: Scores) -> tuple[LeftOut, ...]:
    """Every submission, study and workload in turn; none whose absence would leave nothing to score."""
    return tuple(
        _left_out(kind, name, before, score_table(smaller, fewer, before.reading))
        for kind, name, smaller, fewer in _without_each(before.table, before.protocol)
    )


def _without_each(table: Table, protocol: Protocol) -> Iterator[tuple[Kind, str, Table, Protocol]]:
    """Each table with something left out, and the protocol of it."""
    if len(table.submissions) > 1:
        for row, submission in enumerate(table.submissions):
            yield "submission", submission, _without_submission(table, row), protocol
    for row, studies in enumerate(table.studies):
        if len(studies) > 1:
            for place, study in enumerate(studies):
                name = f"{table.submissions[row]}/{study}"
                yield "study", name, _without_study(table, row, place), protocol
    for name in table.workloads:
        fewer = dataclasses.replace(
            protocol,
            workloads=tuple(other for other in protocol.workloads if other != name),
            held_out=tuple(other for other in protocol.held_out if name not in (other, base_of(other))),
        )
        if fewer.workloads:
            yield "workload", name, _with_workloads(table, (*fewer.workloads, *fewer.held_out)), fewer


def _without_submission(table: Table, row: int) -> Table:
    return dataclasses.replace(
        table,
        submissions=(*table.submissions[:row], *table.submissions[row + 1 :]),
        studies=(*table.studies[:row], *table.studies[row + 1 :]),
        times=np.delete(table.times, row, axis=0),
        steps=np.delete(table.steps, row, axis=0),
    )


def _without_study(table: Table, row: int, place: int) -> Table:
    submission, study = table.submissions[row], table.studies[row][place]
    studies = list(table.studies)
    studies[row] = (*studies[row][:place], *studies[row][place + 1 :])
    times, steps = table.times.copy(), table.steps.copy()
    for values in (times, steps):
        values[row, place:-1] = values[row, place + 1 :]
        values[row, -1] = np.nan
    without = {
        cell: {other: of for other, of in by_study.items() if other != study}
        for cell, by_study in table.statuses.items()
        if cell[0] == submission
    }
    statuses = {**table.statuses, **without}
    return dataclasses.replace(table, studies=tuple(studies), times=times, steps=steps, statuses=statuses)


def _with_workloads(table: Table, names: tuple[str, ...]) -> Table:
    columns = [table.workloads.index(name) for name in names]
    return dataclasses.replace(table, workloads=names, times=table.times[..., columns], steps=table.steps[..., columns])


def _left_out(kind: Kind, name: str, before: Scores, after: Scores) -> LeftOut:
    remaining = {standing.submission for standing in after.standings}
    old = {standing.submission: standing for standing in before.standings if standing.submission in remaining}
    changes = []
    for standing in after.standings:
        was = old[standing.submission]
        rank_before = 1 + sum(other.score > was.score for other in old.values())
        turned = list(_turned(was, standing, after.protocol))
        if turned or standing.rank != rank_before:
            why = "; ".join((*turned, *_moved(was, standing), *_passings(was, standing, old, after)))
            changes.append(Change(was.submission, rank_before, standing.rank, was.score, standing.score, why))
    first = tuple(standing.submission for standing in after.standings if standing.rank == 1)
    return LeftOut(kind, name, first, tuple(changes))


def _turned(was: Standing, now: Standing, protocol: Protocol) -> Iterator[str]:
    """The scored workloads that a submission regains or loses, each by which rule."""
    for name in protocol.workloads:
        before, after = was.cells[name], now.cells[name]
        if before.lost and not after.lost:
            yield f"{name} regained (was {before.reason})"
        elif after.lost and not before.lost:
            yield f"{name} lost ({after.reason})"


def _moved(was: Standing, now: Standing) -> Iterator[str]:
    """The workload that is left out, as it was; then other ratios that moved, the one that matters most first."""
    for name, before in was.cells.items():
        if name not in now.cells and name == base_of(name):
            yield f"without {name} ({before.reason if before.lost else f'{before.ratio:.2f}x the fastest'})"
    both = [(name, was.cells[name], after) for name, after in now.cells.items() if name == base_of(name)]
    moved = [
        (abs(_points(after) - _points(before)), f"{name} {after.ratio:.2f}x the fastest (was {before.ratio:.2f}x)")
        for name, before, after in both
        if not (before.lost or after.lost)
    ]
    yield from (words for size, words in sorted(moved, reverse=True) if size > _WORTH_SAYING)


def _points(cell: Cell) -> float:
    """What a workload gives, from 0 to 1; the score is the mean of them."""
    return (MAX_RATIO - min(cell.ratio, MAX_RATIO)) / (MAX_RATIO - 1)


def _passings(was: Standing, now: Standing, old: dict[str, Standing], after: Scores) -> Iterator[str]:
    """Whom a submission passes, by whom it is passed, and with whom it is level now."""
    passed: dict[str, list[str]] = {"passes": [], "passed by": [], "level with": []}
    for rival in after.standings:
        before = np.sign(was.score - old[rival.submission].score)
        this = np.sign(now.score - rival.score)
        if this != before:
            passed[{1: "passes", -1: "passed by", 0: "level with"}[int(this)]].append(rival.submission)
    return (f"{how} {', '.join(names)}" for how, names in passed.items() if names)
