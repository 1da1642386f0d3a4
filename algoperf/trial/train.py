"""The timed loop: the benchmark's fairness on one screen.

Charged to the submission: everything between `clock.start()` and `clock.stop()`. Free: everything else. The rules are
the official ones (Dahl et al. 2023, section 4.2) with two added: the clock starts and stops only when the devices are
done, so that neither free work is charged nor charged work free; and what of the submission runs while the clock stands
is charged none the less.
"""

import contextlib
import dataclasses
import errno
import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from algoperf.backends import Backend
from algoperf.benchmark.facts import InfrastructureError, SubmissionError, TrainingCompleteError, UsageError
from algoperf.benchmark.workload import Workload
from algoperf.machine.interruption import Watch, is_from_keyboard
from algoperf.referee.referee import Referee
from algoperf.submission.loading import Submission
from algoperf.trial.clock import Clock
from algoperf.trial.input_queue import InputQueue

Status = Literal["reached", "budget_exhausted", "diverged", "out_of_memory", "submission_error", "pruned"]

# A trial has diverged when this many evaluations in a row found a loss or a parameter that is not a finite number.
# Optimizers that skip bad steps recover from one.
DIVERGED_EVALUATIONS = 3

# What a file system says when it fails; a file that a submission looks for in vain is the submission's own mistake.
_DISK_FAILURES = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT}


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same throughout a trial.

    max_runtime: charged seconds. max_steps: None without a limit. evaluated_every: steps; None where the workload's
    charged seconds count. is_lost: whether what comes after a state can change no result; bound: from which charged
    second on that is known beforehand (docs/racing.md).
    """

    workload: Workload
    submission: Submission
    backend: Backend
    evaluate: Callable[[Any, Any, Any], dict[str, float | int]]
    hyperparameters: Any
    rng: Any
    referee: Referee
    max_runtime: float
    max_steps: int | None = None
    evaluated_every: int | None = None
    is_lost: Callable[[Any], bool] = lambda state: False
    bound: Callable[[], float] = lambda: math.inf


@dataclasses.dataclass
class State:
    """What changes, and what a checkpoint keeps.

    evaluations: the rows of `eval_measurements.csv`. charged: seconds at the end of the last step, the same in all
    processes of the trial. status: how the trial has ended, None while it goes on.
    """

    params: Any
    optimizer_state: Any
    model_state: Any
    global_step: int = 0
    evaluations: list[dict[str, float | int]] = dataclasses.field(default_factory=list)
    evaluations_not_finite: int = 0
    preemptions: int = 0
    charged: float = 0.0
    status: Status | None = None

    @property
    def last_evaluation(self) -> float:
        """The charged seconds at which the last evaluation began; before the first, one is always due."""
        return self.evaluations[-1]["accumulated_submission_time"] if self.evaluations else -math.inf


def tree_of(state: State) -> tuple[Any, Any, Any]:
    """What of the state is the framework's; the parameters first, which the optimizer's state may share."""
    return state.params, state.optimizer_state, state.model_state


def run_trial(
    run: Run, state: State, clock: Clock, queue: InputQueue, save: Callable[[], int | None], watch: Watch
) -> Status:
    """Trains until both targets are reached, the budget is spent, the submission is done, or the trial has diverged,
    or, in a race, can change no result any more.

    What the submission may not do is looked for by the referee (docs/rules.md): in passing after each step, thoroughly
    when the clock has stopped.

    save: called after each evaluation, and in between when `watch` asks for a checkpoint, off the clock; says at which
    step the newest checkpoint is. Raises SubmissionError where the submission raises, and InterruptionError, saved if
    it can be, where `watch` says to stop.
    """
    if state.status is None:  # a trial that had ended when its process did is not trained further
        start(run, clock)
    while state.status is None:
        is_complete = train_step(run, state, clock, queue)
        # All processes of a trial go by the first one's clock, and stop after the same step.
        state.charged, is_interrupted, is_checkpoint_due = run.backend.from_first(
            (charged := clock.charged, watch.is_interrupted, watch.is_checkpoint_due or charged >= run.bound())
        )
        is_over = is_complete or state.charged >= run.max_runtime
        is_evaluation_due = is_over or _is_evaluation_due(run, state)
        if not (is_evaluation_due or is_interrupted or is_checkpoint_due):
            continue

        if is_evaluation_due:
            prepare_for_evaluation(run, state)
        with submission_code(run):
            run.backend.synchronize()
        clock.stop()
        with run.referee.while_stopped(clock.charge):
            run.referee.inspect(state.params, state.optimizer_state)
            (state.charged,) = run.backend.from_first((clock.charged,))
            is_budget_spent = state.charged >= run.max_runtime
            if is_evaluation_due and not is_budget_spent:
                evaluate(run, state, clock)
            state.status = _status(run.workload, state, is_over=is_complete or is_budget_spent)
            if not is_budget_spent:
                with clock.freely("logging"):
                    saved_at = save()
                    if state.status is None and run.is_lost(state):
                        state.status = "pruned"  # saved as one that goes on, should it have to
                watch.saved()
        if state.status is None and is_interrupted:
            raise watch.interruption(state.global_step, saved_at)
        if state.status is None:
            start(run, clock)
    return state.status


def start(run: Run, clock: Clock) -> None:
    """The clock charges from when the devices are done with what is free: setting up, restoring, evaluating.

    So is what the loop compiles for itself.
    """
    run.backend.step_keys(run.rng, 0)
    with submission_code(run):
        run.backend.synchronize()
    clock.start()


def train_step(run: Run, state: State, clock: Clock, input_queue: Iterator[dict[str, Any]]) -> bool:
    """One update by the submission, as the official harness calls it. Returns whether training is complete."""
    data_rng, update_rng, _, _ = run.backend.step_keys(run.rng, state.global_step)
    with submission_code(run):
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
    run.referee.check_parameters(state.params, state.global_step)
    return is_complete or (run.max_steps is not None and state.global_step >= run.max_steps)


def prepare_for_evaluation(run: Run, state: State) -> None:
    """Lets the submission replace its parameters before they are evaluated, by an average for example."""
    if run.submission.prepare_for_eval is None:
        return
    _, _, prepare_rng, _ = run.backend.step_keys(run.rng, state.global_step - 1)
    with submission_code(run):
        state.optimizer_state, state.params, state.model_state = run.submission.prepare_for_eval(
            **_common_arguments(run, state), rng=prepare_rng
        )


def evaluate(run: Run, state: State, clock: Clock) -> None:
    """Adds a row to the trial's evaluations, off the clock."""
    with clock.freely("evaluation"), run.referee.quiet(), run.backend.evaluating(state.params):
        _, _, _, eval_rng = run.backend.step_keys(run.rng, state.global_step - 1)
        values = run.evaluate(state.params, state.model_state, eval_rng)
        is_finite = all(map(math.isfinite, values.values())) and run.backend.all_finite(state.params)
    state.evaluations_not_finite = 0 if is_finite else state.evaluations_not_finite + 1
    state.evaluations.append(
        {
            **values,
            "global_step": state.global_step,
            "preemption_count": state.preemptions,
            "score": state.charged,
            "accumulated_submission_time": state.charged,
            "accumulated_eval_time": clock.spent("evaluation"),
            "accumulated_logging_time": clock.spent("logging"),
            "total_duration": clock.session,
        }
    )


def train_state(run: Run, state: State, clock: Clock) -> Mapping[str, Any]:
    """What the official API tells a submission about its trial, read-only. Times are in charged or free seconds."""
    charged = state.charged
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


def _is_evaluation_due(run: Run, state: State) -> bool:
    if run.evaluated_every is not None:
        # As by seconds, the first comes after the first step; a trial that makes a target has as many as its rule says.
        is_first = state.global_step == 1 and math.isfinite(run.max_runtime)
        return is_first or state.global_step % run.evaluated_every == 0
    return state.charged - state.last_evaluation >= run.workload.eval_period_time_sec


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
        "eval_results": [(row["global_step"], dict(row)) for row in state.evaluations],  # copies: the record is ours
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
def submission_code(run: Run) -> Iterator[None]:
    """What is raised inside is the submission's, unless the machine or the data failed. The referee listens.

    Whatever it is: to leave by `sys.exit` is no way to end a trial. Memory that is not there for the next batch is the
    submission's, too.
    """
    try:
        with run.referee.listening():
            yield
    except UsageError:
        raise
    except InfrastructureError as error:
        if error.__cause__ is not None and run.backend.is_out_of_memory(error.__cause__):
            raise SubmissionError(str(error)) from error.__cause__
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and is_from_keyboard():
            raise
        if run.backend.is_infrastructure_error(error) or _is_disk_failure(error):
            raise InfrastructureError(f"the machine failed: {type(error).__name__}: {error}") from error
        raise SubmissionError(str(error)) from error


def _is_disk_failure(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_FAILURES
