"""The Slurm job that a trial runs in, if it runs in one: when it began, when it ends, and how it is queued again.

That a process has the variables of a job does not mean that it is in one: a shell outlives its job, an editor's session
on a node has them from elsewhere, and from inside of a container Slurm may not be reached.
"""

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import slurm
from algoperf.machine.interruption import InterruptionError, Watch, notice

# Says to what is started in a job, perhaps in a container that hides it, in which one.
STARTED_IN = "ALGOPERF_JOB"

# Seconds that a job which was queued again may take to end this process.
_ENDED_WITHIN = 120.0


_ID = "SLURM_JOB_ID"


@functools.cache
def current() -> str | None:
    """The id of the job that this process is in, and ends with; None where it is in none, whatever its variables say.

    It stays what it was when it was first asked for: Snakemake's executor takes Slurm's variables away from the process
    that submits.
    """
    claimed = os.environ.get(_ID)
    return claimed if claimed is not None and (claimed == os.environ.get(STARTED_IN) or _is_in(claimed)) else None


def restore() -> None:
    """Gives this process, and those that it starts, the id of its job back, where its variables were taken away.

    A lock that names no job is nobody's to succeed once the job goes on elsewhere.
    """
    if (own := current()) is not None:
        os.environ[_ID] = own


def _is_in(job: str) -> bool:
    """Whether Slurm's daemon for the steps of the job is a parent of this process, or has it in its control group."""
    with contextlib.suppress(OSError):
        groups = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
        if any(f"/job_{job}/" in f"{group}/" for group in groups):
            return True
    for parent in psutil.Process().parents():
        with contextlib.suppress(psutil.Error):
            if " ".join(parent.cmdline()).startswith((f"slurmstepd: [{job}.", f"slurmstepd: [{job}]")):
                return True
    return False


def confirm(trains_itself: bool, say: Callable[[str], None]) -> bool:
    """Whether this process may use the job that its variables name; where not, it loses Slurm's variables and says so.

    trains_itself: whether it is one of a trial's processes, which are in the job that started them. Another starts them
    with `srun`, for which a job that runs is enough: the shell of `salloc` is in none.
    Raises InfrastructureError where the job has several nodes and `srun` is missing.
    """
    claimed = os.environ.get(_ID)
    if claimed is None or (why := _doubt(claimed, trains_itself)) is None:
        return claimed is not None
    if current() is not None and os.environ.get("SLURM_JOB_NUM_NODES", "1") != "1":
        raise InfrastructureError(f"{why}, which a trial on {os.environ['SLURM_JOB_NUM_NODES']} nodes is started with.")
    for name in [name for name in os.environ if name.startswith("SLURM") and name != "SLURM_CONF"]:
        del os.environ[name]
    say(f"{_ID} is {claimed}, but {why}: the trial runs without Slurm.")
    return False


def _doubt(claimed: str, trains_itself: bool) -> str | None:
    """Why the job that is claimed is not to be used; None where it may be."""
    if trains_itself or current() is not None:
        is_missing = not trains_itself and shutil.which("srun") is None
        return "there is no srun here" if is_missing else None if current() else "this process is not in that job"
    try:
        return None if slurm.is_running(claimed) else "that job does not run"
    except InfrastructureError as error:
        return f"that cannot be confirmed ({str(error).rstrip('.')})"


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
