"""Two trials that are timed on one machine know of each other, whatever becomes of their processes."""

import json
import os
import subprocess
import sys

import pytest

from algoperf.machine import neighbours
from algoperf.machine.neighbours import Announced
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until

OTHER = """
import sys
from pathlib import Path
from algoperf.machine.neighbours import Announced
announced = Announced(Path(sys.argv[1]))
print("there", flush=True)
input()
"""


def test_a_trial_sees_others_until_their_processes_end(tmp_path):
    mine = Announced(tmp_path / "mine")
    command = [sys.executable, "-c", OTHER, tmp_path / "a b" / "trial_2"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)
    other.stdout.readline()
    assert [name for name in mine.others() if name.endswith("a_b/trial_2")]
    other.kill()
    other.wait()
    assert not [name for name in mine.others() if name.endswith("a_b/trial_2")]
    mine.close()


def test_the_processes_of_one_trial_are_no_neighbours(tmp_path):
    first, second = Announced(tmp_path / "trial_1"), Announced(tmp_path / "trial_1")
    assert not [name for name in first.others() if str(tmp_path)[-20:] in name]
    second.close()
    elsewhere = Announced(tmp_path / "trial_2")
    assert [name for name in first.others() if name.endswith("trial_2") and tmp_path.name in name]
    elsewhere.close()
    assert not [name for name in first.others() if name.endswith("trial_2") and tmp_path.name in name]
    first.close()


BUSY = "import time; end = time.time() + 60\nwhile time.time() < end: pass"
WATCH = """
import json, os, sys, time
from pathlib import Path
from algoperf.machine.neighbours import Announced, Witness
witness = Witness(Announced(Path(sys.argv[1])), {"others_seconds": 100.0})
print("begun", flush=True)
end = time.time() + 2
while time.time() < end:
    sum(range(1000)) if sys.argv[2] == "works" else time.sleep(0.01)
print(json.dumps(witness.seen()))
"""


def seen(folder, what, beside=()):
    """What a process sees in two seconds on one processor, which it has for itself but for the commands `beside`."""
    pinned = ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0)))]
    process = subprocess.Popen(
        [*pinned, sys.executable, "-c", WATCH, folder, what], stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    )
    assert process.stdout.readline() == "begun\n"
    others = [subprocess.Popen([*pinned, *command]) for command in beside]
    said, _ = process.communicate()
    for other in others:
        other.kill()
        other.wait()
    return json.loads(said)


def test_what_others_take_of_the_processors_is_seen_and_what_a_trial_takes_itself_is_not(tmp_path):
    busy = [sys.executable, "-c", BUSY]
    alone, beside = seen(tmp_path, "works"), seen(tmp_path, "works", [busy, busy])
    for found in (alone, beside):
        assert found["processor_seconds"] == pytest.approx(2.0, abs=0.5)
    # The machine may have other work to do at the moment; but two loops take two thirds of what there is.
    assert beside["others_seconds"] - 100 >= 0.5 * beside["processor_seconds"]
    assert alone["others_seconds"] <= beside["others_seconds"]


def test_processes_that_a_trial_has_started_are_its_own(tmp_path):
    command = [sys.executable, "-c", BUSY]
    mine = Announced(tmp_path / "mine")
    before = neighbours._taken_by(mine.processes())
    child = subprocess.Popen(command)
    wait_until(lambda: neighbours._taken_by(mine.processes()) - before > 0.2, "work of the child")
    child.kill()
    child.wait()
    assert neighbours._taken_by(mine.processes()) - before > 0.2
    mine.close()
