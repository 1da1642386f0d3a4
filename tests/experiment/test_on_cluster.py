"""What a run does on a cluster before its first job: how its jobs are submitted, and what they get along."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from algoperf.experiment import left_out, on_cluster
from algoperf.machine.cluster import Accelerator


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """Begins a run where nothing is left of another; the executor as it is then."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(on_cluster.leftovers, "end", lambda *arguments: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / left_out.FILE).write_text('{"n7": "of an earlier run"}')

    def begin(accelerator):
        executor = types.SimpleNamespace(run_uuid="algoperf_1")
        on_cluster.begin(executor, accelerator, [], tmp_path, print)
        return executor

    return begin


def test_the_sites_nodes_and_resources_are_the_executors_and_earlier_finds_are_forgotten(begun, tmp_path):
    executor = begun(Accelerator(exclude="n1,n[3-5]", gres="gpu:v100:8,nvme:1"))
    assert list(executor._failed_nodes) == ["n1,n[3-5]"]
    assert (os.environ["SQUEUE_ALL"], os.environ["SBATCH_GRES"]) == ("1", "gpu:v100:8,nvme:1")
    assert left_out.known(tmp_path) == {}


@pytest.mark.landing("a job's Snakemake without a home")
def test_a_jobs_snakemake_needs_no_home_folder(begun, tmp_path):
    """Which in /proc nobody can make; it dies without what it gets along."""
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'made'\n    shell: 'touch made'\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"]
    homeless = {**os.environ, "HOME": "/proc/no/home"}
    homeless.pop("XDG_CACHE_HOME", None)
    died = subprocess.run(command, env=homeless, cwd=tmp_path, capture_output=True, check=False)
    assert (died.returncode != 0, (tmp_path / "made").exists()) == (True, False)
    begun(Accelerator())
    lives = {**homeless, "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    subprocess.run(command, env=lives, cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "made").exists()
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(tmp_path / ".snakemake")
