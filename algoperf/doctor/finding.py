"""One finding of `algoperf doctor`: its name, and what was found or how to mend it."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Check:
    """mark: ok; mend, without which the experiment cannot run or is not what the config says; note, which may wait."""

    mark: Literal["ok", "mend", "note"]
    name: str
    advice: str


def ok(name: str, found: str) -> Check:
    return Check("ok", name, found)


def mend(name: str, advice: str) -> Check:
    return Check("mend", name, advice)


def note(name: str, advice: str) -> Check:
    return Check("note", name, advice)
