"""How the processes of a trial are started, and what their exit code comes to."""

import json
import os
import subprocess
import sys

import pytest

from algoperf.machine import nvml
from algoperf.machine.cluster import Environment
from algoperf.trial import launch

HERE = Environment()
ONE_NODE = {"SLURM_JOB_ID": "17", "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_ON_NODE": "12"}
TWO_NODES = {**ONE_NODE, "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_ON_NODE": "32", "SLURM_GPUS_ON_NODE": "4"}


def have_gpus(monkeypatch, count):
    monkeypatch.setattr(nvml, "devices", lambda: [{"uuid": f"GPU-{index}"} for index in range(count)])


def shape(command):
    """The number of nodes, of tasks, of tasks on each node and of CPUs of each, which `srun` is told."""
    options = dict(word.removeprefix("--").split("=", 1) for word in command if word.startswith("--") and "=" in word)
    return tuple(int(options[name]) for name in ("nodes", "ntasks", "ntasks-per-node", "cpus-per-task"))


@pytest.mark.parametrize(("framework", "gpus"), [("pytorch", 0), ("pytorch", 1), ("jax", 8)])
def test_without_a_job_one_process_takes_one_gpu_in_pytorch_and_all_in_jax(monkeypatch, framework, gpus):
    have_gpus(monkeypatch, gpus)
    assert launch.command(framework, HERE, {}) is None


def test_without_a_job_pytorch_has_a_process_for_each_gpu(monkeypatch):
    have_gpus(monkeypatch, 4)
    python, *words = launch.command("pytorch", HERE, {})
    assert python == sys.executable
    assert words == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4", "-m", "algoperf"]


@pytest.mark.parametrize(
    ("framework", "job", "expected"),
    [
        ("jax", ONE_NODE, (1, 1, 1, 12)),
        ("pytorch", ONE_NODE, (1, 1, 1, 12)),
        ("jax", TWO_NODES, (2, 2, 1, 32)),
        ("pytorch", TWO_NODES, (2, 8, 4, 8)),
        ("pytorch", {**TWO_NODES, "SLURM_CPUS_ON_NODE": "2"}, (2, 8, 4, 1)),
    ],
)
def test_a_job_is_used_whole(framework, job, expected):
    command = launch.command(framework, HERE, job)
    assert shape(command) == expected
    assert command[:3] == ["srun", "--overlap", "--kill-on-bad-exit=1"]
    assert f"--export=ALL,OMP_NUM_THREADS={expected[-1]},MKL_NUM_THREADS={expected[-1]}" in command


@pytest.mark.parametrize(
    "started", [{launch.STARTED: "1"}, {"LOCAL_RANK": "0"}, {"SLURM_STEP_ID": "0", "SLURM_TASK_PID": str(os.getpid())}]
)
def test_a_process_of_a_trial_does_not_start_itself_again(monkeypatch, started):
    have_gpus(monkeypatch, 4)
    environ = {**TWO_NODES, **started}
    assert launch.is_started(environ)
    assert launch.command("pytorch", HERE, environ) is None
    assert launch.command("jax", HERE, environ) is None


def test_a_child_of_a_steps_task_is_no_task():
    """Snakemake's job is a step, too, and calls `algoperf trial` through a shell."""
    environ = {**ONE_NODE, "SLURM_STEP_ID": "0", "SLURM_TASK_PID": str(os.getppid())}
    assert not launch.is_started(environ)
    assert launch.command("jax", HERE, environ)[0] == "srun"


def test_a_task_gets_the_sites_environment_its_arguments_and_no_notice_before_it_listens():
    say = "import json, os, signal, sys; print(json.dumps([os.environ['SITE'], sys.argv[1:], "
    say += "signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN]))"
    environment = Environment(setup="module() { export SITE=$1; }\nmodule cuda", command=f'{sys.executable} -c "{say}"')
    command = launch.command("jax", environment, ONE_NODE)
    inside = [*command[command.index("bash") :], "trial", "--out", "a folder"]
    printed = subprocess.run(inside, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == ["cuda", ["trial", "--out", "a folder"], True]


def test_a_submission_with_an_environment_of_its_own_is_run_there_once():
    environment = Environment(setup="export SITE=mine", command="own/bin/algoperf")
    command = launch.into_environment(environment, {})
    assert command[:2] == ["bash", "-c"]
    assert "export SITE=mine\nexec own/bin/algoperf" in command[2]
    assert launch.into_environment(None, {}) is None
    for inside in ({launch.ENTERED: "1"}, {launch.STARTED: "1"}, ONE_NODE):  # in a job, srun's tasks enter it
        assert launch.into_environment(environment, inside) is None


def test_what_is_started_gets_the_arguments_and_knows_what_it_is(tmp_path):
    starter = ["sh", "-c", f'echo "${launch.STARTED} $*" > {tmp_path}/said; exit 3', "sh"]
    assert launch.run(starter, ["trial", "--study", "0"], lambda: False) == 3
    assert (tmp_path / "said").read_text() == "1 trial --study 0\n"


@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_result_is_a_success_whichever_process_failed_after_it(tmp_path, code):
    starter = ["sh", "-c", f"touch {tmp_path}/result.json; exit {code}"]
    assert launch.run(starter, [], (tmp_path / "result.json").exists) == 0


@pytest.mark.parametrize(("code", "given"), [(2, 2), (0, 1)])  # 2 would say that a person gave it something wrong
def test_a_started_process_that_leaves_no_result_gives_its_exit_code_and_never_success(code, given):
    assert launch.run(["sh", "-c", f"exit {code}"], [], lambda: False) == given
