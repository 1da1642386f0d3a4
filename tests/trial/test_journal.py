"""What a trial leaves on disk: every row once, a result that comes back, and nothing by who has lost the lock."""

import csv
import json

import numpy as np
import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import lock
from algoperf.machine.lock import FolderLock
from algoperf.records import checkpoint
from algoperf.trial import journal
from algoperf.trial.journal import Journal
from algoperf.trial.train import State

RESULT = {"status": "reached", "global_step": 40}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "trial_1"


@pytest.fixture
def held(out):
    with FolderLock(out) as held:
        yield held


def state(*steps):
    """After evaluations at these steps."""
    rows = [{"global_step": step, "validation/loss": 1 / step} for step in steps]
    return State(None, None, None, global_step=steps[-1] if steps else 0, evaluations=rows)


def content(of):
    """What a checkpoint of `of` holds, as far as the journal looks at it."""
    return {"global_step": of.global_step, "evaluations": of.evaluations, "params": np.ones(3)}


def no_arrays(value):
    """Only plain numbers are logged here."""


def write(journal, of):
    journal.write_metrics()
    journal.write(of, content(of))


def steps(path):
    with path.open(newline="") as file:
        return [int(row["global_step"]) for row in csv.DictReader(file)]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def succeed(out):
    """Another process takes the lock, as it does from a holder that it finds dead."""
    holder = json.loads((out / lock.LOCK).read_text())
    (out / lock.LOCK).write_text(json.dumps({**holder, "host": "elsewhere", "job": "17", "token": "another"}))


def test_each_row_is_written_once_however_often_the_state_is(out, held):
    kept = Journal(out, held, None, no_arrays)
    for steps_so_far in ((1,), (1,), (1, 20, 40), (1, 20, 40)):
        kept.metrics_logger.append_scalar_metrics({"loss": 0.5}, steps_so_far[-1])
        write(kept, state(*steps_so_far))
    assert steps(out / "eval_measurements.csv") == [1, 20, 40]
    assert steps(out / "measurements.csv") == [1, 1, 40, 40]
    assert checkpoint.restore_latest(out / journal.CHECKPOINTS)[0]["global_step"] == 40


def test_a_trial_goes_on_with_the_rows_of_its_checkpoint(out, held):
    before = Journal(out, held, None, no_arrays)
    for step in (0, 10, 19, 20, 25):
        before.metrics_logger.append_scalar_metrics({"loss": 0.5}, step)
    write(before, state(1, 20))
    saved, _ = checkpoint.restore_latest(out / journal.CHECKPOINTS)
    with (out / "eval_measurements.csv").open("a") as file:
        file.write("40,0.025\n60,half a r")
    after = Journal(out, held, saved, no_arrays)
    after.write_metadata(1, {}, {})
    assert steps(out / "eval_measurements.csv") == [1, 20]
    assert steps(out / "measurements.csv") == [0, 10, 19]  # step 20 is trained again
    write(after, state(1, 20, 40))
    assert steps(out / "eval_measurements.csv") == [1, 20, 40]


@pytest.mark.parametrize("broken", ["0.5", "0.5,3", '"', "0.5,7\n1,", "\0\0\n\xff", "a\n", "1,2,3,4\n", "0.5,x\n"])
def test_a_row_in_pieces_is_dropped_wherever_it_broke(out, held, broken):
    before = Journal(out, held, None, no_arrays)
    for step in range(3):
        before.metrics_logger.append_scalar_metrics({"acc": 0.5}, step)
    write(before, state(1, 3))
    whole = (out / "measurements.csv").read_bytes()
    with (out / "measurements.csv").open("ab") as file:
        file.write(broken.encode("latin-1"))
    saved, _ = checkpoint.restore_latest(out / journal.CHECKPOINTS)
    for _ in range(2):
        Journal(out, held, saved, no_arrays).write_metadata(1, {}, {})
        assert (out / "measurements.csv").read_bytes() == whole


def test_a_kill_between_a_checkpoint_and_its_rows_loses_no_row(out, held, monkeypatch):
    kept = Journal(out, held, None, no_arrays)
    write(kept, state(1))
    with monkeypatch.context() as patch:
        patch.setattr("algoperf.records.official_files.Table.append", fail)
        with pytest.raises(OSError, match="No space left"):
            kept.write(state(1, 20), content(state(1, 20)))
    saved, _ = checkpoint.restore_latest(out / journal.CHECKPOINTS)
    Journal(out, held, saved, no_arrays).write_metadata(1, {}, {})
    assert steps(out / "eval_measurements.csv") == [1, 20]


def test_rows_that_are_there_are_not_written_again(out, held):
    write(Journal(out, held, None, no_arrays), state(1, 20))
    before = (out / "eval_measurements.csv").stat()
    saved, _ = checkpoint.restore_latest(out / journal.CHECKPOINTS)
    Journal(out, held, saved, no_arrays).write_metadata(1, {}, {})
    assert (out / "eval_measurements.csv").stat().st_ino == before.st_ino


def test_nothing_is_written_before_the_trial_has_begun(out, held):
    there = files(out)
    kept = Journal(out, held, None, no_arrays)
    kept.metrics_logger.append_scalar_metrics({"loss": 0.5}, 0)
    assert files(out) == there
    kept.write_result(RESULT)
    assert {"eval_measurements.csv", "measurements.csv", "result.json"} <= {path.name for path in out.iterdir()}


def test_the_metadata_of_each_session_have_a_file(out, held):
    kept = Journal(out, held, None, no_arrays)
    kept.write_metadata(0, {"learning_rate": 0.1}, {"node": "a"})
    kept.write_metadata(1, {"learning_rate": 0.1}, {"node": "b"})
    assert json.loads((out / "hparams.json").read_text()) == {"learning_rate": 0.1}
    assert [json.loads((out / f"meta_data_{i}.json").read_text())["node"] for i in (0, 1)] == ["a", "b"]


def test_the_result_takes_the_checkpoints_place(out, held):
    kept = Journal(out, held, None, no_arrays)
    write(kept, state(1, 20))
    kept.metrics_logger.append_scalar_metrics({"loss": 0.5}, 21)
    kept.write_metrics()
    kept.write_result(RESULT)
    assert json.loads((out / "result.json").read_text()) == journal.read_result(out) == RESULT
    assert [path.name for path in (out / journal.CHECKPOINTS).iterdir()] == ["finished.json"]
    assert steps(out / "measurements.csv") == [21]


def test_a_trial_that_has_not_ended_has_no_result(out, held):
    assert journal.read_result(out / "none") is None
    write(Journal(out, held, None, no_arrays), state(1))
    assert journal.read_result(out) is None


def test_a_result_that_was_deleted_comes_back(out, held):
    """Snakemake deletes the outputs of a job whose end it did not see."""
    Journal(out, held, None, no_arrays).write_result(RESULT)
    before = (out / "result.json").read_bytes()
    (out / "result.json").unlink()
    assert journal.read_result(out) == RESULT
    assert (out / "result.json").read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b'{"status": "rea', b"\xff\xfe"])
def test_a_damaged_result_is_a_sentence_that_names_it(out, held, damage):
    Journal(out, held, None, no_arrays).write_result(RESULT)
    (out / "result.json").write_bytes(damage)
    with pytest.raises(InfrastructureError, match=rf"^{out / 'result.json'} is damaged; remove it, .*\.$"):
        journal.read_result(out)
    (out / "result.json").unlink()
    assert journal.read_result(out) == RESULT


@pytest.mark.parametrize(
    "act",
    [
        lambda kept: write(kept, state(1, 20)),
        lambda kept: kept.write_metadata(1, {}, {}),
        lambda kept: kept.write_result(RESULT),
    ],
    ids=["write", "write_metadata", "write_result"],
)
def test_who_has_lost_the_lock_writes_nothing(out, held, act):
    kept = Journal(out, held, None, no_arrays)
    write(kept, state(1))
    kept.metrics_logger.append_scalar_metrics({"loss": 0.5}, 1)
    succeed(out)
    before = files(out)
    with pytest.raises(InfrastructureError, match="held by job 17 on elsewhere now"):
        act(kept)
    assert files(out) == before


def fail(*arguments):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("function", ["os.fsync", "pathlib.Path.replace"])
def test_an_error_in_the_middle_of_a_write_leaves_what_was_there(out, held, monkeypatch, function):
    kept = Journal(out, held, None, no_arrays)
    kept.write_metadata(0, {"learning_rate": 0.1}, {})
    write(kept, state(1))
    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        for act in (lambda: kept.write_metadata(0, {}, {}), lambda: write(kept, state(1, 20))):
            with pytest.raises(OSError, match="No space left"):
                act()
        with pytest.raises(OSError, match="No space left"):
            kept.write_result(RESULT)
    assert json.loads((out / "hparams.json").read_text()) == {"learning_rate": 0.1}
    assert journal.read_result(out) is None
    saved, damaged = checkpoint.restore_latest(out / journal.CHECKPOINTS)
    assert (saved["global_step"], damaged) == (1, [])
    assert [path.name for path in out.rglob("*") if path.suffix == ".tmp"] == []
    # The same trial goes on once there is space again, and no row is there twice.
    write(Journal(out, held, saved, no_arrays), state(1, 20))
    assert steps(out / "eval_measurements.csv") == [1, 20]


def test_a_kill_between_the_two_copies_of_a_result_leaves_one(out, held):
    kept = Journal(out, held, None, no_arrays)
    write(kept, state(1))
    (out / "result.json").mkdir()  # so that the second copy fails
    with pytest.raises(OSError, match="directory"):
        kept.write_result(RESULT)
    (out / "result.json").rmdir()
    assert journal.read_result(out) == RESULT


def test_errors_are_added_up_in_a_log(out):
    journal.log_error(out, "first\n\n")
    journal.log_error(out, "second")
    assert (out / "error.log").read_text() == "first\nsecond\n"
