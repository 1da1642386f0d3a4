"""What `algoperf status` says of trials in every state, from the files that trials and their faults leave."""

import dataclasses
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import get_args

import hypothesis
import hypothesis.strategies as st
import pytest
from rich.console import Console

from algoperf.benchmark.facts import Target
from algoperf.benchmark.identity import Trial, make_trial
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, plan
from algoperf.machine import lock
from algoperf.progress import forecast, status, status_view
from algoperf.progress.curve import Curve, read_curve
from algoperf.progress.status import TrialStatus
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from algoperf.trial.definition import Definition, define
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until
from tests.support.slurm_cluster import Cluster

TRIAL = make_trial("mini", "external", "nadamw", "jax", "criteo1tb", 0, 1)
ROWS = [
    {"accumulated_submission_time": 1.0, "global_step": 1, "validation/loss": 0.9},
    {"accumulated_submission_time": 2.5, "global_step": 40, "validation/loss": 0.55},
    {"accumulated_submission_time": 4.0, "global_step": 80, "validation/loss": float("nan")},
    {"accumulated_submission_time": 5.5, "global_step": 120, "validation/loss": 0.6},
]
TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 9, in run
    step()
torch.AcceleratorError: CUDA error: an illegal memory access was encountered
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch):
    """Where Slurm's commands are installed, they find no configuration, and say so at once."""
    monkeypatch.delenv("SLURM_CONF", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trial's folder as a session leaves it: begun, and evaluated four times."""
    folder = tmp_path / TRIAL.folder
    folder.mkdir(parents=True)
    write_json(folder / "meta_data_0.json", {})
    official_files.Table(folder / official_files.EVALUATIONS, ROWS).begin()
    return folder


def status_of(results: Path) -> TrialStatus:
    (found,) = status.statuses([TRIAL], results)
    return found


def result(**changes) -> dict:
    return {"status": "reached", "global_step": 123, "charged_time": 6.0, **changes}


def held_by(folder: Path, host: str, job: str | None) -> None:
    """A lock that a process on another machine has left or holds."""
    write_json(folder / lock.LOCK, {"host": host, "pid": 1, "started": 0.0, "job": job, "token": "0"})


def test_a_trial_that_nobody_has_begun_is_waiting(tmp_path: Path):
    assert status_of(tmp_path).progress == "waiting"
    (tmp_path / TRIAL.folder).mkdir(parents=True)  # as Snakemake does before it starts a job
    found = status_of(tmp_path)
    assert (found.progress, found.outcome, found.global_step, found.best) == ("waiting", "", None, None)


def test_a_trial_with_a_result_is_done_and_says_how(tmp_path: Path, folder: Path):
    write_json(folder / official_files.RESULT, result())
    found = status_of(tmp_path)
    assert (found.progress, found.outcome, found.global_step, found.charged) == ("done", "reached", 123, 6.0)
    assert found.best == 0.55


def test_only_result_json_makes_a_trial_done(tmp_path: Path, folder: Path):
    (folder / "checkpoints").mkdir()
    write_json(folder / "checkpoints" / "finished.json", result())
    assert status_of(tmp_path).progress == "stopped"


@pytest.mark.parametrize("text", ['{"status": "rea', "[]", "{}", "\x00"])
def test_a_damaged_result_says_what_to_do(tmp_path: Path, folder: Path, text: str):
    (folder / official_files.RESULT).write_text(text)
    found = status_of(tmp_path)
    assert found.progress == "failed"
    assert str(folder / official_files.RESULT) in found.outcome


def test_a_trial_whose_process_lives_is_running_and_says_where(tmp_path: Path, folder: Path):
    with lock.FolderLock(folder):
        found = status_of(tmp_path)
    assert (found.progress, found.outcome) == ("running", f"process {os.getpid()} on {socket.gethostname()}")
    assert (found.global_step, found.charged, found.best) == (120, 5.5, 0.55)
    assert (found.evaluations, found.first, found.since) == (
        4,
        0.9,
        pytest.approx((folder / official_files.EVALUATIONS).stat().st_mtime),
    )
    assert (found.target.metric, found.budget > 0) == ("loss", True)


def test_a_half_written_row_is_not_looked_at(tmp_path: Path, folder: Path):
    with (folder / official_files.EVALUATIONS).open("a") as file:
        file.write("7.0,160,0.0")
    assert (status_of(tmp_path).global_step, status_of(tmp_path).best) == (120, 0.55)


@pytest.mark.parametrize("text", ["", "no,such,columns\n1,2,3\n", "\n\n"])
def test_evaluations_that_cannot_be_read_are_none(tmp_path: Path, folder: Path, text: str):
    (folder / official_files.EVALUATIONS).write_text(text)
    found = status_of(tmp_path)
    assert (found.global_step, found.charged, found.best) == (None, None, None)


def test_a_trial_whose_process_was_killed_has_stopped_and_says_whose_it_was(tmp_path: Path, folder: Path):
    code = (
        f"import time; from pathlib import Path; from algoperf.machine import lock\n"
        f"with lock.FolderLock(Path({str(folder)!r})): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout.readline() == "held\n"
        assert status_of(tmp_path).progress == "running"
        process.send_signal(signal.SIGKILL)
    found = status_of(tmp_path)
    assert found.progress == "stopped"
    assert f"process {process.pid}" in found.outcome


def test_a_process_on_another_machine_is_taken_to_be_alive(tmp_path: Path, folder: Path):
    held_by(folder, "elsewhere", job=None)
    assert (status_of(tmp_path).progress, "elsewhere" in status_of(tmp_path).outcome) == ("running", True)


def test_where_slurm_does_not_answer_a_jobs_lock_is_believed_and_the_doubt_is_said(tmp_path: Path, folder: Path):
    held_by(folder, "elsewhere", job="1234")
    found = status_of(tmp_path)
    assert found.progress == "running"
    assert found.outcome == "job 1234 on elsewhere, says its lock; Slurm does not say"


@pytest.fixture
def cluster(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A real Slurm that this process's commands speak to."""
    for name, value in slurm_cluster.variables.items():
        monkeypatch.setenv(name, value)
    return slurm_cluster


def test_a_trial_whose_job_is_queued_is_waiting(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    """The job is described as Snakemake's executor does it, and was submitted from where the results folder is."""
    monkeypatch.chdir(tmp_path)
    comment = "rule_trial_criteo1tb_wildcards_out_runs_external_nadamw_jax_0_jax_1"
    submit = ("sbatch", "--parsable", "--partition=cpu", "--begin=now+1hour", f"--comment={comment}", "--wrap=true")
    job = cluster.run(*submit).strip()
    assert status_of(Path("out/runs")).outcome == f"job {job} is pending"
    assert status_of(tmp_path / "out" / "runs").outcome == ""  # named otherwise by its config: not that experiment
    monkeypatch.chdir("/")
    assert status_of(Path("out/runs")).outcome == ""
    cluster.run("scancel", job)


def test_a_jobs_lock_is_as_alive_as_the_job(tmp_path: Path, folder: Path, cluster: Cluster):
    job = cluster.run("sbatch", "--parsable", "--partition=cpu", "--output=/dev/null", "--wrap=sleep 300").strip()
    wait_until(lambda: slurm_state(cluster, job) == "RUNNING", "the job's start")
    held_by(folder, "cpu-1", job)
    found = status_of(tmp_path)
    assert (found.progress, found.outcome) == ("running", f"job {job} on cpu-1")
    cluster.run("scontrol", "requeuehold", job)
    wait_until(lambda: slurm_state(cluster, job) == "PENDING", "the job's requeue")
    found = status_of(tmp_path)
    assert (found.progress, found.outcome, found.global_step) == ("waiting", f"job {job} is pending", 120)
    cluster.run("scancel", job)
    wait_until(lambda: status_of(tmp_path).progress == "stopped", "the job's end")
    assert status_of(tmp_path).outcome.startswith(f"job {job} on cpu-1 ended without a word; goes on when")


def slurm_state(cluster: Cluster, job: str) -> str:
    return cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()


def test_a_trial_that_failed_says_the_error_and_which_log(tmp_path: Path, folder: Path):
    (folder / official_files.ERRORS).write_text("an older sentence\n" + TRACEBACK)
    found = status_of(tmp_path)
    assert found.progress == "failed"
    error = "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert found.outcome == f"{error} ({folder / official_files.ERRORS})"


def test_training_metrics_that_are_written_after_the_error_do_not_hide_it(tmp_path: Path, folder: Path):
    (folder / official_files.ERRORS).write_text(TRACEBACK)
    later = time.time() + 5
    (folder / "measurements.csv").write_text("")
    os.utime(folder / "measurements.csv", (later, later))
    assert status_of(tmp_path).progress == "failed"


def test_an_error_of_an_earlier_session_is_not_why_a_trial_has_stopped(tmp_path: Path, folder: Path):
    (folder / official_files.ERRORS).write_text(TRACEBACK)
    later = time.time() + 5
    write_json(folder / "meta_data_1.json", {})
    os.utime(folder / "meta_data_1.json", (later, later))
    assert status_of(tmp_path).progress == "stopped"


def test_an_empty_log_of_errors_is_a_failure_without_a_reason(tmp_path: Path, folder: Path):
    (folder / official_files.ERRORS).write_text("")
    assert status_of(tmp_path).outcome == f" ({folder / official_files.ERRORS})"


def test_a_status_is_json(tmp_path: Path, folder: Path):
    entry = json.loads(json.dumps(status.as_dict(status_of(tmp_path)), allow_nan=False))
    assert entry["trial"]["workload"] == "criteo1tb"
    assert entry["folder"] == str(folder)
    assert entry["target"]["goal"] == "min"


def test_a_look_again_reads_only_what_has_changed(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    read = []

    def counted(path: Path, target: Target) -> Curve:
        read.append(path)
        return read_curve(path, target)

    monkeypatch.setattr(status, "read_curve", counted)
    other = make_trial("mini", "external", "nesterov", "jax", "criteo1tb", 0, 1)
    reader = status.Reader([TRIAL, other], tmp_path)
    first = reader.read()
    assert reader.read() == first
    assert read == [folder / official_files.EVALUATIONS]
    with (folder / official_files.EVALUATIONS).open("a") as file:
        file.write("7.0,160,0.5\n")
    assert [entry.best for entry in reader.read()] == [0.5, None]
    assert len(read) == 2
    write_json(folder / official_files.RESULT, result())
    done = reader.read()
    assert (done[0].progress, done[0].best) == ("done", 0.5)
    assert reader.read() == done
    assert len(read) == 3
    write_json(folder / official_files.RESULT, result(global_step=124))
    assert reader.read()[0].global_step == 124
    shutil.rmtree(folder)  # as `algoperf rerun` moves it away
    assert reader.read()[0].progress == "waiting"


def test_what_was_free_and_the_set_up_of_all_sessions_belong_to_a_finished_trial(tmp_path: Path, folder: Path):
    rows = [{**row, "accumulated_eval_time": 2.0, "accumulated_logging_time": 0.5} for row in ROWS]
    official_files.Table(folder / official_files.EVALUATIONS, rows).begin()
    write_json(folder / official_files.RESULT, result())
    assert (status_of(tmp_path).free, status_of(tmp_path).set_up) == (2.5, None)  # its one session does not say
    for session in (0, 1):
        write_json(folder / f"meta_data_{session}.json", {"seconds_to_first_step": 3.0})
    assert status_of(tmp_path).set_up == 6.0


@pytest.fixture(scope="module")
def definition() -> Definition:
    return define(TRIAL)


def now(results: Path, definition: Definition) -> TrialStatus:
    """By what the trial computes now."""
    (found,) = status.statuses([TRIAL], results, {TRIAL: definition})
    return found


def test_a_result_of_another_is_none_and_why_is_said(tmp_path: Path, folder: Path, definition: Definition):
    write_json(folder / official_files.RESULT, result(**definition.record))
    found = now(tmp_path, definition)
    assert (found.progress, found.again, found.content) == ("done", "", definition.content.sha256)
    write_json(folder / official_files.RESULT, result(**{**definition.record, "max_steps": 3}))
    found = now(tmp_path, definition)
    assert (found.progress, found.again, found.global_step) == ("waiting", "a limit of 3 steps", None)
    assert found.outcome == "its result is of a limit of 3 steps; it is set aside, and the trial run again"
    assert status_of(tmp_path).progress == "done"


def test_a_session_of_another_goes_on_and_what_it_left_does_not(tmp_path: Path, folder: Path, definition: Definition):
    write_json(folder / "meta_data_0.json", {"identity": {**definition.record, "seed": 1}})
    with lock.FolderLock(folder):
        running = now(tmp_path, definition)
    stopped = now(tmp_path, definition)
    assert (running.progress, stopped.progress) == ("running", "stopped")
    assert running.outcome.endswith(f"is of another seed (1, now {definition.seed}): it goes on as it began")
    assert stopped.outcome.endswith(": the trial begins anew")
    write_json(folder / "meta_data_1.json", {"identity": definition.record})
    assert now(tmp_path, definition).again == ""


def test_what_the_referee_said_belongs_to_a_finished_trial(tmp_path: Path, folder: Path):
    flags = [{"rule": "threads", "what": "one was alive.", "global_step": 3}]
    write_json(folder / official_files.RESULT, result(refused="the submission changed the model.", flags=flags))
    found = status_of(tmp_path)
    assert (found.refused, found.flags) == ("the submission changed the model.", tuple(flags))
    console = Console(file=io.StringIO(), width=80, highlight=False)
    status_view.print_status([found], forecast.forecast([found], time.time()), console)
    shown = console.file.getvalue()
    assert f"refused: {TRIAL.folder}\n  the submission changed the model.\n" in shown
    assert f"flagged: {TRIAL.folder}: threads (result.json)" in shown


_ANYTHING = st.one_of(st.none(), st.text(max_size=3), st.integers(), st.floats(), st.lists(st.integers(), max_size=2))


@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    name=st.sampled_from(
        [official_files.EVALUATIONS, official_files.RESULT, official_files.ERRORS, lock.LOCK, "meta_data_0.json"]
    ),
    damage=st.one_of(
        st.binary(max_size=60),
        st.integers(0, 400),  # cut off there
        st.sampled_from([b"null", b"[]", b"{}", b'"text"', b"1e999", b"NaN", b"\x00" * 40]),
        st.fixed_dictionaries(dict.fromkeys(("status", "global_step", "charged_time"), _ANYTHING)),
        st.fixed_dictionaries(
            {"host": st.just(socket.gethostname()), **dict.fromkeys(("pid", "started", "job", "token"), _ANYTHING)}
        ),
    ),
)
def test_no_damage_to_a_file_is_a_traceback(tmp_path: Path, name: str, damage: bytes | int | dict):
    folder = tmp_path / TRIAL.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "meta_data_0.json", {"seconds_to_first_step": 3.0})
    official_files.Table(folder / official_files.EVALUATIONS, ROWS).begin()
    if name != lock.LOCK:
        write_json(folder / official_files.RESULT, result())
    path = folder / name
    whole = path.read_bytes() if path.exists() else b""
    damaged = whole[:damage] if isinstance(damage, int) else damage
    path.write_bytes(json.dumps(damage).encode() if isinstance(damage, dict) else damaged)
    found = status_of(tmp_path)
    assert found.progress in get_args(status.Stage)
    json.dumps(status.as_dict(found), allow_nan=False)
    forecast.forecast([found], time.time())


def test_thousands_of_trials_in_every_state(tmp_path: Path):
    trials = many_trials(10)
    assert len(trials) == 3_500
    for index, trial in enumerate(trials[::50]):
        folder = tmp_path / trial.folder
        folder.mkdir(parents=True)
        metric = load_spec(trial.workload).target.metric
        header = f"accumulated_submission_time,global_step,validation/{metric}\n"
        (folder / official_files.EVALUATIONS).write_text(header + "70.5,100,0.5\n")
        name = official_files.RESULT if index % 2 else lock.LOCK
        lines = result() if index % 2 else {"host": "n", "pid": 1, "started": 0, "job": str(index), "token": ""}
        (folder / name).write_text(json.dumps(lines))
    found = status.statuses(trials, tmp_path)
    assert [entry.trial for entry in found] == trials
    assert Counter(entry.progress for entry in found) == {"waiting": 3_430, "done": 35, "running": 35}


def many_trials(submissions: int) -> list[Trial]:
    """350 of each submission: v0.5 in full."""
    experiment = config.parse({"protocol": "v0.5", "submissions": [{"name": "nadamw", "framework": "jax"}]})
    trials = plan.trials(experiment)
    labels = [f"submission_{index}" for index in range(submissions)]
    return [dataclasses.replace(trial, label=label) for label in labels for trial in trials]
