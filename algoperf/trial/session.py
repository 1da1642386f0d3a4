"""One trial from its setup to its `result.json`: go on from a checkpoint, train, record.

`result.json` is the last act and is written in one piece: a trial that has it is finished, and one that has not goes on
from its last checkpoint when the same command is given again.
"""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, SubmissionError, UsageError
from algoperf.machine import hardware
from algoperf.machine.interruption import InterruptionError, Watch
from algoperf.machine.lock import FolderLock
from algoperf.machine.neighbours import Announced
from algoperf.records import checkpoint
from algoperf.records.checkpoint import CheckpointError
from algoperf.records.official_files import MetricsLogger
from algoperf.submission.points import as_hyperparameters
from algoperf.trial import journal
from algoperf.trial.clock import Clock
from algoperf.trial.evaluate import Evaluator
from algoperf.trial.input_queue import InputQueue
from algoperf.trial.journal import Journal
from algoperf.trial.referee import Flag, RuleError
from algoperf.trial.setup import Setup
from algoperf.trial.train import (
    Run,
    State,
    Status,
    prepare_for_evaluation,
    run_trial,
    submission_code,
    time_to_target,
    train_step,
)
from workloads.datasets.prepare import open_source

# Seconds that a process which is not the first gives the first one to record how a submission failed.
_FIRST_RECORDS = 15.0

Report = Callable[[State], None]


def execute(
    setup: Setup, report: Report, now: Callable[[], float] = time.monotonic, watch: Watch | None = None
) -> dict[str, Any]:
    """Trains, or goes on training, to a result.

    Raises InfrastructureError where the machine or the data fails, and InterruptionError where `watch` says to stop.
    """
    is_first = setup.backend.shard[0] == 0
    with FolderLock(setup.out) if is_first else contextlib.nullcontext() as lock:
        setup.backend.from_first((0.0,))  # the others wait until the first one has the lock
        if (result := journal.read_result(setup.out)) is not None:
            return result
        try:
            return _run(setup, lock, report, now, watch or Watch(now))
        except (UsageError, InterruptionError):
            raise
        except Exception as error:
            with contextlib.suppress(OSError):  # the error may be that nothing can be written here
                journal.log_error(setup.out, traceback.format_exc())
            if isinstance(error, OSError):
                where = error.filename2 or error.filename or setup.out
                raise InfrastructureError(f"{where}: {error.strerror or error}.") from error
            raise


def _run(
    setup: Setup, lock: FolderLock | None, report: Report, now: Callable[[], float], watch: Watch
) -> dict[str, Any]:
    saved, damaged = checkpoint.restore_latest(setup.out / journal.CHECKPOINTS)
    if lock is not None:
        for sentence in damaged:
            journal.log_error(setup.out, sentence)
    if saved is not None and saved["identity"] != setup.identity:
        different = next(name for name, value in setup.identity.items() if saved["identity"].get(name) != value)
        raise UsageError(
            f"{setup.out} holds the checkpoint of another trial (its {different} differs); give another folder, or "
            "remove this one."
        )
    setup.compile_caches.use(setup.backend)
    setup.compile_caches.restore(setup.out / journal.COMPILED, [] if saved is None else saved["compiled"])
    session = _Session(setup, lock, saved, now)
    try:
        status = session.train(report, watch)
    except SubmissionError as error:
        is_sentence = isinstance(error, RuleError) or error.__cause__ is None
        raised = error if is_sentence else error.__cause__
        journal.log_error(setup.out, str(error) if is_sentence else "".join(traceback.format_exception(raised)))
        status = "out_of_memory" if setup.backend.is_out_of_memory(raised) else "submission_error"
        if session.journal is None:
            return _recorded_by_the_first(setup.out) or session.write_result(status)
    finally:
        session.close()
    return session.write_result(status)


def _recorded_by_the_first(out: Path) -> dict[str, Any] | None:
    """The result, once the first process has written it; None where it does not: only another one has failed."""
    deadline = time.monotonic() + _FIRST_RECORDS
    while (result := journal.read_result(out)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return result


def begin(setup: Setup) -> tuple[Run, State]:
    """A trial before its first step; `workload.metrics_logger` is set already. Raises SubmissionError."""
    backend, workload = setup.backend, setup.workload
    backend.seed(setup.seed)
    _, optimizer_rng, model_rng, rng = backend.split(backend.prng_key(setup.seed), 4)
    run = Run(
        workload=workload,
        submission=setup.submission,
        backend=backend,
        evaluate=Evaluator(workload, backend, setup.eval_batch_size),
        hyperparameters=as_hyperparameters(setup.point),
        rng=rng,
        referee=setup.referee,
        max_runtime=setup.max_runtime,
        max_steps=setup.max_steps,
        evaluated_every=setup.evaluated_every,
    )
    params, model_state = backend.place(workload.init_model_fn(model_rng))
    setup.referee.begin(params)
    with submission_code(run), setup.referee.initialising(params):
        optimizer_state = setup.submission.begin(workload, params, model_state, setup.point, optimizer_rng)
    return run, State(params, backend.place(optimizer_state), model_state)


class _Session:
    """One process's share of a trial: the whole of it, or what comes after a preemption."""

    def __init__(self, setup: Setup, lock: FolderLock | None, saved: dict[str, Any] | None, now: Callable[[], float]):
        self._setup, self._saved, self._now = setup, saved, now
        self.preemptions = 0 if saved is None else saved["preemptions"] + 1
        self.clock = Clock(now, **({} if saved is None else saved["clock"]))
        self.journal = None if lock is None else Journal(setup.out, lock, saved)
        self._metrics_logger = MetricsLogger(None) if self.journal is None else self.journal.metrics_logger
        setup.workload.metrics_logger = self._metrics_logger
        self.queue = self._queue_from(0 if saved is None else saved["position"])
        self.state: State | None = None
        self._evidence = hardware.evidence()
        self._announced = Announced(setup.out)
        self._neighbours = set(self._announced.others())

    def _queue_from(self, position: int) -> InputQueue:
        setup = self._setup
        source = open_source(setup.workload.spec, "train", setup.workload.data_dir)
        backend = setup.backend
        return InputQueue(source, setup.batch_size, setup.seed, backend.place_batch, position, backend.shard)

    def close(self) -> None:
        self.queue.close()
        self._announced.close()

    def train(self, report: Report, watch: Watch) -> Status:
        run, self.state = begin(self._setup)
        self.state.preemptions = self.preemptions
        self._write_metadata()
        if self._saved is not None:
            self._restore(run)

        reported = len(self.state.evaluations)

        def save() -> None:
            nonlocal reported
            self._neighbours.update(self._announced.others())
            self._save()
            if self.journal is not None and len(self.state.evaluations) > reported:
                reported = len(self.state.evaluations)
                report(self.state)

        return run_trial(run, self.state, self.clock, self.queue, save, watch)

    def _write_metadata(self) -> None:
        if self.journal is None:
            return
        setup = self._setup
        metadata = {
            **hardware.machine(),
            **{f"accelerator.{name}": value for name, value in setup.hardware.items()},
            "hardware_evidence": self._evidence,
            "git_commit_hash": hardware.git_commit(Path(__file__).parent),
            "rng_seed": setup.seed,
            "versions": hardware.versions(),
            "trial": dataclasses.asdict(setup.trial),
            "seconds_to_first_step": round(time.time() - setup.begun, 2),
            "free_seconds": setup.referee.free_seconds,
            "timed_beside": sorted(self._neighbours),
        }
        self.journal.write_metadata(self.preemptions, setup.point, metadata)

    def _save(self) -> None:
        """The state is gathered by all processes of the trial and written by the first."""
        state, backend, referee = self.state, self._setup.backend, self._setup.referee
        random_state = backend.export_random_state()
        if self.journal is None:
            return
        content = {
            "identity": self._setup.identity,
            "global_step": state.global_step,
            "evaluations": state.evaluations,
            "evaluations_not_finite": state.evaluations_not_finite,
            "preemptions": self.preemptions,
            "position": self.queue.position,
            "random_state": random_state,
        }
        try:
            content["state"] = backend.export(tree_of(state))
            content["compiled"] = self._setup.compile_caches.save(self._setup.out / journal.COMPILED)
            content["clock"] = self.clock.state  # after the export, whose code may be the submission's
            content["flags"] = [dataclasses.asdict(flag) for flag in referee.flags]
        except InfrastructureError:
            raise
        except Exception as error:  # whatever a submission's own `state_dict` may raise
            self._write_without_checkpoint(error)
            return
        try:
            self.journal.write(state, content)
        except CheckpointError as error:
            self._write_without_checkpoint(error)

    def _write_without_checkpoint(self, error: Exception) -> None:
        """The trial is not at fault for a state that cannot be saved; it only cannot go on from it."""
        self._setup.referee.flag(
            "checkpoint", f"the state cannot be saved, so an interrupted trial begins anew: {error}"
        )
        self.journal.write(self.state, None)

    def _restore(self, run: Run) -> None:
        """Puts the checkpoint's state in place of the fresh one, after first steps on the fresh one.

        These compile what an uninterrupted trial has compiled long ago, and make what a submission makes only when it
        trains. They happen off the clock, on a queue of their own (a submission may change or donate its batch), and
        everything they compute is overwritten.
        """
        saved, backend, state = self._saved, run.backend, self.state
        self._metrics_logger.muted = True
        with contextlib.closing(self._queue_from(saved["position"])) as queue:
            for is_prepared in (True, _is_of_evaluation(saved)):  # a step before the first evaluation, one after it
                train_step(run, state, Clock(self._now), queue)
                if is_prepared:
                    prepare_for_evaluation(run, state)
        backend.synchronize()
        self._metrics_logger.muted = self.journal is None
        state.params, state.optimizer_state, state.model_state = backend.restore(tree_of(state), saved["state"])
        state.global_step = saved["global_step"]
        state.evaluations = saved["evaluations"]
        state.evaluations_not_finite = saved["evaluations_not_finite"]
        state.charged = saved["clock"]["charged"]
        backend.restore_random_state(saved["random_state"])
        run.referee.go_on(state.params, [Flag(**flag) for flag in saved["flags"]])

    def write_result(self, status: Status) -> dict[str, Any]:
        setup = self._setup
        state = self.state or State(None, None, None)
        result = {
            **dataclasses.asdict(setup.trial),
            "status": status,
            "time_to_target": time_to_target(setup.workload, state),
            "global_step": state.global_step,
            "charged_time": state.charged,
            "seed": setup.seed,
            "hyperparameters": setup.point,
            "accelerator": setup.accelerator,
            "hardware": setup.hardware,
            "hardware_evidence": {"begin": self._evidence, "end": hardware.evidence()},
            "timed_beside": sorted(self._neighbours),
            "preemptions": self.preemptions,
            "versions": hardware.versions(),
            "free_seconds": setup.referee.free_seconds,
            "compile_cache": setup.compile_caches.shared or "its own",
            "flags": [dataclasses.asdict(flag) for flag in setup.referee.flags],
        }
        if self.journal is not None:
            self.journal.write_result(result)
        elif status in ("out_of_memory", "submission_error"):
            journal.write_result(setup.out, result)  # only this process has failed, and it ends all others
        return result


def tree_of(state: State) -> tuple[Any, Any, Any]:
    """What of the state is the framework's; the parameters first, which the optimizer's state may share."""
    return state.params, state.optimizer_state, state.model_state


def _is_of_evaluation(saved: dict[str, Any]) -> bool:
    """Whether a checkpoint was written after an evaluation, and not between two."""
    return bool(saved["evaluations"]) and saved["evaluations"][-1]["global_step"] == saved["global_step"]
