"""Every trial of a results folder: done (how), running (where), failed (why, which log), stopped or waiting."""

import csv
import dataclasses
import functools
import json
import math
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf import leftovers, lock, log, slurm
from algoperf.plan import Trial
from algoperf.protocol import Ruleset, load_protocol
from algoperf.registry import load_spec
from algoperf.spec import InfrastructureError, Target

Progress = Literal["done", "running", "failed", "stopped", "waiting"]

_FEW = 30  # trials that are all listed without being asked for
_NOTABLE: tuple[Progress, ...] = ("running", "failed", "stopped")
_STYLES: dict[Progress, str] = {"running": "bold", "failed": "red", "stopped": "red", "waiting": "dim"}

_BEFORE_THE_START = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")  # states of a Slurm job
_LOG_TAIL = 65_536  # bytes of an error log that are searched for its last error
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class TrialStatus:
    """progress: failed ended with an error of the machine or the data, stopped has no living process and no error; the
    same command goes on with either. outcome: how it is done, who runs it, or why it failed and where the log is.

    charged, budget: seconds; best: of the target's metric on the validation split. None before the first evaluation.
    """

    trial: Trial
    folder: Path
    progress: Progress
    outcome: str
    global_step: int | None
    charged: float | None
    budget: float
    best: float | None
    target: Target


@dataclasses.dataclass(frozen=True)
class _Queue:
    """The person's jobs by id and by comment. is_known: whether there is a Slurm here, and it said which they are."""

    by_id: Mapping[str, slurm.Job]
    by_comment: Mapping[str, slurm.Job]
    is_known: bool


def statuses(trials: Iterable[Trial], results: Path) -> list[TrialStatus]:
    """In the order of the trials. Slurm is asked once, and only where a trial is not done."""
    queue = functools.cache(functools.partial(_ask_slurm, results))
    return [_status(trial, results, queue) for trial in trials]


def failures(found: Iterable[TrialStatus]) -> list[TrialStatus]:
    """The trials that have begun, are not done, and have nobody who goes on with them."""
    return [entry for entry in found if entry.progress in ("failed", "stopped")]


def as_dict(status: TrialStatus) -> dict[str, Any]:
    """For JSON."""
    return {**dataclasses.asdict(status), "folder": str(status.folder)}


# Finding out


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


def _status(trial: Trial, results: Path, queue: Callable[[], _Queue]) -> TrialStatus:
    folder = results / trial.folder
    target, budget = _facts(trial.protocol, trial.ruleset, trial.workload)
    step, charged, best = _curve(folder / log.EVALUATIONS, target)
    try:
        result = json.loads((folder / log.RESULT).read_bytes())
        progress, outcome, step, charged = "done", result["status"], result["global_step"], result["charged_time"]
    except FileNotFoundError:
        progress, outcome = _unfinished(folder, leftovers.comment(trial, results), queue())
    except (OSError, ValueError, KeyError, TypeError):
        progress, outcome = "failed", f"a damaged result; remove it and the trial goes on ({folder / log.RESULT})"
    return TrialStatus(trial, folder, progress, outcome, step, charged, budget, best, target)


@functools.cache
def _facts(protocol: str, ruleset: Ruleset, workload: str) -> tuple[Target, float]:
    """A workload's target, and the seconds of charged time that a trial may use."""
    version = load_protocol(protocol)
    spec = load_spec(workload, version.scale)
    return spec.target, version.max_runtime(spec, ruleset)


def _unfinished(folder: Path, job_comment: str, queue: _Queue) -> tuple[Progress, str]:
    files = _files(folder)
    holder = lock.read(folder)
    if holder is not None and (runner := _runner(holder, queue)):
        return "running", runner
    requeued = None if holder is None else queue.by_id.get(holder.job)
    if (job := requeued or queue.by_comment.get(job_comment)) is not None:
        return "waiting", f"job {job.id} is {job.state.lower()}"
    if not files:
        return "waiting", ""
    error_log = folder / log.ERRORS
    if log.ERRORS in files and files[log.ERRORS] >= _session_began(files):
        return "failed", f"{_last_error(error_log)} ({error_log})"
    ended = "" if holder is None else f"{holder} ended without a word; "
    return "stopped", f"{ended}goes on when the same command is given again"


def _runner(holder: lock.Holder, queue: _Queue) -> str:
    """The holder in words if it lives, else empty. `lock.is_alive` would ask Slurm once for each job elsewhere."""
    if holder.job is None or holder.host == socket.gethostname():
        return str(holder) if lock.is_alive(holder) else ""
    if not queue.is_known:
        return f"{holder}, says its lock; Slurm does not say"
    job = queue.by_id.get(holder.job)
    return "" if job is None or job.state in _BEFORE_THE_START else str(holder)


def _files(folder: Path) -> dict[str, float]:
    """Name -> seconds of the last change. Snakemake makes the folder before the trial begins, and leaves it empty."""
    try:
        return {path.name: path.stat().st_mtime for path in folder.iterdir()}
    except OSError:  # not there, or changed in this moment
        return {}


def _session_began(files: Mapping[str, float]) -> float:
    """When the trial was last taken up: what was logged before that is of an earlier session."""
    beginnings = (changed for name, changed in files.items() if name == lock.LOCK or name.startswith("meta_data_"))
    return max(beginnings, default=-math.inf)


def _last_error(path: Path) -> str:
    """The last exception's line, without the rest of its message; the last line of a log that has no exception."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL))
        text = file.read().decode("utf-8", errors="replace").rstrip()
    exceptions = _EXCEPTION.findall(text)
    return exceptions[-1] if exceptions else text.rpartition("\n")[2]


def _curve(path: Path, target: Target) -> tuple[int | None, float | None, float | None]:
    """The last global step, its charged seconds, and the best value of the target's metric, of all whole rows."""
    columns = ("global_step", "accumulated_submission_time", f"validation/{target.metric}")
    try:
        # The last line may be half written at this moment.
        lines = path.read_text().rpartition("\n")[0].split("\n")
        header = lines[0].split(",")
        step_column, charged_column, metric_column = map(header.index, columns)
    except (OSError, ValueError):
        return None, None, None
    step = charged = None
    values = []
    for row in csv.reader(lines[1:]):
        try:
            step, charged, value = int(row[step_column]), float(row[charged_column]), float(row[metric_column])
        except (ValueError, IndexError):
            continue
        if math.isfinite(value):
            values.append(value)
    return step, charged, (min if target.goal == "min" else max)(values, default=None)


# Showing


def print_table(found: Sequence[TrialStatus], every_trial: bool = False) -> None:
    """One line for each trial; of many, a summary and those that run, failed or stopped, or `every_trial`."""
    console = Console(highlight=False)
    are_many = len(found) > _FEW
    listed = found if every_trial or not are_many else [entry for entry in found if entry.progress in _NOTABLE]
    if are_many:
        console.print(_summary(found))
    if listed:
        console.print(_table(listed))
    counts = Counter(entry.progress for entry in found)
    console.print(", ".join(f"{counts[name]:,} {name}" for name in get_args(Progress) if counts[name]))
    if len(listed) < len(found):
        console.print("--all lists every trial")


def _summary(found: Iterable[TrialStatus]) -> Table:
    """How many trials of each workload are where."""
    headings = ("trials", "reached", "done otherwise", "running", "failed", "stopped", "waiting")
    counts: dict[str, Counter[str]] = {}
    for entry in found:
        done = "reached" if entry.outcome == "reached" else "done otherwise"
        kind = done if entry.progress == "done" else entry.progress
        counts.setdefault(entry.trial.workload, Counter()).update(["trials", kind])
    table = Table("workload")
    for heading in headings:
        table.add_column(heading, justify="right")
    for workload, of in counts.items():
        table.add_row(workload, *(f"{of[heading]:,}" if of[heading] else "" for heading in headings))
    return table


def _table(listed: Iterable[TrialStatus]) -> Table:
    table = Table()
    for heading in ("trial", "progress", "outcome", "step", "charged", "best of target"):
        # Folded, not cut short: the end of a trial's path is what tells it from the others.
        table.add_column(heading, justify="right" if heading in ("step", "charged") else "left", overflow="fold")
    for entry in listed:
        style = "green" if entry.progress == "done" and entry.outcome == "reached" else _STYLES.get(entry.progress, "")
        table.add_row(
            Text(str(entry.trial.folder)),
            entry.progress,
            Text(entry.outcome),
            "" if entry.global_step is None else f"{entry.global_step:,}",
            "" if entry.charged is None else f"{entry.charged:,.0f} s ({entry.charged / entry.budget:.0%})",
            _best(entry),
            style=style,
        )
    return table


def _best(entry: TrialStatus) -> str:
    """`0.5381 of 0.545 (min)`: the best value, the target, and which way is better."""
    if entry.best is None:
        return ""
    return f"{entry.best:.4f} of {entry.target.validation:g} ({entry.target.goal})"


def print_failures(found: Sequence[TrialStatus]) -> None:
    """Says on stderr which trials have failed or stopped, why, and what to do; nothing where none has."""
    failed = failures(found)
    if not failed:
        return
    missing = sum(entry.progress != "done" for entry in found)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for entry in failed:
        console.print(f"{entry.progress}: {entry.trial.folder}", style="red")
        if entry.outcome:
            console.print(f"  {entry.outcome}")
    console.print(
        f"{len(failed):,} of {len(found):,} trials have failed or stopped and {missing:,} have no result: no score is "
        "made. The same command goes on with exactly these, from their checkpoints; `--config partial=true` scores "
        "the trials that are done, and says so."
    )
