"""A trial's Slurm job: its times, and how it is queued again, against a real one."""

import sys
import time

import psutil
import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import job, slurm
from algoperf.machine.interruption import NOTICE_SHARE, InterruptionError
from tests.conftest import REPOSITORY
from tests.support.slurm_cluster import wait_until

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
    monkeypatch.setenv("SLURM_JOB_ID", "17")
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
    wait_until((tmp_path / "told").exists, 20, "interruption")
    wait_until(lambda: state(job_id) == "PENDING", 20, "job that waits again")
    assert not (tmp_path / "returned").exists()


def test_a_job_that_somebody_has_cancelled_is_not_queued_again(submitted, tmp_path):
    job_id = submitted(GO_ON_LATER)
    wait_until((tmp_path / "listens").exists, 20, "listening job")
    slurm.cancel([job_id])
    wait_until((tmp_path / "told").exists, 10, "interruption")
    wait_until(lambda: not slurm.is_active(job_id), 20, "end of the job")
    assert not (tmp_path / "returned").exists()


@pytest.mark.parametrize(("job_id", "may_requeue"), [(None, True), ("17", False)])
def test_without_a_job_or_where_another_takes_over_nothing_is_queued(monkeypatch, job_id, may_requeue):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if job_id is not None:
        monkeypatch.setenv("SLURM_JOB_ID", job_id)
    monkeypatch.setenv("PATH", "")  # whoever asks Slurm fails
    job.go_on_later(InterruptionError("told to stop", may_requeue), is_first=True)


def test_only_the_first_process_queues_the_job_again(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(job, "_ENDED_WITHIN", 0.0)
    error = InterruptionError("told to stop", may_requeue=True)
    job.go_on_later(error, is_first=False)
    with pytest.raises(InfrastructureError, match="squeue"):
        job.go_on_later(error, is_first=True)
