"""Two trials that are timed on one machine know of each other, whatever becomes of their processes."""

import subprocess
import sys

from algoperf.machine.neighbours import Announced
from tests.conftest import REPOSITORY

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
