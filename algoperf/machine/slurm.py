"""What the project asks of Slurm and tells it, through Slurm's own commands; no other module calls them.

Every call raises InfrastructureError with the command and Slurm's own words where Slurm does not answer, and where its
answer cannot be understood or says nothing of what was asked: neither ever looks like "there is no such job". Written
for Slurm 20 to 24.
"""

import dataclasses
import functools
import re
import shutil
from collections.abc import Iterable, MutableMapping

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import answers

# States in which Slurm will do no more for a job. All others, those of later versions too, count as active: to take a
# finished job for a running one costs a wait, the reverse may cost two writers of one trial.
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
}

# What Slurm says of jobs that it has forgotten, and of jobs that have ended.
_UNKNOWN = ("Invalid job id",)
_ENDED_ALREADY = (*_UNKNOWN, "already completing or completed")

_JOB = {
    **{"id": "%A", "shown": "%i", "state": "%T", "begun": "%S", "ends": "%e", "nodes": "%N"},
    **{"name": "%j", "comment": "%k", "workdir": "%Z"},
}
_NODE = ("%P", "%a", "%l", "%M", "%N", "%T", "%G", "%f", "%c", "%m")


@dataclasses.dataclass(frozen=True)
class Job:
    """A job, or an element of a job array.

    id: as SLURM_JOB_ID in it; of no other job, but of the last element of an array that of the array, too. shown: as
    Slurm's commands name it: 7, and 7_3 an element of an array. state: as squeue names it. begun, ends: in seconds
    since the epoch, as far as Slurm says so; ends: of one that has ended when it did. nodes: as a list of Slurm's.
    workdir: where it was submitted.
    """

    id: str
    state: str
    name: str
    comment: str
    workdir: str
    shown: str
    begun: float | None
    ends: float | None
    nodes: str

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    @property
    def handle(self) -> str:
        """What commands that change it call it: by its number alone they might change the whole array."""
        return self.shown if re.fullmatch(r"[0-9]+_[0-9]+", self.shown) else self.id


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


def prepare_environment(environ: MutableMapping[str, str]) -> None:
    """Lets Slurm's commands that others call, as Snakemake's executor does, answer as they do here.

    A person's own settings of them are dropped, and jobs in hidden partitions are shown.
    """
    for name in [name for name in environ if name.startswith(answers.USERS_DEFAULTS)]:
        del environ[name]
    environ["SQUEUE_ALL"] = "1"


def all_my_jobs() -> list[Job]:
    """The user's jobs, those that have ended among them for as long as the controller remembers (MinJobAge)."""
    return _jobs("--me") or []


def my_jobs() -> list[Job]:
    """The user's jobs that have not ended, those that Slurm will run again among them."""
    return [job for job in all_my_jobs() if not job.has_ended]


def is_active(job_id: str) -> bool:
    """Whether the job may still run: it waits, runs, is suspended, ends right now, or will be run again."""
    job = _job(job_id)
    return job is not None and not job.has_ended


def is_running(job_id: str) -> bool:
    """Whether the job runs and nobody has ended it yet."""
    job = _job(job_id)
    return job is not None and job.state == "RUNNING"


def times(job_id: str) -> tuple[float, float | None]:
    """When a running job began and when Slurm will end it, in seconds since the epoch; None where it has no limit."""
    job = _job(job_id)
    if job is None or job.begun is None:
        raise InfrastructureError(f"Slurm does not say when job {job_id} began.")
    return job.begun, job.ends


def _job(job_id: str) -> Job | None:
    """None for a job that Slurm says it does not know: that it says nothing is no answer."""
    jobs = _jobs(f"--jobs={job_id}")
    if jobs is None:
        return None
    if (found := next((job for job in jobs if job.id == job_id), None)) is None:
        raise InfrastructureError(f"Slurm's squeue was asked for job {job_id} and says nothing of it.")
    return found


def _jobs(which: str) -> list[Job] | None:
    command = ("squeue", "--all", "--states=all", which)
    if (rows := answers.rows(*command, fields=_JOB.values(), forgiven=_UNKNOWN)) is None:
        return None
    return [_described(dict(zip(_JOB, row, strict=True))) for row in rows]


def _described(row: dict[str, str]) -> Job:
    if not (re.fullmatch(r"[0-9]+", row["id"]) and re.fullmatch(r"[A-Z_]+", row["state"])):
        raise InfrastructureError(f"Slurm's squeue names a job {row['id']!r} in the state {row['state']!r}.")
    times = {name: answers.epoch(row[name]) for name in ("begun", "ends")}
    return Job(**{name: "" if value == "(null)" else value for name, value in row.items()} | times)


def cancel(job_ids: Iterable[str]) -> None:
    """Ends jobs; those that have ended already are no error."""
    if ids := list(job_ids):
        answers.run("scancel", *ids, forgiven=_ENDED_ALREADY)


def signal(job_ids: Iterable[str], name: str) -> None:
    """Sends a signal ("USR2") to the tasks of the jobs' steps, not to their batch scripts.

    Jobs that do not run have nobody to hear it; without the word RUNNING scancel would try them for over a minute.
    """
    if ids := list(job_ids):
        answers.run("scancel", f"--signal={name}", "--state=RUNNING", *ids, forgiven=_ENDED_ALREADY)


def requeue(job_id: str) -> None:
    """Ends a job and queues it again under the same id; of a job array only this element."""
    job = _job(job_id)
    answers.run("scontrol", "requeue", job_id if job is None else job.handle)


def leave_out(nodes: Iterable[str], job: Job) -> None:
    """Keeps a job that waits from these nodes, in place of those that it was kept from."""
    answers.run("scontrol", "update", f"JobId={job.handle}", f"ExcNodeList={','.join(nodes)}")


@functools.cache
def hostnames(nodes: str) -> tuple[str, ...]:
    """The names in a list of nodes as Slurm writes it: n1,n[3-5]."""
    names = answers.run("scontrol", "show", "hostnames", nodes).split() if "[" in nodes else nodes.split(",")
    return tuple(filter(None, names))


def refusal(options: Iterable[str]) -> str | None:
    """Why sbatch would not take a job with these options, in Slurm's words; None where it would."""
    try:
        answers.run("sbatch", "--test-only", *options, "--wrap=true")
    except InfrastructureError as error:
        return str(error).rpartition("failed: ")[2]
    return None


def accounting_answers() -> bool:
    """Whether sacct can be asked about jobs."""
    try:
        answers.run("sacct", "--noheader", "--allocations", "--starttime=now")
    except InfrastructureError:
        return False
    return True


def config() -> dict[str, str]:
    """The controller's settings as `scontrol show config` names them."""
    lines = answers.run("scontrol", "show", "config").splitlines()
    return {key.strip(): value.strip() for key, found, value in (line.partition("=") for line in lines) if found}


def partitions() -> list[Partition]:
    """The partitions that have nodes, hidden ones among them, by name."""
    found: dict[str, Partition] = {}
    for row in answers.rows("sinfo", "--all", "--Node", fields=_NODE) or []:
        marked, availability, limit, preemption, *node = row
        name = marked.removesuffix("*")
        nodes = (*found[name].nodes, _node(*node)) if name in found else (_node(*node),)
        found[name] = Partition(name, marked != name, availability == "up", answers.minutes(limit), preemption, nodes)
    return [found[name] for name in sorted(found)]


def _node(name: str, state: str, gres: str, features: str, cpus: str, memory: str) -> Node:
    names = () if features == "(null)" else tuple(features.split(","))
    return Node(name, state, gpus(gres), names, answers.whole(cpus), answers.whole(memory))


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
