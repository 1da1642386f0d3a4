"""Every baseline on every mini workload, in PyTorch."""

import pytest

from tests.support.baselines import BASELINES, WORKLOADS, short_trials, takes_two_steps


@pytest.fixture(scope="module", autouse=True)
def short():
    with short_trials():
        yield


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_trains(name, workload, tmp_path, data_dir):
    takes_two_steps(name, "pytorch", workload, tmp_path, data_dir)
