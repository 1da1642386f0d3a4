"""What Slurm's commands print, read so that whatever is no answer is an error: nothing, half of one, something else.

Every function raises InfrastructureError where Slurm does not answer or its answer cannot be understood.
"""

import datetime
import os
import re
import subprocess
import uuid
from collections.abc import Iterable

from algoperf.benchmark.facts import InfrastructureError

# Seconds. Slurm's commands ask a controller that is down for 10 to 20 s before they say so.
TIME_LIMIT = 60

# Variables that would change what these commands answer, or make them ask a person.
USERS_DEFAULTS = ("SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SQUEUE_", "SLURM_TIME_FORMAT")

# What Slurm prints for a time that is not known, or that never comes.
_NO_TIME = {"", "(null)", "N/A", "NONE", "Unknown", "UNLIMITED"}


def rows(*command: str, fields: Iterable[str], forgiven: tuple[str, ...] = ()) -> list[list[str]] | None:
    """The values of each line that a command prints below its headings; None where it failed for a forgiven reason.

    Around and between them stand marks made up for this call: a person may write anything into a job's name or comment,
    lines and tabs, too, and a site may let its commands print more than was asked for. An answer without its headings
    is none: that there are no jobs looks otherwise.
    """
    mark, fields = uuid.uuid4().hex, list(fields)
    first, between, last = f"{mark}<", f"{mark}|", f"{mark}>"
    printed = run(*command, f"--format={first}{between.join(fields)}{last}", forgiven=forgiven)
    if printed is None:
        return None
    lines = [row.partition(last) for row in printed.split(first)[1:]]
    values = [row.split(between) for row, _, _ in lines]
    if not all(end for _, end, _ in lines) or {*map(len, values)} != {len(fields)}:
        raise InfrastructureError(f"Slurm's {command[0]} gives an answer that is not whole: {printed.strip()[:80]!r}.")
    return values[1:]


def run(*command: str, forgiven: tuple[str, ...] = ()) -> str | None:
    """What the command printed, times in UTC; None where it failed, but for `forgiven` reasons only.

    Raises InfrastructureError where it cannot be run, does not end in time, or fails for another reason.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(USERS_DEFAULTS)}
    asked = " ".join(word for word in command if not word.startswith("--format="))  # which is for no person
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TIME_LIMIT,
            env={**environment, "TZ": "UTC"},
            check=False,
        )
    except OSError as error:
        raise InfrastructureError(f"Slurm's {command[0]} cannot be run: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise InfrastructureError(f"Slurm does not answer: `{asked}` took over {TIME_LIMIT} s.") from None
    if not done.returncode:
        return done.stdout
    complaints = done.stderr.strip().splitlines()
    if complaints and all(any(words in line for words in forgiven) for line in complaints):
        return None
    words = " ".join(complaints) or f"exit code {done.returncode}"
    raise InfrastructureError(f"Slurm's `{asked}` failed: {words}")


def epoch(time: str) -> float | None:
    """The seconds of a time as Slurm prints it: in UTC, as it is asked to."""
    if time in _NO_TIME:
        return None
    try:
        return datetime.datetime.strptime(f"{time}+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        raise InfrastructureError(f"Slurm's squeue gives {time!r} for a time.") from None


def minutes(limit: str) -> int | None:
    """A time limit as Slurm prints it ([days-]hours:minutes:seconds, or minutes:seconds); None for no limit."""
    if not limit[:1].isdigit():  # infinite, UNLIMITED, n/a
        return None
    if not re.fullmatch(r"([0-9]+-)?[0-9]+(:[0-9]+){0,2}", limit):
        raise InfrastructureError(f"Slurm gives {limit!r} for a time limit.")
    days, _, clock = limit.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return int(days or 0) * 24 * 60 + seconds // 60


def whole(number: str) -> int:
    """The number at the beginning of what Slurm prints: of "64", "64000+", "300 sec"."""
    if (found := re.match(r"[0-9]+", number)) is None:
        raise InfrastructureError(f"Slurm gives {number!r} for a number.")
    return int(found[0])
