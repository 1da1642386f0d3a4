"""The wheel: all that a run needs is in it, and it works where there is no checkout."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy of what git knows, as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel):
    """Runs a command in a folder, with the wheel's packages in the place of the checkout's."""
    packages = wheel.parent / "packages"
    with zipfile.ZipFile(wheel) as files:
        files.extractall(packages)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(packages), "PATH": path}

    def run(folder, *command):
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def names_of(wheel):
    with zipfile.ZipFile(wheel) as files:
        return set(files.namelist())


def test_every_file_of_the_packages_and_of_the_workflow_is_in_it(wheel):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("what belongs to the repository is asked of git, and this is no clone")
    tracked = [name for name in listed.stdout.split("\0") if (REPOSITORY / name).is_file()]
    code = {name for name in tracked if name.startswith(("algoperf/", "scoring/", "submissions/", "workloads/"))}
    workflow = {name for name in tracked if name.startswith(("Snakefile", "config/", "profiles/", "rules/"))}
    expected = code | {f"algoperf/share/{name}" for name in workflow}
    found = {name for name in names_of(wheel) if ".dist-info/" not in name}
    assert expected - found == set()
    assert {name for name in found - expected if not name.endswith(".py")} == set()  # no results, no data, no caches


def test_every_license_is_in_it(wheel):
    licenses = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["license-files"]
    found = {name.partition(".dist-info/licenses/")[2] for name in names_of(wheel)} - {""}
    assert found == {*licenses}


def test_the_image_has_what_it_is_built_from():
    text = (REPOSITORY / "profiles" / "slurm" / "apptainer.def").read_text()
    copied = set(re.findall(r"^    (\S+) /opt/algoperf/$", text, re.MULTILINE))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "pyproject.toml"}
    licenses = {name for name in project["project"]["license-files"] if name.split("/")[0] not in wheel["packages"]}
    assert copied == {*needed, *licenses, "constraints.txt"}


@pytest.mark.landing("what is installed anew")
def test_the_mini_benchmark_is_planned_from_a_folder_of_its_own(installed, tmp_path):
    begun = installed(tmp_path, "algoperf", "init", "experiments")
    assert begun.returncode == 0, begun.stderr
    folder = tmp_path / "experiments"
    config = folder / "config" / "mini.yaml"
    config.write_text(config.read_text().replace("workloads: all", "workloads: [wmt]"))  # it is this one that counts
    for profile in ("profiles/local", "slurm"):
        planned = installed(folder, "snakemake", "--profile", profile, "-n", "--quiet", "host")
        assert planned.returncode == 0, planned.stderr
        said = planned.stdout + planned.stderr
        assert "trial_wmt" in said
        assert "trial_ogbg" not in said
    checked = installed(folder, "algoperf", "plan")
    assert checked.returncode == 0, checked.stderr
    assert "3 trials" in checked.stdout


def test_the_published_logs_are_scored_by_it(installed, tmp_path):
    scored = installed(tmp_path, "algoperf", "score", "published:v0.5-external", "--out", "scores")
    assert scored.returncode == 0, scored.stderr
    assert (tmp_path / "scores" / "report.html").stat().st_size > 100_000


@pytest.mark.landing("what is installed anew")
def test_a_package_that_is_missing_is_named_with_its_extra_and_the_command(installed, tmp_path, data_dir):
    """Wherever it is met: as data are fetched or prepared, as a trial starts, and as a framework is loaded."""
    trial = "trial --protocol mini --ruleset external --submission nadamw --study 0 --trial 1 --out t"
    trial = f"{trial} --data-dir {data_dir}"
    for missing, extra, arguments in (
        ("requests", "fetch", "data fetch wmt --source raw"),
        ("nibabel", "fastmri", "data prepare fastmri --scale mini"),
        ("sacrebleu", "wmt", f"{trial} --framework jax --workload wmt"),
        ("torch", "pytorch", f"{trial} --framework pytorch --workload criteo1tb"),
    ):
        program = "import sys; sys.modules[sys.argv.pop(1)] = None; from algoperf.commands.cli import main; main()"
        ran = installed(tmp_path, sys.executable, "-c", program, missing, *arguments.split())
        assert ran.returncode == 2, ran.stderr
        assert f"error: {missing} is not installed; " in ran.stderr, ran.stderr
        assert ran.stderr.endswith(f"run `python -m pip install 'algoperf-snakemake[{extra}]'`.\n"), ran.stderr
        assert not list(tmp_path.rglob("*.*"))


def made(folder):
    """The commands of an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin"


def install(commands, *packages):
    pip = [commands / "pip", "install", "--quiet", "--constraint", REPOSITORY / "constraints.txt"]
    subprocess.run([*pip, *packages], check=True)


def size(folder):
    """Bytes of all its files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.nightly("the wheel, installed")
@pytest.mark.timeout(1_200)
def test_to_score_alone_little_is_installed(wheel, tmp_path):
    commands = made(tmp_path / "environment")
    empty = size(tmp_path / "environment")
    install(commands, wheel)
    score = [commands / "algoperf", "score", "published:v0.5-external", "--out", "scores"]
    subprocess.run(score, cwd=tmp_path, check=True)
    assert size(tmp_path / "environment") - empty < 220e6


@pytest.mark.nightly("the wheel, installed")
@pytest.mark.timeout(7_200)
def test_the_mini_benchmark_runs_from_it(wheel, tmp_path, data_dir):
    commands = made(tmp_path / "environment")
    install(commands, f"{wheel}[jax,pytorch,workflow,workloads]")
    subprocess.run([commands / "algoperf", "init", "experiments"], cwd=tmp_path, check=True)
    folder = tmp_path / "experiments"
    (folder / "data").symlink_to(data_dir)
    subprocess.run([commands / "snakemake", "--profile", "profiles/local"], cwd=folder, check=True)
    scores = folder / "results" / "mini" / "scores" / "external"
    assert len((scores / "scores.csv").read_text().splitlines()) == 1 + 3
    assert (scores / "report.html").exists()
