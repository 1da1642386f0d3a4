"""An environment of its own for a submission, made from a wheel without a network."""

import importlib.metadata
import os
import subprocess
import zipfile

import pytest
import yaml

from algoperf.machine import cluster
from algoperf.trial import launch
from tests.submission.conftest import FUNCTIONS


def wheel(folder, name, version):
    """A package with a version and nothing else."""
    info = f"{name}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: mine\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def mine(folder):
    (folder / "submission_info.yml").write_text("framework: PyTorch\nruleset: self-tuning")
    (folder / "requirements.txt").write_text("toolbox_of_mine==1.5\npackaging\n")
    return folder


@pytest.mark.landing("what is installed anew")
def test_it_has_what_is_asked_for_over_what_is_here(mine, tmp_path, algoperf):
    wheels = wheel(tmp_path / "wheels", "toolbox_of_mine", "1.5")
    (mine / "submission.py").write_text(
        "import toolbox_of_mine, torch\nassert toolbox_of_mine.__version__ == '1.5'" + FUNCTIONS
    )
    code, out, error = algoperf("submission", "env", mine, "--into", tmp_path / "own", "--wheels", wheels)
    assert (code, error) == (0, "")
    command = tmp_path / "own" / "bin" / "algoperf"
    assert f"environments:\n  mine_pytorch: {{command: {command}}}" in out
    version = importlib.metadata.version("packaging")
    say = f"""
from importlib.metadata import version
from pathlib import Path
from algoperf.submission import loading
loading.load(Path({str(mine / "submission.py")!r}))
print(version("packaging"), version("toolbox_of_mine"))
"""
    ran = subprocess.run([command.with_name("python"), "-c", say], capture_output=True, text=True, check=False)
    assert ran.stdout == f"{version} 1.5\n", ran.stderr
    ran = subprocess.run([command, "workloads", "wmt"], capture_output=True, text=True, check=False)
    assert "30.8491" in ran.stdout, ran.stderr
    code, _, error = algoperf("submission", "env", mine, "--into", tmp_path / "own", "--wheels", wheels)
    assert (code, error.count("\n")) == (2, 1)
    assert "exists; remove it, or name another folder with --into" in error


def test_what_cannot_be_installed_leaves_nothing(mine, tmp_path, algoperf):
    (tmp_path / "wheels").mkdir()
    code, _, error = algoperf("submission", "env", mine, "--into", tmp_path / "own", "--wheels", tmp_path / "wheels")
    assert (code, error.count("\n")) == (1, 1)
    assert "pip cannot install" in error
    assert "toolbox_of_mine==1.5" in error
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nadamw", "--framework", "jax"], "requirements.txt: the submission runs in the environment of its framework"),
        (["nadamw"], "--framework is needed, jax or pytorch"),
        (["no_such_submission", "--framework", "jax"], "there is no submission 'no_such_submission'"),
    ],
)
def test_what_asks_for_nothing_gets_none(arguments, says, algoperf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = algoperf("submission", "env", *arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert says in error
    assert os.listdir(tmp_path) == []


def test_a_trial_enters_the_environment_that_the_cluster_has_for_it(mine, tmp_path, algoperf, monkeypatch, data_dir):
    site = {
        "environments": {"mine_pytorch": {"setup": f"echo ${launch.ENTERED} > {tmp_path}/entered", "command": "true"}}
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    monkeypatch.setenv(cluster.FILE_VARIABLE, str(tmp_path / "site.yaml"))
    words = ["--workload", "criteo1tb", "--protocol", "mini", "--study", 0, "--trial", 1, "--data-dir", data_dir]
    assert algoperf("trial", "--submission", mine, *words, "--out", tmp_path / "out")[0] == 1  # it leaves no result
    assert (tmp_path / "entered").read_text() == "1\n"
    assert not (tmp_path / "out").exists()
