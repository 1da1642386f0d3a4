"""Conducts a rehearsal: starts the trial's processes, sees them die, starts them again, and says what was seen."""

import datetime
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import Trial
from algoperf.machine import hardware
from algoperf.records import official_files
from algoperf.rehearsal import stages
from algoperf.rehearsal.stages import LOG, STAGES, TRIAL
from algoperf.trial import launch
from algoperf.trial.definition import Rehearsal

# Tells a process which part of the rehearsal it is.
PART = "ALGOPERF_REHEARSED"
_BEGUN = "ALGOPERF_REHEARSED_SINCE"

# How far a norm of the state may be off where a device does not promise the same bits again.
_TOLERANCE = 1e-3


def conduct(trial: Trial, asked: Rehearsal, out: Path, starter: Sequence[str] | None) -> dict[str, Any]:
    """Both parts, in processes of their own. Writes and returns the record.

    starter: the command before `trial ...`, None where one process is enough. Raises UsageError where `out` has what no
    rehearsal has left there.
    """
    if (out / TRIAL).exists() and not stages.has_notes(out):
        raise UsageError(f"{out / TRIAL} is no rehearsal's, which would remove it; give another folder as --out.")
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / TRIAL, ignore_errors=True)
    for name in (LOG, stages.RECORD):
        (out / name).unlink(missing_ok=True)
    stages.forget(out)
    command = [*(starter or (sys.executable, "-m", "algoperf")), *sys.argv[1:]]
    _run(command, "first", out)
    if "next step" in stages.notes(out):
        _run(command, "second", out)
    found = stages.notes(out)
    failed, why = _failure(found, out)
    record = {
        "workload": trial.workload,
        "submission": trial.label,
        "framework": trial.framework,
        "protocol": trial.protocol,
        "examples": "made up" if asked.is_made_up else "prepared",
        "is_of_official_batch": asked.batch_size is None,
        "steps": asked.steps,
        "done": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "failed": failed,
        "why": why,
        "flags": found.pop("flags", {}).get("all", []),
        "batches_a_second": found.pop("pipeline", {}).get("batches_a_second"),
        **{key: value for key, value in found.get("set up", {}).items() if key != "seconds"},
        "git_commit_hash": hardware.git_commit(Path(__file__).parent),
        "seconds": {stage: round(found[stage]["seconds"], 2) for stage in found if "seconds" in found[stage]},
        "seconds_a_step": found.get("steps", {}).get("seconds_a_step"),
        "seconds_waiting": found.get("steps", {}).get("seconds_waiting"),
        "checkpoint_bytes": found.get("checkpoint", {}).get("bytes"),
        "peak_bytes": found.get("next step", {}).get("peak_bytes"),
        "same_step": None if "same step" not in found else difference(found) or "bit by bit",
    }
    stages.write(out, record)
    shutil.rmtree(out / TRIAL / "checkpoints", ignore_errors=True)  # of a model of some GB
    return record


def begun(job_begun: float) -> float:
    """When this part's processes were started, in seconds since the epoch; its job, if it is in one, began before."""
    return max(job_begun, float(os.environ[_BEGUN]))


def _run(command: Sequence[str], part: str, out: Path) -> None:
    with (out / LOG).open("a", encoding="utf-8") as log:
        environ = {**os.environ, launch.STARTED: "1", PART: part, _BEGUN: str(time.time())}
        subprocess.run(command, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False)


def _failure(found: Mapping[str, Any], out: Path) -> tuple[str | None, str]:
    """The stage that was not gone through, and why; None where there is none."""
    if "same step" in found and (other := difference(found)) and not _is_near(found):
        return "same step", f"the step after the restart is another: {other}"
    missing = next((stage for stage in STAGES if stage not in found), None)
    if missing is None:
        return None, ""
    if missing == "checkpoint" and "next step" in found:
        flags = [line for line in found.get("flags", {}).get("all", []) if line.startswith("checkpoint: ")]
        return missing, flags[0].removeprefix("checkpoint: ") if flags else "the state could not be saved"
    return missing, _last_words(out)


def _last_words(out: Path) -> str:
    """What the trial's folder, or else its processes, have said last."""
    result = out / TRIAL / official_files.RESULT
    status = json.loads(result.read_bytes())["status"] if result.exists() else ""
    for file in (out / TRIAL / official_files.ERRORS, out / LOG):
        lines = (
            [line.strip() for line in file.read_text("utf-8", errors="replace").splitlines()] if file.exists() else []
        )
        if lines := [line for line in lines if line]:
            return f"{status}: {lines[-1]}" if status else lines[-1]
    return status or "its processes ended without a word"


def difference(found: Mapping[str, Any]) -> str:
    """In what the state after the step that was taken twice differs; empty where it does not."""
    before, after = found["next step"]["state"], found["same step"]["state"]
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} of {len(before)} parts of the state"


def _is_near(found: Mapping[str, Any]) -> bool:
    """Whether the state differs by no more than devices do that add in another order each time."""
    if found.get("set up", {}).get("hardware", {}).get("kind") == "cpu":
        return False
    before, after = found["next step"]["state"], found["same step"]["state"]
    return set(before) == set(after) and all(
        math.isclose(before[name][1], after[name][1], rel_tol=_TOLERANCE, abs_tol=1e-6) for name in before
    )
