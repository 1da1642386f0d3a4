"""What `submission_info.yml`, the official description beside a submission, says of it: its framework and ruleset."""

import dataclasses
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import Framework, UsageError
from algoperf.benchmark.identity import folders
from algoperf.benchmark.protocol import Ruleset
from algoperf.records.strict import read_yaml

# The official name first, and those that people have given it.
_FILES = ("submission_info.yml", "submission_info.yaml", "submissions_info.yml", "submissions_info.yaml")
_FRAMEWORKS: dict[str, Framework] = {"jax": "jax", "pytorch": "pytorch", "torch": "pytorch"}
_RULESETS: dict[str, Ruleset] = {
    **dict.fromkeys(("external", "external tuning"), "external"),
    **dict.fromkeys(("self", "self tuning"), "self"),
}


@dataclasses.dataclass(frozen=True)
class Info:
    """file: where it was read, None where there is none. framework, ruleset: None where it does not say."""

    file: Path | None = None
    framework: Framework | None = None
    ruleset: Ruleset | None = None


def read(location: Path) -> Info:
    """What is said of a submission; location: its folder, or its file. Raises UsageError for what makes no sense."""
    folder = location if location.is_dir() else location.parent
    candidates = (place / name for place in folders(folder) for name in _FILES)
    file = next((file for file in candidates if file.is_file()), None)
    if file is None:
        return Info()
    said = read_yaml(file, f"the description {file}")
    if not isinstance(said, dict):
        raise UsageError(f"the description {file} must be a list of names and what they are, like 'framework: JAX'.")
    return Info(
        file=file,
        framework=_known(_FRAMEWORKS, said.get("framework"), "framework", file),
        ruleset=_known(_RULESETS, said.get("ruleset"), "ruleset", file),
    )


def _known(names: dict[str, Any], said: Any, what: str, file: Path) -> Any:
    """None where nothing is said, or where it is a list of several: then it has to be said which."""
    if said is None or isinstance(said, list):
        return None
    word = " ".join(str(said).lower().replace("-", " ").replace("_", " ").split())
    if word not in names:
        raise UsageError(f"the description {file} has the {what} {said!r}; it can be {', '.join(names)}.")
    return names[word]
