"""Every baseline takes two steps of every mini workload through the real loop: `test_baselines_<framework>.py`."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algoperf.benchmark.facts import Framework
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.protocol import PROTOCOLS, TARGET_SETTING
from algoperf.benchmark.workload import make_workload
from algoperf.submission.loading import SUBMISSIONS
from algoperf.trial import session, setup
from tests.support.little_trials import few_evaluated

# All but NAdamW, with which `test_submissions.py` goes the whole way.
BASELINES = sorted({path.parent.name for path in SUBMISSIONS.glob("*/search_space.json")} - {"nadamw"})
WORKLOADS = PROTOCOLS["mini"].workloads
ONCE = list(itertools.islice(zip(itertools.cycle(BASELINES), itertools.cycle(WORKLOADS)), len(WORKLOADS)))
OTHERS = [pair for pair in itertools.product(BASELINES, WORKLOADS) if pair not in ONCE]


@contextlib.contextmanager
def short_trials() -> Iterator[None]:
    """Trials on one workload object each, so that JAX compiles what is no baseline's own once; each split's evaluation
    is of its first few examples."""
    makers: dict[str, Callable[[], Any]] = {}

    @functools.cache
    def made(name: str) -> Any:
        return makers[name]()

    def make_once(spec: Any, *arguments: Any) -> Any:
        makers[spec.name] = functools.partial(make_workload, spec, *arguments)
        return made(spec.name)

    with few_evaluated(8), pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "make_workload", make_once)
        yield


def takes_two_steps(name: str, framework: Framework, workload: str, folder: Path, data_dir: Path) -> None:
    """Steps as in target setting, which no target ends early, with the baseline's first mini point."""
    identity = make_trial("mini", TARGET_SETTING, name, framework, workload, 0, 1)
    ready = setup.set_up(identity, folder, data_dir, 2)
    evaluations: list[dict[str, Any]] = []
    result = session.execute(ready, lambda state: evaluations.extend(state.evaluations))
    assert (result["status"], result["global_step"], result["flags"]) == ("budget_exhausted", 2, [])
    (row,) = evaluations
    assert all(np.isfinite(value) for value in row.values())
