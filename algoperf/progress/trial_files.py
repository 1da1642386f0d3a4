"""What a trial's files tell without being read in full: that they changed, when a session began, why it failed."""

import contextlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from algoperf.machine import lock

_LOG_TAIL = 65_536  # bytes of an error log that are searched for its last error
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)

# What tells that a file has changed: the time of its last change, its size and its number on the disk.
Signature = tuple[int, int, int]


def signature(path: Path) -> Signature | None:
    """None where there is no such file, or it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def files(folder: Path) -> dict[str, Signature]:
    """By name. Snakemake makes the folder before the trial begins, and leaves it empty."""
    found = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # not there, or changed in this moment
        for entry in entries:
            facts = entry.stat()
            found[entry.name] = facts.st_mtime_ns, facts.st_size, facts.st_ino
    return found


def session_began(files: Mapping[str, Signature]) -> float:
    """When the trial was last taken up: what was logged before that is of an earlier session."""
    beginnings = (facts[0] / 1e9 for name, facts in files.items() if name == lock.LOCK or name.startswith("meta_data_"))
    return max(beginnings, default=-math.inf)


def set_up(folder: Path) -> float | None:
    """Seconds before the first steps of all sessions; None where a session does not say."""
    try:
        sessions = [json.loads(path.read_bytes()) for path in folder.glob("meta_data_*.json")]
        total = sum(float(session["seconds_to_first_step"]) for session in sessions)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return total if sessions and math.isfinite(total) else None


def last_error(path: Path) -> str:
    """The last exception's line, without the rest of its message; the last line of a log that has no exception."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL))
            text = file.read().decode("utf-8", errors="replace").rstrip()
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    exceptions = _EXCEPTION.findall(text)
    return exceptions[-1] if exceptions else text.rpartition("\n")[2]
