"""Puts finished trials back to be run: their folders are moved aside, and the same workflow runs them from the start.

Nothing is deleted. A moved trial lies in `<results_dir>/superseded/<time>/`, where no score is made of it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.experiment import plan, target_records
from algoperf.experiment.config import Config
from algoperf.machine import lock
from algoperf.records import official_files
from algoperf.trial import superseded
from algoperf.trial.train import Status

_UNREADABLE = "unreadable"  # of a result that is there and tells no status; such a trial is chosen by name


def rerun(config: Config, results: Path, statuses: Set[str] | None, names: Sequence[str]) -> list[Path]:
    """Moves the finished trials that have one of `statuses` (None: any) and one of `names` (none: any).

    A name is a trial's folder or a part of its path (`nadamw_jax`, `wmt`, `study_0/wmt_*/trial_2`), where a submission
    or a workload may stand without its framework. Returns where the trials lie now.

    Raises UsageError, before anything is moved, where neither is given, a status or a name is unknown, no trial is
    chosen or one of them is running; InfrastructureError where a folder cannot be moved.
    """
    _check_statuses(statuses)
    if statuses is None and not names:
        raise UsageError("name trials or statuses: without either, every finished trial would be run again.")
    finished = _finished([*plan.trials(config), *target_records.begun_trials(config, results)], results)
    patterns = [tuple(name.removeprefix(f"{results}/").strip("/").split("/")) for name in names]
    for name, pattern in zip(names, patterns, strict=True):
        if not any(_is_called(trial, pattern) for trial in finished):
            raise UsageError(f"no finished trial is called {name!r}; {_there_are(finished.values())}.")
    chosen = [
        trial
        for trial, status in finished.items()
        if (statuses is None or status in statuses)
        and (not patterns or any(_is_called(trial, pattern) for pattern in patterns))
    ]
    if not chosen:
        where = f" called {', '.join(names)}" if names else ""
        raise UsageError(f"no trial{where} ended as {' or '.join(sorted(statuses))}; {_there_are(finished.values())}.")
    for trial in chosen:
        holder = lock.read(results / trial.folder)
        if holder is not None and lock.is_alive(holder):
            raise UsageError(f"{trial.folder} is in the hands of {holder}; wait for it or end it, and ask again.")
    return _moved(chosen, results)


def _check_statuses(statuses: Set[str] | None) -> None:
    if unknown := (statuses or set()) - {*get_args(Status)}:
        raise UsageError(f"there is no status {min(unknown)!r}; the statuses are {', '.join(get_args(Status))}.")


def _finished(trials: Iterable[Trial], results: Path) -> dict[Trial, str]:
    """The trials that have a result, and their statuses."""
    found = {}
    for trial in trials:
        try:
            found[trial] = json.loads((results / trial.folder / official_files.RESULT).read_bytes())["status"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            found[trial] = _UNREADABLE
    return found


def _is_called(trial: Trial, pattern: Sequence[str]) -> bool:
    """Whether the parts of `pattern` match successive parts of the trial's path."""
    parts = trial.folder.parts
    starts = range(len(parts) - len(pattern) + 1)
    return any(all(map(_matches, parts[start:], pattern, [trial.framework] * len(pattern))) for start in starts)


def _matches(part: str, pattern: str, framework: str) -> bool:
    return fnmatchcase(part, pattern) or fnmatchcase(part, f"{pattern}_{framework}")


def _there_are(statuses: Iterable[str]) -> str:
    counts = Counter(statuses)
    if not counts:
        return "no trial of this experiment has a result yet"
    listed = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    return f"the trials that have a result are {listed}"


def _moved(chosen: Iterable[Trial], results: Path) -> list[Path]:
    aside = superseded.new_folder(results)
    moved = []
    for trial in chosen:
        try:
            superseded.move(results / trial.folder, aside / trial.folder)
        except InfrastructureError as error:
            done = f" {len(moved):,} trials were moved to {aside}." if moved else ""
            raise InfrastructureError(f"{error}{done}") from error
        moved.append(aside / trial.folder)
    return moved
