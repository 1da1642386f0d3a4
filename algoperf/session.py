"""One trial from its setup to its `result.json`: go on from a checkpoint, train, record.

`result.json` is the last act and is written in one piece: a trial that has it is finished, and one that has not goes on
from its last checkpoint when the same command is given again.
"""

import contextlib
import csv
import dataclasses
import importlib.metadata
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algoperf import checkpoint, hardware, log, submission
from algoperf.clock import Clock
from algoperf.evaluate import Evaluator
from algoperf.input_queue import InputQueue
from algoperf.spec import UsageError
from algoperf.train import Run, State, Status, SubmissionError, run_trial, time_to_target, train_step
from algoperf.trial import Setup
from workloads.datasets.prepare import open_source

_CHECKPOINTS = "checkpoints"
_VERSIONED = ("algoperf-snakemake", "flax", "jax", "jaxlib", "numpy", "optax", "torch")

Report = Callable[[State], None]


def execute(setup: Setup, report: Report, now: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Trains, or goes on training, to a result. Raises InfrastructureError where the machine or the data fails."""
    setup.out.mkdir(parents=True, exist_ok=True)
    saved, damaged = checkpoint.restore_latest(setup.out / _CHECKPOINTS)
    for sentence in damaged:
        _log_error(setup.out, sentence)
    if saved is not None and saved["identity"] != setup.identity:
        raise UsageError(f"{setup.out} holds the checkpoint of another trial; give another folder, or remove this one.")
    session = _Session(setup, saved, now)
    try:
        status = session.train(report)
    except SubmissionError as error:
        _log_error(setup.out, "".join(traceback.format_exception(error.__cause__)))
        status = "out_of_memory" if setup.backend.is_out_of_memory(error.__cause__) else "submission_error"
    except Exception:
        _log_error(setup.out, traceback.format_exc())
        raise
    finally:
        session.queue.close()
        session.metrics_logger.flush()
    result = session.result(status)
    log.write_json(setup.out / log.RESULT, result)
    shutil.rmtree(setup.out / _CHECKPOINTS, ignore_errors=True)
    return result


def _log_error(out: Path, text: str) -> None:
    with (out / log.ERRORS).open("a") as file:
        file.write(text.rstrip("\n") + "\n")


class _Session:
    """One process's share of a trial: the whole of it, or what comes after a preemption."""

    def __init__(self, setup: Setup, saved: dict[str, Any] | None, now: Callable[[], float]):
        self._setup, self._saved, self._now = setup, saved, now
        saved = saved or {"clock": {}, "position": 0, "evaluations": [], "global_step": 0, "preemptions": -1}
        self.preemptions = saved["preemptions"] + 1
        self.clock = Clock(now, **saved["clock"])
        self._write_metadata()
        self._evaluations = log.Table(setup.out / log.EVALUATIONS, saved["evaluations"])
        measurements = setup.out / "measurements.csv"
        self.metrics_logger = log.MetricsLogger(
            log.Table(measurements, _rows_until(measurements, saved["global_step"]))
        )
        setup.workload.metrics_logger = self.metrics_logger
        self.queue = self._queue_from(saved["position"])
        self.state: State | None = None

    def _queue_from(self, position: int) -> InputQueue:
        setup = self._setup
        source = open_source(setup.workload.spec, "train", setup.workload.data_dir)
        backend = setup.backend
        return InputQueue(source, setup.batch_size, setup.seed, backend.place_batch, position, backend.shard)

    def _write_metadata(self) -> None:
        setup = self._setup
        log.write_json(setup.out / "hparams.json", setup.point)
        log.write_json(
            setup.out / f"meta_data_{self.preemptions}.json",
            {
                **hardware.machine(),
                **{f"accelerator.{name}": value for name, value in setup.backend.accelerator().items()},
                "git_commit_hash": hardware.git_commit(Path(__file__).parent),
                "rng_seed": setup.seed,
                "versions": _versions(),
                "trial": dataclasses.asdict(setup.trial),
            },
        )

    def train(self, report: Report) -> Status:
        setup = self._setup
        backend, workload = setup.backend, setup.workload
        hyperparameters = submission.as_hyperparameters(setup.point)
        backend.seed(setup.seed)
        _, optimizer_rng, model_rng, rng = backend.split(backend.prng_key(setup.seed), 4)
        run = Run(
            workload=workload,
            submission=setup.submission,
            backend=backend,
            evaluate=Evaluator(workload, backend, setup.eval_batch_size),
            hyperparameters=hyperparameters,
            rng=rng,
            max_runtime=setup.max_runtime,
            max_steps=setup.max_steps,
        )
        params, model_state = backend.place(workload.init_model_fn(model_rng))
        try:
            optimizer_state = setup.submission.init_optimizer_state(
                workload, params, model_state, hyperparameters, optimizer_rng
            )
        except Exception as error:
            raise SubmissionError(str(error)) from error
        self.state = State(params, backend.place(optimizer_state), model_state, preemptions=self.preemptions)
        if self._saved is not None:
            self._restore(run)

        def save() -> None:
            self._save()
            report(self.state)

        return run_trial(run, self.state, self.clock, self.queue, save)

    def _save(self) -> None:
        """The row first, the checkpoint after it: a row without its checkpoint is dropped when the trial goes on."""
        state, backend = self.state, self._setup.backend
        self._evaluations.append(state.evaluations[-1:])
        self.metrics_logger.flush()
        checkpoint.save(
            self._setup.out / _CHECKPOINTS,
            state.global_step,
            {
                "identity": self._setup.identity,
                "global_step": state.global_step,
                "evaluations": state.evaluations,
                "evaluations_not_finite": state.evaluations_not_finite,
                "preemptions": self.preemptions,
                "clock": self.clock.state,
                "position": self.queue.position,
                "random_state": backend.export_random_state(),
                "params": backend.export(state.params),
                "optimizer_state": backend.export(state.optimizer_state),
                "model_state": backend.export(state.model_state),
            },
        )

    def _restore(self, run: Run) -> None:
        """Puts the checkpoint's state in place of the fresh one, after a first step on the fresh one.

        That step compiles what an uninterrupted trial has compiled long ago; it happens off the clock, on a queue of
        its own (a submission may change or donate its batch), and everything it computes is overwritten.
        """
        saved, backend = self._saved, run.backend
        fresh = dataclasses.replace(self.state)
        self.metrics_logger.muted = True
        with contextlib.closing(self._queue_from(saved["position"])) as queue:
            train_step(run, self.state, Clock(self._now), queue)
        backend.synchronize(self.state.params, self.state.optimizer_state, self.state.model_state)
        self.metrics_logger.muted = False
        self.state.params = backend.restore(fresh.params, saved["params"])
        self.state.optimizer_state = backend.restore(fresh.optimizer_state, saved["optimizer_state"])
        self.state.model_state = backend.restore(fresh.model_state, saved["model_state"])
        self.state.global_step = saved["global_step"]
        self.state.evaluations = saved["evaluations"]
        self.state.evaluations_not_finite = saved["evaluations_not_finite"]
        backend.restore_random_state(saved["random_state"])

    def result(self, status: Status) -> dict[str, Any]:
        setup = self._setup
        state = self.state or State(None, None, None)
        return {
            **dataclasses.asdict(setup.trial),
            "status": status,
            "time_to_target": time_to_target(setup.workload, state),
            "global_step": state.global_step,
            "charged_time": self.clock.charged,
            "seed": setup.seed,
            "hyperparameters": setup.point,
            "hardware": setup.backend.accelerator(),
            "preemptions": self.preemptions,
            "versions": _versions(),
        }


def _rows_until(path: Path, global_step: int) -> list[dict[str, str]]:
    """The training metrics that a trial logged before the step from which it goes on."""
    if global_step == 0 or not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["global_step"]) < global_step]


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
