"""Every baseline on every mini workload, in PyTorch: each of either once, the other pairs nightly."""

import pytest

from tests.support.baselines import BASELINES, ONCE, OTHERS, WORKLOADS, short_trials, takes_two_steps

NIGHTLY = pytest.mark.nightly("every baseline on every workload in PyTorch")


@pytest.fixture(scope="module", autouse=True)
def short():
    with short_trials():
        yield


@pytest.mark.parametrize(("name", "workload"), [*ONCE, *(pytest.param(*pair, marks=NIGHTLY) for pair in OTHERS)])
def test_a_baseline_trains(name, workload, tmp_path, data_dir):
    takes_two_steps(name, "pytorch", workload, tmp_path, data_dir)


def test_each_baseline_and_each_workload_is_met_every_time():
    assert {name for name, _ in ONCE} == set(BASELINES)
    assert {workload for _, workload in ONCE} == set(WORKLOADS)
