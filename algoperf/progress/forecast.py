"""When the trials of an experiment will have ended, from how far they have come and how long others took."""

import dataclasses
import functools
import heapq
from collections.abc import Mapping, Sequence

from algoperf.benchmark.identity import Trial
from algoperf.progress import estimate
from algoperf.progress.costs import Took
from algoperf.progress.estimate import Cost, Kind
from algoperf.progress.status import TrialStatus


@dataclasses.dataclass(frozen=True)
class Forecast:
    """All times in seconds from now. ends: of the trials that run or wait. at_once: how many are taken to run.

    is_running: whether a trial runs; else the waiting ones are forecast one after the other, as if the first began now.
    """

    ends: Mapping[Trial, float]
    at_once: int
    is_running: bool

    @property
    def end(self) -> float:
        """Of the last trial that runs or waits; failed and stopped ones run only when they are started again."""
        return max(self.ends.values(), default=0.0)


def finished_trials(found: Sequence[TrialStatus]) -> dict[Kind, list[Took]]:
    """What the trials of each kind took that are done."""
    took: dict[Kind, list[Took]] = {}
    for entry in found:
        if entry.progress == "done":
            of_one = Took(entry.outcome == "reached", entry.charged, entry.free, entry.set_up, entry.global_step)
            took.setdefault(Kind.of(entry.trial), []).append(of_one)
    return took


def forecast(found: Sequence[TrialStatus], now: float) -> Forecast:
    """now: in seconds since the epoch. Waiting trials start in their order, as soon as one that runs has ended."""
    took = finished_trials(found)

    @functools.cache
    def whole(kind: Kind) -> Cost:
        return estimate.forecast(kind, took.get(kind, ()))

    def seconds_left(entry: TrialStatus) -> float:
        kind = Kind.of(entry.trial)
        return _seconds_left(entry, whole(kind), took.get(kind, ()))

    running = [entry for entry in found if entry.progress == "running"]
    ends = {entry.trial: max(0.0, seconds_left(entry) - (now - (entry.since or now))) for entry in running}
    free_at = list(ends.values()) or [0.0]
    heapq.heapify(free_at)
    for entry in found:
        if entry.progress == "waiting":
            ends[entry.trial] = free_at[0] + seconds_left(entry)
            heapq.heapreplace(free_at, ends[entry.trial])
    return Forecast(ends, len(free_at), bool(running))


def _seconds_left(entry: TrialStatus, whole: Cost, took: Sequence[Took]) -> float:
    """Seconds that a trial still needed at its last evaluation. whole: what trials of its kind take from the start.

    The charged time to come is what trials took that had not ended by then either; the free time goes on in proportion,
    as this trial has spent it so far.
    """
    if not entry.charged or not entry.global_step:
        return whole.held
    end = estimate.charged_at_the_end(Kind.of(entry.trial), took, entry.charged, entry.global_step)
    to_come = end - entry.charged
    return to_come * (1 + (whole.free / whole.charged if entry.free is None else entry.free / entry.charged))
