"""How a trial learns from its siblings that it can change nothing any more.

docs/racing.md says what racing is; the bounds are proved in `bounds.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
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


@dataclasses.dataclass
class Race:
    """What ends a trial: the bounds of a level, by the results of its siblings.

    known: the charged seconds of the bound when it was last asked for; infinite once the trial has reached its target.
    """

    level: Level
    place: Place
    results: Results
    known: float = NEVER

    def bound(self) -> Bound:
        self.results.look(_PATIENCE)
        found = self.results.bound(self.place, self.level)
        self.known = found.seconds
        return found

    def announce(self, seconds: float, of: Mapping[str, Any]) -> None:
        """Tells the others the trial's time to target, which has still to stand until its end. of: what it computes."""
        self.known = NEVER
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
