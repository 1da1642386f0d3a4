"""What an experiment planned: a leaderboard is of its config, whatever else lies among its results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import differing
from algoperf.benchmark.protocol import Protocol, Ruleset
from algoperf.records import plan_file

# The path of a trial's folder, from the root of the logs -> what it computes, as `plan.json` has it.
Planned = Mapping[str, Mapping[str, Any]]


def read_plan(path: Path, protocol: Protocol, ruleset: Ruleset) -> Planned:
    """The trials of one ruleset. Raises UsageError where the file is no plan or has no trial of the ruleset."""
    content = plan_file.read(path)
    beginning = f"{protocol.name}/{ruleset}/"
    entries = content.items() if isinstance(content, dict) else ()
    planned = {
        name.removeprefix(beginning): identity
        for name, identity in entries
        if name.startswith(beginning) and isinstance(identity, dict)
    }
    if not planned:
        raise UsageError(f"the plan {path} has no trial of {protocol.name} under {ruleset} tuning.")
    return planned


def is_named(planned: Planned | None, beginning: str) -> bool:
    """Whether the plan has a trial in the folder `beginning`; without a plan, everything is planned."""
    return planned is None or any(name == beginning or name.startswith(f"{beginning}/") for name in planned)


def not_as_planned(planned: Planned | None, path: str, result: Mapping[str, Any]) -> str:
    """What is another in a trial's result than the plan has it; empty where nothing is, or nothing is planned."""
    if planned is None:
        return ""
    return ", ".join(name.removesuffix("_sha256") for name in differing(result, planned[path]))
