"""`algoperf status --live` on a real pseudo-terminal: it goes on, follows the files, and ends cleanly."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from algoperf.machine import lock
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from tests.conftest import REPOSITORY
from tests.support.patience import PATIENCE

_ALTERNATE = "\x1b[?1049h"  # what shows and what leaves a terminal's other screen
_BACK = "\x1b[?1049l"


class Terminal:
    """A process whose terminal this is, of 80 x 24 characters."""

    def __init__(self, *arguments):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "algoperf", *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=REPOSITORY,
            env={**environment, "TERM": "xterm-256color"},
        )
        os.close(theirs)
        self._ours, self.shown = ours, ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """Whatever a test ends with, nothing of it goes on."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def read_until(self, text: str) -> None:
        """Raises AssertionError where `text` is not shown in time."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.plain:
            assert time.monotonic() < deadline, self.plain
            if not self._read():
                assert text in self.plain, self.plain

    def read_to_the_end(self) -> int:
        """The exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=PATIENCE)

    @property
    def plain(self) -> str:
        """Without colours and moves of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown)

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # the other end is closed
            if data := os.read(self._ours, 65_536):
                self.shown += data.decode(errors="replace")
                return True
        return False


@pytest.fixture
def experiment(tmp_path):
    """A config of one trial, and that trial's folder, in which it has been evaluated once."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "protocol: mini\nworkloads: [wmt]\nsubmissions: [{name: nadamw, framework: jax}]\n"
        f"results_dir: {tmp_path / 'results'}\n"
    )
    folder = tmp_path / "results" / "mini" / "external" / "nadamw_jax" / "study_0" / "wmt_jax" / "trial_1"
    folder.mkdir(parents=True)
    row = {"accumulated_submission_time": 2.0, "global_step": 77, "validation/loss": 9.0}
    official_files.Table(folder / official_files.EVALUATIONS, [row]).begin()
    return config, folder


def test_it_follows_a_trial_until_ctrl_c_and_leaves_the_terminal_as_it_was(experiment):
    config, folder = experiment
    with lock.FolderLock(folder), Terminal("status", "--live", "--config", config) as terminal:
        terminal.read_until("77")
        with (folder / official_files.EVALUATIONS).open("a") as file:
            file.write("3.0,4321,8.0\n")
        terminal.read_until("4,321")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.read_to_the_end() == 0
    assert terminal.shown.count(_ALTERNATE) == terminal.shown.count(_BACK) == 1
    after = terminal.shown.partition(_BACK)[2]
    assert "running" in after  # what was seen last stays
    assert "Traceback" not in terminal.plain


def test_it_ends_by_itself_where_nothing_runs_or_waits(experiment):
    config, folder = experiment
    write_json(folder / official_files.RESULT, {"status": "reached", "global_step": 99, "charged_time": 3.0})
    with Terminal("status", "--live", "--config", config) as terminal:
        assert terminal.read_to_the_end() == 0
    assert "1 of 1 done" in terminal.plain


def test_without_a_terminal_it_prints_once(experiment):
    config, folder = experiment
    with lock.FolderLock(folder):
        command = [sys.executable, "-m", "algoperf", "status", "--live", "--config", config]
        run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=PATIENCE, check=True)
    assert "\x1b" not in run.stdout
    assert "0 of 1 done, 1 running" in run.stdout
