"""What a submission's requirements.txt asks for, against what is installed. Nothing is ever installed here."""

import codecs
import importlib.metadata
import re
import shlex
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from algoperf.benchmark.facts import UsageError

FILE = "requirements.txt"

# The longer ones first: UTF-16's is how UTF-32's begins.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# pip's own notation beyond requirements: options, addresses and paths. They are left to pip.
_LEFT_TO_PIP = re.compile(r"-|\S*[/\\]")


def check(submission: Path, strict: bool = False) -> tuple[str, ...]:
    """A sentence for each line of the file beside a submission that asks for another version than is installed.

    A person has to judge whether it is the same algorithm with that. Raises UsageError where a package is not installed
    at all, with the way to install it, and for another version, too, where `strict`.
    """
    path = submission.parent / FILE
    if not path.exists():
        return ()
    unmet = [(line, version) for line in _lines(path) for version in _unmet(line, path)]
    refused = [f"{line} ({_reason(version)})" for line, version in unmet if version is None or strict]
    if refused:
        raise UsageError(
            f"the submission {submission} requires {', '.join(refused)}: run "
            f"`python -m pip install -r {shlex.quote(str(path))}`, give it an environment of its own by "
            "`algoperf submission env`, or change that file."
        )
    return tuple(f"{FILE} asks for {line}, and {version} is installed." for line, version in unmet)


def _lines(path: Path) -> list[str]:
    """The requirements, without comments, options and blank lines."""
    try:
        text = _decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.replace("\\\n", " ").splitlines())
    return [line for line in (re.split(r"\s--", line)[0].strip() for line in lines) if line]


def _decoded(content: bytes) -> str:
    """Text in the encoding that its first bytes say, as pip reads it; UTF-8 where they say none."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.removeprefix(mark).decode(encoding)
    return content.decode()


def _reason(version: str | None) -> str:
    return "not installed" if version is None else f"{version} is installed"


def _unmet(line: str, path: Path) -> list[str | None]:
    """The installed version that does not meet a requirement, or None for none; nothing where it is met or where only
    pip can tell.
    """
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        if _LEFT_TO_PIP.match(line):
            return []
        raise UsageError(f"{path} has the line {line!r}, which is not a requirement like 'optax>=0.2'.") from None
    if requirement.marker is not None and not requirement.marker.evaluate():
        return []
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return [None]
    return [] if requirement.specifier.contains(version, prereleases=True) else [version]
