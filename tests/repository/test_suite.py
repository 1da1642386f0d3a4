"""The suite itself: it ends wherever it is started, and says what it leaves out."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.support.patience import PATIENCE

HANGS = """
import time
def test_that_waits():
    time.sleep(600)
"""


def run(*arguments, before=""):
    """pytest in a shell that does something `before`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)]
    shell = ["sh", "-c", f'{before} exec "$@"', "sh", *command]
    return subprocess.run(shell, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.mark.landing("the suite in a suite")
def test_ctrl_c_is_heard_where_a_shell_in_the_background_ignores_it():
    """As after `nohup make test &`."""
    live = "tests/progress/test_status_live.py::test_it_follows_a_trial_until_ctrl_c_and_leaves_the_terminal_as_it_was"
    ran = run(live, before="trap '' HUP INT QUIT USR1 TERM;")
    assert ran.returncode == 0, ran.stdout


def test_a_hang_is_a_failure(tmp_path):
    (tmp_path / "test_hangs.py").write_text(HANGS)
    ran = run(tmp_path / "test_hangs.py", "-c", REPOSITORY / "pyproject.toml", "--timeout", 1)
    assert ran.returncode == 1
    assert "Timeout" in ran.stdout


def test_every_test_has_a_limit(request):
    assert float(request.config.getini("timeout")) > 0


@pytest.mark.landing("the suite in a suite")
def test_what_is_left_to_the_night_is_said_though_another_process_has_chosen():
    ran = run("tests/racing/test_replay.py", "-m", "not nightly and not landing", "-k", "is_known", "-n", 1)
    assert ran.returncode == 0, ran.stdout
    assert "4 of other replays of racing" in ran.stdout
