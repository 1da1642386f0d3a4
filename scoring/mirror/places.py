"""Where trials lie: in a results folder of ours, or in any tree of logs in the official layout."""

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import PROTOCOLS, RULESETS, TARGET_SETTING
from scoring.logs.files import printable

_STUDY, _TRIAL = re.compile("study_[0-9]+"), re.compile("trial_[0-9]+")
_WORKLOAD = re.compile("(.+)_(jax|pytorch)")
# What was moved aside, by an edit or by `algoperf rerun`, is no trial of the experiment any more.
_ASIDE = "superseded"
_DEEPEST = 6  # folders down to a study's, such as those of a repository of submissions


@dataclasses.dataclass(frozen=True)
class Place:
    """protocol, ruleset: empty where the tree does not say them. study, trial: as the folders are called."""

    folder: Path
    protocol: str
    ruleset: str
    submission: str
    study: str
    workload: str
    framework: str
    trial: str

    @property
    def name(self) -> str:
        """The trial's path from the results folder, whichever folder above it was named."""
        parts = (self.protocol, self.ruleset, self.submission, self.study, f"{self.workload}_{self.framework}")
        return "/".join((*filter(None, parts), self.trial))


def find(root: Path) -> list[Place]:
    """The trials in a folder, in the order of their names. Raises UsageError where it is no folder."""
    if not root.is_dir():
        raise UsageError(f"there is no folder of results {str(root)!r}.")
    return list(_in(root.resolve(), _DEEPEST))


def _in(folder: Path, depth: int) -> Iterator[Place]:
    for child in _folders(folder):
        if _STUDY.fullmatch(child.name):
            yield from _of_study(child)
        elif child.name != _ASIDE and depth:
            yield from _in(child, depth - 1)


def _of_study(study: Path) -> Iterator[Place]:
    ruleset, protocol = study.parents[1].name, study.parents[2].name
    if ruleset not in (*RULESETS, TARGET_SETTING) or protocol not in PROTOCOLS:
        protocol = ruleset = ""
    for folder in _folders(study):
        if of := _WORKLOAD.fullmatch(folder.name):
            for trial in _folders(folder):
                if _TRIAL.fullmatch(trial.name):
                    names = map(printable, (study.parent.name, study.name, *of.groups(), trial.name))
                    yield Place(trial, protocol, ruleset, *names)


def _folders(folder: Path) -> list[Path]:
    """Empty where it cannot be listed: it was moved aside in this moment."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
