"""The same results, bit by bit, from a run on any machine that people have: its limits, disks, home, locale and clock.

Each runs the real workflow on one trial of two steps, in PyTorch on processors, to its score.
"""

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from algoperf.records import official_files
from tests.conftest import REPOSITORY
from tests.support.odd_machines import failing, latin_1, mounted

BIN = Path(sys.executable).parent
TIMES = ("accumulated_submission_time", "accumulated_eval_time", "accumulated_logging_time", "score", "total_duration")
NOT_COMPUTED = ("charged_time", "hardware_evidence", "free_seconds", "timed_beside", "submission", "compile_cache")
# The end of summer time in Central Europe: the clocks of Germany show an hour twice.
CET, AN_HOUR_TWICE = "CET-1CEST,M3.5.0,M10.5.0/3", datetime.datetime(2025, 10, 26, 1, tzinfo=datetime.UTC)

STOPS_AFTER_TWO_STEPS = """
import dataclasses
from algoperf.spec import TrainingCompleteError

class Short(TorchSubmission):
    def update_params(self, **arguments):
        if arguments["global_step"] == 2:
            raise TrainingCompleteError
        return super().update_params(**arguments)

submission = Short(optimizer, BATCH_SIZES)
"""
# Not the shell's: what it has of them would be another machine's.
_OURS = {
    name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "TZ", "JAX_", "ALGOPERF_"))
}


class Machine:
    """Where the workflow is run: a folder on a disk that is not that of /tmp."""

    def __init__(self, folder: Path, elsewhere: Path, data_dir: Path):
        """elsewhere: a folder on another disk."""
        self.folder, self.elsewhere, self.data_dir = folder, elsewhere, data_dir
        self.results = "results"
        self.before: list[str] = []
        self.environment = {**_OURS, "LC_ALL": "C.UTF-8"}

    def run(self) -> dict[str, object]:
        """All that is computed. Runs `make score`'s command to its end."""
        submission = self.folder / "my submissions" / "short one"
        submission.mkdir(parents=True)
        source = (REPOSITORY / "submissions" / "nadamw" / "pytorch.py").read_text("utf-8")
        (submission / "pytorch.py").write_text(source + STOPS_AFTER_TWO_STEPS, "utf-8")
        shutil.copy(REPOSITORY / "submissions" / "nadamw" / "search_space.json", submission)
        config = {
            "protocol": "mini",
            "submissions": [{"name": "my submissions/short one", "framework": "pytorch"}],
            "workloads": ["criteo1tb"],
            "data_dir": str(self.data_dir),
            "results_dir": self.results,
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
        command = [
            BIN / "snakemake",
            "--snakefile",
            REPOSITORY / "Snakefile",
            "--profile",
            REPOSITORY / "profiles/local",
        ]
        done = subprocess.run(
            [*self.before, *command, "score", "--directory", self.folder, "--configfile", self.folder / "config.yaml"],
            cwd=self.folder,
            env={**self.environment, "PATH": f"{BIN}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return self._found()

    def _found(self) -> dict[str, object]:
        # A locale has its own bytes for a name.
        (results,) = [path for path in self.folder.iterdir() if path.is_dir() and (path / "mini").is_dir()]
        (trial,) = results.glob("mini/external/short one_pytorch/study_0/criteo1tb_pytorch/trial_1")
        result = json.loads((trial / official_files.RESULT).read_bytes())
        rows = official_files.whole_rows(trial / official_files.EVALUATIONS)
        scores = results / "mini" / "scores" / "external"
        assert {"report.html", "scores.csv", "leaderboard.txt"} <= {path.name for path in scores.iterdir()}
        return {
            **{name: value for name, value in result.items() if name not in NOT_COMPUTED},
            "evaluations": [{name: value for name, value in row.items() if name not in TIMES} for row in rows],
            "metrics": (trial / "measurements.csv").read_bytes(),
            "hyperparameters": (trial / "hparams.json").read_bytes(),
        }


def few_open_files(machine: Machine) -> None:
    machine.before += ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh"]


def nothing_for_others(machine: Machine) -> None:
    machine.before += ["sh", "-c", 'umask 077; exec "$@"', "sh"]


def results_far_away(machine: Machine) -> None:
    """By a link to another file system, under a name of 200 bytes with spaces and umlauts."""
    name = "Läufe der Bäume und Öfen "
    machine.results = name + "".join(map(str, range(200)))[: 200 - len(name.encode())]
    (machine.folder / machine.results).symlink_to(machine.elsewhere)


def home_that_is_read_only(machine: Machine) -> None:
    home = machine.folder / "home"
    home.mkdir()
    machine.before += mounted(f"mount -t tmpfs -o ro tmpfs '{home}'")
    machine.environment |= {"HOME": str(home)}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        machine.environment.pop(name, None)


def locale_c(machine: Machine) -> None:
    machine.environment["LC_ALL"] = "C"


def locale_latin_1(machine: Machine) -> None:
    machine.environment |= latin_1()
    machine.results = "Läufe"


def full_tmp(machine: Machine) -> None:
    """But for what of this very test lies there: the clone, its environment, the data."""
    before = machine.folder / "tmp before"
    before.mkdir()
    lines = [f"mount --bind /tmp '{before}'", "mount -t tmpfs -o size=64k tmpfs /tmp"]
    for path in {REPOSITORY, Path(sys.prefix), machine.data_dir.resolve()}:
        if path.is_relative_to("/tmp"):
            lines += [f"mkdir -p '{path}'", f"mount --bind '{before / path.relative_to('/tmp')}' '{path}'"]
    machine.before += mounted("\n".join([*lines, "head -c 65536 /dev/zero > /tmp/full || true"]))


def utc(machine: Machine) -> None:
    machine.environment["TZ"] = "UTC"


def an_hour_twice(machine: Machine) -> None:
    behind = int(time.time() - AN_HOUR_TWICE.timestamp()) + 6  # it begins while the trial runs
    preloaded = failing(seconds_behind=behind)
    machine.environment |= {"TZ": CET, **{name: preloaded[name] for name in ("LD_PRELOAD", "CLOCK_BEHIND")}}


ODD = [few_open_files, nothing_for_others, results_far_away, home_that_is_read_only, locale_c, locale_latin_1]
ODD += [full_tmp, utc, an_hour_twice]


@pytest.fixture(scope="module")
def made(data_dir):
    """Makes machines, whose folders are on other disks than /tmp, as far as this machine has several."""
    with contextlib.ExitStack() as folders:

        def make(name):
            places = (Path(folder) if os.access(folder, os.W_OK) else None for folder in ("/dev/shm", "/var/tmp"))
            prefix = f"algoperf_{name}_"
            disks = [folders.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=place)) for place in places]
            return Machine(*map(Path, disks), data_dir)

        yield make


@pytest.fixture(scope="module")
def usual(made):
    return made("usual").run()


@pytest.mark.landing("workflows that are run whole")
def test_all_that_may_be_odd_about_a_machine_at_once_changes_no_result(usual, made):
    machine = made("odd")
    for change in (results_far_away, home_that_is_read_only, full_tmp, locale_c, few_open_files, nothing_for_others):
        change(machine)
    assert machine.run() == usual


@pytest.mark.nightly("what may be odd about a machine, one by one")
@pytest.mark.parametrize("change", ODD)
def test_what_may_be_odd_about_a_machine_changes_no_result(usual, made, change):
    machine = made(change.__name__)
    change(machine)
    assert machine.run() == usual
