"""Every baseline on every mini workload, in JAX: each of either at most once, the other pairs nightly.

By day it is those whose step is the least like the others'; that all have PyTorch's trajectory is in `tests/kit`.
"""

import pytest

from tests.support.baselines import ONCE, OTHERS, short_trials, takes_two_steps

NIGHTLY = pytest.mark.nightly("every baseline on every workload in JAX")
BY_DAY = ("muon", "schedule_free_adamw", "shampoo")


@pytest.fixture(scope="module", autouse=True)
def short():
    with short_trials():
        yield


def marked(name, workload):
    is_by_day = name in BY_DAY and (name, workload) in ONCE
    return pytest.param(name, workload, marks=[] if is_by_day else NIGHTLY)


@pytest.mark.parametrize(("name", "workload"), [marked(*pair) for pair in (*ONCE, *OTHERS)])
@pytest.mark.usefixtures("compiled_fast")
def test_a_baseline_trains(name, workload, tmp_path, data_dir):
    takes_two_steps(name, "jax", workload, tmp_path, data_dir)
