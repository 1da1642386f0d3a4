"""The names that Python code has, without running it: attributes, and strings that are one (`getattr(x, "name")`)."""

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
        text = file.read_text(errors="replace")
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
