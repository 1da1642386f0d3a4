"""A preparation that is killed at random moments, and given again, ends in the same store, byte for byte."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import raw_files
from tests.conftest import REPOSITORY
from workloads.datasets.transforms import gpt2

SIZES = {
    "criteo1tb": 40_000,
    "fastmri": 6,
    "finewebedu": 300,
    "imagenet": 400,
    "librispeech": 600,
    "ogbg": 3_000,
    "wmt": 4_000,
}
PREPARE = """
import sys
from pathlib import Path
from benchmarks import raw_files
print("ready", flush=True)
raw_files.prepare(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), lambda what, done, total: None)
"""


def begun(dataset: str, raw: Path, data_dir: Path) -> subprocess.Popen:
    """A process that has imported all that it needs, and prepares."""
    command = [sys.executable, "-c", PREPARE, dataset, str(raw), str(data_dir)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def content(folder: Path) -> dict[str, str]:
    """Each file -> the checksum of its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(autouse=True)
def small_volumes(monkeypatch):
    monkeypatch.setattr(raw_files, "SLICES", 2)


def the_same_store_after_kills(dataset: str, moments: int, folder: Path, data_dir: Path) -> None:
    raw = folder / "source"
    raw_files.write(dataset, raw, SIZES[dataset])
    if dataset == "finewebedu":
        (raw / gpt2.FILE).write_bytes(gpt2.read_ranks(data_dir / "raw/sotu"))
    start = time.monotonic()
    assert begun(dataset, raw, folder / "whole").wait() == 0
    lasts = time.monotonic() - start
    expected = content(folder / "whole" / dataset)
    assert "manifest.json" in expected
    random = np.random.default_rng(moments)
    killed = stores = 0
    while killed < moments:
        process = begun(dataset, raw, folder / f"killed{stores}")
        time.sleep(random.random() * lasts / 2)
        process.kill()
        was_killed = process.wait() == -signal.SIGKILL
        killed += was_killed
        # Every few kills from the beginning, or most would find the store made.
        stores += not was_killed or killed % 5 == 0
        process.communicate()
    for into in folder.glob("killed*"):
        assert begun(dataset, raw, into).wait() == 0
        assert content(into / dataset) == expected


@pytest.mark.landing("a preparation that is killed")
def test_a_preparation_may_be_killed(tmp_path, data_dir):
    the_same_store_after_kills("librispeech", 1, tmp_path, data_dir)


@pytest.mark.nightly("preparations that are killed fifty times")
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("dataset", SIZES)
def test_a_preparation_may_be_killed_at_any_moment(dataset, tmp_path, data_dir):
    the_same_store_after_kills(dataset, 50, tmp_path, data_dir)
