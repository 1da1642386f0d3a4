"""Who may write into a folder: one at a time, and whoever was succeeded writes no more."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import lock, slurm
from algoperf.machine.lock import LOCK, FolderLock

HOLD = """
import sys, time
from pathlib import Path
from algoperf.machine.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def written(folder, **changes):
    """A lock whose holder is this process, but for the changes."""
    with FolderLock(folder):
        mine = lock.read(folder)
    return write(folder, dataclasses.replace(mine, **changes))


def write(folder, holder):
    (folder / LOCK).write_text(json.dumps(dataclasses.asdict(holder)))
    return holder


def test_a_lock_names_its_holder_and_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "new" / "trial_1"
    with FolderLock(folder):
        holder = lock.read(folder)
        assert holder.pid == os.getpid()
        assert lock.is_alive(holder)
        assert str(holder) == f"process {os.getpid()} on {holder.host}"
        assert [path.name for path in folder.iterdir()] == [LOCK]
    assert lock.read(folder) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_or_has_something_stays(tmp_path):
    with FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path / "new" / "trial_1"):
        (tmp_path / "new" / "found.txt").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["found.txt"]


def test_a_live_holder_is_named_and_not_succeeded(tmp_path, other):
    with pytest.raises(InfrastructureError, match=f"written by process {other.pid}"), FolderLock(tmp_path):
        pass
    assert lock.read(tmp_path).pid == other.pid
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_killed_holder_is_succeeded(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not lock.is_alive(lock.read(tmp_path))
    with FolderLock(tmp_path):
        assert lock.read(tmp_path).pid == os.getpid()


def test_a_process_that_has_the_number_of_a_dead_holder_is_not_taken_for_it(tmp_path):
    assert not lock.is_alive(written(tmp_path, started=time.time() - 1e6))


def test_whoever_was_succeeded_writes_no_more_and_takes_nothing_away(tmp_path):
    with FolderLock(tmp_path) as first:
        successor = write(tmp_path, dataclasses.replace(lock.read(tmp_path), host="elsewhere", job="17"))
        with pytest.raises(InfrastructureError, match="held by job 17 on elsewhere now"):
            first.verify()
    assert lock.read(tmp_path) == successor


def test_a_lock_that_somebody_removed_is_no_ones(tmp_path):
    with FolderLock(tmp_path) as held:
        (tmp_path / LOCK).unlink()
        with pytest.raises(InfrastructureError, match="nobody"):
            held.verify()


@pytest.mark.parametrize("content", ["", "{", '"text"', '{"host": "x"}'])
def test_a_lock_that_cannot_be_read_is_succeeded(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with FolderLock(tmp_path) as held:
        held.verify()


def test_a_holder_on_another_machine_is_alive_as_far_as_one_can_tell(tmp_path):
    written(tmp_path, host="elsewhere", job=None)
    with pytest.raises(InfrastructureError, match=f"remove {tmp_path / LOCK}"), FolderLock(tmp_path):
        pass


def test_a_requeued_job_succeeds_itself(tmp_path, monkeypatch):
    holder = written(tmp_path, host="elsewhere", job="17")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert not lock.is_alive(holder)


def test_that_slurm_does_not_answer_is_not_taken_for_a_dead_holder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no squeue in it
    with pytest.raises(InfrastructureError, match="squeue"):
        lock.is_alive(written(tmp_path, host="elsewhere", job="17"))
    assert not slurm.installed()


def test_of_many_that_want_a_dead_holders_lock_one_gets_it(tmp_path):
    """Each writes its name while it thinks that it holds the lock; whoever does not find itself in it says so."""
    written(tmp_path, started=0.0)
    contend = (
        "import sys, time; from pathlib import Path; from algoperf.machine.lock import FolderLock\n"
        "held = FolderLock(Path(sys.argv[1])).take(); time.sleep(1); held.verify(); print('wrote')"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", contend, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    outputs = [process.communicate() for process in processes]
    assert sum("wrote" in output for output, _ in outputs) == 1
    assert sum("InfrastructureError" in errors for _, errors in outputs) == 3
