"""Every baseline on every mini workload, in JAX: by night.

Before a landing it is the one whose step is the least like the others', on the workload that JAX compiles fastest. That
all have PyTorch's trajectory is in `tests/kit`, and `make score` trains every workload in JAX.
"""

import itertools

import pytest

from tests.support.baselines import BASELINES, WORKLOADS, short_trials, takes_two_steps

NIGHTLY = pytest.mark.nightly("every baseline on every workload in JAX")
LANDING = pytest.mark.landing("a baseline in JAX")
BEFORE_A_LANDING = ("schedule_free_adamw", "criteo1tb")


@pytest.fixture(scope="module", autouse=True)
def short():
    with short_trials():
        yield


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        pytest.param(*pair, marks=LANDING if pair == BEFORE_A_LANDING else NIGHTLY)
        for pair in itertools.product(BASELINES, WORKLOADS)
    ],
)
@pytest.mark.usefixtures("compiled_fast")
def test_a_baseline_trains(name, workload, tmp_path, data_dir):
    takes_two_steps(name, "jax", workload, tmp_path, data_dir)
