"""`submission_info.yml`: who made a submission, as the rolling leaderboard asks its submissions to say."""

import dataclasses
import importlib
from collections.abc import Callable, Iterable
from typing import Any

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.protocol import RULESETS, Ruleset
from scoring.logs.files import printable, read_file
from scoring.logs.trials import Trial

FILE = "submission_info.yml"
_LONGEST = 1_000  # characters of a value that are kept


@dataclasses.dataclass(frozen=True)
class Info:
    """Empty where nothing is said. framework: of its trials where the file does not say it."""

    framework: str = ""
    authors: str = ""
    affiliations: str = ""
    version: str = ""
    ruleset: str = ""
    description: str = ""


def read_info(path: str, shown: str, report: Callable[[str, str, str], None]) -> Info:
    """The info in a file, whatever it holds. shown: it, from the logs' root. report: takes path, what, done."""
    yaml = importlib.import_module("yaml")  # few logs have such a file
    try:
        content = yaml.load(read_file(path), yaml.CSafeLoader)
    except OSError as error:
        report(shown, f"cannot be read: {error.strerror}", "ignored")
        return Info()
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        report(shown, "not YAML with names and values", "ignored")
        return Info()
    return Info(**{field.name: _words(content.get(field.name)) for field in dataclasses.fields(Info)})


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    if isinstance(value, str | int | float):
        return printable(" ".join(str(value).split()))[:_LONGEST]
    return ""


def with_frameworks(infos: dict[str, Info], trials: Iterable[Trial]) -> dict[str, Info]:
    """An info for every submission: what its file says, and, where it says no framework, those of its trials."""
    frameworks: dict[str, set[str]] = {}
    for trial in trials:
        of_submission = frameworks.setdefault(trial.submission, set())
        if trial.readable:
            of_submission.add(trial.framework)
    found = {}
    for submission, names in frameworks.items():
        info = infos.get(submission, Info())
        found[submission] = dataclasses.replace(info, framework=info.framework or " and ".join(sorted(names)))
    return found


def check_info(info: Info, trials: Iterable[Trial], ruleset: Ruleset) -> list[str]:
    """What of an info is contradicted by the trials of its submission, or by the ruleset of the score."""
    there = sorted({trial.framework for trial in trials if trial.readable})
    found = []
    said = info.framework.lower()
    if said in FRAMEWORKS and there and said not in there:
        found.append(f"says framework {info.framework}, its trials are in {' and '.join(there)}")
    asked = info.ruleset.lower().removesuffix("tuning").rstrip("_- ")
    if asked in RULESETS and asked != ruleset:
        found.append(f"says ruleset {info.ruleset}, scored under {ruleset} tuning")
    return found
