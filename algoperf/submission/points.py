"""The hyperparameter points of a submission: what its files give for each workload, and how its code reads them."""

import collections
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import SCALES, UsageError
from algoperf.benchmark.protocol import TARGET_SETTING, Protocol, Ruleset
from algoperf.submission import search

_SEARCH_SPACES = ("search_space.json", "tuning_search_space.json")
SELF_TUNING = "self_tuning.json"
_POINTS_OF_WORKLOADS = "points.json"
_SPACE_OF_SCALE = "search_space.{}.json"

# All files that points may be drawn from.
POINT_FILES = (*_SEARCH_SPACES, *map(_SPACE_OF_SCALE.format, SCALES), SELF_TUNING, _POINTS_OF_WORKLOADS)


class MissingHyperparameterError(AttributeError):
    """A submission reads a hyperparameter that its point lacks; `name` is which."""


def hyperparameter_points(
    path: Path, protocol: Protocol, ruleset: Ruleset, workload: str, study: int = 0
) -> list[search.Point]:
    """The points of a submission's tuning trials on a workload in a study, in order; what they are drawn from stands
    beside the submission's file.

    `search_space.json` is the same for all workloads. At the mini scale `search_space.mini.json` is preferred where
    there is one: full-scale ranges need not suit small models. `points.json` has one point for each workload that it
    names. Under self-tuning there is one point: `self_tuning.json`, or an empty one where there is neither that nor a
    search space, because the submission has its own. Where the protocol deals the points of a search space to its
    studies, each study has the next ones of it; a list of points is for every study. Raises UsageError where there is
    nothing to draw from.
    """
    folder = path.parent
    if (folder / _POINTS_OF_WORKLOADS).exists():
        return [_point_of(workload, folder / _POINTS_OF_WORKLOADS, ruleset)]
    names = (_SPACE_OF_SCALE.format(protocol.scale), *_SEARCH_SPACES)
    space = next((folder / name for name in names if (folder / name).exists()), None)
    if ruleset == "self":
        if (folder / SELF_TUNING).exists():
            return [search.load_point(folder / SELF_TUNING)]
        if space is not None:
            raise UsageError(f"{folder} has a search space but no {SELF_TUNING}: run it under external tuning only.")
        return [{}]
    if space is None:
        raise UsageError(f"{folder} has no {_SEARCH_SPACES[0]}, which external tuning draws its points from.")
    num_trials = protocol.num_trials(ruleset)
    first = study * num_trials if protocol.is_dealt(ruleset) else 0
    return search.points(search.load_search_space(space), num_trials, first)


def _point_of(workload: str, path: Path, ruleset: Ruleset) -> search.Point:
    """A workload's own point."""
    if ruleset == TARGET_SETTING:
        raise UsageError(f"{path} has points that target setting has found; run them under external tuning.")
    points = search.read_json(path, f"the points {path}")
    if workload not in points:
        raise UsageError(f"{path} has no point for {workload}; it has points for {', '.join(points)}.")
    return points[workload]


def as_hyperparameters(point: Mapping[str, Any]) -> Any:
    """A point with attributes, as submissions read it; None for a submission that brings its own hyperparameters.

    It is a copy: lists in it are the submission's to change, and the record's stay as they are. Reading one that the
    point lacks is a MissingHyperparameterError.
    """
    if not point:
        return None
    kind = collections.namedtuple("Hyperparameters", point)
    kind.__getattr__ = _missing
    return kind(**copy.deepcopy(dict(point)))


def _missing(hyperparameters: Any, name: str) -> Any:
    raise MissingHyperparameterError(f"the point has no hyperparameter {name!r}", name=name, obj=hyperparameters)
