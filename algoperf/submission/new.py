"""A folder that a newcomer edits: a submission whose five functions are written out, from the files in `template/`."""

import re
import shutil
import string
import uuid
from pathlib import Path

from algoperf.benchmark.facts import FRAMEWORKS, InfrastructureError, UsageError
from algoperf.submission import loading

TEMPLATE = Path(__file__).parent / "template"


def create(name: str, framework: str, into: Path) -> Path:
    """Writes the folder `into/name` in one piece and returns it.

    Raises UsageError for a name that is none, or that is taken in `into` or in `submissions/`, and where `into` is no
    folder; InfrastructureError where it cannot be written. Either way nothing is left behind.
    """
    if framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise UsageError(f"a submission cannot be called {name!r}: take letters, digits and _, a letter first.")
    if not into.is_dir():
        raise UsageError(f"there is no folder {into} to put the submission into.")
    folder = into / name
    for taken in (folder, loading.SUBMISSIONS / name):
        if taken.exists():
            raise UsageError(f"{taken} is there already, and nothing is overwritten; choose another name.")
    unfinished = into / f".{name}.{uuid.uuid4().hex}"
    try:
        unfinished.mkdir()
        for file in (f"{framework}.py", "search_space.json"):
            shutil.copyfile(TEMPLATE / file, unfinished / file)
        readme = string.Template((TEMPLATE / "README.md").read_text("utf-8"))
        named = {"name": name, "framework": framework, "submission": argument(folder)}
        (unfinished / "README.md").write_text(readme.substitute(named), "utf-8")
        unfinished.rename(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise InfrastructureError(f"{folder} cannot be written: {error.strerror}.") from error
    return folder


def argument(folder: Path) -> str:
    """What a submission is called on the command line and in a config: its name where it is in `submissions/`."""
    return folder.name if folder.parent.resolve() == loading.SUBMISSIONS.resolve() else str(folder)
