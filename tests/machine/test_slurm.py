"""What Slurm is asked and told, against a real one."""

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import answers, slurm
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until


def submit(cluster, tmp_path, command, *options) -> str:
    options = ("--parsable", "--mem=100", f"--chdir={tmp_path}", *options)
    return cluster.run("sbatch", *options, f"--wrap={command}").strip()


def state(job_id) -> str:
    return next((job.state for job in slurm.my_jobs() if job.id == job_id), "")


def test_my_jobs_are_those_that_have_not_ended(on_cluster, tmp_path):
    ended = submit(on_cluster, tmp_path, "true")
    comment = "rule_a|b c\n17\tRUNNING\n"
    waiting = submit(on_cluster, tmp_path, "true", "--hold", "--job-name=algoperf_1", f"--comment={comment}")
    wait_until(lambda: not slurm.is_active(ended), "end of the job")
    jobs = {job.id: job for job in slurm.my_jobs()}
    assert ended not in jobs
    described = (waiting, "PENDING", "algoperf_1", comment, str(tmp_path), waiting, None, None, "")
    assert dataclasses.astuple(jobs[waiting]) == described
    slurm.cancel([ended, waiting])
    wait_until(lambda: not slurm.is_active(waiting), "end of the job")


def test_a_job_is_active_until_it_has_ended_and_again_when_it_is_requeued(on_cluster, tmp_path):
    """Its program wants two seconds to end, so that it is seen ending; Slurm then waits some ten more."""
    job = submit(on_cluster, tmp_path, "trap 'sleep 2; exit 1' TERM; sleep 100 & wait")
    wait_until(lambda: state(job) == "RUNNING", "running job")
    on_cluster.run("scontrol", "suspend", job)
    assert (state(job), slurm.is_active(job)) == ("SUSPENDED", True)
    on_cluster.run("scontrol", "resume", job)
    slurm.requeue(job)
    seen = []
    while "PENDING" not in seen:
        assert slurm.is_active(job)
        seen.append(state(job))
        time.sleep(0.05)
    assert set(seen) - {"RUNNING", "PENDING"} <= {"COMPLETING", "REQUEUED"}
    slurm.cancel([job])
    wait_until(lambda: not slurm.is_active(job), "end of the job")
    assert job not in {one.id for one in slurm.my_jobs()}


def test_a_running_job_says_when_it_began_and_when_it_will_be_ended(on_cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    limited = submit(on_cluster, tmp_path, "sleep 100", "--time=5")
    unlimited = submit(on_cluster, tmp_path, "sleep 100")
    wait_until(lambda: state(unlimited) == "RUNNING", "running job")
    begun, end = slurm.times(limited)
    assert abs(time.time() - begun) < 10
    assert end - begun == 300
    assert slurm.times(unlimited)[1] is None or slurm.times(unlimited)[1] > time.time() + 86_400 * 300
    slurm.cancel([limited, unlimited])


def test_jobs_that_slurm_has_forgotten_are_not_active_and_cannot_be_hurt(on_cluster):
    assert not slurm.is_active("999")
    slurm.cancel(["999"])
    slurm.signal(["999"], "USR2")
    slurm.cancel([])
    slurm.signal([], "USR2")


def test_the_task_of_a_step_gets_the_signal_and_a_job_that_waits_does_no_harm(on_cluster, tmp_path):
    program = "import signal; signal.sigwait({signal.SIGUSR2}); open('heard', 'w')"
    signal_blocked = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}); open('ready', 'w'); "
    (tmp_path / "task.py").write_text(signal_blocked + program)
    running = submit(on_cluster, tmp_path, f"srun {sys.executable} task.py")
    waiting = submit(on_cluster, tmp_path, "true", "--hold")
    wait_until((tmp_path / "ready").exists, "task")
    slurm.signal([waiting, running], "USR2")
    wait_until((tmp_path / "heard").exists, "signal")
    slurm.cancel([waiting])


def test_what_slurm_refuses_is_told_in_its_own_words(on_cluster):
    with pytest.raises(InfrastructureError, match=r"scontrol requeue 999.*Invalid job id"):
        slurm.requeue("999")


def test_partitions_say_what_their_nodes_have(on_cluster):
    partitions = {partition.name: partition for partition in slurm.partitions()}
    assert set(partitions) == {"a100", "cpu", "h200", "hidden", "mixed", "v100", "v100_hi"}
    v100, mixed = partitions["v100"], partitions["mixed"]
    assert (v100.is_default, v100.is_up, v100.time_limit, v100.preemption) == (True, True, None, "REQUEUE")
    assert not mixed.is_default
    assert [(node.name, node.is_up, node.gpus, node.features) for node in v100.nodes] == [
        ("v100-1", True, {"v100": 8}, ("v100",)),
        ("v100-2", True, {"v100": 8}, ("v100",)),
    ]
    assert (v100.nodes[0].cpus, v100.nodes[0].memory_mib) == (64, 64000)
    assert mixed.time_limit == 240
    assert partitions["cpu"].nodes[0].gpus == {}


def test_the_controllers_settings_are_read(on_cluster):
    settings = slurm.config()
    assert settings["MinJobAge"] == "3600 sec"
    assert settings["JobRequeue"] == "1"


def test_accounting_that_is_off_does_not_answer(on_cluster):
    assert not slurm.accounting_answers()


def test_accounting_that_is_on_answers(slurm_cluster_with_accounting, monkeypatch):
    for name, value in slurm_cluster_with_accounting.variables.items():
        monkeypatch.setenv(name, value)
    assert slurm.accounting_answers()


def test_a_controller_that_is_down_is_an_error_and_never_an_answer(without_controller):
    with pytest.raises(InfrastructureError, match=r"squeue.*[Uu]nable to contact"):
        slurm.is_active("999")
    with pytest.raises(InfrastructureError, match=r"scancel.*[Uu]nable to contact"):
        slurm.cancel(["999"])


def test_a_command_that_does_not_answer_or_is_not_there_is_an_error(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\nexec sleep 5\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(answers, "TIME_LIMIT", 0.2)
    with pytest.raises(InfrastructureError, match=r"squeue.* took over 0\.2 s"):
        slurm.my_jobs()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(InfrastructureError, match="sinfo cannot be run"):
        slurm.partitions()
    assert not slurm.installed()


def test_a_persons_own_settings_of_slurms_commands_change_no_answer(on_cluster, tmp_path, monkeypatch):
    job = submit(on_cluster, tmp_path, "true", "--hold")
    for name, value in {"SQUEUE_FORMAT": "%j", "SQUEUE_PARTITION": "a100", "SCANCEL_INTERACTIVE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert job in {one.id for one in slurm.my_jobs()}
    slurm.cancel([job])
    assert not slurm.is_active(job)


@pytest.mark.parametrize(
    ("gres", "expected"),
    [
        ("(null)", {}),
        ("gpu:v100:8", {"v100": 8}),
        ("gpu:v100:8(S:0-1),nvme:2", {"v100": 8}),
        ("gpu:4", {"": 4}),
        ("gpu:a100:2,gpu:a100_3g.20gb:4", {"a100": 2, "a100_3g.20gb": 4}),
        ("gpu", {"": 1}),
        ("gpu:v100", {"v100": 1}),
    ],
)
def test_generic_resources_are_read_as_gpus_by_type(gres, expected):
    assert slurm.gpus(gres) == expected


def test_a_node_that_is_down_or_does_not_answer_is_not_up():
    def is_up(state):
        return slurm.Node("n", state, {}, (), 1, 1).is_up

    assert all(map(is_up, ("idle", "mixed", "allocated", "completing", "idle~", "reserved")))
    assert not any(map(is_up, ("down", "down*", "drained", "draining", "idle*", "inval", "maint", "unknown")))


def test_the_job_of_a_failed_node_counts_as_active_until_it_has_another(on_cluster, tmp_path):
    job = submit(on_cluster, tmp_path, "sleep 100", "--partition=v100", "--requeue")
    wait_until(lambda: state(job) == "RUNNING", "running job")
    node = on_cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    on_cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    while state(job) != "PENDING":
        assert slurm.is_active(job)
        time.sleep(0.05)
    slurm.cancel([job])
    wait_until(lambda: on_cluster.node_state(node) == "idle", "idle node")


def test_one_element_of_an_array_is_queued_again_and_the_others_go_on(on_cluster, tmp_path):
    """The last one that is started has the number of the array."""
    array = submit(on_cluster, tmp_path, "sleep 100", "--array=0-1")
    wait_until(lambda: [job.state for job in slurm.my_jobs() if job.shown.startswith(array)] == ["RUNNING"] * 2, "two")
    elements = {job.id: job for job in slurm.my_jobs() if job.shown.startswith(f"{array}_")}
    assert elements[array].handle == f"{array}_1"
    other = next(job.id for job in elements.values() if job.id != array)
    slurm.requeue(array)
    wait_until(lambda: state(array) == "PENDING", "element that waits again")
    assert (slurm.is_running(other), slurm.is_active(array)) == (True, True)
    slurm.cancel([elements[array].handle])
    wait_until(lambda: not slurm.is_active(array), "end of the element")
    assert slurm.is_running(other)
    slurm.cancel([array])


def test_a_person_sees_jobs_in_partitions_that_are_hidden(on_cluster, tmp_path):
    """Which root sees in any case: asked as somebody else, who may read what root may."""
    job = submit(on_cluster, tmp_path, "true", "--hold", "--partition=hidden")
    ask = "from algoperf.machine import slurm; import sys; print(slurm.is_active(sys.argv[1]))"
    nobody = ["setpriv", "--reuid=65534", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]

    def asked(*command):
        return subprocess.run([*nobody, *command], capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout

    assert job not in asked("squeue", "--noheader", "--format=%A")
    assert asked(sys.executable, "-c", ask, job) == "True\n"
    environ = dict(os.environ)
    slurm.prepare_environment(environ)
    assert environ["SQUEUE_ALL"] == "1"
    assert job in asked("env", "SQUEUE_ALL=1", "squeue", "--noheader", "--format=%A")  # as Snakemake's executor asks
    slurm.cancel([job])


def test_a_job_that_waits_is_kept_from_nodes(on_cluster, tmp_path):
    job = submit(on_cluster, tmp_path, "true", "--hold", "--partition=v100")
    slurm.leave_out(["v100-1"], next(one for one in slurm.my_jobs() if one.id == job))
    assert "ExcNodeList=v100-1" in on_cluster.run("scontrol", "show", "job", job)
    slurm.cancel([job])
    assert slurm.hostnames("v100-[1-2],cpu-1") == ("v100-1", "v100-2", "cpu-1")
    assert (slurm.hostnames("cpu-1"), slurm.hostnames("")) == (("cpu-1",), ())


def test_what_sbatch_would_refuse_is_told_and_nothing_is_submitted(on_cluster):
    assert slurm.refusal(["--partition=v100", "--gres=gpu:v100:8"]) is None
    assert "node configuration is not available" in slurm.refusal(["--partition=v100", "--gres=gpu:a100:8"])
    assert "Invalid node name" in slurm.refusal(["--exclude=nowhere"])
