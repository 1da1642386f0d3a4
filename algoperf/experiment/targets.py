"""How targets are made: from the trials of target setting to a validation and a test target.

The benchmark's rule (Dahl et al. 2023, arXiv 2306.07179, section 4; technical documentation, "Defining target
performance"; which values count: the benchmark's pull request 541): every point of four algorithms is trained once; the
point that has the best value of the metric on validation at any evaluation is trained again with other seeds. The
validation target is the median of the seeds' best values, and the test target the worst of the best test values of
those seeds that reach it. docs/targets.md has it in full.
"""

import dataclasses
import decimal
import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from algoperf.benchmark.facts import InfrastructureError, Target
from algoperf.benchmark.identity import Trial

Goal = Literal["min", "max"]

# Decimal digits that a target of a spec has; it is rounded towards what is easier to reach.
DIGITS = 3


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The metric of the target on two splits; test is None where the workload has no test split."""

    step: int
    validation: float
    test: float | None


@dataclasses.dataclass(frozen=True)
class FinishedTrial:
    """A finished trial of target setting.

    charged: seconds of its steps. evidence: what its files say of how it was made, as a record has it.
    """

    trial: Trial
    point: dict[str, Any]
    seed: int
    status: str
    charged: float
    evaluations: tuple[Evaluation, ...]
    evidence: dict[str, Any]

    def best_evaluation(self, goal: Goal) -> Evaluation | None:
        """The one with the best value on validation, the first of equals; None where no value is finite."""
        finite = [evaluation for evaluation in self.evaluations if math.isfinite(evaluation.validation)]
        return _best(finite, [evaluation.validation for evaluation in finite], goal) if finite else None

    def best_validation(self, goal: Goal) -> float:
        """The worst possible value, which is infinite, where it has none."""
        best = self.best_evaluation(goal)
        return worst_possible(goal) if best is None else best.validation

    def best_test(self, goal: Goal) -> float:
        """At any evaluation, as `best_validation`: a submission reaches the two targets at two evaluations, too."""
        values = (evaluation.test for evaluation in self.evaluations)
        finite = [value for value in values if value is not None and math.isfinite(value)]
        return best_value(finite, goal) if finite else worst_possible(goal)


def worst_possible(goal: Goal) -> float:
    return math.inf if goal == "min" else -math.inf


def best_value(values: Sequence[float], goal: Goal) -> float:
    return min(values) if goal == "min" else max(values)


def worst_value(values: Sequence[float], goal: Goal) -> float:
    return max(values) if goal == "min" else min(values)


def ranked(runs: Sequence[FinishedTrial], goal: Goal) -> list[FinishedTrial]:
    """The search, best first. Of equals, and of those without a value, the first stays first."""
    return sorted(runs, key=lambda run: run.best_validation(goal) if goal == "min" else -run.best_validation(goal))


def best_run(runs: Sequence[FinishedTrial], goal: Goal) -> FinishedTrial:
    """The best of a search. Raises InfrastructureError where no trial has a value."""
    first = ranked(runs, goal)[0]
    if math.isinf(first.best_validation(goal)):
        statuses = ", ".join(sorted({run.status for run in runs}))
        raise InfrastructureError(
            f"none of the {len(runs)} trials of the search on {first.trial.workload} has a value of the metric; they "
            f"ended as {statuses}."
        )
    return first


def validation_target(values: Sequence[float], goal: Goal, margin: float = 0.0) -> float:
    """The median of the seeds' best values, moved towards the worst of them by `margin` times the way to it.

    Of an even number of seeds the median is the mean of the middle two. A seed without a value counts as the worst.
    Raises InfrastructureError where half of the seeds or more have none, or any where there is a margin.
    """
    comparable = [worst_possible(goal) if math.isnan(value) else value for value in values]
    median = statistics.median(comparable)
    made = (1 - margin) * median + margin * worst_value(comparable, goal) if margin else median
    if not math.isfinite(made):
        without = sum(not math.isfinite(value) for value in values)
        raise InfrastructureError(
            f"{without} of {len(values)} seeds have no value of the metric, so there is no target: the best point of "
            "the search does not train reliably."
        )
    return made


def set_target(runs: Sequence[FinishedTrial], target: Target, margin: float = 0.0) -> Target:
    """The target that the repeats of the best point make; of `target` only the metric and the goal count.

    margin: of the protocol's `TargetSetting`. Raises InfrastructureError as `validation_target`, and where a seed that
    counts has no test value.
    """
    goal = target.goal
    made = dataclasses.replace(
        target, validation=validation_target([run.best_validation(goal) for run in runs], goal, margin), test=None
    )
    if target.test is None:
        return made
    test = worst_value([run.best_test(goal) for run in those_that_reach(runs, made)], goal)
    if not math.isfinite(test):
        raise InfrastructureError("a seed that reaches the validation target has no test value, so there is no target.")
    return dataclasses.replace(made, test=test)


def those_that_reach(runs: Sequence[FinishedTrial], target: Target) -> list[FinishedTrial]:
    """The repeats that reach the validation target: at least half of those that made it."""
    return [run for run in runs if target.reached(run.best_validation(target.goal), "validation")]


def rounded(target: Target) -> Target:
    """The target as a spec states it: `DIGITS` digits, and not harder than it was measured."""
    mode = decimal.ROUND_CEILING if target.goal == "min" else decimal.ROUND_FLOOR

    def easier(value: float) -> float:
        exact = decimal.Decimal(repr(value))
        return float(exact.quantize(decimal.Decimal(1).scaleb(exact.adjusted() - DIGITS + 1), rounding=mode))

    test = None if target.test is None else easier(target.test)
    return dataclasses.replace(target, validation=easier(target.validation), test=test)


def _best(items: Sequence[Any], values: Sequence[float], goal: Goal) -> Any:
    return items[values.index(best_value(values, goal))]
