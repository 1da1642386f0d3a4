"""What each study made of each workload: its time, and the trial that set it."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence

from algoperf.benchmark.facts import Target
from scoring.logs.trials import Trial, natural
from scoring.rules.score import Cell, Reading, median, study_time, winner


@dataclasses.dataclass(frozen=True)
class Study:
    """One submission's study of one workload.

    trials: all that it has, in directory order. time: charged seconds, inf where no trial hit, NaN where none
    counts. best: the trial that the study counts by, None where none hit.
    """

    study: str
    trials: tuple[Trial, ...]
    time: float
    best: Trial | None

    @property
    def counted(self) -> int:
        return sum(trial.counts for trial in self.trials)


def studies(trials: Sequence[Trial], reading: Reading) -> dict[tuple[str, str], tuple[Study, ...]]:
    """(submission, workload) -> its studies in order. trials: in directory order."""
    members: dict[tuple[str, str], dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        members[trial.submission, trial.workload][trial.study].append(trial)
    return {
        cell: tuple(_study(study, of_study[study], reading) for study in sorted(of_study, key=natural))
        for cell, of_study in members.items()
    }


def _study(name: str, trials: Sequence[Trial], reading: Reading) -> Study:
    counting = [trial for trial in trials if trial.counts]
    if not counting:
        return Study(name, tuple(trials), math.nan, None)
    time = study_time(counting, reading)
    return Study(name, tuple(trials), time, winner(counting, reading) if math.isfinite(time) else None)


def deciding_trial(of_cell: Sequence[Study], target: Target) -> Trial | None:
    """The trial to look at where one stands for a cell: the one whose time is the median, or is closest below it.

    Where no study reached the target, the trial that came closest to it; None where none is readable.
    """
    reached = [study for study in of_cell if study.best is not None]
    if reached:
        times = [study.time for study in of_cell if study.counted]
        middle = min(median(times), max(study.time for study in reached))
        return max((study for study in reached if study.time <= middle), key=lambda study: study.time).best
    readable = [trial for study in of_cell for trial in study.trials if trial.readable]
    return min(readable, key=lambda trial: distance(trial, target), default=None)


def distance(trial: Trial, target: Target) -> float:
    """How far the trial's best value is from the target, in the metric's unit; inf where no value is a number."""
    goal = target.validation
    return min([abs(goal - value) for value in trial.curve.values if math.isfinite(value)], default=math.inf)


def used_budget(cell: Cell, budget: float, max_steps: int | None) -> float:
    """The fraction of the budget that a submission's own time is, before any rule took the workload away.

    max_steps: where the protocol ends its trials by them, the fraction is of these steps. inf where it did not reach
    the target, NaN without data.
    """
    return cell.time / budget if max_steps is None else cell.steps / max_steps
