"""How a process learns its place among those of its trial: from torchrun's variables, or from Slurm's by submitit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.machine import ranks
from algoperf.machine.ranks import Ranks
from tests.support.patience import PATIENCE

TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "node-1", "MASTER_PORT": "29500"}

# As `srun -N2 -n8` sets them in the second task of the second node.
SLURM = {
    **{"SLURM_JOB_ID": "1234", "SLURM_JOB_NODELIST": "v100-[3-4]", "SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "1"},
    **{"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"},
    "CUDA_VISIBLE_DEVICES": "4,5,6,7",
}


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables of a process; none of those that it may set itself are left behind."""

    def put(variables):
        for name in [*TORCHRUN, "LOCAL_WORLD_SIZE", "SUBMITIT_EXECUTOR", *filter(is_slurms, os.environ)]:
            monkeypatch.setenv(name, "")  # so that it is put back at the end
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def is_slurms(name):
    return name.startswith("SLURM_")


def test_a_process_that_nobody_started_as_one_of_several_is_alone(environment):
    environment({})
    assert ranks.join() == Ranks(0, 0, 1)


def test_torchrun_says_it(environment):
    environment(TORCHRUN)
    assert ranks.join() == Ranks(5, 1, 8)


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_half_of_torchruns_variables_are_refused(environment, missing):
    environment({name: value for name, value in TORCHRUN.items() if name != missing})
    with pytest.raises(UsageError, match=f"is set but {missing} is not; start a trial's processes with torchrun"):
        ranks.join()


def test_the_address_of_a_master_alone_does_not_make_several_processes(environment):
    environment({"MASTER_ADDR": "node-1", "MASTER_PORT": "29500"})
    assert ranks.join() == Ranks(0, 0, 1)


def test_a_step_of_several_slurm_tasks_says_it(environment):
    environment(SLURM)
    assert ranks.join() == Ranks(5, 1, 8)
    assert {name: os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")} == {
        "RANK": "5",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "8",
    }
    assert os.environ["MASTER_ADDR"] == "v100-3"
    assert 20_000 <= int(os.environ["MASTER_PORT"]) <= 60_000
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"
    assert ranks.join() == Ranks(5, 1, 8)


def test_all_tasks_of_a_job_meet_at_one_port(environment):
    ports = set()
    for task in range(3):
        environment({**SLURM, "SLURM_PROCID": str(task)})
        ranks.join()
        ports.add(os.environ["MASTER_PORT"])
    assert len(ports) == 1


def test_one_node_needs_no_name(environment):
    environment({**SLURM, "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "v100-3"})
    ranks.join()
    assert os.environ["MASTER_ADDR"] == "127.0.0.1"


def test_the_address_that_is_set_wins(environment):
    environment({**SLURM, "MASTER_ADDR": "10.0.0.3", "MASTER_PORT": "29500"})
    ranks.join()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.3", "29500")


def test_a_batch_script_is_one_process_however_many_tasks_its_job_may_start(environment):
    environment({name: value for name, value in SLURM.items() if name != "SLURM_STEP_NUM_TASKS"})
    assert ranks.join() == Ranks(0, 0, 1)


@pytest.mark.parametrize(("nodes", "address"), [("1", "127.0.0.1"), ("2", "v100-1")])
def test_the_tasks_of_a_real_step_have_a_place_each(slurm_cluster, nodes, address):
    code = (
        "import os; from algoperf.machine.ranks import join; print(*vars(join()).values(), os.environ['MASTER_ADDR'])"
    )
    step = ("srun", "--partition=v100", f"--nodes={nodes}", "--ntasks=4", "--gres=gpu:v100:2")
    lines = slurm_cluster.run(*step, sys.executable, "-c", code).splitlines()
    places = sorted(tuple(line.split()) for line in lines)
    assert [(rank, world_size) for rank, _, world_size, _ in places] == [(str(rank), "4") for rank in range(4)]
    assert {where for *_, where in places} == {address}
    assert [local for _, local, _, _ in places].count("0") == int(nodes)


WAITS = """
import atexit, sys, tempfile, time
from algoperf.commands import cli, submission
from algoperf.benchmark.facts import InfrastructureError
atexit.register(time.sleep, 60)  # as a framework does while others have not come to the same end
def fails(name):
    folder = tempfile.TemporaryDirectory()
    print(folder.name, flush=True)
    raise {error}
cli.app.command("fails")(lambda: fails("a"))
sys.argv = ["algoperf", "fails"]
cli.main()
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("InfrastructureError('a device is lost.')", 1, "error: a device is lost.\n"),
        ("SystemExit(True)", 1, ""),
        ("ValueError('a mistake')", 1, "ValueError: a mistake"),
    ],
)
def test_a_process_that_fails_alone_ends_at_once(error, code, said):
    """The others wait for it: it must not wait for them."""
    program = [sys.executable, "-c", WAITS.format(error=error)]
    several = {**os.environ, **TORCHRUN}
    done = subprocess.run(program, env=several, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert not Path(done.stdout.strip()).exists()
