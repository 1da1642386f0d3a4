"""What the tests share: the prepared mini data, and a trial of the real loop that is cheap."""

import contextlib
import fcntl
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from algoperf.commands.cli import main
from algoperf.referee import compiled
from tests.support import little_trials, signals
from workloads.datasets.prepare import prepare_dataset

pytest_plugins = ["tests.support.compilation", "tests.support.nightly", "tests.support.slurm_cluster"]
signals.as_in_the_foreground()

REPOSITORY = Path(__file__).parent.parent

# While tests are collected nothing becomes garbage, and later nobody looks through what was.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


# As on most machines, what Python compiles of a module is kept for the processes that import it next.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Read where JAX and PyTorch are imported, by the tests and by the processes that they start. Where several processes
# test at once, theirs is what the first one sets.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _TEMPORARY = tempfile.TemporaryDirectory(prefix="algoperf_tests_", ignore_cleanup_errors=True)
    os.environ |= {
        # The same small models are trained again and again; each is compiled once.
        "JAX_COMPILATION_CACHE_DIR": f"{_TEMPORARY.name}/jax",
        compiled.SHARED: _TEMPORARY.name,
        "TMPDIR": _TEMPORARY.name,  # what browsers and killed processes leave behind goes with it
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        # Several processes share the cores: PyTorch's threads would burn them while they wait.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


@pytest.fixture
def algoperf(monkeypatch, capsys):
    """`algoperf ...` in this process, as a call: its exit code, what it printed, and what it said went wrong."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["algoperf", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def few_evaluated() -> Iterator[None]:
    with little_trials.few_evaluated():
        yield


# Of the mini scale, those that take longest first.
DATASETS = ("moleculeace", "trans_de_en", "fashion_mnist", "heads", "asterisk_prompts", "nyc_flights", "sotu")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The mini data, fetched and prepared by the real code where `make score` has not done it yet.

    Where several processes test, each prepares what no other one does, and then waits for what the others do.
    """
    folder = REPOSITORY / "data"
    folder.mkdir(exist_ok=True)
    for how in (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX):
        for dataset in DATASETS:
            with (folder / f".{dataset}").open("w") as lock, contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, how)  # until it is closed
                prepare_dataset(dataset, folder, None, lambda what, done, total: None)
    return folder
