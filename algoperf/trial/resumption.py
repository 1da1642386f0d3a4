"""How a trial goes on from its checkpoint: as if it had never been interrupted, and charged for nothing twice."""

import contextlib
from collections.abc import Callable
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, SubmissionError
from algoperf.records.checkpoint import CheckpointError
from algoperf.referee.referee import Flag
from algoperf.trial.clock import Clock
from algoperf.trial.input_queue import InputQueue
from algoperf.trial.setup import Setup
from algoperf.trial.train import (
    Run,
    State,
    prepare_for_evaluation,
    submission_code,
    time_to_target,
    train_step,
    tree_of,
)


def warmed_up(
    begin: Callable[[], tuple[Run, State]], saved: dict[str, Any], queue: InputQueue, now: Callable[[], float]
) -> tuple[Run, State]:
    """A trial that has begun and taken its first two steps again, off the clock, with all that they saw then.

    These compile what an uninterrupted trial has compiled long ago, and make what a submission makes only when it
    trains; all that they compute will be overwritten. Whatever they raise is no result: then the trial has only begun,
    with a flag that compiling is charged again.

    saved: the checkpoint. queue: from the trial's first batch on. Raises InfrastructureError where they fail in one of
    several processes: others may wait for it in the middle of a step.
    """
    run, state = begin()
    try:
        for is_prepared in (True, _is_of_evaluation(saved)):  # a step before the first evaluation, one after it
            seen = [row for row in saved["evaluations"] if row["global_step"] <= state.global_step]
            state.evaluations, state.charged = seen, seen[-1]["accumulated_submission_time"] if seen else 0.0
            train_step(run, state, _clock_at(seen, now), queue)
            if is_prepared:
                prepare_for_evaluation(run, state)
        with submission_code(run):
            run.backend.synchronize()
    except SubmissionError as error:
        failed = f"the first steps, taken again to compile, failed: {error}"
        if run.backend.shard[1] > 1:
            raise InfrastructureError(f"the trial cannot go on from its checkpoint: {failed}") from error
        run.referee.flag("checkpoint", f"{failed}; so compiling is charged once more.")
        return begin()
    return run, state


def restore(run: Run, state: State, saved: dict[str, Any]) -> None:
    """Puts the checkpoint's state in place of the fresh one, and takes it out of `saved`: it may have some GB.

    Raises CheckpointError where it does not fit.
    """
    backend, own = run.backend, saved.pop("own")
    model = backend.describe(state.params)
    state.params, state.optimizer_state, state.model_state = backend.restore(tree_of(state), own.pop("state"))
    if backend.describe(state.params) != model:
        raise CheckpointError("the checkpoint is of another model; remove the trial's folder to begin it anew.")
    state.global_step = saved["global_step"]
    state.evaluations = saved["evaluations"]
    state.evaluations_not_finite = saved["evaluations_not_finite"]
    state.charged = saved["clock"]["charged"]
    backend.restore_random_state(own["random_state"])
    run.referee.go_on(state.params, [Flag(**flag) for flag in saved["flags"]])


def is_lost(setup: Setup, state: State) -> bool:
    """Whether a trial that is raced, and has not reached its target, has charged its bound. Involves all processes.

    One that has reached it tells the others, and goes on to its test target: its time may still be refused.
    """
    if setup.race is None:
        return False
    is_first = setup.backend.shard[0] == 0
    if (seconds := time_to_target(setup.workload, state)) is not None:
        if is_first:
            setup.race.announce(seconds, setup.definition.identity)
        return False
    (lost,) = setup.backend.from_first((float(is_first and state.charged >= setup.race.bound().seconds),))
    return bool(lost)


def watched_race(setup: Setup) -> contextlib.AbstractContextManager[None]:
    """Meanwhile the first process of a trial that is raced looks for the others' results."""
    is_watched = setup.race is not None and setup.backend.shard[0] == 0
    return setup.race.watching() if is_watched else contextlib.nullcontext()


def ended(setup: Setup, saved: dict[str, Any] | None) -> State | None:
    """How a trial has ended that is not trained: None where it is.

    Its process ended between its last checkpoint and its result; or it can change nothing any more, if it has begun.
    Involves all processes.
    """
    state = State(None, None, None)
    if saved is not None:
        state.status, state.global_step, state.evaluations = saved["status"], saved["global_step"], saved["evaluations"]
        is_over = state.status is not None  # with its last evaluation
        state.charged = state.last_evaluation if is_over else saved["clock"]["charged"]
    if state.status is None and is_lost(setup, state):
        state.status = "pruned"
    if state.status is None:
        return None
    if saved is not None:
        setup.referee.flags = [Flag(**flag) for flag in saved["flags"]]
    return state


def _is_of_evaluation(saved: dict[str, Any]) -> bool:
    """Whether a checkpoint was written after an evaluation, and not between two."""
    return bool(saved["evaluations"]) and saved["evaluations"][-1]["global_step"] == saved["global_step"]


def _clock_at(rows: list[dict[str, Any]], now: Callable[[], float]) -> Clock:
    """As it stood at the last of these evaluations."""
    if not rows:
        return Clock(now)
    last = rows[-1]
    free = {"evaluation": last["accumulated_eval_time"], "logging": last["accumulated_logging_time"]}
    return Clock(now, last["accumulated_submission_time"], free)
