"""Data that several want: prepared by one, copied to a node's disk once, whole or not at all, never another store's."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import lock, staging
from tests.support.patience import PATIENCE
from workloads.datasets import store

FILES = {"a.bytes": b"a" * 1_000, "b.bytes": b"b" * 2_000}


def prepare(data_dir, files=FILES):
    """A store of the dataset `letters`, of one part."""
    folder = data_dir / "letters"
    folder.mkdir(parents=True, exist_ok=True)
    writers = []
    for name, content in files.items():
        with store.FileWriter(folder / name) as writer:
            writer.write(content)
        writers.append(writer)
    part = store.written_part("all", {"train": 3_000}, *writers)
    store.write_manifest(folder, store.Manifest("letters", "Letters.", "this test", (part,)))
    return data_dir


@pytest.fixture
def prepared(tmp_path):
    return prepare(tmp_path / "data")


def assert_whole(folder, files=FILES):
    assert {name: (folder / "letters" / name).read_bytes() for name in files} == files
    assert store.verify(folder / "letters") == []


def counted(monkeypatch, log, failing=None):
    """Every file that is copied leaves a line in `log`; the file `failing` is cut short by a full disk."""
    copy = shutil.copyfile

    def copyfile(source, target):
        with log.open("a") as file:
            file.write(f"{source.name}\n")
        if source.name == failing:
            target.write_bytes(source.read_bytes()[:10])
            raise OSError(28, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copyfile)


def test_without_a_scratch_folder_the_data_are_read_where_they_lie(prepared):
    assert staging.stage("letters", prepared, None) == prepared


def test_data_that_are_not_prepared_are_left_to_whoever_opens_them(tmp_path):
    assert staging.stage("letters", tmp_path / "data", tmp_path / "scratch") == tmp_path / "data"
    assert not (tmp_path / "scratch").exists()


def test_a_store_is_copied_once_and_used_again(prepared, tmp_path, monkeypatch):
    counted(monkeypatch, tmp_path / "copied")
    first = staging.stage("letters", prepared, tmp_path / "scratch")
    assert first.is_relative_to(tmp_path / "scratch")
    assert_whole(first)
    assert staging.stage("letters", prepared, tmp_path / "scratch") == first
    assert (tmp_path / "copied").read_text().split() == [*FILES, store.MANIFEST]


@pytest.mark.parametrize("failing", ["b.bytes", store.MANIFEST])
def test_a_copy_that_was_cut_short_is_made_anew(prepared, tmp_path, monkeypatch, failing):
    with monkeypatch.context() as patch:
        counted(patch, tmp_path / "copied", failing)
        with pytest.raises(InfrastructureError, match=r"letters cannot be copied to .*scratch: No space left"):
            staging.stage("letters", prepared, tmp_path / "scratch")
    assert_whole(staging.stage("letters", prepared, tmp_path / "scratch"))


STAGE = """
import shutil, sys, time
from pathlib import Path
from algoperf.machine import lock, staging

def slowly(source, target, copy=shutil.copyfile):
    with open(sys.argv[3], "a") as file:
        file.write(Path(source).name + "\\n")
    time.sleep(0.3)
    copy(source, target)

shutil.copyfile = slowly
print(staging.stage("letters", Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_of_two_processes_at_once_one_copies(prepared, tmp_path):
    command = [sys.executable, "-c", STAGE, prepared, tmp_path / "scratch", tmp_path / "copied"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    (first, _), (second, _) = (process.communicate(timeout=PATIENCE) for process in processes)
    assert first == second
    assert_whole(Path(first.strip()))
    assert (tmp_path / "copied").read_text().split() == [*FILES, store.MANIFEST]


def test_a_disk_that_is_too_small_is_said_before_anything_is_copied(prepared, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    counted(monkeypatch, tmp_path / "copied")
    with pytest.raises(InfrastructureError, match=r"scratch/.* GB free; leave scratch out of cluster\.yaml"):
        staging.stage("letters", prepared, tmp_path / "scratch")
    assert not (tmp_path / "copied").exists()


def test_a_scratch_folder_that_cannot_be_written_to_is_named(prepared, tmp_path):
    (tmp_path / "scratch").write_text("no folder")
    with pytest.raises(InfrastructureError, match=rf"letters cannot be copied to {tmp_path / 'scratch'}: Not a dir"):
        staging.stage("letters", prepared, tmp_path / "scratch")


def test_other_data_of_the_same_name_have_another_folder(prepared, tmp_path):
    """The same data elsewhere have the same one."""
    others = {**FILES, "b.bytes": b"c" * 2_000}
    first = staging.stage("letters", prepared, tmp_path / "scratch")
    moved = staging.stage("letters", prepare(tmp_path / "moved"), tmp_path / "scratch")
    other = staging.stage("letters", prepare(tmp_path / "other", others), tmp_path / "scratch")
    assert moved == first != other
    assert_whole(first)
    assert_whole(other, others)


PREPARES = """
import sys
from pathlib import Path
from algoperf.machine.staging import prepare_alone
seen = []
prepare_alone("moleculeace", Path(sys.argv[1]), None, lambda what, done, total: seen.append(what))
print("made" if "prepare moleculeace" in seen else "found")
"""


@pytest.fixture
def fetched(tmp_path, data_dir):
    """A folder of data with the raw files of a small dataset."""
    shutil.copytree(data_dir / "raw/moleculeace", tmp_path / "data/raw/moleculeace")
    return tmp_path / "data"


def test_of_several_that_prepare_at_once_one_does(fetched):
    command = [sys.executable, "-c", PREPARES, fetched]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(*process.communicate(), process.returncode) for process in started]
    assert [code for _, _, code in ended] == [0, 0, 0], ended
    # Whoever comes after it is done, or waited for it, finds the store; nobody makes it at the same time.
    assert sorted(said.strip() for said, _, _ in ended) == ["found", "found", "made"]
    assert store.verify(fetched / "moleculeace") == []
    assert not (fetched / "moleculeace" / lock.LOCK).exists()


def test_a_preparation_that_was_killed_holds_up_no_other(fetched):
    (fetched / "moleculeace").mkdir()
    hold = (
        "import os, sys; from pathlib import Path; from algoperf.machine.lock import FolderLock\n"
        "FolderLock(Path(sys.argv[1])).take(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", hold, fetched / "moleculeace"], check=False)
    assert (fetched / "moleculeace" / lock.LOCK).exists()
    staging.prepare_alone("moleculeace", fetched, None, lambda what, done, total: None)
    assert store.verify(fetched / "moleculeace") == []
