"""How a trial learns from its siblings that it can change nothing any more.

docs/racing.md says what racing is; the bounds are proved in `bounds.py`.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import Trial
from algoperf.racing.bounds import NEVER, Bound, Level, Place
from algoperf.racing.results import Results, place_of, read_plan
from algoperf.records import official_files
from algoperf.records.atomic import write_json

# Free seconds that reading may take at an evaluation: of many results, those not read yet wait for the next one.
_PATIENCE = 0.03

# Seconds from glance to glance while it trains, and what one may take.
PERIOD, _GLANCE = 30.0, 0.002


@dataclasses.dataclass
class Race:
    """What ends a trial: the bounds of a level, by the results of its siblings.

    known: the charged seconds of the bound, as far as has been read; infinite once the trial has reached its target.
    """

    level: Level
    place: Place
    results: Results
    known: float = NEVER
    _has_reached: bool = False
    _turn: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    def bound(self) -> Bound:
        with self._turn:
            self.results.look(_PATIENCE)
            return self._asked()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile a thread glances at the results, so that the trial ends soon after there is a reason, and not only
        at its next evaluation.

        It takes less than a hundredth of a percent of one processor, and nothing of a device. Where `known` falls below
        what is charged, the loop stops its clock and asks for the bound.
        """
        is_over = threading.Event()

        def glance() -> None:
            while not is_over.wait(PERIOD):
                with self._turn:
                    if self.results.look(_GLANCE):
                        self._asked()

        thread = threading.Thread(target=glance, name="race", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _asked(self) -> Bound:
        found = self.results.bound(self.place, self.level)
        if not self._has_reached:
            self.known = found.seconds
        return found

    def announce(self, seconds: float, of: Mapping[str, Any]) -> None:
        """Tells the others the trial's time to target, which has still to stand until its end. of: what it computes."""
        with self._turn:
            self._has_reached, self.known = True, NEVER
        path = self.results.folder(self.place) / official_files.REACHED
        if not path.exists():
            write_json(path, {**of, "status": "running", "time_to_target": seconds, "charged_time": seconds})


def enter(trial: Trial, out: Path, level: Level, plan: Path | None) -> Race | None:
    """None where the trial is in no race: the level is `none`, or it sets a target. All results there are, are read.

    out: the trial's folder. plan: of the workflow. Raises UsageError where it is missing or not of this trial.
    """
    if level == "none":
        return None
    if plan is None:
        raise UsageError(f"racing {level!r} needs --plan, which says what is raced: plan.json of the workflow.")
    results = Results(read_plan(plan), plan.parent.parent, trial.protocol, trial.ruleset)
    place = place_of(trial.folder, trial.workload)
    if place not in results:
        return None
    if results.folder(place).absolute() != out.absolute():
        raise UsageError(f"{out} is not where the plan {plan} has this trial: that is {results.folder(place)}.")
    results.only(place, level)
    results.look()
    return Race(level, place, results)


def stands(result: Mapping[str, Any], bound: Callable[[], Bound]) -> bool:
    """Whether a result does: that of a trial that racing has ended, while its bound, now, is no higher."""
    return result.get("status") != "pruned" or result["charged_time"] >= bound().seconds


def record(race: Race | None) -> dict[str, Any] | None:
    """For the result of a trial that it has ended: at which level, from which charged second on, why, and by whom."""
    if race is None:
        return None
    bound = race.bound()
    return {
        "level": race.level,
        "bound": bound.seconds,
        "why": bound.why,
        "set_by": [str(race.results.folder(place)) for place in bound.set_by],
    }
