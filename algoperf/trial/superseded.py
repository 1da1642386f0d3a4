"""What lies in a trial's folder and is of another trial by now: it is set aside, and found again.

Somebody edits a search space, a submission, a budget: what the folder holds is moved to
`superseded/<time>_changed/`, and the trial begins anew. Where the edit is taken back it is moved to its place again,
finished or half done. Each move is one rename: a kill between two of them leaves every trial whole, in one of the two
places, and the same command goes on from there.
"""

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.machine import lock
from algoperf.records import checkpoint
from algoperf.trial import journal
from algoperf.trial.definition import Definition

# Beside the protocols' folders of a results folder; no score is made of what lies there.
FOLDER = "superseded"
# Told from what a person has put back to be run (`algoperf rerun`): that is not wanted again.
_CHANGED = "_changed"

_NAMES = ("protocol", "ruleset", "label", "framework", "workload", "study", "trial")
_METADATA = re.compile(r"meta_data_([0-9]+)\.json")
_TRIES = 5

# Seconds that a process which is not the first gives the first one to record how a submission failed.
_FIRST_RECORDS = 15.0


def finished_result(wanted: Definition, out: Path) -> dict[str, Any] | None:
    """The result of the trial as it is now, None where there is none. A `result.json` that was deleted comes back.

    Raises UsageError where the folder is that of a trial of another name.
    """
    result = journal.find_result(out)
    if result is None:
        return None
    _check_name(wanted.trial, result, out)
    return None if wanted.difference(result, is_finished=True) else journal.read_result(out)


def recorded_by_the_first(wanted: Definition, out: Path) -> dict[str, Any] | None:
    """The result, once the first process has written it; None where it does not: only another one has failed."""
    deadline = time.monotonic() + _FIRST_RECORDS
    while (result := finished_result(wanted, out)) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return result


def standing(wanted: Definition, out: Path) -> str:
    """In which way what lies in the folder is of another trial, in words; empty where it is not, or nothing is there.

    Of a trial without a result it is what its last session has said when it began. Raises InfrastructureError for a
    result that cannot be read.
    """
    result = journal.find_result(out)
    if result is not None:
        return wanted.difference(result, is_finished=True)
    said = _last_metadata(out)
    return wanted.difference(said, is_finished=False) if said is not None else ""


def arrange(wanted: Definition, out: Path, only_finished: bool = False) -> None:
    """Makes `out` the folder of the trial as it is now: what is of another goes aside, what was set aside comes back.

    Each move is said on stderr. only_finished: nothing is moved but for a finished trial that comes back. Raises
    UsageError where the folder is that of a trial of another name, InfrastructureError where it is in somebody's hands
    or cannot be moved.
    """
    for _ in range(_TRIES):  # another process may do the same at the same time
        why = _why_another(wanted, out)
        if why == "":
            return
        again = _found_again(wanted, out)
        if (again is None and (why is None or only_finished)) or (only_finished and not again[1]):
            return
        if _is_in_the_way(out) and not _set_aside(wanted, out, why):
            continue
        is_back = again is not None and _come_back(again[0], out)
        if why:
            goes_on = "goes on with what was set aside before" if is_back else "begins anew"
            _say(f"{out} held a trial of {why}: it is in superseded/ now, and the trial {goes_on}.")
        elif is_back:
            _say(f"{out} holds again what was in {again[0]}.")
        if again is None or is_back:
            return
    raise InfrastructureError(f"{out} is moved by others all the time; give the same command again.")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _why_another(wanted: Definition, out: Path) -> str | None:
    """In which way what the folder holds is of another trial; empty where it is not, None where it holds nothing."""
    if (there := _found(out)) is None:
        return None
    _check_name(wanted.trial, there[0], out)
    return wanted.difference(*there)


def _check_name(trial: Trial, recorded: Mapping[str, Any], out: Path) -> None:
    different = [name for name in _NAMES if name in recorded and recorded[name] != getattr(trial, name)]
    if different:
        raise UsageError(f"{out} is the folder of another trial (its {different[0]} differs); give another folder.")


def _found(folder: Path) -> tuple[Mapping[str, Any], bool] | None:
    """What a folder says that it is of, and whether that is finished; None where it holds no part of a trial."""
    if (result := journal.find_result(folder)) is not None:
        return result, True
    try:
        saved = checkpoint.peek(folder / journal.CHECKPOINTS, ("identity", "hardware"))
    except checkpoint.CheckpointError:  # damaged, all of them: whoever goes on from them says so
        saved = None
    if saved is None:
        return None
    identity = saved.get("identity")
    return {**(identity if isinstance(identity, Mapping) else {}), "hardware": saved.get("hardware")}, False


def _last_metadata(folder: Path) -> Mapping[str, Any] | None:
    """What the last session wrote when it began; None where there is none, or it cannot be read."""
    names = (match for path in folder.glob("meta_data_*.json") if (match := _METADATA.fullmatch(path.name)))
    last = max(names, key=lambda match: int(match[1]), default=None)
    if last is None:
        return None
    try:
        content = json.loads((folder / last[0]).read_bytes())
    except (OSError, ValueError):
        return None
    identity = content.get("identity") if isinstance(content, Mapping) else None
    return identity if isinstance(identity, Mapping) else {}


def _is_in_the_way(out: Path) -> bool:
    """An empty folder, as Snakemake makes it before a job, is not: a rename takes its place."""
    return out.exists() and any(out.iterdir())


def _places(trial: Trial, out: Path) -> tuple[Path, Path]:
    """Of a trial's folder: the folder beside which things are set aside, and the path from there."""
    out, inside = out.absolute(), trial.folder.parts
    if out.parts[-len(inside) :] == inside:
        return Path(*out.parts[: -len(inside)]), trial.folder
    return out.parent, Path(out.name)


def new_folder(results: Path, is_changed: bool = False) -> Path:
    """Where things that are set aside now go to; it is not made."""
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return results / FOLDER / f"{time}{_CHANGED if is_changed else ''}"


def move(folder: Path, target: Path) -> None:
    """Raises InfrastructureError where that is not possible; then nothing is moved."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
    except OSError as error:
        raise InfrastructureError(f"{folder} cannot be moved to {target}: {error.strerror}.") from error


def _set_aside(wanted: Definition, out: Path, why: str | None) -> bool:
    """Whether it was done: False where another process has changed the folder in the meantime."""
    results, inside = _places(wanted.trial, out)
    target = new_folder(results, is_changed=why is not None) / inside
    with lock.FolderLock(out):
        if _why_another(wanted, out) != why:
            return False
        move(out, target)
    (target / lock.LOCK).unlink(missing_ok=True)  # it went with the folder
    return True


def _found_again(wanted: Definition, out: Path) -> tuple[Path, bool] | None:
    """Where the trial as it is now was set aside, and whether it is finished: a finished one first, then the latest."""
    results, inside = _places(wanted.trial, out)
    fitting = []
    for folder in _set_aside_before(results):
        with contextlib.suppress(InfrastructureError):  # a damaged result is no result
            there = _found(folder / inside)
            if there is not None and not wanted.difference(*there):
                fitting.append((there[1], folder.name, folder / inside))
    best = max(fitting, default=None)
    return None if best is None else (best[2], best[0])


def _set_aside_before(results: Path) -> Iterator[Path]:
    if (results / FOLDER).is_dir():
        yield from (path for path in (results / FOLDER).iterdir() if path.name.endswith(_CHANGED))


def _come_back(again: Path, out: Path) -> bool:
    """Whether it was done: False where another process was faster."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        again.rename(out)
    except OSError as error:
        if not again.exists() or _is_in_the_way(out):
            return False
        raise InfrastructureError(f"{again} cannot be moved to {out}: {error.strerror}.") from error
    with contextlib.suppress(OSError):  # up to the first that holds something else
        for folder in again.parents:
            folder.rmdir()
    return True
