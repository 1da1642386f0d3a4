"""Every trial of a results folder: done (how), running (where), failed (why, which log), stopped or waiting."""

import contextlib
import dataclasses
import functools
import json
import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from algoperf.benchmark.facts import InfrastructureError, Target
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import Ruleset, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.machine import leftovers, lock, slurm
from algoperf.progress.curve import Curve, read_curve
from algoperf.records import official_files

Stage = Literal["done", "running", "failed", "stopped", "waiting"]

_BEFORE_THE_START = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")  # states of a Slurm job
_LOG_TAIL = 65_536  # bytes of an error log that are searched for its last error
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)

# Seconds for which the answer of Slurm's controller, which serves a whole cluster, is good enough.
_SLURM_PERIOD = 30.0

# What tells that a file has changed: the time of its last change, its size and its number on the disk.
_Signature = tuple[int, int, int]
_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class TrialStatus:
    """progress: failed ended with an error of the machine or the data, stopped has no living process and no error; the
    same command goes on with either. outcome: how it is done, who runs it, or why it failed and where the log is.

    charged, free, set_up, budget: seconds; free: evaluating, logging and saving; set_up: of all sessions, before their
    first steps. max_steps: with which the trial ends, None where only seconds count. evaluations: how many; best,
    first: of the target's metric on the validation split. None before the first evaluation. since: when the last
    evaluation was written, or before it the last session began, in seconds since the epoch.
    """

    trial: Trial
    folder: Path
    progress: Stage
    outcome: str
    global_step: int | None
    charged: float | None
    free: float | None
    set_up: float | None
    budget: float
    max_steps: int | None
    evaluations: int
    first: float | None
    best: float | None
    target: Target
    since: float | None

    @property
    def share_of_way(self) -> float | None:
        """See `Curve.share_of_way`."""
        return Curve(first=self.first, best=self.best).share_of_way(self.target)

    @property
    def share_of_budget(self) -> float | None:
        """How much of its steps is taken, or, where only seconds count, of its budget; None before it is known."""
        used, whole = (self.charged, self.budget) if self.max_steps is None else (self.global_step, self.max_steps)
        return None if used is None else used / whole


@dataclasses.dataclass(frozen=True)
class _End:
    """What a trial ends with; as in TrialStatus."""

    target: Target
    budget: float
    max_steps: int | None


@dataclasses.dataclass(frozen=True)
class _Queue:
    """The person's jobs by id and by comment. is_known: whether there is a Slurm here, and it said which they are."""

    by_id: Mapping[str, slurm.Job]
    by_comment: Mapping[str, slurm.Job]
    is_known: bool


def statuses(trials: Iterable[Trial], results: Path) -> list[TrialStatus]:
    """In the order of the trials. Slurm is asked once, and only where a trial is not done."""
    return Reader(trials, results).read()


def failures(found: Iterable[TrialStatus]) -> list[TrialStatus]:
    """The trials that have begun, are not done, and have nobody who goes on with them."""
    return [entry for entry in found if entry.progress in ("failed", "stopped")]


def as_dict(status: TrialStatus) -> dict[str, Any]:
    """For JSON."""
    return {**dataclasses.asdict(status), "folder": str(status.folder)}


class Reader:
    """Reads the trials of an experiment again and again; a file that has not changed since is not read again."""

    def __init__(self, trials: Iterable[Trial], results: Path):
        self._results = results
        folders = ((trial, results / trial.folder) for trial in trials)
        self._places = [(trial, folder, folder / official_files.RESULT) for trial, folder in folders]
        self._done: dict[Path, tuple[_Signature, TrialStatus]] = {}
        self._contents: dict[Path, tuple[_Signature, Any]] = {}
        self._queue: tuple[float, _Queue] | None = None

    def read(self) -> list[TrialStatus]:
        """In the order of the trials."""
        return [self._status(*place) for place in self._places]

    def _status(self, trial: Trial, folder: Path, result: Path) -> TrialStatus:
        signature = _signature(result)
        if signature is None:
            return self._unfinished(trial, folder)
        known = self._done.get(folder)
        if known is None or known[0] != signature:
            known = self._done[folder] = signature, self._finished(trial, folder, result)
        return known[1]

    def _finished(self, trial: Trial, folder: Path, path: Path) -> TrialStatus:
        end = _end(trial.protocol, trial.ruleset, trial.workload)
        curve = read_curve(folder / official_files.EVALUATIONS, end.target)
        try:
            result = json.loads(path.read_bytes())
            outcome, step, charged = str(result["status"]), int(result["global_step"]), float(result["charged_time"])
            if not math.isfinite(charged):
                raise ValueError
            progress, curve = "done", dataclasses.replace(curve, global_step=step, charged=charged)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            progress, outcome = "failed", f"a damaged result; remove it and the trial goes on ({path})"
        return _described(trial, folder, progress, outcome, curve, end, set_up=_set_up(folder))

    def _unfinished(self, trial: Trial, folder: Path) -> TrialStatus:
        end = _end(trial.protocol, trial.ruleset, trial.workload)
        files = _files(folder)
        progress, outcome = self._where(files, trial, folder)
        curve, since = Curve(), None
        if official_files.EVALUATIONS in files:
            evaluations = folder / official_files.EVALUATIONS
            curve = self._once(
                evaluations, files[official_files.EVALUATIONS], lambda: read_curve(evaluations, end.target)
            )
            since = files[official_files.EVALUATIONS][0] / 1e9 if curve.evaluations else None
        if files and since is None:
            began = _session_began(files)
            since = began if math.isfinite(began) else None
        return _described(trial, folder, progress, outcome, curve, end, since=since)

    def _where(self, files: Mapping[str, _Signature], trial: Trial, folder: Path) -> tuple[Stage, str]:
        holder = lock.read(folder) if lock.LOCK in files else None
        if holder is not None and (runner := self._runner(holder)):
            return "running", runner
        queue = self._jobs()
        requeued = None if holder is None else queue.by_id.get(holder.job)
        if (job := requeued or queue.by_comment.get(leftovers.comment(trial, self._results))) is not None:
            return "waiting", f"job {job.id} is {job.state.lower()}"
        if not files:
            return "waiting", ""
        error_log = folder / official_files.ERRORS
        if official_files.ERRORS in files and files[official_files.ERRORS][0] / 1e9 >= _session_began(files):
            error = self._once(error_log, files[official_files.ERRORS], lambda: _last_error(error_log))
            return "failed", f"{error} ({error_log})"
        ended = "" if holder is None else f"{holder} ended without a word; "
        return "stopped", f"{ended}goes on when the same command is given again"

    def _runner(self, holder: lock.Holder) -> str:
        """The holder in words if it lives, else empty. `lock.is_alive` would ask Slurm once for each job elsewhere."""
        if holder.job is None or holder.host == socket.gethostname():
            return str(holder) if lock.is_alive(holder) else ""
        queue = self._jobs()
        if not queue.is_known:
            return f"{holder}, says its lock; Slurm does not say"
        job = queue.by_id.get(holder.job)
        return "" if job is None or job.state in _BEFORE_THE_START else str(holder)

    def _jobs(self) -> _Queue:
        now = time.monotonic()
        if self._queue is None or now - self._queue[0] > _SLURM_PERIOD:
            self._queue = now, _ask_slurm(self._results)
        return self._queue[1]

    def _once(self, path: Path, signature: _Signature, read: Callable[[], _Value]) -> _Value:
        """What `read` gave for the file when it looked like this."""
        known = self._contents.get(path)
        if known is None or known[0] != signature:
            known = self._contents[path] = signature, read()
        return known[1]


def _described(
    trial: Trial,
    folder: Path,
    progress: Stage,
    outcome: str,
    curve: Curve,
    end: _End,
    set_up: float | None = None,
    since: float | None = None,
) -> TrialStatus:
    return TrialStatus(
        trial=trial,
        folder=folder,
        progress=progress,
        outcome=outcome,
        set_up=set_up,
        since=since,
        **vars(end),
        **vars(curve),
    )


def _ask_slurm(results: Path) -> _Queue:
    if not slurm.installed():
        return _Queue({}, {}, is_known=False)
    try:
        jobs = slurm.my_jobs()
    except InfrastructureError:  # what can be read from the disk is worth showing all the same
        return _Queue({}, {}, is_known=False)
    # The comments name the results folder as the config does: relative to the folder that Snakemake was started in.
    of_these_results = (job for job in jobs if Path(job.workdir, results) == results.absolute())
    return _Queue({job.id: job for job in jobs}, {job.comment: job for job in of_these_results}, is_known=True)


@functools.cache
def _end(protocol: str, ruleset: Ruleset, workload: str) -> _End:
    version = load_protocol(protocol)
    spec = load_spec(workload, version.scale)
    return _End(spec.target, version.max_runtime(spec, ruleset), version.max_steps(spec, ruleset))


def _signature(path: Path) -> _Signature | None:
    """None where there is no such file, or it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _files(folder: Path) -> dict[str, _Signature]:
    """By name. Snakemake makes the folder before the trial begins, and leaves it empty."""
    found = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # not there, or changed in this moment
        for entry in entries:
            facts = entry.stat()
            found[entry.name] = facts.st_mtime_ns, facts.st_size, facts.st_ino
    return found


def _session_began(files: Mapping[str, _Signature]) -> float:
    """When the trial was last taken up: what was logged before that is of an earlier session."""
    beginnings = (facts[0] / 1e9 for name, facts in files.items() if name == lock.LOCK or name.startswith("meta_data_"))
    return max(beginnings, default=-math.inf)


def _set_up(folder: Path) -> float | None:
    """Seconds before the first steps of all sessions; None where a session does not say."""
    try:
        sessions = [json.loads(path.read_bytes()) for path in folder.glob("meta_data_*.json")]
        total = sum(float(session["seconds_to_first_step"]) for session in sessions)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return total if sessions and math.isfinite(total) else None


def _last_error(path: Path) -> str:
    """The last exception's line, without the rest of its message; the last line of a log that has no exception."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL))
            text = file.read().decode("utf-8", errors="replace").rstrip()
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    exceptions = _EXCEPTION.findall(text)
    return exceptions[-1] if exceptions else text.rpartition("\n")[2]
