"""What `make test` leaves to `make test-all`: tests marked `nightly("what they are of")`, or `landing` with the same.

They are those that cost most for what they prove beside the others: a full-size model where a small one shows the same,
all pairs where each was met once, long runs, and what is installed anew. Those marked `landing` cost less, and are run
before anything lands (`.ci/run`). Each run says what it left. By day a dear test by property has fewer examples, too.
"""

import collections
from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest

from algoperf.benchmark.registry import base_of

MARKERS = {"nightly": "left to `make test-all`", "landing": "the same, and run before a landing"}
LEFT = "left"  # to the process that has started this one


def of_bases(names: Iterable[str]) -> list[Any]:
    """Names of workloads and variants as parameters: what is tested of each base workload, or of the one that is named
    first of its variants, is tested of the other variants, too, but by night."""
    night = pytest.mark.nightly("models of variants")
    named: set[str] = set()
    found = []
    for name in names:
        found.append(pytest.param(name, marks=[night] if base_of(name) in named else []))
        named.add(base_of(name))
    return found


def some_first(names: Iterable[str], by_day: Iterable[str], what: str) -> list[Any]:
    """Names as parameters of which some are tested by day, and the others before a landing."""
    landing = pytest.mark.landing(what)
    return [pytest.param(name, marks=[] if name in by_day else landing) for name in names]


def pytorch_first(what: str) -> list[Any]:
    """The frameworks as a parameter, where the code that is tested is the same for both: JAX, which compiles, by
    night."""
    return [pytest.param("jax", marks=pytest.mark.nightly(what)), "pytorch"]


# Frameworks for tests of full-size models. JAX compiles them for long; that its small ones compute what PyTorch's do is
# tested of every variant (workloads/models/test_variants.py).
FULL_SIZE = pytorch_first("full-size models in JAX")
# Those that take longest.
LARGEST = [FULL_SIZE[0], pytest.param("pytorch", marks=pytest.mark.landing("the largest models in PyTorch"))]
# And for what holds of a model: that the small ones in JAX compute what PyTorch's do is tested before each landing.
TWINS = pytorch_first("properties of models in JAX")

_LEFT = pytest.StashKey[collections.Counter[str]]()
_DAY, _NIGHT = "day", "night"  # profiles of Hypothesis
for _name in (_DAY, _NIGHT):
    hypothesis.settings.register_profile(_name, deadline=None)  # a busy machine is no fault


def examples(by_day: int, by_night: int) -> int:
    """How many examples a test by property has whose examples are dear."""
    return by_day if hypothesis.settings.get_current_profile_name() == _DAY else by_night


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile(_NIGHT if config.option.markexpr in ("", "nightly") else _DAY)
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}(what): {meaning}; `what` it is of, in a few words")
    config.stash[_LEFT] = collections.Counter()


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in (mark for marker in MARKERS for mark in item.iter_markers(marker)):
            item.config.stash[_LEFT][mark.args[0]] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where several processes test, each of them has chosen among all tests, and the first one says so for all."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[LEFT] = dict(session.config.stash[_LEFT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    del error
    node.config.stash[_LEFT] = collections.Counter(getattr(node, "workeroutput", {}).get(LEFT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash[_LEFT]:
        terminalreporter.write_line(f"left to `make test-all`: {left.total()} tests")
        for what, count in left.most_common():
            terminalreporter.write_line(f"{count:5d} of {what}")
