"""`algoperf init`: a folder to run experiments from, written whole or not at all."""

import os

import pytest

from algoperf.experiment import begin, config
from tests.conftest import REPOSITORY

WRITTEN = ["Snakefile", "config", "profiles", "slurm"]


def test_it_writes_what_a_checkout_has_at_its_root(algoperf, tmp_path):
    folder = tmp_path / "experiments"
    code, said, _ = algoperf("init", folder)
    assert code == 0
    assert said.startswith(f"{folder}: {', '.join(WRITTEN)}\n")
    assert sorted(os.listdir(folder)) == sorted(WRITTEN)
    assert len((folder / "Snakefile").read_text().splitlines()) == 2
    for name in ("config/mini.yaml", "config/schema.json", "profiles/local/profile.yaml", "slurm/cluster.yaml"):
        assert (folder / name).read_bytes() == (REPOSITORY / name).read_bytes()
    assert config.load(folder / "config" / "mini.yaml").protocol == "mini"


def test_a_folder_that_is_there_keeps_what_it_has(algoperf, tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    assert algoperf("init", tmp_path)[0] == 0
    assert sorted(os.listdir(tmp_path)) == sorted([*WRITTEN, "notes.md"])


@pytest.mark.parametrize("taken", [*WRITTEN, "a dangling link"])
def test_nothing_is_overwritten(algoperf, tmp_path, taken):
    if taken in WRITTEN:
        (tmp_path / taken).write_text("mine")
    else:
        (tmp_path / "slurm").symlink_to("nowhere")
    before = os.listdir(tmp_path)
    code, _, said = algoperf("init", tmp_path)
    assert code == 2
    assert said.startswith(f"error: {tmp_path / before[0]} is there already")
    assert os.listdir(tmp_path) == before


def test_where_no_folder_can_be(algoperf, tmp_path):
    (tmp_path / "file").touch()
    assert algoperf("init", tmp_path / "file")[0] == 2
    assert algoperf("init", tmp_path / "no" / "parent")[0] == 2
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_disk_that_fills_up_leaves_nothing_behind(algoperf, tmp_path, monkeypatch, is_new):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "experiments"
    if not is_new:
        folder.mkdir()
    monkeypatch.setattr(begin.shutil, "copytree", full)
    code, _, said = algoperf("init", folder)
    assert (code, said) == (1, f"error: {folder} cannot be written: No space left on device.\n")
    assert list(tmp_path.rglob("*")) == ([] if is_new else [folder])
