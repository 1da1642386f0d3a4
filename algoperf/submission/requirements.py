"""What a submission's requirements.txt asks for, against what is installed. Nothing is ever installed here."""

import importlib.metadata
import re
import shlex
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from algoperf.benchmark.facts import UsageError

FILE = "requirements.txt"

# pip's own notation beyond requirements: options, addresses and paths. They are left to pip.
_LEFT_TO_PIP = re.compile(r"-|\S*[/\\]")


def check(submission: Path) -> None:
    """Raises UsageError where the file beside a submission asks for what is not installed, with the way to install it.

    Versions count: with another one than it asks for, it would be another algorithm, or an error hours later.
    """
    path = submission.parent / FILE
    if not path.exists():
        return
    if unmet := [f"{line} ({reason})" for line in _lines(path) if (reason := _unmet(line, path))]:
        raise UsageError(
            f"the submission {submission} requires {', '.join(unmet)}: run "
            f"`python -m pip install -r {shlex.quote(str(path))}`, or change that file."
        )


def _lines(path: Path) -> list[str]:
    """The requirements, without comments, options and blank lines."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.replace("\\\n", " ").splitlines())
    return [line for line in (re.split(r"\s--", line)[0].strip() for line in lines) if line]


def _unmet(line: str, path: Path) -> str | None:
    """Why a requirement is not met, None where it is, or where only pip can tell."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        if _LEFT_TO_PIP.match(line):
            return None
        raise UsageError(f"{path} has the line {line!r}, which is not a requirement like 'optax>=0.2'.") from None
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    return None if requirement.specifier.contains(version, prereleases=True) else f"{version} is installed"
