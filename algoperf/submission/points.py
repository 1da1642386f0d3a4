"""The hyperparameter points of a submission: what its files give for each workload, and how its code reads them."""

import collections
import copy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import SCALES, UsageError
from algoperf.benchmark.identity import folders
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
    path: Path,
    protocol: Protocol,
    ruleset: Ruleset,
    workload: str,
    study: int = 0,
    search_space: Path | None = None,
) -> list[search.Point]:
    """The points of a submission's tuning trials on a workload in a study, in order.

    search_space: what they are drawn from, but under self-tuning; None: what stands beside the submission's file.

    `search_space.json` is the same for all workloads. At the mini scale `search_space.mini.json` is preferred where
    there is one: full-scale ranges need not suit small models. `points.json` has one point for each workload that it
    names. Under self-tuning there is one point: `self_tuning.json`, or an empty one where there is neither that nor a
    search space, because the submission has its own. Where the protocol deals the points of a search space to its
    studies, each study has the next ones of it; a list of points is for every study. Raises UsageError where there is
    nothing to draw from.
    """
    folder = path.parent
    if search_space is None or ruleset == "self":
        if (folder / _POINTS_OF_WORKLOADS).exists():
            return [_point_of(workload, folder / _POINTS_OF_WORKLOADS, ruleset)]
        search_space = _beside(folder, _SPACE_OF_SCALE.format(protocol.scale), *_SEARCH_SPACES)
    if ruleset == "self":
        if (point := _beside(folder, SELF_TUNING)) is not None:
            return [search.load_point(point)]
        if search_space is not None:
            raise UsageError(f"{folder} has a search space but no {SELF_TUNING}: run it under external tuning only.")
        return [{}]
    if search_space is None:
        raise UsageError(
            f"{folder} has no {_SEARCH_SPACES[0]}, which external tuning draws its points from: name a file by "
            "--search-space, or by search_space in a config, or run it under self-tuning where it brings its own."
        )
    num_trials = protocol.num_trials(ruleset)
    first = study * num_trials if protocol.is_dealt(ruleset) else 0
    return search.points(search.load_search_space(search_space), num_trials, first)


def _beside(folder: Path, *names: str) -> Path | None:
    """The first of these files that there is."""
    return next((file for place in folders(folder) for name in names if (file := place / name).exists()), None)


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


def read_of_none(error: AttributeError) -> str | None:
    """The hyperparameter that a submission has read where it has none at all; None where it was another mistake."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    has_none = frame.f_locals.get("hyperparameters", ...) is None
    return error.name if has_none and error.obj is None else None
