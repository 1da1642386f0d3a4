"""One trial from its setup to its `result.json`: go on from a checkpoint, train, record.

`result.json` is the last act and is written in one piece: a trial that has it is finished, and one that has not goes on
from its last checkpoint when the same command is given again.
"""

import contextlib
import dataclasses
import functools
import math
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, SubmissionError, UsageError
from algoperf.machine import hardware
from algoperf.machine.interruption import InterruptionError, Watch
from algoperf.machine.lock import FolderLock
from algoperf.machine.neighbours import Announced, Witness
from algoperf.racing import race
from algoperf.records.checkpoint import CheckpointError
from algoperf.records.official_files import MetricsLogger
from algoperf.referee.referee import RuleError
from algoperf.submission.points import as_hyperparameters
from algoperf.trial import journal, resumption, shared_state, superseded
from algoperf.trial.clock import Clock
from algoperf.trial.evaluate import Evaluator
from algoperf.trial.input_queue import InputQueue
from algoperf.trial.journal import Journal
from algoperf.trial.setup import Setup, note_changed_files
from algoperf.trial.train import Run, State, Status, run_trial, submission_code, time_to_target, tree_of
from workloads.datasets.prepare import open_source

Report = Callable[[State], None]


def execute(
    setup: Setup, report: Report, now: Callable[[], float] = time.monotonic, watch: Watch | None = None
) -> dict[str, Any]:
    """Trains, or goes on training, to a result.

    Raises InfrastructureError where the machine or the data fails, and InterruptionError where `watch` says to stop.
    """
    is_first = setup.backend.shard[0] == 0
    if is_first:
        superseded.arrange(setup.definition, setup.out)
    with FolderLock(setup.out) if is_first else contextlib.nullcontext() as lock, resumption.watched_race(setup):
        try:
            setup.backend.from_first((0.0,))  # the others wait until the first one has the lock
            if (result := superseded.finished_result(setup.definition, setup.out)) is not None:
                return result
            return _run(setup, lock, report, now, watch or Watch(now))
        except (UsageError, InterruptionError):
            raise
        except Exception as error:
            with contextlib.suppress(OSError):  # the error may be that nothing can be written here
                journal.log_error(setup.out, traceback.format_exc())
            if isinstance(error, OSError):
                where = error.filename2 or error.filename or setup.out
                raise InfrastructureError(f"{where}: {error.strerror or error}.") from error
            if setup.backend.is_out_of_memory(error) and not journal.has_begun(setup.out):
                with contextlib.closing(_Session(setup, lock, None, now)) as session:
                    return session.write_result("out_of_memory")
            if setup.backend.is_infrastructure_error(error):
                raise InfrastructureError(f"the machine failed: {type(error).__name__}: {error}") from error
            raise


def _run(
    setup: Setup, lock: FolderLock | None, report: Report, now: Callable[[], float], watch: Watch
) -> dict[str, Any]:
    saved = shared_state.read(setup.out, setup.backend)
    if saved is not None and (had := saved["hardware"]["count"]) != setup.backend.num_devices:
        raise UsageError(
            f"{setup.out} holds a trial that is half done on {had} devices, and here are {setup.backend.num_devices}; "
            "go on with as many, or remove the folder."
        )
    setup.compile_caches.use(setup.backend)
    setup.compile_caches.restore(setup.out / journal.COMPILED, [] if saved is None else saved["compiled"])
    session = _Session(setup, lock, saved, now)
    refused = None
    try:
        status = session.train(report, watch)
    except (UsageError, InfrastructureError):
        raise
    except Exception as error:
        is_submissions = isinstance(error, SubmissionError)
        refused = str(error) if isinstance(error, RuleError) else None
        is_sentence = is_submissions and (refused is not None or error.__cause__ is None)
        raised = error.__cause__ if is_submissions and not is_sentence else error
        is_out_of_memory = setup.backend.is_out_of_memory(raised)  # wherever that shows: in an evaluation, say
        if not (is_out_of_memory or is_submissions):
            raise
        journal.log_error(setup.out, str(error) if is_sentence else "".join(traceback.format_exception(raised)))
        status = "out_of_memory" if is_out_of_memory else "submission_error"
        if session.journal is None:
            return superseded.recorded_by_the_first(setup.definition, setup.out) or session.write_result(
                status, refused
            )
    finally:
        session.close()
    return session.write_result(status, refused)


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
        is_lost=functools.partial(resumption.is_lost, setup),
        bound=lambda: math.inf if setup.race is None else setup.race.known,
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
        snapshot = setup.backend.snapshot
        self.journal = None if lock is None else Journal(setup.out, lock, saved, snapshot)
        self._metrics_logger = MetricsLogger(None, snapshot) if self.journal is None else self.journal.metrics_logger
        self._saved_at = None if saved is None else saved["global_step"]
        self._not_saved: object = None
        setup.workload.metrics_logger = self._metrics_logger
        self.queue = self._queue_from(0 if saved is None else saved["position"])
        self.state: State | None = None
        self._evidence, self._announced = hardware.evidence(), Announced(setup.out)
        self._neighbours = set(self._announced.others())
        self._witness = Witness(self._announced, None if saved is None else saved.get("beside"))

    def _queue_from(self, position: int) -> InputQueue:
        setup = self._setup
        source = open_source(setup.workload.spec, "train", setup.workload.data_dir)
        backend = setup.backend
        return InputQueue(source, setup.batch_size, setup.seed, backend.place_batch, position, backend.shard)

    def close(self) -> None:
        self.queue.close()
        self._announced.close()

    def train(self, report: Report, watch: Watch) -> Status:
        self.state = resumption.ended(self._setup, self._saved)
        if self.state is not None:
            return self.state.status
        run, self.state = begin(self._setup) if self._saved is None else self._resumed()
        self.state.preemptions = self.preemptions
        self._write_metadata()
        reported = len(self.state.evaluations)

        def save() -> int | None:
            nonlocal reported
            self._neighbours.update(self._announced.others())
            self._save()
            if self.journal is not None and len(self.state.evaluations) > reported:
                reported = len(self.state.evaluations)
                report(self.state)
            return self._saved_at

        try:
            return run_trial(run, self.state, self.clock, self.queue, save, watch)
        except InterruptionError:
            if self.journal is not None and self._not_saved is not None:
                journal.log_error(self._setup.out, f"the state cannot be saved: {self._not_saved}")
            raise

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
            **{"framework_settings": setup.workload.framework_settings(), "versions": hardware.versions()},
            "stand_ins": setup.submission.home.stand_ins,
            "trial": dataclasses.asdict(setup.trial),
            "identity": {**setup.definition.record, "hardware": setup.hardware},
            "seconds_to_first_step": round(time.time() - setup.begun, 2),
            "free_seconds": setup.referee.free_seconds,
            "timed_beside": sorted(self._neighbours),
        }
        self.journal.write_metadata(self.preemptions, setup.point, metadata)

    def _save(self) -> None:
        """By all processes of the trial: each writes what is its own, the first one the rest, too."""
        state, referee = self.state, self._setup.referee
        self._write_metrics()
        own, error = shared_state.own(self._setup.backend, tree_of(state))
        if not shared_state.are_all_there(self._setup.backend, own is not None):
            self._write_without_checkpoint(error or "in another process of the trial")
            return
        shared_state.write_shares(self._setup.out, self._setup.backend, state.global_step, own, self.journal)
        if self.journal is not None:
            content = {
                "identity": self._setup.definition.record,
                "hardware": self._setup.hardware,
                "status": state.status,
                "global_step": state.global_step,
                "evaluations": state.evaluations,
                "evaluations_not_finite": state.evaluations_not_finite,
                "preemptions": self.preemptions,
                "compiled": self._setup.compile_caches.save(self._setup.out / journal.COMPILED),
                "clock": self.clock.state,  # after the export, whose code may be the submission's
                "position": self.queue.position,
                "flags": [dataclasses.asdict(flag) for flag in referee.flags],
                "processes": self._setup.backend.shard[1],
                "beside": self._witness.seen(),
                "own": own,
            }
            try:
                self.journal.write(state, content)
            except CheckpointError as refused:
                self._write_without_checkpoint(refused)
                return
        self._saved_at, self._not_saved = state.global_step, None

    def _write_without_checkpoint(self, error: object) -> None:
        """The trial is not at fault for a state that cannot be saved; it only cannot go on from it."""
        again = "begins anew" if self._saved_at is None else f"goes on from step {self._saved_at:,}"
        self._setup.referee.flag("checkpoint", f"the state cannot be saved, so an interrupted trial {again}: {error}")
        self._not_saved = error
        if self.journal is not None:
            self.journal.write(self.state, None)

    def _write_metrics(self) -> None:
        if self.journal is not None:
            for sentence in self.journal.write_metrics():
                self._setup.referee.flag("metrics", sentence)

    def _resumed(self) -> tuple[Run, State]:
        """The trial as its checkpoint has it. Raises InfrastructureError: that it cannot go on is no result."""
        self._metrics_logger.muted = True
        try:
            with contextlib.closing(self._queue_from(0)) as queue:
                run, state = resumption.warmed_up(lambda: begin(self._setup), self._saved, queue, self._now)
            resumption.restore(run, state, self._saved)
        except (UsageError, InfrastructureError):
            raise
        except Exception as error:
            raised = error.__cause__ or error
            sentence = f"the trial cannot go on from its checkpoint: {type(raised).__name__}: {raised}"
            raise InfrastructureError(sentence) from error
        finally:
            self._metrics_logger.muted = self.journal is None
        return run, state

    def write_result(self, status: Status, refused: str | None = None) -> dict[str, Any]:
        """refused: the rule that the submission broke, in a sentence; then nothing that it reached counts."""
        setup = self._setup
        note_changed_files(setup)
        state = self.state or State(None, None, None)
        self._write_metrics()
        result = {
            **dataclasses.asdict(setup.trial),
            "status": status,
            "refused": refused,
            "time_to_target": None if refused else time_to_target(setup.workload, state),
            "global_step": state.global_step,
            "charged_time": state.charged,
            "racing": race.record(setup.race) if status == "pruned" else None,
            **setup.definition.record,
            "accelerator": setup.accelerator,
            "hardware": setup.hardware,
            "hardware_evidence": {"begin": self._evidence, "end": hardware.evidence(), "beside": self._witness.seen()},
            "timed_beside": sorted(self._neighbours),
            "preemptions": self.preemptions,
            **{"framework_settings": setup.workload.framework_settings(), "versions": hardware.versions()},
            "stand_ins": setup.submission.home.stand_ins,
            "free_seconds": setup.referee.free_seconds,
            "compile_cache": setup.compile_caches.shared or "its own",
            "flags": [dataclasses.asdict(flag) for flag in setup.referee.flags],
        }
        if self.journal is not None:
            self.journal.write_result(result)
        elif status in ("out_of_memory", "submission_error"):
            journal.write_result(setup.out, result)  # only this process has failed, and it ends all others
        return result
