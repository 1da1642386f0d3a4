"""The Slurm job that a trial runs in, if it runs in one: when it began, when it ends, and how it is queued again."""

import os
import time
from collections.abc import Callable

import psutil

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import slurm
from algoperf.machine.interruption import InterruptionError, Watch, notice

# Seconds that a job which was queued again may take to end this process.
_ENDED_WITHIN = 120.0


def current() -> str | None:
    """The id of this process's job."""
    return os.environ.get("SLURM_JOB_ID")


def begun_and_end() -> tuple[float, float | None]:
    """When this process's job began and when it will be ended, in seconds since the epoch.

    Outside of a job, or where Slurm does not answer now: when the process began, and None.
    """
    if (job := current()) is not None:
        try:
            return slurm.times(job)
        except InfrastructureError:
            pass  # the trial can do without: Slurm's own signal comes on top
    return psutil.Process().create_time(), None


def watch(begun: float, end: float | None, evaluation_time: float, now: Callable[[], float] = time.monotonic) -> Watch:
    """Listens for signals, and for the end of the job.

    evaluation_time: seconds of one evaluation. now: the clock of the checkpoints' period.
    """
    found = Watch(now, end, 0.0 if end is None else notice(end - begun, evaluation_time))
    found.listen()
    return found


def go_on_later(error: InterruptionError, is_first: bool) -> None:
    """Queues the job again, and waits for Slurm to end this process.

    A job that Slurm is ending already, because somebody cancelled it or it is queued again, is left to Slurm. One that
    is preempted is not: if its processes end before Slurm ends them, it has failed. Returns where there is no job to
    queue again. Raises InfrastructureError where Slurm refuses.
    """
    job = current()
    if job is None or not error.may_requeue:
        return
    if is_first and slurm.is_running(job):
        slurm.requeue(job)
    time.sleep(_ENDED_WITHIN)
