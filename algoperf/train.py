"""The timed loop: the benchmark's fairness on one screen.

Charged to the submission: everything between `clock.start()` and `clock.stop()`. Free: everything else. The rules are
the official ones (Dahl et al. 2023, section 4.2) with one added: the clock stops only when the devices have finished
what the submission queued, so that no charged work leaks into a free evaluation.
"""

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from algoperf.backends import Backend
from algoperf.clock import Clock
from algoperf.input_queue import InputQueue
from algoperf.spec import InfrastructureError, TrainingCompleteError, UsageError
from algoperf.submission import Submission
from algoperf.workload import Workload

Status = Literal["reached", "budget_exhausted", "diverged", "out_of_memory", "submission_error", "pruned"]

# A trial has diverged when this many evaluations in a row found a loss or a parameter that is not a finite number.
# Optimizers that skip bad steps recover from one.
DIVERGED_EVALUATIONS = 3


class SubmissionError(Exception):
    """The submission raised; `__cause__` is what it raised."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same throughout a trial. max_runtime: charged seconds; max_steps: None without a limit."""

    workload: Workload
    submission: Submission
    backend: Backend
    evaluate: Callable[[Any, Any, Any], dict[str, float | int]]
    hyperparameters: Any
    rng: Any
    max_runtime: float
    max_steps: int | None = None


@dataclasses.dataclass
class State:
    """What changes, and what a checkpoint keeps. evaluations: the rows of `eval_measurements.csv`."""

    params: Any
    optimizer_state: Any
    model_state: Any
    global_step: int = 0
    evaluations: list[dict[str, float | int]] = dataclasses.field(default_factory=list)
    evaluations_not_finite: int = 0
    preemptions: int = 0

    @property
    def last_evaluation(self) -> float:
        """The charged seconds at which the last evaluation began; before the first, one is always due."""
        return self.evaluations[-1]["accumulated_submission_time"] if self.evaluations else -math.inf


def run_trial(run: Run, state: State, clock: Clock, queue: InputQueue, save: Callable[[], None]) -> Status:
    """Trains until both targets are reached, the budget is spent, the submission is done, or the trial has diverged.

    save: called after each evaluation, off the clock. Raises SubmissionError where the submission raises.
    """
    status = None
    clock.start()
    while status is None:
        is_complete = train_step(run, state, clock, queue)
        is_due = clock.charged - state.last_evaluation >= run.workload.eval_period_time_sec
        if not (is_due or is_complete or clock.charged >= run.max_runtime):
            continue

        prepare_for_evaluation(run, state)
        with _submission_code():
            run.backend.synchronize(state.params, state.optimizer_state, state.model_state)
        clock.stop()

        is_budget_spent = clock.charged >= run.max_runtime
        if not is_budget_spent:
            evaluate(run, state, clock)
            with clock.freely("logging"):
                save()
        status = _status(run.workload, state, is_over=is_complete or is_budget_spent)
        if status is None:
            clock.start()
    return status


def train_step(run: Run, state: State, clock: Clock, input_queue: Iterator[dict[str, Any]]) -> bool:
    """One update by the submission, as the official harness calls it. Returns whether training is complete."""
    data_rng, update_rng, _, _ = run.backend.step_keys(run.rng, state.global_step)
    with _submission_code():
        batch = run.submission.data_selection(
            run.workload,
            input_queue,
            state.optimizer_state,
            state.params,
            state.model_state,
            run.hyperparameters,
            state.global_step,
            data_rng,
        )
        optional = {"train_state": train_state(run, state, clock)} if run.submission.takes_train_state else {}
        is_complete = False
        try:
            state.optimizer_state, state.params, state.model_state = run.submission.update_params(
                **_common_arguments(run, state), batch=batch, rng=update_rng, **optional
            )
        except TrainingCompleteError:
            is_complete = True
    state.global_step += 1
    return is_complete or state.global_step == run.max_steps


def prepare_for_evaluation(run: Run, state: State) -> None:
    """Lets the submission replace its parameters before they are evaluated, by an average for example."""
    if run.submission.prepare_for_eval is None:
        return
    _, _, prepare_rng, _ = run.backend.step_keys(run.rng, state.global_step - 1)
    with _submission_code():
        state.optimizer_state, state.params, state.model_state = run.submission.prepare_for_eval(
            **_common_arguments(run, state), rng=prepare_rng
        )


def evaluate(run: Run, state: State, clock: Clock) -> None:
    """Adds a row to the trial's evaluations, off the clock."""
    with clock.freely("evaluation"):
        _, _, _, eval_rng = run.backend.step_keys(run.rng, state.global_step - 1)
        values = run.evaluate(state.params, state.model_state, eval_rng)
        is_finite = all(map(math.isfinite, values.values())) and run.backend.all_finite(state.params)
    state.evaluations_not_finite = 0 if is_finite else state.evaluations_not_finite + 1
    state.evaluations.append(
        {
            **values,
            "global_step": state.global_step,
            "preemption_count": state.preemptions,
            "score": clock.charged,
            "accumulated_submission_time": clock.charged,
            "accumulated_eval_time": clock.spent("evaluation"),
            "accumulated_logging_time": clock.spent("logging"),
            "total_duration": clock.session,
        }
    )


def train_state(run: Run, state: State, clock: Clock) -> Mapping[str, Any]:
    """What the official API tells a submission about its trial, read-only. Times are in charged or free seconds."""
    charged = clock.charged
    return types.MappingProxyType(
        {
            "validation_goal_reached": any(map(run.workload.has_reached_validation_target, state.evaluations)),
            "test_goal_reached": any(map(run.workload.has_reached_test_target, state.evaluations)),
            "is_time_remaining": charged < run.max_runtime,
            "last_eval_time": max(0.0, state.last_evaluation),
            "training_complete": False,
            "accumulated_submission_time": charged,
            "accumulated_eval_time": clock.spent("evaluation"),
            "accumulated_logging_time": clock.spent("logging"),
            "last_step_end_time": charged,
        }
    )


def time_to_target(workload: Workload, state: State) -> float | None:
    """Charged seconds at the first evaluation that met the validation target, None where none did."""
    hits = filter(workload.has_reached_validation_target, state.evaluations)
    return next((row["accumulated_submission_time"] for row in hits), None)


def _common_arguments(run: Run, state: State) -> dict[str, Any]:
    """The keyword arguments that `update_params` and `prepare_for_eval` share in the official API."""
    return {
        "workload": run.workload,
        "current_param_container": state.params,
        "current_params_types": run.workload.model_params_types,
        "model_state": state.model_state,
        "hyperparameters": run.hyperparameters,
        "loss_type": run.workload.loss_type,
        "optimizer_state": state.optimizer_state,
        "eval_results": [(row["global_step"], row) for row in state.evaluations],
        "global_step": state.global_step,
    }


def _status(workload: Workload, state: State, is_over: bool) -> Status | None:
    """How the trial ended, None where it goes on: past the validation target until the test target is met, too."""
    is_reached = any(map(workload.has_reached_validation_target, state.evaluations))
    is_diverged = state.evaluations_not_finite >= DIVERGED_EVALUATIONS
    if is_reached and (is_over or is_diverged or any(map(workload.has_reached_test_target, state.evaluations))):
        return "reached"
    if is_diverged:
        return "diverged"
    return "budget_exhausted" if is_over else None


@contextlib.contextmanager
def _submission_code() -> Iterator[None]:
    """What is raised inside is the submission's, unless the machine or the data failed."""
    try:
        yield
    except (UsageError, InfrastructureError):
        raise
    except Exception as error:
        raise SubmissionError(str(error)) from error
