"""What the project asks of Slurm and tells it, through Slurm's own commands; no other module calls them.

Every call raises InfrastructureError with the command and Slurm's own words where Slurm does not answer: that the
controller is down never looks like "there is no such job". Written for Slurm 20 to 24.
"""

import dataclasses
import datetime
import os
import re
import shutil
import subprocess
from collections.abc import Iterable

from algoperf.benchmark.facts import InfrastructureError

# Seconds. Slurm's commands ask a controller that is down for 10 to 20 s before they say so.
TIME_LIMIT = 60

# States in which Slurm will do no more for a job. All others, those of later versions too, count as active: to take a
# finished job for a running one costs a wait, the reverse may cost two writers of one trial.
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
}

# What Slurm says of jobs that it has forgotten, and of jobs that have ended.
_UNKNOWN = ("Invalid job id",)
_ENDED_ALREADY = (*_UNKNOWN, "already completing or completed")

# Variables that would change what these commands answer, or make them ask a person.
_USERS_DEFAULTS = ("SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SQUEUE_", "SLURM_TIME_FORMAT")


@dataclasses.dataclass(frozen=True)
class Job:
    """One of the user's jobs that has not ended. state: as squeue names it. workdir: where it was submitted."""

    id: str
    state: str
    name: str
    comment: str
    workdir: str


@dataclasses.dataclass(frozen=True)
class Node:
    """gpus: how many by type; the type is "" where the cluster names none. memory_mib: what Slurm may give to jobs."""

    name: str
    state: str
    gpus: dict[str, int]
    features: tuple[str, ...]
    cpus: int
    memory_mib: int

    @property
    def is_up(self) -> bool:
        """Whether it takes jobs, now or when those that it has are done; an asterisk marks one that does not answer."""
        closed = ("down", "drain", "error", "fail", "inval", "maint", "unk")
        return not self.state.startswith(closed) and not self.state.endswith("*")


@dataclasses.dataclass(frozen=True)
class Partition:
    """A partition and its nodes.

    is_default: for jobs that name none. time_limit: minutes, None for none. preemption: what happens to its jobs where
    another partition wants their nodes (OFF, REQUEUE, CANCEL, SUSPEND, ...).
    """

    name: str
    is_default: bool
    is_up: bool
    time_limit: int | None
    preemption: str
    nodes: tuple[Node, ...]


def installed() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def my_jobs() -> list[Job]:
    """The user's jobs that have not ended, those that Slurm will run again among them."""
    fields = "%A\t%T\t%j\t%k\t%Z"
    rows = _rows("squeue", "--noheader", "--me", "--states=all", f"--format={fields}")
    return [Job(*("" if value == "(null)" else value for value in row)) for row in rows if row[1] not in _ENDED]


def is_active(job_id: str) -> bool:
    """Whether the job may still run: it waits, runs, is suspended, ends right now, or will be run again."""
    states = _run("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T", forgiven=_UNKNOWN)
    return any(state not in _ENDED for state in states.split())


def is_running(job_id: str) -> bool:
    """Whether the job runs and nobody has ended it yet."""
    return _run("squeue", "--noheader", f"--jobs={job_id}", "--format=%T", forgiven=_UNKNOWN).split() == ["RUNNING"]


def times(job_id: str) -> tuple[float, float | None]:
    """When a running job began and when Slurm will end it, in seconds since the epoch; None where it has no limit."""
    (row,) = _rows("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%S\t%e")
    start, end = (_epoch(time) for time in row)
    return start, end


def _epoch(time: str) -> float | None:
    """The seconds of a time as Slurm prints it, in the local zone."""
    return datetime.datetime.fromisoformat(time).timestamp() if time[0].isdigit() else None


def cancel(job_ids: Iterable[str]) -> None:
    """Ends jobs; those that have ended already are no error."""
    if ids := list(job_ids):
        _run("scancel", *ids, forgiven=_ENDED_ALREADY)


def signal(job_ids: Iterable[str], name: str) -> None:
    """Sends a signal ("USR2") to the tasks of the jobs' steps, not to their batch scripts.

    Jobs that do not run have nobody to hear it; without the word RUNNING scancel would try them for over a minute.
    """
    if ids := list(job_ids):
        _run("scancel", f"--signal={name}", "--state=RUNNING", *ids, forgiven=_ENDED_ALREADY)


def requeue(job_id: str) -> None:
    """Ends a job and queues it again under the same id."""
    _run("scontrol", "requeue", job_id)


def accounting_answers() -> bool:
    """Whether sacct can be asked about jobs."""
    try:
        _run("sacct", "--noheader", "--allocations", "--starttime=now")
    except InfrastructureError:
        return False
    return True


def config() -> dict[str, str]:
    """The controller's settings as `scontrol show config` names them."""
    lines = _run("scontrol", "show", "config").splitlines()
    return {key.strip(): value.strip() for key, found, value in (line.partition("=") for line in lines) if found}


def partitions() -> list[Partition]:
    """The partitions that the user may see and that have nodes, by name."""
    fields = "%P\t%a\t%l\t%M\t%N\t%T\t%G\t%f\t%c\t%m"
    found: dict[str, Partition] = {}
    for row in _rows("sinfo", "--noheader", "--Node", f"--format={fields}"):
        marked, availability, limit, preemption, *node = row
        name = marked.removesuffix("*")
        nodes = (*found[name].nodes, _node(*node)) if name in found else (_node(*node),)
        found[name] = Partition(name, marked != name, availability == "up", minutes(limit), preemption, nodes)
    return [found[name] for name in sorted(found)]


def _node(name: str, state: str, gres: str, features: str, cpus: str, memory: str) -> Node:
    names = () if features == "(null)" else tuple(features.split(","))
    return Node(name, state, gpus(gres), names, int(cpus), int(memory))


def gpus(gres: str) -> dict[str, int]:
    """GPUs by type in a list of generic resources: "gpu:v100:8(S:0-1),nvme:2" is {"v100": 8}."""
    counts: dict[str, int] = {}
    for resource in re.sub(r"\([^)]*\)", "", gres).split(","):
        name, *rest = resource.split(":")
        if name == "gpu":
            count = rest.pop() if rest and rest[-1].isdigit() else "1"
            kind = rest[0] if rest else ""
            counts[kind] = counts.get(kind, 0) + int(count)
    return counts


def minutes(limit: str) -> int | None:
    """A time limit as Slurm prints it ([days-]hours:minutes:seconds, or minutes:seconds); None for no limit."""
    if not limit[0].isdigit():  # infinite, UNLIMITED, n/a
        return None
    days, _, clock = limit.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 24 * 60 + seconds // 60


def _rows(*command: str) -> list[list[str]]:
    return [line.split("\t") for line in _run(*command).splitlines()]


def _run(*command: str, forgiven: tuple[str, ...] = ()) -> str:
    """What the command printed.

    Raises InfrastructureError where it cannot be run, does not end in time, or fails for more than `forgiven` reasons.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_USERS_DEFAULTS)}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TIME_LIMIT,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise InfrastructureError(f"Slurm's {command[0]} cannot be run: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise InfrastructureError(f"Slurm does not answer: `{' '.join(command)}` took over {TIME_LIMIT} s.") from None
    complaints = done.stderr.strip().splitlines()
    is_forgiven = complaints and all(any(words in line for words in forgiven) for line in complaints)
    if done.returncode and not is_forgiven:
        words = " ".join(complaints) or f"exit code {done.returncode}"
        raise InfrastructureError(f"Slurm's `{' '.join(command)}` failed: {words}")
    return done.stdout
