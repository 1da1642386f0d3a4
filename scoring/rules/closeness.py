"""How near the trials came to a target: what "not reached" leaves unsaid.

A study comes as near as its best trial, and a submission as near to a workload as the median of its studies does, as it
is with times. How far a value falls short is told in the metric's unit, and as a share of the target, by which
workloads compare; at or below 0 the target is met.
"""

import dataclasses
import math
from collections.abc import Sequence

from algoperf.benchmark.facts import Target
from scoring.logs.trials import Trial
from scoring.rules.score import median
from scoring.rules.studies import Study


@dataclasses.dataclass(frozen=True)
class Best:
    """The best value of a trial on validation, its charged seconds and its step (NaN where none is logged)."""

    value: float
    seconds: float
    step: float


@dataclasses.dataclass(frozen=True)
class Closest:
    """How near a submission came on a workload.

    best, trial: of the trial that came nearest. gap: by how much the median study falls short, in the metric's unit;
    share: of the target. studies, trials: with an evaluation whose metric is a number; studies_reached, trials_reached:
    of these, those that met the target.
    """

    best: Best
    trial: Trial
    gap: float
    share: float
    studies_reached: int
    studies: int
    trials_reached: int
    trials: int


def shortfall(value: float, target: Target) -> float:
    """In the metric's unit; at or below 0 the target is met."""
    return value - target.validation if target.goal == "min" else target.validation - value


def as_share(gap: float, target: Target) -> float:
    """A shortfall as a share of the target."""
    return gap / (abs(target.validation) or 1)


def best(trial: Trial, target: Target) -> Best | None:
    """None where no evaluation has a number."""
    curve = trial.curve
    numbers = list(filter(math.isfinite, curve.values))
    if not numbers:
        return None
    value = min(numbers) if target.goal == "min" else max(numbers)
    row = curve.values.index(value)
    return Best(value, curve.times[row], curve.steps[row] if curve.steps else math.nan)


def closest(of_cell: Sequence[Study], target: Target) -> Closest | None:
    """None where no trial of the cell has evaluations, as where only times to target are known."""
    of_studies = [
        [(found, trial) for trial in study.trials if (found := best(trial, target)) is not None] for study in of_cell
    ]
    of_studies = [of_study for of_study in of_studies if of_study]
    if not of_studies:
        return None

    def gap(found: tuple[Best, Trial]) -> float:
        return shortfall(found[0].value, target)

    nearest, trial = min((found for of_study in of_studies for found in of_study), key=gap)
    middle = float(median([min(map(gap, of_study)) for of_study in of_studies]))
    hits = [[math.isfinite(trial.hit_time) for _, trial in of_study] for of_study in of_studies]
    return Closest(
        best=nearest,
        trial=trial,
        gap=middle,
        share=as_share(middle, target),
        studies_reached=sum(map(any, hits)),
        studies=len(hits),
        trials_reached=sum(map(sum, hits)),
        trials=sum(map(len, hits)),
    )
