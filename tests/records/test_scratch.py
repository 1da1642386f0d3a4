"""What a process wrote for itself alone goes with it, or with the next one where it was killed."""

import os
import subprocess
import sys

import pytest

from algoperf.records import scratch
from algoperf.records.scratch import Scratch
from tests.conftest import REPOSITORY

MAKES = """
import os, signal, sys
from algoperf.records.scratch import Scratch
made = Scratch("tests")
(made.folder / "large").touch()
print(made.folder.parent, flush=True)
sys.stdin.read() if sys.argv[1] == "waits" else os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # asked anew
    return tmp_path


def left(ends):
    """A process that has made a folder, and where that is."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", MAKES, ends], **pipes, env=environment)
    return process, process.stdout.readline().strip()


def killed():
    process, folder = left("is killed")
    process.communicate()
    assert process.returncode < 0
    return folder


def there(temporary):
    return {str(path) for path in temporary.iterdir()}


def test_it_is_empty_and_goes_with_its_context(temporary):
    with Scratch("tests") as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").touch()
    assert there(temporary) == set()


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(temporary):
    begun = temporary / "algoperf_begun"  # by a process that has not marked it yet
    begun.mkdir()
    living, in_use = left("waits")
    first = killed()
    assert there(temporary) == {str(begun), in_use, first}
    second = killed()
    assert there(temporary) == {str(begun), in_use, second}
    living.communicate("")
    assert there(temporary) == {str(begun), second}
    with Scratch("tests"):
        pass
    assert there(temporary) == {str(begun)}


def test_that_of_another_machine_stays_where_temporary_files_are_shared(temporary, monkeypatch):
    folder = killed()
    with monkeypatch.context() as patch:
        patch.setattr(scratch, "_MARK", "in_use_elsewhere")
        with Scratch("tests"):
            pass
        assert there(temporary) == {folder}
    with Scratch("tests"):
        pass
    assert there(temporary) == set()
