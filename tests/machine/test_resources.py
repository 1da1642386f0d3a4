"""What a trial's job asks of Slurm, by the facts of its workload and of the accelerator."""

import pytest

from algoperf.benchmark.registry import load_spec
from algoperf.experiment import plan
from algoperf.machine.cluster import Accelerator
from algoperf.machine.resources import cpus, resources, variables
from tests.experiment.test_plan import make

FASTMRI = load_spec("fastmri")
BUDGET, PERIOD = 4_430.0, 80.0  # seconds of v0.6


def test_a_job_asks_for_the_workloads_needs_where_the_site_says_nothing():
    assert resources(Accelerator(), FASTMRI, BUDGET, PERIOD) == {
        "nodes": 1,
        "cpus_per_task": 32,
        "mem_mb": 32 * 1_024,
        # 4,430 s of charged time, an evaluation of 4 s every 80 of them, and half an hour.
        "runtime": 108,
        "slurm_extra": "--exclusive --signal=USR2@308",
    }


def test_a_job_asks_for_what_the_site_says_that_its_accelerator_is():
    accelerator = Accelerator(
        **{"partition": "gpu", "gres": "gpu:v100:8", "constraint": "v100&nvlink", "account": "proj", "qos": "long"},
        **{"reservation": "our week", "nodes": 2, "exclusive": False, "cpus": 96, "memory_gib": 480, "time_limit": 60},
    )
    assert resources(accelerator, FASTMRI, BUDGET, PERIOD) == {
        **{"slurm_partition": "gpu", "slurm_account": "proj", "qos": "long"},
        **{"gres": "gpu:v100:8", "constraint": "v100&nvlink", "nodes": 2, "cpus_per_task": 96, "mem_mb": 480 * 1_024},
        **{"runtime": 60, "slurm_extra": "--reservation='our week' --signal=USR2@308"},
    }
    assert cpus(accelerator, FASTMRI) == 96


@pytest.mark.parametrize(
    ("rulesets", "limit", "minutes"),
    [
        (["external"], None, 108),
        (["external", "self"], None, 147),  # the longer budget, of 6,645 s: jobs of one rule are alike
        (["self", "external"], 10_000, 147),  # a limit is no wish
        (["external"], 30, 30),
    ],
)
def test_a_job_takes_as_long_as_its_trial_but_not_longer_than_the_partition_allows(rulesets, limit, minutes):
    longest = plan.max_runtime(make(protocol="v0.6", rulesets=rulesets), "fastmri")
    assert resources(Accelerator(time_limit=limit), FASTMRI, longest, PERIOD)["runtime"] == minutes


def test_a_short_job_is_told_of_its_end_in_the_last_tenth():
    asked = resources(Accelerator(time_limit=30), FASTMRI, BUDGET, PERIOD)
    assert asked["slurm_extra"] == "--exclusive --signal=USR2@180"


def test_further_options_of_a_site_are_the_last():
    accelerator = Accelerator(options=("--licenses=name:1", "--gpus-per-node=v100:8"), exclude="n1,n[3-5]")
    extra = resources(accelerator, FASTMRI, BUDGET, PERIOD)["slurm_extra"]
    # Nodes are left out by the executor, which knows of more of them: the last `--exclude` would be the only one.
    assert extra == "--exclusive --signal=USR2@308 --licenses=name:1 --gpus-per-node=v100:8"


def test_several_generic_resources_go_around_the_executor_which_takes_one():
    one, several = Accelerator(gres="gpu:v100:8"), Accelerator(gres="gpu:v100:8,nvme:1")
    assert (variables(one), variables(Accelerator())) == ({}, {})
    assert variables(several) == {"SBATCH_GRES": "gpu:v100:8,nvme:1"}
    assert "gres" not in resources(several, FASTMRI, BUDGET, PERIOD)
