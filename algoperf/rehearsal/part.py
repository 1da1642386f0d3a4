"""What a process of the trial does in a rehearsal: the trial itself, listened to.

The first part ends in the middle of the trial, by the signal that no process survives; the second goes on from the
checkpoint. Both write down the state after the step that both take.
"""

import dataclasses
import hashlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from algoperf.backends import Backend
from algoperf.machine.interruption import Watch
from algoperf.records import checkpoint
from algoperf.rehearsal.pipeline import batches_a_second
from algoperf.rehearsal.stages import note
from algoperf.trial import journal, session
from algoperf.trial.setup import Setup
from algoperf.trial.train import State

Part = Literal["first", "second"]

# For each number of cores on which the pipeline is tried alone.
_PIPELINE_SECONDS = 2.0

# A step or two settle: later ones show what a trial will take.
_SETTLING = 2


class _TimedQueue:
    """The input queue, and how long a submission has waited for it, in seconds."""

    def __init__(self, queue: Iterator[Any]):
        self._queue, self.waited = queue, 0.0

    def is_of(self, queue: Iterator[Any]) -> bool:
        return self._queue is queue

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        begin = time.monotonic()
        try:
            return next(self._queue)
        finally:
            self.waited += time.monotonic() - begin


class Listener:
    """Stands between the loop and the submission: it times, and at the step after the checkpoint it takes down the
    state."""

    def __init__(self, setup: Setup, steps: int, part: Part, begun: float):
        """begun: of the process, in seconds since the epoch."""
        self._setup, self._steps, self._part, self._begun = setup, steps, part, begun
        self._backend: Backend = setup.backend
        self._out = setup.out.parent
        self._is_first = setup.backend.shard[0] == 0
        self._queue: _TimedQueue | None = None
        self._settled = 1 if steps < 2 * _SETTLING else _SETTLING
        self._taken = 0
        self._mark = (0.0, 0.0)  # when the steps that count began, and what was waited until then
        self._seen: list[tuple[str, dict[str, Any]]] = []

    def heard(self) -> Setup:
        submission = dataclasses.replace(
            self._setup.submission, data_selection=self._data_selection, update_params=self._update_params
        )
        return dataclasses.replace(self._setup, submission=submission)

    def _data_selection(self, workload: Any, input_queue: Iterator[Any], *others: Any) -> Any:
        if self._queue is None or not self._queue.is_of(input_queue):
            self._queue = _TimedQueue(input_queue)
        if self._taken == self._settled:  # not at the end of the step before, which may be evaluated in between
            self._backend.wait()
            self._mark = time.monotonic(), self._queue.waited
        return self._setup.submission.data_selection(workload, self._queue, *others)

    def _update_params(self, **arguments: Any) -> Any:
        self._taken = taken = arguments["global_step"] + 1
        result = self._setup.submission.update_params(**arguments)
        if self._part == "first":
            self._time(taken)
        if taken == self._steps + 1:
            self._take_down(result)
        return result

    def _time(self, taken: int) -> None:
        if taken == 1:
            self._backend.wait()
            self._note("first step", seconds=time.time() - self._begun)
        if taken == self._steps:
            self._backend.wait()
            count, waited = self._steps - self._settled, self._queue.waited if self._queue else 0.0
            seconds, waiting = (time.monotonic() - self._mark[0]) / count, (waited - self._mark[1]) / count
            self._note("steps", seconds_a_step=seconds, seconds_waiting=waiting, measured=count)

    def _take_down(self, result: tuple[Any, Any, Any]) -> None:
        optimizer_state, params, model_state = result
        self._backend.wait()
        state = digests(self._backend.export((params, optimizer_state, model_state)))
        if self._part == "first":
            self._note("next step", state=state, peak_bytes=_peak_bytes(self._backend))
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self._note("restart", seconds=time.time() - self._begun)
        self._note("same step", state=state)

    def flush(self) -> None:
        """Writes down what was seen; not while the submission's code runs, as whose file it would be taken."""
        for stage, values in self._seen:
            note(self._out, stage, **values)
        self._seen.clear()

    def report(self, state: State) -> None:
        """After each evaluation, when its checkpoint is written."""
        row = state.evaluations[-1]
        self._note("flags", all=[f"{flag.rule}: {flag.what}" for flag in self._setup.referee.flags])
        if state.global_step == self._steps and self._part == "first":
            before = state.evaluations[0]
            self._note(
                "evaluation",
                seconds_first=before["accumulated_eval_time"],
                seconds=row["accumulated_eval_time"] - before["accumulated_eval_time"],
            )
            folder = self._setup.out / journal.CHECKPOINTS
            newest = checkpoint.peek(folder, {"global_step"})
            if newest is not None and newest["global_step"] == self._steps:
                number = max(file.stem for file in folder.glob("checkpoint_*.npz")).split("_")[1]  # one file a process
                size = sum(file.stat().st_size for file in folder.glob(f"checkpoint_{number}*.npz"))
                self._note("checkpoint", bytes=size)
        self.flush()

    def _note(self, stage: str, **values: Any) -> None:
        if self._is_first:
            self._seen.append((stage, values))


class _Watch(Watch):
    """Is asked by the loop after each step, when the submission's code has ended."""

    def __init__(self, listener: Listener):
        super().__init__(time.monotonic)
        self._flush = listener.flush

    @property
    def is_interrupted(self) -> bool:
        self._flush()
        return False


def run(setup: Setup, steps: int, part: Part, begun: float) -> None:
    """This process's share. Raises whatever a trial raises."""
    listener = Listener(setup, steps, part, begun)
    is_first = setup.backend.shard[0] == 0
    if part == "first" and is_first:
        note(setup.out.parent, "set up", seconds=time.time() - begun, **_described(setup))
        if setup.workload.spec.rehearsal == "store":
            rates = batches_a_second(setup.workload.spec, setup.workload.data_dir, setup.batch_size, _PIPELINE_SECONDS)
            note(setup.out.parent, "pipeline", batches_a_second=rates)
    result = session.execute(listener.heard(), listener.report, watch=_Watch(listener))
    if is_first and part == "second" and result["status"] == "budget_exhausted":
        note(setup.out.parent, "result", status=result["status"])
    sys.exit(result["status"] in ("out_of_memory", "submission_error"))


def _described(setup: Setup) -> dict[str, Any]:
    return {
        "hardware": setup.hardware,
        "batch_size": setup.batch_size,
        "eval_batch_size": setup.eval_batch_size,
        "devices": setup.backend.num_devices,
        "submission_sha256": setup.definition.content.sha256,
    }


def _peak_bytes(backend: Backend) -> int:
    """Of this process's devices; of the process where these are its own cores."""
    peak = backend.peak_memory()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if peak is None else peak


def digests(exported: Any, where: str = "") -> dict[str, list[Any]]:
    """Of each array in a state: a hash of its bytes, and its norm; other values as they are written."""
    match exported:
        case Mapping():
            items = exported.items()
        case list() | tuple():
            items = enumerate(exported)
        case np.ndarray() | np.generic():
            array = np.ascontiguousarray(exported)
            is_number = array.dtype.kind in "fiu"
            norm = float(np.linalg.norm(array.astype(np.float64))) if is_number else 0.0
            return {where: [hashlib.sha256(array.tobytes()).hexdigest()[:16], norm]}
        case _:
            return {where: [repr(exported), 0.0]}
    found: dict[str, list[Any]] = {}
    for key, value in items:
        found |= digests(value, f"{where}/{key}" if where else str(key))
    return found
