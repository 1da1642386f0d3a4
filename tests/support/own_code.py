"""The code that is in the wheel, to be searched for what must not be in it."""

import ast
from collections.abc import Callable

from tests.conftest import REPOSITORY

FOLDERS = ("algoperf", "workloads", "scoring", "submissions")


def found_in(folder: str, search: Callable[[ast.Module], list[int]]) -> dict[str, list[int]]:
    """File -> the lines that a search finds in it; those of which it finds none are left out."""
    files = sorted((REPOSITORY / folder).rglob("*.py"))
    found = {str(file.relative_to(REPOSITORY)): search(ast.parse(file.read_text("utf-8"))) for file in files}
    return {file: lines for file, lines in found.items() if lines}
