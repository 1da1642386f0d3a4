"""What `algoperf doctor` finds on this machine; tests/doctor/test_survey.py has what it finds on a cluster."""

import errno
import os
import resource
from pathlib import Path

import pytest
import yaml

from algoperf.doctor import checks
from algoperf.fit import stored
from algoperf.fit.cells import PHASES, Figures
from algoperf.machine import cluster, job

CONFIG = {
    "protocol": "mini",
    "submissions": [{"name": "nadamw", "framework": "jax"}],
    "workloads": ["imagenet_resnet"],
}


@pytest.fixture
def found(tmp_path, data_dir, monkeypatch):
    """Runs the doctor: config and cluster description -> name -> (mark, advice)."""

    def run(config=None, site=None):
        changed = {**CONFIG, "data_dir": str(data_dir), "results_dir": str(tmp_path / "results"), **(config or {})}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
        (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(site or {}))
        monkeypatch.setenv(cluster.FILE_VARIABLE, str(tmp_path / "cluster.yaml"))
        return {check.name: (check.mark, check.advice) for check in checks.checks(tmp_path / "config.yaml")}

    return run


def test_a_machine_that_has_all_needs_no_mending_and_is_left_as_it_was(found, tmp_path):
    lines = found()
    assert not [name for name, (mark, _) in lines.items() if mark == "mend"]
    assert {"config", "jax", "data fashion_mnist", "results", "scratch", "jax in jobs", "Slurm"} <= set(lines)
    assert not (tmp_path / "results").exists()


def test_a_wrong_config_ends_the_examination(found):
    lines = found({"protocol": "v9"})
    assert set(lines) == {"config"}
    assert lines["config"][0] == "mend"


def test_missing_data_say_how_to_get_them(found):
    mark, advice = found({"data_dir": "no/such"})["data fashion_mnist"]
    assert mark == "mend"
    assert "algoperf data prepare" in advice


def test_results_that_cannot_be_written_are_to_be_mended(found, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", Path("/proc/results")):  # root may write everywhere but there
        mark, advice = found({"results_dir": str(folder)})["results"]
        assert mark == "mend"
        assert str(folder) in advice


def test_a_cache_that_cannot_be_made_is_to_be_mended_but_in_a_job(found, monkeypatch):
    """Root may write everywhere but in /proc."""
    assert found()["cache"][0] == "ok"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/no/home")
    mark, advice = found()["cache"]
    assert (mark, "export XDG_CACHE_HOME" in advice) == ("mend", True)
    monkeypatch.setattr(job, "current", lambda: "17")
    mark, advice = found()["cache"]
    assert (mark, "bring their own" in advice) == ("note", True)


def test_what_the_results_file_system_lacks_is_said_and_done_without(found, tmp_path, monkeypatch):
    def refuses(code):
        def call(*arguments, **named):
            raise OSError(code, os.strerror(code))

        return call

    monkeypatch.setattr(os, "link", refuses(errno.EPERM))
    assert found()["results"][0] == "ok"
    assert found()["results"][1].endswith("it is done without hard links, which its file system lacks")
    monkeypatch.setattr(os, "fsync", refuses(errno.EINVAL))
    assert "without waiting for the disk and hard links" in found()["results"][1]
    monkeypatch.setattr(os, "fsync", refuses(errno.EDQUOT))
    mark, advice = found()["results"]
    assert (mark, "Disk quota exceeded" in advice) == ("mend", True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "cluster.yaml"}


def test_a_dead_link_is_said_to_be_one(found, tmp_path):
    (tmp_path / "results").symlink_to("/no/such/disk")
    mark, advice = found({"results_dir": str(tmp_path / "results")})["results"]
    assert (mark, f"{tmp_path / 'results'} is a link to /no/such/disk, which is not there" in advice) == ("mend", True)


def test_few_open_files_are_noted(found):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        mark, advice = found()["open files"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (mark, "`ulimit -n 512`" in advice) == ("note", True)
    assert found()["open files"][0] == "ok"


def test_a_wrong_cluster_description_is_one_clear_line(found):
    lines = found(site={"accelerator": {}})
    assert lines["cluster description"][0] == "mend"
    assert "accelerators" in lines["cluster description"][1]


def test_what_does_not_fit_into_the_accelerator_is_to_be_mended(found, monkeypatch):
    full = {"protocol": "v0.6", "accelerator": "v100", "workloads": ["wmt"]}
    site = {"accelerators": {"v100": {}}}
    monkeypatch.setattr(stored, "of", lambda cell: Figures(cell, dict.fromkeys(PHASES, 2**30), {}))
    mark, advice = found(full, site)["memory of v100"]
    assert mark == "ok", advice
    monkeypatch.setattr(stored, "of", lambda cell: Figures(cell, {"train": 2**40}, {}))
    mark, advice = found(full, site)["memory of v100"]
    assert mark == "mend"
    assert "wmt" in advice
    monkeypatch.setattr(stored, "of", lambda cell: None)
    mark, advice = found(full, site)["memory of v100"]
    assert (mark, "`algoperf fit` finds out" in advice) == ("note", True)


def test_scratch_is_looked_for_here_and_may_be_on_the_nodes_only(found, tmp_path, monkeypatch):
    assert found(site={"scratch": str(tmp_path)})["scratch"] == ("ok", str(tmp_path))
    assert found(site={"scratch": "/no/such/disk"})["scratch"][0] == "note"
    monkeypatch.delenv("NODE_DISK", raising=False)
    mark, advice = found(site={"scratch": "$NODE_DISK/data"})["scratch"]
    assert mark == "note"
    assert "$NODE_DISK" in advice


def test_a_jobs_lines_of_shell_are_tried(found, tmp_path):
    folder = tmp_path / "environment"
    folder.mkdir()
    (folder / "train").write_text("#!/bin/sh\n")
    (folder / "train").chmod(0o755)
    good = {"setup": f"export PATH={folder}:$PATH", "command": "train --quietly"}
    assert found(site={"environments": {"jax": good}})["jax in jobs"] == ("ok", str(folder / "train"))
    mark, advice = found(site={"environments": {"jax": {"command": "no_such_command"}}})["jax in jobs"]
    assert mark == "mend"
    assert "there is no no_such_command" in advice
    broken = {"setup": "echo no module cuda/12 >&2; exit 1"}
    mark, advice = found(site={"environments": {"jax": broken}})["jax in jobs"]
    assert mark == "mend"
    assert "no module cuda/12" in advice


def test_a_setup_that_does_not_end_is_to_be_mended(found, monkeypatch):
    monkeypatch.setattr(checks, "_SETUP_TIME_LIMIT", 0.2)
    mark, advice = found(site={"environments": {"jax": {"setup": "sleep 5"}}})["jax in jobs"]
    assert mark == "mend"
    assert "does not end within 0.2 s" in advice


def test_the_verdict_is_bad_where_something_is_to_be_mended(found, tmp_path, capsys):
    found()
    assert checks.print_checks(tmp_path / "config.yaml")
    found({"accelerator": "tpu", "data_dir": "no/such"})
    assert not checks.print_checks(tmp_path / "config.yaml")
    printed = capsys.readouterr().out
    assert "ok   config:" in printed
    assert "mend data fashion_mnist:" in printed


def test_the_cluster_is_examined_where_there_is_one(found, on_cluster):
    lines = found({"accelerator": "v100"}, {"accelerators": {"v100": {"partition": "v100", "gres": "gpu:v100:8"}}})
    assert lines["accelerator v100"][0] == "ok"
