"""What people see of the trials of an experiment: it reads at 80 characters, and fits on a terminal."""

import dataclasses
import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, plan
from algoperf.machine import lock
from algoperf.progress import status, status_view
from algoperf.progress.forecast import forecast
from algoperf.progress.status import TrialStatus
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from algoperf.records.words import duration

LABELS = ("nadamw_jax", "nadamw_pytorch", "a_submission_with_quite_a_long_name_pytorch")
ROW = {"accumulated_submission_time": 5.0, "global_step": 60, "validation/loss": 0.9}
TARGET = load_spec("criteo1tb", "mini").target.validation


def trials_of(protocol: str = "mini", labels: tuple[str, ...] = LABELS) -> list[Trial]:
    experiment = config.parse({"protocol": protocol, "submissions": [{"name": "nadamw", "framework": "jax"}]})
    return [dataclasses.replace(trial, label=label) for trial in plan.trials(experiment) for label in labels]


def begun(results: Path, trial: Trial, **rows: float) -> Path:
    folder = results / trial.folder
    folder.mkdir(parents=True)
    official_files.Table(folder / official_files.EVALUATIONS, [{**ROW, **rows}]).begin()
    return folder


def done(results: Path, trial: Trial, outcome: str = "reached") -> None:
    result = {"status": outcome, "global_step": 120, "charged_time": 6.0}
    write_json(begun(results, trial) / official_files.RESULT, result)


def failed(results: Path, trial: Trial) -> None:
    (begun(results, trial) / official_files.ERRORS).write_text("Traceback\nRuntimeError: [bold]no[/bold] GPU\n")


def printed(found: list[TrialStatus], width: int = 80, every_trial: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    status_view.print_status(found, forecast(found, time.time()), console, every_trial)
    return console.file.getvalue()


def live(found: list[TrialStatus], width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    console.print(status_view.live_view(found, forecast(found, time.time()), console))
    return console.file.getvalue().splitlines()


def test_few_trials_are_all_listed_below_their_workload(tmp_path: Path):
    trials = trials_of()[:6]
    done(tmp_path, trials[0])
    with lock.FolderLock(begun(tmp_path, trials[1])):
        shown = printed(status.statuses(trials, tmp_path)).splitlines()
    assert shown[1] == f"criteo1tb  loss ≤ {TARGET:g} within 240 steps"
    assert shown[2].split() == ["nadamw_jax", "0/1", "reached", "120", "0.9", "░░░░░░░░", "50%"]
    assert shown[3].split()[:3] == ["nadamw_pytorch", "0/1", "running,"]
    assert shown[-2] == "1 of 6 done, 1 running, 4 waiting"
    assert shown[-1].endswith("with 1 at once")
    assert max(map(len, shown)) <= 80


def test_a_wide_terminal_says_who_runs_a_trial(tmp_path: Path):
    trials = trials_of()[:3]
    with lock.FolderLock(begun(tmp_path, trials[1])) as held:
        found = status.statuses(trials, tmp_path)
    assert str(held._holder) in printed(found, width=140)
    assert "5.0 s, 25%" in printed(found, width=140)


def test_long_names_are_folded_and_not_cut_short(tmp_path: Path):
    found = status.statuses(trials_of()[2:3], tmp_path)
    folded = "".join(line[:22].strip() for line in printed(found).splitlines()[2:6])
    assert folded.startswith(f"{LABELS[2]} 0/1")
    assert "a_submission_with_q…" in "".join(live(found))  # where each trial has one line


def test_the_reason_of_a_failure_is_below_the_table_with_its_log(tmp_path: Path):
    (trial, *_) = trials_of()
    failed(tmp_path, trial)
    shown = printed(status.statuses([trial], tmp_path))
    log = tmp_path / trial.folder / official_files.ERRORS
    assert f"failed: {trial.folder}\n  RuntimeError: [bold]no[/bold] GPU ({log})" in shown


def test_of_many_trials_the_notable_are_listed_below_a_table_of_workloads(tmp_path: Path):
    trials = trials_of("v0.5", ("nadamw_jax",))
    done(tmp_path, trials[0])
    done(tmp_path, trials[1], "diverged")
    failed(tmp_path, trials[2])
    found = status.statuses(trials, tmp_path)
    shown = printed(found)
    (row,) = (line.split() for line in shown.splitlines() if line.startswith("criteo1tb ") and "/25" in line)
    assert row == ["criteo1tb", "2/25", "1", "1", "22"]
    assert "2 of 350 done, 1 failed, 347 waiting" in shown
    assert "nothing runs; what waits takes " in shown
    assert "--all lists every trial" in shown
    assert shown.count("nadamw_jax ") == 1
    assert max(len(line) for line in shown.splitlines() if str(tmp_path) not in line) <= 80
    everything = printed(found, every_trial=True)
    assert everything.count("nadamw_jax ") == 350
    assert "--all" not in everything


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 12), (140, 50), (60, 5)])
def test_the_live_view_is_never_higher_than_the_terminal(tmp_path: Path, width: int, height: int):
    trials = trials_of("v0.5", ("nadamw_jax", "nadamw_pytorch"))
    for trial in trials[100:140]:
        done(tmp_path, trial)
    with lock.FolderLock(begun(tmp_path, trials[-1])):
        lines = live(status.statuses(trials, tmp_path), width, height)
    assert len(lines) <= height
    assert lines[0].startswith("40 of 700 done, 1 running, 659 waiting")


def test_the_live_view_shows_first_what_runs_and_what_failed(tmp_path: Path):
    trials = trials_of()
    for trial in trials[:15]:
        done(tmp_path, trial)
    failed(tmp_path, trials[20])
    with lock.FolderLock(begun(tmp_path, trials[-1])):
        lines = live(status.statuses(trials, tmp_path))
    assert any("running," in line for line in lines)
    assert any(line.rstrip().endswith(" failed") for line in lines)
    assert lines[-1].startswith("and ")


def test_two_rulesets_of_a_workload_are_told_apart(tmp_path: Path):
    (trial, *_) = trials_of()
    both = [trial, dataclasses.replace(trial, ruleset="self")]
    shown = printed(status.statuses(both, tmp_path))
    assert f"criteo1tb (external)  loss ≤ {TARGET:g} within 240 steps" in shown
    assert f"criteo1tb (self)  loss ≤ {TARGET:g} within 360 steps" in shown


def test_where_seconds_end_a_trial_they_are_its_budget(tmp_path: Path):
    trial = trials_of("v0.6")[0]
    done(tmp_path, trial)
    shown = printed(status.statuses([trial], tmp_path))
    assert "criteo1tb  loss ≤ 0.123735 within 2 h 8 min" in shown
    assert " 0%" in shown


def test_failures_are_listed_with_reason_log_and_way_out(tmp_path: Path, capsys):
    trials = trials_of()[:2]
    failed(tmp_path, trials[0])
    found = status.statuses(trials, tmp_path)
    assert [entry.trial for entry in status.failures(found)] == trials[:1]
    status_view.print_failures(found)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"failed: {trials[0].folder}\n  RuntimeError" in shown.err
    assert str(tmp_path / trials[0].folder / official_files.ERRORS) in shown.err
    assert "1 of 2 trials have failed or stopped and 2 have no result" in shown.err
    assert "--config partial=true" in shown.err


def test_nothing_is_said_where_nothing_failed(tmp_path: Path, capsys):
    status_view.print_failures(status.statuses(trials_of()[:1], tmp_path))
    assert capsys.readouterr().err == ""


def test_what_racing_has_ended_is_said(tmp_path: Path):
    trials = trials_of("v0.5")[:3]
    assert "racing" not in printed(status.statuses(trials, tmp_path))
    done(tmp_path, trials[0])
    done(tmp_path, trials[1], "pruned")
    result = {"status": "pruned", "global_step": 0, "charged_time": 0.0}
    write_json(begun(tmp_path, trials[2]) / official_files.RESULT, result)
    shown = printed(status.statuses(trials, tmp_path))
    budget = load_protocol("v0.5").max_runtime(load_spec("criteo1tb"), "external")
    assert f"racing ended 2 trials, 1 of them before they began: up to {duration(2 * budget - 6.0)}" in shown
