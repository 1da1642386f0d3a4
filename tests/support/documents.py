"""The pages of the documentation, and the commands that they show."""

import re
import string
from collections.abc import Iterator
from pathlib import Path

from algoperf.submission.new import TEMPLATE
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.glob("*.md"), TEMPLATE / "README.md"])


def read(page: Path) -> str:
    text = page.read_text()
    if page.parent == TEMPLATE:
        text = string.Template(text).substitute(name="idea", framework="jax", submission="idea")
    return text


def label(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(text: str, *languages: str) -> list[str]:
    """The contents of the fenced blocks in one of the languages, of every depth of indentation."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, kind, body in found if kind in languages]


def commands(text: str) -> Iterator[str]:
    """The commands of a page's blocks of shell: without comments and the last `&`, continued as one, `&&` as two."""
    for block in blocks(text.partition("## The tree")[0], "", "sh", "bash", "shell"):
        for line in re.sub(r" *\\\n *", " ", block).splitlines():
            for command in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if command.strip():
                    yield command.strip().removesuffix(" &")


def shown() -> list[tuple[str, str]]:
    """(page, command), sorted."""
    return sorted({(label(page), command) for page in PAGES for command in commands(read(page))})
