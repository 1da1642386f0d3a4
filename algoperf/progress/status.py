"""Every trial of a results folder: done (how), running (where), failed (why, which log), stopped or waiting."""

import dataclasses
import functools
import json
import math
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from algoperf.benchmark.facts import InfrastructureError, Target
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import Ruleset, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import leftovers
from algoperf.machine import lock, slurm
from algoperf.progress import trial_files
from algoperf.progress.curve import Curve, read_curve
from algoperf.progress.trial_files import Signature
from algoperf.records import official_files
from algoperf.trial import superseded
from algoperf.trial.definition import Definition

Stage = Literal["done", "running", "failed", "stopped", "waiting"]

_BEFORE_THE_START = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")  # states of a Slurm job


# Seconds for which the answer of Slurm's controller, which serves a whole cluster, is good enough.
_SLURM_PERIOD = 30.0

_NOTHING: Mapping[Trial, Definition] = MappingProxyType({})

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class TrialStatus:
    """progress: failed ended with an error of the machine or the data, stopped has no living process and no error; the
    same command goes on with either. outcome: how it is done, who runs it, or why it failed and where the log is.

    charged, free, set_up, budget: seconds; free: evaluating, logging and saving; set_up: of all sessions, before their
    first steps. max_steps: with which the trial ends, None where only seconds count. evaluations: how many; best,
    first: of the target's metric on the validation split. None before the first evaluation. since: when the last
    evaluation was written, or before it the last session began, in seconds since the epoch. again: in which way what
    lies there is of another trial by now, so that it is run again; empty where it is not. refused, flags: what the
    referee says of a finished trial. content: of the submission, its hash.
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
    again: str = ""
    refused: str | None = None
    flags: tuple[dict[str, Any], ...] = ()
    content: str | None = None

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


def statuses(
    trials: Iterable[Trial], results: Path, definitions: Mapping[Trial, Definition] = _NOTHING
) -> list[TrialStatus]:
    """In the order of the trials. Slurm is asked once, and only where a trial is not done. definitions: as `Reader`."""
    return Reader(trials, results, definitions).read()


def failures(found: Iterable[TrialStatus]) -> list[TrialStatus]:
    """The trials that have begun, are not done, and have nobody who goes on with them."""
    return [entry for entry in found if entry.progress in ("failed", "stopped")]


def as_dict(status: TrialStatus) -> dict[str, Any]:
    """For JSON."""
    return {**dataclasses.asdict(status), "folder": str(status.folder)}


class Reader:
    """Reads the trials of an experiment again and again; a file that has not changed since is not read again."""

    def __init__(self, trials: Iterable[Trial], results: Path, definitions: Mapping[Trial, Definition] = _NOTHING):
        """definitions: what the trials compute now; without one, what lies there is taken to be of its trial."""
        self._results, self._definitions = results, definitions
        folders = ((trial, results / trial.folder) for trial in trials)
        self._places = [(trial, folder, folder / official_files.RESULT) for trial, folder in folders]
        self._done: dict[Path, tuple[Signature, TrialStatus]] = {}
        self._contents: dict[Path, tuple[Signature, Any]] = {}
        self._queue: tuple[float, _Queue] | None = None

    def read(self) -> list[TrialStatus]:
        """In the order of the trials."""
        return [self._status(*place) for place in self._places]

    def _another(self, trial: Trial, folder: Path) -> str:
        """See `TrialStatus.again`."""
        if trial not in self._definitions:
            return ""
        try:
            return superseded.standing(self._definitions[trial], folder)
        except InfrastructureError:  # a damaged result is said to be one
            return ""

    def _status(self, trial: Trial, folder: Path, result: Path) -> TrialStatus:
        signature = trial_files.signature(result)
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
            if again := self._another(trial, folder):
                outcome = f"its result is of {again}; it is set aside, and the trial run again"
                return _described(trial, folder, "waiting", outcome, Curve(), end, again=again)
            said = {name: result.get(name) for name in ("refused", "flags", "submission_sha256")}
            progress, curve = "done", dataclasses.replace(curve, global_step=step, charged=charged)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            progress, outcome, said = "failed", f"a damaged result; remove it and the trial goes on ({path})", {}
        flags = said.get("flags")
        return _described(
            trial,
            folder,
            progress,
            outcome,
            curve,
            end,
            set_up=trial_files.set_up(folder),
            refused=said.get("refused"),
            flags=tuple(flags) if isinstance(flags, list) else (),
            content=said.get("submission_sha256"),
        )

    def _unfinished(self, trial: Trial, folder: Path) -> TrialStatus:
        end = _end(trial.protocol, trial.ruleset, trial.workload)
        files = trial_files.files(folder)
        progress, outcome = self._where(files, trial, folder)
        again = self._again(files, trial, folder)
        if again:
            goes_on = "it goes on as it began" if progress == "running" else "the trial begins anew"
            outcome = f"{outcome}; what there is, is of {again}: {goes_on}".removeprefix("; ")
        curve, since = Curve(), None
        if official_files.EVALUATIONS in files:
            evaluations = folder / official_files.EVALUATIONS
            curve = self._once(
                evaluations, files[official_files.EVALUATIONS], lambda: read_curve(evaluations, end.target)
            )
            since = files[official_files.EVALUATIONS][0] / 1e9 if curve.evaluations else None
        if files and since is None:
            began = trial_files.session_began(files)
            since = began if math.isfinite(began) else None
        return _described(trial, folder, progress, outcome, curve, end, since=since, again=again)

    def _again(self, files: Mapping[str, Signature], trial: Trial, folder: Path) -> str:
        sessions = [name for name in files if name.startswith("meta_data_")]
        if not sessions:
            return ""
        last = max(sessions, key=lambda name: files[name])
        return self._once(folder / last, files[last], lambda: self._another(trial, folder))

    def _where(self, files: Mapping[str, Signature], trial: Trial, folder: Path) -> tuple[Stage, str]:
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
        if official_files.ERRORS in files and files[official_files.ERRORS][0] / 1e9 >= trial_files.session_began(files):
            error = self._once(error_log, files[official_files.ERRORS], lambda: trial_files.last_error(error_log))
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

    def _once(self, path: Path, signature: Signature, read: Callable[[], _Value]) -> _Value:
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
    **further: Any,
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
        **further,
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
