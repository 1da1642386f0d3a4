"""Who may write into a folder: one at a time, and whoever was succeeded writes no more."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import job, lock, slurm
from algoperf.machine.lock import LOCK, FolderLock
from tests.support.odd_machines import failing, mounted, unshared
from tests.support.patience import PATIENCE

HOLD = """
import sys, time
from pathlib import Path
from algoperf.machine.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

# Holds the lock for a moment, and says what came of it.
TRY = """
import sys
from pathlib import Path
from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine.lock import FolderLock
try:
    with FolderLock(Path(sys.argv[1])) as held:
        held.verify()
        print("held")
except InfrastructureError as error:
    print(f"refused: {error}")
"""


@contextlib.contextmanager
def holding(folder):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def other(tmp_path):
    with holding(tmp_path) as process:
        yield process


def tried(folder, before=(), environment=None):
    """What a process says that tries to hold the lock."""
    command = [*before, sys.executable, "-c", TRY, folder]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


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


def test_a_killed_holder_whose_end_nobody_has_asked_for_is_succeeded(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now, as in containers without an init
    assert not lock.is_alive(lock.read(tmp_path))
    assert tried(tmp_path) == "held"


def test_a_process_that_has_the_number_of_a_dead_holder_is_not_taken_for_it(tmp_path):
    assert not lock.is_alive(written(tmp_path, started=1))


def test_a_step_of_the_clock_makes_no_holder_dead(tmp_path, other):
    """As far as processes see, it is when the machine was started that changes."""
    (stat,) = [line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")]
    stepped = tmp_path / "stat"
    stepped.write_text(Path("/proc/stat").read_text().replace(stat, f"btime {int(stat.split()[1]) + 1}"))
    said = tried(tmp_path, mounted(f"mount --bind {stepped} /proc/stat"))
    assert said.startswith(f"refused: {tmp_path} is being written by process {other.pid} on ")


@pytest.mark.parametrize(
    "namespaces",
    [("--pid", "--fork", "--mount-proc"), ("--pid", "--fork"), ("--time", "--boottime", "1000", "--fork")],
    ids=["container", "container that sees all processes", "clock of its own"],
)
def test_a_holder_in_another_container_is_alive_as_far_as_one_can_tell(tmp_path, other, namespaces):
    said = tried(tmp_path, unshared(*namespaces))
    assert said.startswith(f"refused: {tmp_path} is being written by process {other.pid} on ")
    assert f"If it is gone, remove {tmp_path / LOCK}." in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_that_the_site_hides_from_other_users_is_no_dead_holder():
    """The other user may read all files: the project can lie where only its owner may look, as in a mktemp folder."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    nobody += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o777)
        hidden = mounted("mount -t proc -o hidepid=2 proc /proc")
        with holding(name) as other:
            said = tried(name, [*hidden, *nobody])
            assert said.startswith(f"refused: {name} is being written by process {other.pid} on ")


def test_what_was_held_before_the_machine_began_anew_is_not_held_any_more_on_a_disk_of_its_own(tmp_path):
    mine = written(tmp_path)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    before = dataclasses.replace(mine, place=mine.place.replace(boot, "d0e0a0d0"))
    assert before.place != mine.place
    assert not lock.is_alive(dataclasses.replace(before, disk="ext4"))
    assert lock.is_alive(dataclasses.replace(before, disk="nfs4"))  # perhaps another machine of the same name
    assert lock.is_alive(dataclasses.replace(before, disk=""))


def test_a_holder_of_an_earlier_version_is_alive_as_far_as_one_can_tell(tmp_path):
    (tmp_path / LOCK).write_text(
        json.dumps({"host": os.uname().nodename, "pid": 1, "started": 1.5, "job": None, "token": "0"})
    )
    with pytest.raises(InfrastructureError, match=f"remove {tmp_path / LOCK}"):
        FolderLock(tmp_path).take()


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_a_disk_that_fails_for_a_moment_makes_no_holder_dead_and_loses_no_lock(tmp_path, other, code):
    said = tried(tmp_path, environment=failing(f"open {code} 3 /{LOCK}"))
    assert said.startswith(f"refused: {tmp_path} is being written by process {other.pid} on ")
    other.kill()
    other.wait()
    assert tried(tmp_path, environment=failing(f"open {code} 3 /{LOCK}")) == "held"


def test_a_lock_that_cannot_be_read_is_not_taken(tmp_path, other):
    said = tried(tmp_path, environment=failing(f"open {errno.EIO} 100000 /{LOCK}"))
    assert said == f"refused: {tmp_path} cannot be written to: {tmp_path / LOCK}: Input/output error."


@pytest.mark.parametrize("call", [f"lost_link {errno.EEXIST} 1 {LOCK}", f"lost_rename {errno.ENOENT} 1 {LOCK}"])
def test_an_answer_that_the_network_loses_loses_no_lock(tmp_path, call):
    written(tmp_path, started=1)
    if "link" in call:
        (tmp_path / LOCK).unlink()
    assert tried(tmp_path, environment=failing(call)) == "held"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_has_locks(tmp_path, other, code):
    environment = failing(f"link {code} 100000 {LOCK}")
    assert tried(tmp_path, environment=environment).startswith(f"refused: {tmp_path} is being written by process")
    other.kill()
    other.wait()
    assert tried(tmp_path, environment=environment) == "held"
    assert tried(tmp_path, environment=environment) == "held"  # where there was no lock
    assert list(tmp_path.iterdir()) == []


def test_who_is_slow_to_succeed_a_dead_holder_finds_the_one_that_was_faster(tmp_path, monkeypatch):
    written(tmp_path, started=1)
    is_alive, faster = lock.is_alive, contextlib.ExitStack()

    def slow(holder):
        found = is_alive(holder)
        if not found and not faster.__dict__.get("begun"):
            faster.begun = True
            faster.process = faster.enter_context(holding(tmp_path))
        return found

    monkeypatch.setattr(lock, "is_alive", slow)
    with faster:
        with pytest.raises(InfrastructureError, match="is being written by process"):
            FolderLock(tmp_path).take()
        assert lock.read(tmp_path).pid == faster.process.pid
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_successor_that_was_killed_before_it_had_succeeded_is_succeeded(tmp_path):
    """It held the claim on the dead holder; so may one that wanted to succeed it."""
    dead = written(tmp_path, started=1)
    content = (tmp_path / LOCK).read_bytes()
    for token in ("1", "2"):
        claim = tmp_path / f".{LOCK}.{hashlib.sha256(content).hexdigest()[:32]}.claim"
        content = json.dumps(dataclasses.asdict(dataclasses.replace(dead, token=token))).encode()
        claim.write_bytes(content)
    assert tried(tmp_path) == "held"
    assert list(tmp_path.iterdir()) == []


def test_who_waits_has_the_lock_when_it_is_free(tmp_path):
    with holding(tmp_path) as other:
        waiting = threading.Timer(1.0, other.send_signal, [signal.SIGINT])
        waiting.start()
        with FolderLock(tmp_path, waits=True) as held:
            held.verify()
            assert other.wait(PATIENCE) != 0


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
    monkeypatch.setattr(job, "current", lambda: "17")
    assert not lock.is_alive(holder)


def test_a_shell_that_only_says_that_it_is_in_a_job_holds_for_itself(tmp_path, monkeypatch):
    """Who asks after the job, which has ended, would take a live holder for dead."""
    job.current.cache_clear()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with FolderLock(tmp_path):
        assert lock.read(tmp_path).job is None
    job.current.cache_clear()


def test_that_slurm_does_not_answer_is_not_taken_for_a_dead_holder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no squeue in it
    with pytest.raises(InfrastructureError, match="squeue"):
        lock.is_alive(written(tmp_path, host="elsewhere", job="17"))
    assert not slurm.installed()


def test_of_many_that_want_a_dead_holders_lock_one_gets_it(tmp_path):
    """Each writes its name while it thinks that it holds the lock; whoever does not find itself in it says so."""
    written(tmp_path, started=1)
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
