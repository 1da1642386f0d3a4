"""A trial's Slurm job: its times, and how it is queued again, against a real one."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import job, slurm
from algoperf.machine.interruption import NOTICE_SHARE, InterruptionError
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until

# What a trial does that is told to stop: it goes on later, and Slurm ends it. Whatever returns leaves `returned`.
GO_ON_LATER = f"""
import signal, sys
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from algoperf.machine import job
from algoperf.machine.interruption import InterruptionError

def stop(*signal_and_frame):
    Path("told").touch()
    job.go_on_later(InterruptionError("told to stop", may_requeue=True), is_first=True)
    Path("returned").touch()

if "now" in sys.argv:
    stop()
signal.signal(signal.SIGTERM, stop)
Path("listens").touch()
signal.pause()
"""


@pytest.fixture
def submitted(on_cluster, tmp_path):
    """Submits a program in Python as a batch job, and ends it after the test."""
    ids = []

    def submit(program, *arguments):
        (tmp_path / "program.py").write_text(program)
        wrap = f"--wrap=exec {sys.executable} program.py {' '.join(arguments)}"
        ids.append(on_cluster.run("sbatch", "--parsable", "--mem=500", f"--chdir={tmp_path}", wrap).strip())
        return ids[-1]

    yield submit
    slurm.cancel(ids)


@pytest.fixture(autouse=True)
def asked_anew():
    """Each test is another process, as far as its job is concerned."""
    job.current.cache_clear()
    yield
    job.current.cache_clear()


def be_in_job(monkeypatch, job_id):
    monkeypatch.setenv("SLURM_JOB_ID", job_id)
    monkeypatch.setenv(job.STARTED_IN, job_id)


def state(job_id):
    return next((found.state for found in slurm.my_jobs() if found.id == job_id), "")


def test_outside_of_a_job_the_process_is_what_began_and_nothing_ends_it(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert job.current() is None
    assert job.begun_and_end() == (psutil.Process().create_time(), None)


def test_inside_of_a_job_slurm_says_when_it_began_and_when_it_ends(on_cluster):
    report = "from algoperf.machine import job; print(*job.begun_and_end())"
    begun, end = map(
        float,
        on_cluster.run(
            *("srun", "--time=3", "--mem=500", f"--chdir={REPOSITORY}", sys.executable, "-c", report)
        ).split(),
    )
    assert end - begun == 180
    assert 0 < time.time() - begun < 60


def test_a_trial_does_without_where_slurm_does_not_answer(monkeypatch, tmp_path):
    be_in_job(monkeypatch, "17")
    monkeypatch.setenv("PATH", str(tmp_path))  # no squeue in it
    assert job.begun_and_end() == (psutil.Process().create_time(), None)


def test_a_trial_stops_by_itself_before_its_job_ends(monkeypatch):
    monkeypatch.setattr("algoperf.machine.interruption.Watch.listen", lambda watch: None)
    now = time.time()
    share = NOTICE_SHARE * 1_000
    assert not job.watch(now - 1_000 + share + 50, now + share + 50, evaluation_time=10.0).is_interrupted
    assert job.watch(now - 1_000 + share, now + share - 1, evaluation_time=10.0).is_interrupted
    assert not job.watch(now, None, evaluation_time=10.0).is_interrupted


def test_a_running_job_is_queued_again_under_its_number_and_its_process_waits_for_the_end(submitted, tmp_path):
    job_id = submitted(GO_ON_LATER, "now")
    wait_until((tmp_path / "told").exists, "interruption")
    wait_until(lambda: state(job_id) == "PENDING", "job that waits again")
    assert not (tmp_path / "returned").exists()


def test_a_job_that_somebody_has_cancelled_is_not_queued_again(submitted, tmp_path):
    job_id = submitted(GO_ON_LATER)
    wait_until((tmp_path / "listens").exists, "listening job")
    slurm.cancel([job_id])
    wait_until((tmp_path / "told").exists, "interruption")
    wait_until(lambda: not slurm.is_active(job_id), "end of the job")
    assert not (tmp_path / "returned").exists()


@pytest.mark.parametrize(("job_id", "may_requeue"), [(None, True), ("17", False)])
def test_without_a_job_or_where_another_takes_over_nothing_is_queued(monkeypatch, job_id, may_requeue):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if job_id is not None:
        be_in_job(monkeypatch, job_id)
    monkeypatch.setenv("PATH", "")  # whoever asks Slurm fails
    job.go_on_later(InterruptionError("told to stop", may_requeue), is_first=True)


def test_only_the_first_process_queues_the_job_again(monkeypatch):
    be_in_job(monkeypatch, "17")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(job, "_ENDED_WITHIN", 0.0)
    error = InterruptionError("told to stop", may_requeue=True)
    job.go_on_later(error, is_first=False)
    with pytest.raises(InfrastructureError, match="squeue"):
        job.go_on_later(error, is_first=True)


# What a process says of the job that its variables name, and which of them it has afterwards.
CONFIRM = """
import os, sys
from algoperf.machine import job
may = job.confirm(sys.argv[1] == "trains", lambda sentence: print(sentence, end=" "))
print(may, job.current(), "SLURM_JOB_ID" in os.environ, "SLURM_NTASKS" in os.environ, "SLURM_CONF" in os.environ)
"""


def confirmed(how, variables, prefix=(), check=False):
    command = [*prefix, sys.executable, "-c", CONFIRM, how]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=check)


def leftover(job_id):
    """The variables of a shell that says it is in a job."""
    return {"SLURM_JOB_ID": job_id, "SLURM_NTASKS": "8"}


def test_a_step_and_a_batch_script_are_in_their_job_and_ask_nobody(on_cluster, tmp_path):
    """With a squeue that knows nothing of it; that of the step finds its job, too, where Slurm hides behind a shell."""
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shell = ("srun", "--mem=500", "--export=ALL", "sh", "-c", '"$@"; true', "sh")
    printed = confirmed("starts", path, prefix=shell, check=True).stdout.split()
    assert (printed[0], printed[2:]) == ("True", ["True", "True", "True"])
    assert int(printed[1]) > 0
    (tmp_path / "confirm.py").write_text(CONFIRM)
    command = f"PYTHONPATH={REPOSITORY} PATH={tmp_path}:$PATH {sys.executable} confirm.py starts"
    wrap = ("--mem=500", f"--chdir={tmp_path}", "--output=said", "--wait", f"--wrap={command}")
    on_cluster.run("sbatch", *wrap)
    assert (tmp_path / "said").read_text().startswith("True ")


def test_a_shell_that_outlived_its_job_is_in_none(on_cluster, tmp_path, submitted):
    ended = on_cluster.run("sbatch", "--parsable", "--mem=10", "--wait", "--output=/dev/null", "--wrap=true").strip()
    for how in ("starts", "trains"):
        printed = confirmed(how, leftover(ended)).stdout
        assert printed.startswith(f"SLURM_JOB_ID is {ended}, but ")
        assert printed.endswith(": the trial runs without Slurm. False None False False True\n")


def test_a_shell_beside_a_running_job_may_start_a_step_in_it_but_trains_for_itself(on_cluster, submitted):
    """That of salloc, or one by ssh: it does not end with the job, which must not speak for it."""
    running = submitted("import time; time.sleep(100)")
    wait_until(lambda: state(running) == "RUNNING", "running job")
    assert confirmed("starts", leftover(running)).stdout == "True None True True True\n"
    assert "but this process is not in that job: " in confirmed("trains", leftover(running)).stdout


def test_where_slurm_cannot_be_asked_the_trial_runs_without_it(tmp_path):
    printed = confirmed("starts", {**leftover("17"), "PATH": str(tmp_path)}).stdout  # no squeue in it
    assert printed.startswith("SLURM_JOB_ID is 17, but that cannot be confirmed (Slurm's squeue cannot be run: No such")
    assert " False None False False " in printed


def test_a_container_without_srun_is_enough_for_one_node_and_said_to_be_too_little_for_several(tmp_path):
    variables = {**leftover("17"), job.STARTED_IN: "17", "PATH": str(tmp_path)}
    assert "but there is no srun here: the trial runs without Slurm." in confirmed("starts", variables).stdout
    assert confirmed("trains", variables).stdout.startswith("True 17 True True")
    several = confirmed("starts", {**variables, "SLURM_JOB_NUM_NODES": "2"})
    assert "no srun here, which a trial on 2 nodes is started with." in several.stderr


def test_the_job_is_remembered_where_its_variables_are_taken_away(monkeypatch):
    be_in_job(monkeypatch, "17")
    assert job.current() == "17"
    monkeypatch.delenv("SLURM_JOB_ID")
    assert job.current() == "17"
    job.restore()
    assert os.environ["SLURM_JOB_ID"] == "17"
