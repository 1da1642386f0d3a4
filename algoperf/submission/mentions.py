"""The names that Python code has, without running it: attributes, and strings that are one (`getattr(x, "name")`).

And the packages that it imports.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path


def names(files: Iterable[Path]) -> set[str]:
    """Every name that one of the files could read something by.

    Of a file that is not Python of this version, every word. What is computed (`"beta" + "2"`) is not seen.
    """
    found = set()
    for file in files:
        text = file.read_text("utf-8", errors="replace")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            found.update(re.findall(r"\w+", text))
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                    found.add(name)
    return found


def imports(files: Iterable[Path]) -> set[str]:
    """The packages that one of the files imports, in a function or at its top; none of a file that is no Python."""
    found = set()
    for file in files:
        try:
            tree = ast.parse(file.read_text("utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=aliases):
                    found.update(alias.name.partition(".")[0] for alias in aliases)
                case ast.ImportFrom(module=str(name), level=0):
                    found.add(name.partition(".")[0])
    return found
