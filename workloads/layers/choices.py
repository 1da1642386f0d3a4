"""The values that a model's choices may take."""

from collections.abc import Mapping
from typing import TypeVar

from algoperf.benchmark.facts import UsageError

Choice = TypeVar("Choice")


def choose(what: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    """The choice called `name`. Raises UsageError, with the names there are, where there is none."""
    if name not in choices:
        raise UsageError(f"there is no {what} {name!r}; the choices are {', '.join(choices)}.")
    return choices[name]
