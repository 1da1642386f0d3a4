"""What another made is set aside and found again: by the files that trials leave, without training."""

import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.machine.lock import FolderLock
from algoperf.records import checkpoint, official_files
from algoperf.records.atomic import write_json
from algoperf.trial import journal, superseded
from algoperf.trial.definition import Definition, define

TRIAL = make_trial("mini", "external", "nadamw", "pytorch", "criteo1tb", 0, 1)
HARDWARE = {"kind": "cpu", "name": "a processor", "count": 1}


@pytest.fixture(scope="module")
def first() -> Definition:
    return define(TRIAL)


@pytest.fixture(scope="module")
def second(first: Definition) -> Definition:
    """The same trial after an edit."""
    return dataclasses.replace(first, point={"learning_rate": 1.0})


@pytest.fixture(params=["in a results folder", "alone"])
def out(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / TRIAL.folder if request.param == "in a results folder" else tmp_path / "trial_1"


def finish(definition: Definition, out: Path, status: str = "reached") -> None:
    """As a trial ends."""
    out.mkdir(parents=True, exist_ok=True)
    begin(definition, out)
    journal.write_result(out, {**definition.record, "status": status, "hardware": HARDWARE})


def begin(definition: Definition, out: Path, step: int | None = None) -> None:
    """As a session begins, and saves after a step."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "meta_data_0.json", {"identity": {**definition.record, "hardware": HARDWARE}})
    if step is not None:
        content = {"identity": definition.record, "hardware": HARDWARE, "global_step": step}
        checkpoint.save(out / journal.CHECKPOINTS, step, content)


def is_finished(definition: Definition, out: Path) -> bool:
    return superseded.finished_result(definition, out) is not None


def aside(tmp_path: Path) -> list[Path]:
    """What is set aside: the folders of trials."""
    folder = tmp_path / superseded.FOLDER
    return [path.parent for path in folder.rglob("meta_data_0.json")] if folder.exists() else []


def test_a_result_of_another_is_set_aside_and_found_again(first, second, out, tmp_path, capsys):
    finish(first, out)
    assert superseded.standing(first, out) == ""
    assert superseded.standing(second, out).startswith("other hyperparameters")
    superseded.arrange(first, out)
    assert is_finished(first, out)
    assert not is_finished(second, out)
    superseded.arrange(second, out)
    assert not out.exists()
    assert len(aside(tmp_path)) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"{out} held a trial of other hyperparameters (" in said[0]
    assert said[0].endswith("the trial begins anew.")
    finish(second, out, "diverged")
    superseded.arrange(first, out)
    assert superseded.finished_result(first, out)["status"] == "reached"
    assert "goes on with what was set aside before" in capsys.readouterr().err
    superseded.arrange(second, out)
    assert superseded.finished_result(second, out)["status"] == "diverged"
    assert len(aside(tmp_path)) == 1
    assert len(list((tmp_path / superseded.FOLDER).iterdir())) == 1  # no empty folders stay


def test_what_is_half_done_goes_on_where_it_was_set_aside(first, second, out, tmp_path):
    begin(first, out, step=7)
    superseded.arrange(second, out)
    assert not out.exists()
    begin(second, out, step=3)
    superseded.arrange(first, out)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["checkpoint_000000000007.npz"]


def test_a_finished_one_is_found_before_one_that_is_half_done_and_the_latest_before_others(first, second, out):
    begin(first, out, step=9)
    superseded.arrange(second, out)
    finish(first, out)
    superseded.arrange(second, out)
    begin(first, out, step=2)
    superseded.arrange(second, out)
    superseded.arrange(first, out)
    assert is_finished(first, out)


def test_only_what_is_finished_comes_back_before_the_code_is_loaded(first, second, out):
    begin(first, out, step=7)
    superseded.arrange(second, out, only_finished=True)
    assert (out / "checkpoints").exists()
    superseded.arrange(second, out)
    superseded.arrange(first, out, only_finished=True)
    assert not out.exists()
    finish(second, out)
    superseded.arrange(first, out, only_finished=True)
    assert is_finished(second, out)
    superseded.arrange(first, out)
    superseded.arrange(second, out, only_finished=True)
    assert is_finished(second, out)


def test_leftovers_without_a_trial_make_room_for_what_comes_back(first, second, out, tmp_path):
    """An error that was logged before the first step, or the empty folder that Snakemake makes."""
    for leftover in (None, official_files.ERRORS):
        finish(first, out)
        superseded.arrange(second, out)
        out.mkdir(parents=True, exist_ok=True)
        if leftover:
            (out / leftover).write_text("it failed\n")
        superseded.arrange(first, out)
        assert is_finished(first, out)
    assert [path.read_text() for path in (tmp_path / superseded.FOLDER).rglob("error.log")] == ["it failed\n"]


def test_what_a_person_put_back_to_be_run_is_not_found_again(first, out, tmp_path):
    finish(first, out)
    results = tmp_path
    superseded.move(out, superseded.new_folder(results) / out.relative_to(results))
    superseded.arrange(first, out)
    assert not out.exists()


def test_a_folder_of_a_trial_of_another_name_is_refused_and_stays(first, out):
    finish(first, out)
    other = dataclasses.replace(first, trial=dataclasses.replace(TRIAL, workload="wmt"))
    for ask in (superseded.arrange, superseded.finished_result):
        with pytest.raises(UsageError, match=r"is the folder of another trial \(its workload differs\)"):
            ask(other, out)
    assert is_finished(first, out)


def test_what_an_earlier_version_finished_is_kept_and_what_it_began_is_not(first, out):
    out.mkdir(parents=True)
    write_json(out / official_files.RESULT, {"status": "reached", "seed": first.seed})
    superseded.arrange(first, out)
    assert is_finished(first, out)
    (out / official_files.RESULT).unlink()
    checkpoint.save(out / journal.CHECKPOINTS, 3, {"identity": {"seed": first.seed}, "global_step": 3})
    superseded.arrange(first, out)
    assert not out.exists()


def test_a_deleted_result_of_another_does_not_come_back(first, second, out):
    """Snakemake deletes it before it runs the trial anew."""
    finish(first, out)
    (out / official_files.RESULT).unlink()
    assert not is_finished(second, out)
    assert not (out / official_files.RESULT).exists()
    superseded.arrange(second, out)
    superseded.arrange(first, out)
    assert is_finished(first, out)
    assert (out / official_files.RESULT).exists()


def test_a_trial_in_somebodys_hands_is_not_moved(first, second, out):
    begin(first, out, step=3)
    with FolderLock(out), pytest.raises(InfrastructureError, match="is being written by process"):
        superseded.arrange(second, out)
    assert (out / "checkpoints").exists()


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("moves", range(4))
def test_a_kill_between_two_acts_loses_nothing(first, second, out, tmp_path, monkeypatch, moves):
    """Whatever happened last, each trial is whole in one place, and the same call goes on."""
    finish(first, out)
    superseded.arrange(second, out)
    finish(second, out)
    left = [moves]
    acts = {name: getattr(Path, name) for name in ("rename", "unlink", "rmdir")}

    def counted(name):
        def act(*arguments, **named):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return acts[name](*arguments, **named)

        return act

    with monkeypatch.context() as patch:
        for name in acts:
            patch.setattr(Path, name, counted(name))
        with pytest.raises(Killed):
            superseded.arrange(first, out)
    monkeypatch.setattr("algoperf.machine.lock.is_alive", lambda holder: False)  # the process is gone
    superseded.arrange(first, out)
    assert is_finished(first, out)
    superseded.arrange(second, out)
    assert is_finished(second, out)


def test_two_at_once_come_to_the_same(first, second, out):
    finish(first, out)
    superseded.arrange(second, out)
    finish(second, out)
    errors = []

    def one() -> None:
        try:
            superseded.arrange(first, out)
        except InfrastructureError as error:  # the other has it in its hands just now
            errors.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    superseded.arrange(first, out)
    assert is_finished(first, out)
    superseded.arrange(second, out)
    assert is_finished(second, out)


def test_a_damaged_result_is_said_to_be_one_and_nothing_moves(first, second, out):
    finish(first, out)
    (out / official_files.RESULT).write_text('{"status": ')
    with pytest.raises(InfrastructureError, match="is damaged; remove it"):
        superseded.arrange(second, out)
    assert (out / official_files.RESULT).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_where_nothing_can_be_moved_to_is_one_sentence(first, second, out, tmp_path):
    finish(first, out)
    tmp_path.chmod(0o500)
    with pytest.raises(InfrastructureError, match=r"cannot be moved to .*superseded.*: Permission denied"):
        superseded.arrange(second, out)
    tmp_path.chmod(0o700)


def test_a_place_that_is_a_file_is_one_sentence(first, second, out, tmp_path):
    finish(first, out)
    (tmp_path / superseded.FOLDER).write_text("")
    with pytest.raises(InfrastructureError, match=r"cannot be moved to .*superseded"):
        superseded.arrange(second, out)
    assert is_finished(first, out)
    assert json.loads((out / official_files.RESULT).read_text())["status"] == "reached"
