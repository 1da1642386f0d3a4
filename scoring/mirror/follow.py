"""Looks at the trials again and again, and hands a target what is new of each."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.records.words import counted
from scoring.mirror.places import find
from scoring.mirror.runs import Position, Row, Run, read, signature

_PERIOD = 15.0  # seconds between two looks; a trial is evaluated once in minutes


class Target(Protocol):
    """Where runs are mirrored to. Methods raise InfrastructureError where it cannot be reached or written."""

    def position(self, run: Run) -> Position | None:
        """How much of this run it has, None where it has none, in whichever process it was written."""

    def write(self, run: Run, rows: Sequence[Row], position: Position) -> None:
        """rows: the new ones, by their steps. position: where the run is then. A kill leaves what `position` told."""

    def close(self) -> None:
        """Nothing is written any more."""


class Follower:
    """One target, and what it is known to have."""

    def __init__(self, results: Path, target: Target, say: Callable[[str], None]):
        self._results, self._target, self._say = results, target, say
        self._seen: dict[Path, tuple] = {}
        self._positions: dict[tuple[str, str], Position | None] = {}

    def look(self) -> int:
        """How many trials there are. Mirrors what is new, and says how much, at first and where there was any."""
        places, is_first = find(self._results), not self._seen
        num_runs = num_rows = 0
        for place in places:
            if (seen := signature(place.folder)) == self._seen.get(place.folder):
                continue
            run = read(place)
            if run is not None and (rows := self._mirror(run)) is not None:
                num_runs, num_rows = num_runs + 1, num_rows + rows
            self._seen[place.folder] = seen
        if num_runs or is_first:
            self._say(f"{counted(num_rows, 'row')} of {num_runs:,} of {counted(len(places), 'trial')}")
        return len(places)

    def _mirror(self, run: Run) -> int | None:
        """How many rows were new; None where nothing was."""
        identity = run.place.name, run.key
        if identity not in self._positions:
            self._positions[identity] = self._target.position(run)
        before = self._positions[identity]
        if before is not None and not before.continues_to(run):
            self._say(f"{run.place.name}: its rows are no longer those that were mirrored; they are left as they were")
            return None
        now = Position.of(run, run.began if before is None else before.began)
        if now == before:
            return None
        counts = {} if before is None else before.rows
        rows = [row for file, of_file in run.rows.items() for row in of_file[counts.get(file, 0) :]]
        self._target.write(run, sorted(rows, key=lambda row: row.step), now)
        self._positions[identity] = now
        return len(rows)


def follow(results: Path, target: Target, say: Callable[[str], None], once: bool) -> None:
    """Mirrors what there is and, but for `once`, what comes, until Ctrl-C.

    Raises UsageError where there are no results, InfrastructureError where the target fails at first; later that is
    said, and tried again.
    """
    follower = Follower(results, target, say)
    try:
        if not follower.look() and once:
            raise UsageError(f"there is no trial under {str(results)!r}.")
        while not once:
            time.sleep(_PERIOD)
            try:
                follower.look()
            except InfrastructureError as error:
                say(f"{error} It is tried again.")
    except KeyboardInterrupt:
        return
    finally:
        target.close()
