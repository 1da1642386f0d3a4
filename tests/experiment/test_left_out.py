"""Nodes that a run leaves out: when it does, how its jobs are kept from them, and that it forgets."""

import asyncio
import logging
import types

import pytest
from snakemake_executor_plugin_slurm import Executor, ExecutorSettings
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from throttler import Throttler

from algoperf.experiment import left_out
from algoperf.experiment.left_out import NodesLeftOut, suspects
from algoperf.machine import slurm
from algoperf.machine.cluster import Accelerator
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until

RUN = "algoperf_1"


def job(number, trial, node, state="FAILED", lasted=20.0, begun=None):
    begun = 100.0 * number if begun is None else begun
    return slurm.Job(str(number), state, RUN, trial, "/", str(number), begun, begun + lasted, node)


def suspected(*jobs):
    return {node: [job.id for job in failed] for node, failed in suspects({job.id: job for job in jobs}).items()}


def test_a_node_on_which_two_jobs_in_a_row_fail_at_once_is_suspected():
    assert suspected(job(1, "a", "n1")) == {}
    assert suspected(job(1, "a", "n1"), job(2, "b", "n1"), job(3, "c", "n2")) == {"n1": ["1", "2"]}
    assert suspected(job(1, "a", "n1"), job(2, "a", "n1")) == {"n1": ["1", "2"]}  # tried again on the same
    assert suspected(job(1, "a", "n1"), job(2, "b", "n1", "COMPLETED"), job(3, "c", "n1")) == {}
    assert suspected(job(1, "a", "n1"), job(2, "b", "n1", lasted=3_000.0), job(3, "c", "n1")) == {}
    assert suspected(job(1, "a", "n1", "BOOT_FAIL", begun=0.0, lasted=0.0), job(2, "b", "n1")) == {"n1": ["1", "2"]}


def test_of_what_is_not_the_nodes_fault_none_is_suspected():
    assert suspected(job(1, "a", "n1"), job(2, "a", "n2"), job(3, "a", "n1")) == {}  # the trial fails everywhere
    for state in ("CANCELLED", "OUT_OF_MEMORY", "TIMEOUT", "COMPLETED"):
        assert suspected(job(1, "a", "n1", state), job(2, "b", "n1", state)) == {}
    assert suspected(job(1, "a", "n1,n2"), job(2, "b", "n1,n2")) == {}  # which of them, nobody knows


@pytest.fixture
def failing(on_cluster, tmp_path):
    """Runs jobs of a run, or of another, that fail at once."""
    ids = []

    def submit(*options, name=RUN, command="false"):
        options = (f"--job-name={name}", f"--chdir={tmp_path}", "--output=/dev/null", "--mem=10", *options)
        ids.append(on_cluster.run("sbatch", "--parsable", *options, f"--wrap={command}").strip())
        return ids[-1]

    yield submit
    slurm.cancel(ids)


def ended(*ids):
    wait_until(lambda: not any(map(slurm.is_active, ids)), "end of the jobs")


def test_a_node_that_swallows_jobs_is_left_out_named_and_forgotten(failing, tmp_path, algoperf):
    run, said = f"{RUN}_{tmp_path.name}", []
    nodes = NodesLeftOut(Accelerator(partition="v100"), run, tmp_path, said.append)
    assert not nodes
    others = [failing("--nodelist=v100-2", f"--comment={trial}", name="somebodys") for trial in "ab"]
    waits = failing("--nodelist=v100-1", "--hold", "--comment=c", name=run)
    ended(*others, *(failing("--nodelist=v100-1", f"--comment={trial}", name=run) for trial in "ab"))
    nodes._looked_at = 0.0
    assert (bool(nodes), list(nodes)) == (True, ["v100-1"])
    (sentence,) = said
    assert sentence.startswith("v100-1 is left out by the jobs that this run submits from now on: jobs ")
    assert list(left_out.known(tmp_path)) == ["v100-1"]
    assert "failed on it within 10 minutes" in left_out.known(tmp_path)["v100-1"]
    assert waits in {one.id for one in slurm.my_jobs()}
    code, printed, _ = algoperf("status", tmp_path, "--config", REPOSITORY / "config" / "mini.yaml")
    assert (code, "v100-1 is left out by the run's later jobs: jobs " in printed) == (0, True)
    left_out.forget(tmp_path)
    assert left_out.known(tmp_path) == {}


def test_a_job_that_waits_already_is_kept_from_it(failing, on_cluster, tmp_path):
    run = f"{RUN}_{tmp_path.name}"
    waits = failing("--partition=v100", "--hold", "--comment=c", name=run)
    ended(*(failing("--nodelist=v100-2", f"--comment={trial}", name=run) for trial in "ab"))
    assert NodesLeftOut(Accelerator(exclude="v100-9", partition="v100"), run, tmp_path, lambda sentence: None)
    # The controller knows no v100-9: a list that it refuses leaves the job as it is.
    assert "ExcNodeList=(null)" in on_cluster.run("scontrol", "show", "job", waits)
    assert NodesLeftOut(Accelerator(partition="v100"), run, tmp_path, lambda sentence: None)
    assert "ExcNodeList=v100-2" in on_cluster.run("scontrol", "show", "job", waits)


def test_the_last_nodes_are_not_left_out(failing, tmp_path):
    """Where all that are alike fail, it is not the nodes, and jobs would wait for ever."""
    run = f"{RUN}_{tmp_path.name}"
    both = [
        failing(f"--nodelist=v100-{node}", f"--comment={node}{number}", name=run) for node in "12" for number in "ab"
    ]
    only = [failing("--partition=h200", f"--comment={trial}", name=run) for trial in "cd"]
    ended(*both, *only)
    assert len(NodesLeftOut(Accelerator(partition="v100"), run, tmp_path, lambda sentence: None)) == 1
    assert not NodesLeftOut(Accelerator(partition="h200"), run, tmp_path / "no", lambda sentence: None)


def test_where_slurm_does_not_answer_those_that_the_site_excludes_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    nodes = NodesLeftOut(Accelerator(exclude="n1,n[3-5]"), RUN, tmp_path, print)
    assert (bool(nodes), ",".join(nodes)) == (True, "n1,n[3-5]")
    assert not NodesLeftOut(Accelerator(), RUN, tmp_path, print)


def after_a_node_failed(nodes, answer, folder, monkeypatch):
    """What Snakemake's executor tells sbatch after squeue has told of a failed node and sacct has named it."""
    for name, text in (("squeue", "17|NODE_FAIL"), ("sacct", answer), ("scontrol", "MinJobAge = 600 sec")):
        (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    settings = ExecutorSettings(status_command="squeue", requeue=True)
    executor = object.__new__(Executor)  # its own beginning starts threads that poll
    executor.workflow = types.SimpleNamespace(executor_settings=settings)
    executor.logger, executor.run_uuid = logging.getLogger("executor"), RUN
    executor.status_rate_limiter, executor._failed_nodes = Throttler(100), nodes
    executor._status_query_calls = executor._status_query_failures = 0
    executor._status_query_total_seconds = executor._status_query_max_seconds = 0.0
    executor._status_query_min_seconds, executor._status_query_cycle_rows = None, []
    executor.next_seconds_between_status_checks = 40

    async def still_active():
        job = types.SimpleNamespace(external_jobid="17", aux={})
        return [one async for one in executor.check_active_jobs([job])]

    assert len(asyncio.run(still_active())) == 1
    job = types.SimpleNamespace(resources={}, threads=1)
    told = {"run_uuid": RUN, "slurm_logfile": "log", "comment_str": "a", "account": "", "partition": "", "workdir": "/"}
    return get_submit_command(job, told, settings, executor._failed_nodes)


def test_words_for_no_node_do_not_break_the_submissions_after_it(tmp_path, monkeypatch):
    def nodes():
        return NodesLeftOut(Accelerator(), RUN, tmp_path, lambda sentence: None)

    told = after_a_node_failed(nodes(), "gpu36", tmp_path, monkeypatch)
    assert "--exclude=gpu36" in told.split()
    assert left_out.known(tmp_path) == {"gpu36": "Slurm says that it failed"}
    assert "--exclude" not in after_a_node_failed(nodes(), "None assigned", tmp_path, monkeypatch)
    # Where this fails, the executor has mended it, and `NodesLeftOut` need not look at words.
    assert "--exclude=None assigned" in after_a_node_failed(set(), "None assigned", tmp_path, monkeypatch)
