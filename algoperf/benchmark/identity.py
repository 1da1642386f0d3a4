"""What a trial is.

Its folder and seed follow from it, so the same command finds the same trial on every machine.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import FRAMEWORKS, Framework, UsageError
from algoperf.benchmark.protocol import RULESETS, TARGET_SETTING, Ruleset

# Points are drawn by functions whose last digits may be the machine's own.
_LAST_DIGITS = 1e-12


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training run of one hyperparameter point. study counts from 0, trial from 1, as in the official layout.

    Of target setting, study 0 is the search, and each of the others repeats its best trial with a seed of its own.
    submission: the name or path that it is loaded by; label: what it is called in results.
    """

    protocol: str
    ruleset: Ruleset
    submission: str
    label: str
    framework: Framework
    workload: str
    study: int
    trial: int

    @property
    def folder(self) -> Path:
        """Where its files lie, relative to the results folder: the official layout."""
        return (
            Path(self.protocol)
            / self.ruleset
            / self.label
            / f"study_{self.study}"
            / f"{self.workload}_{self.framework}"
            / f"trial_{self.trial}"
        )


def short_name(name_or_path: str) -> str:
    """What a submission is called in results: its name, or the name of its folder or file.

    A folder that is called after a framework, as in `adafactor/jax/submission.py`, is not meant.
    """
    path = Path(name_or_path)
    folder = path.parent if path.name in ("submission.py", *(f"{name}.py" for name in FRAMEWORKS)) else path
    if folder.name in FRAMEWORKS and folder.parent.name:
        return folder.parent.name
    return path.stem if folder is path else folder.name


def folders(folder: Path) -> tuple[Path, ...]:
    """Where what belongs to a submission lies: its folder; and the one above, where it is called after its framework,
    as in `adafactor/jax/submission.py`.
    """
    return (folder, folder.parent) if folder.name in FRAMEWORKS else (folder,)


def make_trial(
    protocol: str, ruleset: str, name_or_path: str, framework: str, workload: str, study: int, trial: int
) -> Trial:
    """A trial as a command line names it. Raises UsageError for an unknown ruleset or framework."""
    if framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    if ruleset not in (*RULESETS, TARGET_SETTING):
        raise UsageError(
            f"there is no ruleset {ruleset!r}; the rulesets are {', '.join(RULESETS)}, and {TARGET_SETTING} for the "
            "trials that make the targets."
        )
    label = f"{short_name(name_or_path)}_{framework}"
    return Trial(protocol, ruleset, name_or_path, label, framework, workload, study, trial)


def seed(protocol: str, label: str, workload: str, study: int, trial: int) -> int:
    """The seed of a trial, in [0, 2^31): a stable hash of what it is, equal on every machine and in every process."""
    identity = "/".join((protocol, label, workload, str(study), str(trial)))
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") % 2**31


def differing(recorded: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """The names whose values are not those of a trial's identity, of those that its files record."""
    return [name for name, value in identity.items() if name in recorded and not _are_same(recorded[name], value)]


def _are_same(was: Any, now: Any) -> bool:
    """As JSON has them; 1 and 1.0 are two."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return set(was) == set(now) and all(_are_same(was[name], value) for name, value in now.items())
    if isinstance(was, float) and isinstance(now, float):
        return math.isclose(was, now, rel_tol=_LAST_DIGITS)
    return type(was) is type(now) and was == now
