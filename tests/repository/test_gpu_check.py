"""What is to be run on a GPU runs, made small, on CPUs."""

import subprocess
import sys

import pytest

from benchmarks import gpu_check
from tests.conftest import REPOSITORY


def test_each_stage_is_there():
    for stage, (module, _) in gpu_check.STAGES.items():
        assert f"\ndef {stage}(" in (REPOSITORY / "benchmarks" / "gpu" / f"{module}.py").read_text()


@pytest.mark.nightly("the check of a GPU, made small, on CPUs")
@pytest.mark.timeout(1_800)
def test_it_passes_on_cpus(tmp_path, data_dir):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--tiny", "--out", tmp_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / "gpu_check.txt").read_text().splitlines()
    assert len(lines) > len(gpu_check.STAGES)
    assert not [line for line in lines if line.endswith("NOT")]
