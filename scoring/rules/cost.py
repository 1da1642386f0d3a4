"""What the trials of a submission cost: charged time, time of the machine, and what of it went into evaluating.

The clock of the score charges for training alone; a machine is held for evaluations, too. Logs that say nothing of
these tell charged time only. Hours that a scheduler held a machine for, before and between the sessions of a trial, are
in no log.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence

from scoring.logs.trials import Trial
from scoring.rules.score import median
from scoring.rules.studies import Study


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of some trials together.

    trials: with evaluations. charged, wall: hours, wall over the `timed` trials that log it. eval_share: of these,
    evaluating over wall. accelerator: hours, wall times the accelerators of each trial, of the `timed` ones that name
    their hardware. step: charged seconds of one step. NaN where the logs do not tell.
    """

    trials: int
    charged: float
    timed: int
    wall: float
    eval_share: float
    accelerator: float
    step: float


def cost(trials: Iterable[Trial]) -> Cost:
    found = [trial for trial in trials if trial.readable]
    timed = [trial for trial in found if math.isfinite(trial.total_time) and trial.total_time > 0]
    stepped = [trial for trial in found if last_step(trial) > 0 and math.isfinite(trial.end_time)]
    wall = _sum(trial.total_time for trial in timed)
    evaluating = [trial for trial in timed if math.isfinite(trial.eval_time)]
    return Cost(
        trials=len(found),
        charged=_sum(trial.end_time for trial in found if math.isfinite(trial.end_time)) / 3_600,
        timed=len(timed),
        wall=wall / 3_600,
        eval_share=_sum(trial.eval_time for trial in evaluating) / _sum(trial.total_time for trial in evaluating),
        accelerator=_sum(trial.total_time * count for trial in timed if (count := accelerators(trial))) / 3_600,
        step=_sum(trial.end_time for trial in stepped) / _sum(map(last_step, stepped)),
    )


def last_step(trial: Trial) -> float:
    """The step of the last evaluation that has one; NaN where none has."""
    return next((step for step in reversed(trial.curve.steps) if math.isfinite(step)), math.nan)


def accelerators(trial: Trial) -> int:
    """How many a trial ran on, by the words of `scoring.logs.record`; 0 where it does not say."""
    found = re.match("([0-9]+) x ", trial.hardware or "")
    return int(found[1]) if found else 0


def test_time(of_cell: Sequence[Study]) -> float:
    """Charged seconds until the target on test is met: the median over the studies, each by its earliest trial.

    inf where it is not met, NaN where the logs or the workload have no such target.
    """
    times = [
        min(known)
        for study in of_cell
        if (known := [trial.test_time for trial in study.trials if not math.isnan(trial.test_time)])
    ]
    return float(median(times))


def _sum(numbers: Iterable[float]) -> float:
    """NaN of nothing, as a cost that nobody logged is not none."""
    found = list(numbers)
    return math.fsum(found) if found else math.nan
