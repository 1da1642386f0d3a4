"""Every trial of a results folder: done (and how), running, failed (and why), stopped or waiting."""

import csv
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf import log
from algoperf.plan import Trial
from algoperf.protocol import load_protocol
from algoperf.registry import load_spec

Progress = Literal["done", "running", "failed", "stopped", "waiting"]

# A trial that has not written for so long, in evaluation periods, is not running any more.
_SILENT_PERIODS = 5


@dataclasses.dataclass(frozen=True)
class TrialStatus:
    """progress: failed ended with an error of the machine or the data, stopped has fallen silent without a word; the
    same command goes on with either. outcome: how it is done, or why it failed and where the log is.

    charged: seconds, None before the first evaluation; best: of the target's metric on the validation split.
    """

    trial: Trial
    folder: Path
    progress: Progress
    outcome: str
    global_step: int | None
    charged: float | None
    best: float | None


def statuses(trials: Iterable[Trial], results: Path) -> list[TrialStatus]:
    return [_status(trial, results / trial.folder) for trial in trials]


def _status(trial: Trial, folder: Path) -> TrialStatus:
    spec = load_spec(trial.workload, load_protocol(trial.protocol).scale)
    rows = _evaluations(folder)
    values = [row[f"validation/{spec.target.metric}"] for row in rows]
    best = (min if spec.target.goal == "min" else max)(values, default=None)
    step = int(rows[-1]["global_step"]) if rows else None
    charged = rows[-1]["accumulated_submission_time"] if rows else None
    result = _result(folder)
    if result is not None:
        return TrialStatus(trial, folder, "done", result["status"], result["global_step"], charged, best)
    if not folder.exists():
        return TrialStatus(trial, folder, "waiting", "", None, None, None)
    newest = max((folder, *folder.iterdir()), key=lambda path: path.stat().st_mtime)
    if newest.name == log.ERRORS:
        why = newest.read_text(errors="replace").rstrip().rpartition("\n")[2]
        return TrialStatus(trial, folder, "failed", f"{why} ({newest})", step, charged, best)
    silence = time.time() - newest.stat().st_mtime
    progress = "running" if silence < _SILENT_PERIODS * max(spec.eval_period, 60) else "stopped"
    return TrialStatus(trial, folder, progress, "", step, charged, best)


def _result(folder: Path) -> dict | None:
    try:
        return json.loads((folder / log.RESULT).read_text())
    except (OSError, ValueError):
        return None


def _evaluations(folder: Path) -> list[dict[str, float]]:
    """The whole rows; the last may be half written at this moment."""
    try:
        with (folder / log.EVALUATIONS).open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return []
    whole = []
    for row in rows:
        try:
            whole.append({name: float(value) for name, value in row.items()})
        except (TypeError, ValueError):
            continue
    return whole


def as_dict(status: TrialStatus) -> dict:
    """For JSON."""
    return {**dataclasses.asdict(status), "folder": str(status.folder)}


def print_table(found: list[TrialStatus]) -> None:
    """One line for each trial, and how many there are of each kind."""
    table = Table()
    for heading in ("trial", "progress", "outcome", "step", "charged s", "best"):
        table.add_column(heading, justify="right" if heading in ("step", "charged s", "best") else "left")
    for entry in found:
        style = {
            "done": "green" if entry.outcome == "reached" else "",
            "running": "bold",
            "failed": "red",
            "stopped": "red",
        }
        table.add_row(
            Text(str(entry.trial.folder)),
            entry.progress,
            Text(entry.outcome),
            "" if entry.global_step is None else f"{entry.global_step:,}",
            "" if entry.charged is None else f"{entry.charged:,.1f}",
            "" if entry.best is None else f"{entry.best:.4f}",
            style=style.get(entry.progress, "dim"),
        )
    console = Console(highlight=False)
    console.print(table)
    counts = Counter(entry.progress for entry in found)
    console.print(", ".join(f"{count} {progress}" for progress, count in counts.items()))
