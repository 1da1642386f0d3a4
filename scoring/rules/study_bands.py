"""One curve for all studies of a cell: the median over them, and how far they lie apart.

Each study is drawn by the trial that it counts by, or, where it missed the target, by the one that came closest.
Evaluations of different studies lie at different times, so that their values are read off lines between them.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.facts import Target
from scoring.logs.trials import Trial
from scoring.rules.score import median
from scoring.rules.studies import Study, distance

Against: TypeAlias = Literal["seconds", "steps"]
AGAINST: tuple[Against, ...] = ("seconds", "steps")
POINTS = 24


@dataclasses.dataclass(frozen=True)
class StudyBand:
    """All (points,): at what charged seconds or steps; the median, the lowest and the highest value of the studies.

    studies: how many there are. It goes as far as more than half of them do.
    """

    against: Against
    studies: int
    at: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray


def standing_for(study: Study, target: Target) -> Trial | None:
    """The trial to look at where one stands for a study; None where none has evaluations."""
    if study.best is not None and study.best.curve.values:
        return study.best
    readable = [trial for trial in study.trials if trial.curve.values]
    return min(readable, key=lambda trial: distance(trial, target), default=None)


def study_band(trials: Iterable[Trial], against: Against) -> StudyBand | None:
    """None where no study has a curve. trials: those that stand for the studies."""
    lines = [line for trial in trials if (line := _line(trial, against)) is not None]
    if not lines:
        return None
    starts, ends = sorted(at[0] for at, _ in lines), sorted(at[-1] for at, _ in lines)
    most = (len(lines) - 1) // 2  # of as many studies the middle is still seen
    at = np.linspace(starts[-1 - most], max(ends[most], starts[-1 - most]), POINTS)
    values = np.array([np.interp(at, *line, left=math.nan, right=math.nan) for line in lines])
    known = np.isfinite(values).any(axis=0)
    at, values = at[known], values[:, known]
    return StudyBand(against, len(lines), at, median(values, axis=0), np.fmin.reduce(values), np.fmax.reduce(values))


def _line(trial: Trial, against: Against) -> tuple[np.ndarray, np.ndarray] | None:
    """Places and values of the evaluations that are numbers, ascending."""
    places = trial.curve.times if against == "seconds" else trial.curve.steps
    if not places:
        return None
    both = np.array([places, trial.curve.values], dtype=float)
    both = both[:, np.isfinite(both).all(axis=0)]
    if not both.size:
        return None
    return tuple(both[:, np.argsort(both[0], kind="stable")])
