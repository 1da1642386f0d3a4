"""What the results on the disk tell of planned trials: the facts that bounds are made of."""

import json
import math
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import differing
from algoperf.benchmark.protocol import Ruleset, load_protocol
from algoperf.racing.bounds import Bound, Facts, Known, Level, Place, bound, known
from algoperf.records import official_files, plan_file

# The path of a trial's folder, from the results folder -> what it computes, as `plan.json` has it.
Plan = Mapping[str, Mapping[str, Any]]


def read_plan(path: Path) -> Plan:
    """Raises UsageError where the file is none that the workflow has written."""
    plan = plan_file.read(path)
    if not isinstance(plan, dict) or not all(isinstance(of, dict) and "workload" in of for of in plan.values()):
        raise UsageError(f"the plan {path} is none that the workflow has written.")
    return plan


def place_of(folder: Path, workload: str) -> Place:
    """folder: of a trial, from the results folder or absolute."""
    *_, label, study, _, trial = folder.parts
    return Place(label, workload, study, trial)


class Results:
    """The results of one ruleset's planned trials, each read once: while a plan is followed, one that is there stays.
    A trial that has reached its target and goes on says so before it has one.

    One that is damaged, or of something else than was planned, is none: such a trial is run again.
    """

    def __init__(self, plan: Plan, results: Path, protocol: str, ruleset: Ruleset):
        """results: the results folder."""
        begin = f"{protocol}/{ruleset}/"
        planned = {
            place_of(Path(name), of["workload"]): (results / name, of)
            for name, of in plan.items()
            if name.startswith(begin)
        }
        self.facts = Facts(planned, load_protocol(protocol))
        self._planned = planned
        self._unread = deque(planned)

    def __contains__(self, place: Place) -> bool:
        return place in self._planned

    def folder(self, place: Place) -> Path:
        return self._planned[place][0]

    def only(self, place: Place, level: Level) -> None:
        """From here on reads only what can set a bound of this trial."""
        self._unread = deque(filter(set(self._that_matter(place, level)).__contains__, self._unread))

    def _that_matter(self, place: Place, level: Level) -> Iterable[Place]:
        base = self.facts.bases.get(place.workload, place.workload)
        family = (base, *self.facts.held_outs.get(base, ()), place.workload)
        for other in self._planned:
            match level:
                case "trials":
                    matters = other[:3] == place[:3]
                case "studies":
                    matters = other[:2] == place[:2]
                case "scores":
                    matters = other.workload in family
                case "none":
                    matters = False
            if matters and other != place:
                yield other

    def look(self, patience: float = math.inf) -> bool:
        """Reads the results that have come since, and says whether there were any.

        patience: seconds, after which it goes on another time.
        """
        deadline, has_news = time.monotonic() + patience, False
        for _ in range(len(self._unread)):
            place = self._unread.popleft()
            found = self._read(place)
            if found is None:
                self._unread.append(place)
            else:
                self.facts.learn(place, found)
                has_news = True
            if time.monotonic() >= deadline:
                break
        return has_news

    def bound(self, place: Place, level: Level) -> Bound:
        """By what has been read."""
        return bound(self.facts, place, level)

    def _read(self, place: Place) -> Known | None:
        """A time that may still be refused is taken for the trial's; a score is not made before that is checked."""
        folder, planned = self._planned[place]
        try:
            result = json.loads(_content(folder))
            if differing(result, planned):
                return None
            seconds, charged = result["time_to_target"], float(result["charged_time"])
            return known(None if seconds is None else float(seconds), charged, result["status"] == "pruned")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _content(folder: Path) -> bytes:
    """Raises OSError where a trial has neither a result nor reached its target."""
    try:
        return (folder / official_files.RESULT).read_bytes()
    except FileNotFoundError:
        return (folder / official_files.REACHED).read_bytes()
