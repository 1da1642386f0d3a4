"""Of which results a folder of scores is made: told by what they hold, in every working folder and without a clock."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from algoperf.records import official_files
from algoperf.records.atomic import write_json

_FILE = "made_of.json"


def write(folder: Path, logs: Path, trials: Iterable[str]) -> None:
    """trials: paths of their folders from `logs`."""
    write_json(folder / _FILE, _digests(logs, trials))


def is_current(folder: Path, logs: Path, trials: Iterable[str]) -> bool:
    """Whether the scores in `folder` are of these trials, and of the results that they have now."""
    try:
        return json.loads((folder / _FILE).read_bytes()) == _digests(logs, trials)
    except (OSError, ValueError):
        return False


def _digests(logs: Path, trials: Iterable[str]) -> dict[str, str | None]:
    """None for a trial without a result."""
    found: dict[str, str | None] = {}
    for trial in trials:
        try:
            found[trial] = hashlib.sha256((logs / trial / official_files.RESULT).read_bytes()).hexdigest()
        except OSError:
            found[trial] = None
    return found
