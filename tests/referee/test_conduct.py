"""Whatever way a submission reads a file or starts something, it is heard; what is ordinary is not."""

import importlib.util
import mmap
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from algoperf.referee.conduct import Heard
from algoperf.referee.places import Places


def through_a_link(path):
    link = path.parents[2] / "mine" / "link"
    link.symlink_to(path)
    link.read_bytes()


def in_a_thread_of_a_thread(path):
    def inner():
        thread = threading.Thread(target=path.read_bytes)
        thread.start()
        thread.join()

    outer = threading.Thread(target=inner)
    outer.start()
    outer.join()


def in_a_pool(path):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(path.read_bytes).result()


def mapped(path):
    descriptor = os.open(path, os.O_RDONLY)
    mmap.mmap(descriptor, 0, prot=mmap.PROT_READ).close()
    os.close(descriptor)


WAYS = {
    "open": lambda path: path.read_bytes(),
    "mmap": mapped,
    "numpy": lambda path: np.memmap(path, "u1", "r"),
    "link": through_a_link,
    "hard link": lambda path: os.link(path, path.parents[2] / "mine" / "hard"),
    "thread": in_a_thread_of_a_thread,
    "pool": in_a_pool,
    "process": lambda path: subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True),
    "database": lambda path: sqlite3.connect(path).close(),
    "relative": lambda path: open(os.path.relpath(path)).close(),
}


@pytest.fixture
def heard(tmp_path):
    for folder in ("mine", "data/raw", "caches"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data" / "raw" / "labels").write_text("labels")
    return Heard([], [], Places(tmp_path / "data", tmp_path / "mine", [tmp_path / "caches"]))


@pytest.mark.parametrize("way", WAYS)
def test_data_are_heard_however_they_are_read(way, heard, tmp_path):
    path = tmp_path / "data" / "raw" / "labels"
    with heard.listening():
        WAYS[way](path)
    assert [os.path.basename(file) for file in heard.files][:1] == ["labels"]


def test_what_lies_elsewhere_is_noted_and_what_is_ordinary_is_not(heard, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for path in (
        "elsewhere/weights.npz",
        "elsewhere/helper.py",
        "mine/settings.json",
        "mine/weights.npz",
        "caches/kernel",
    ):
        (tmp_path / path).write_text("")
    with heard.listening():
        for path in tmp_path.glob("*/*.*"):
            path.read_bytes()
        (tmp_path / "caches" / "kernel").read_bytes()
        with open(os.__file__), open(np.__file__), open("/proc/cpuinfo"):
            pass
        (tmp_path / "mine" / "temporary").write_text("1")
        (tmp_path / "mine" / "temporary").read_text()
        (tmp_path / "mine" / "temporary").unlink()
    assert sorted(what for _, what in heard.take()) == [
        f"the submission read {tmp_path}/elsewhere/weights.npz.",
        f"the submission read {tmp_path}/mine/weights.npz.",
    ]
    assert heard.files == []


def test_what_a_trial_leaves_behind_is_noted_once(heard, tmp_path):
    with heard.listening():
        np.save(tmp_path / "mine" / "weights.npy", np.zeros(3))
    (note,) = heard.take()
    assert note == ("files", f"the submission left {tmp_path}/mine/weights.npy, which a later trial may read.")


HELPER = """
import threading
def start():
    thread = threading.Thread(target=len, args=((),))
    thread.start()
    return thread
"""


@pytest.mark.parametrize(
    "name", ["torch_helpers", "torch", "jaxlib_x", "numpy_helper", "algoperf_utils", "tkinter", "turtle"]
)
def test_a_helper_is_the_submissions_whatever_it_is_called(name, heard, tmp_path):
    file = tmp_path / "mine" / f"{name}.py"
    file.write_text(HELPER)
    spec = importlib.util.spec_from_file_location(name, file)
    helper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helper)
    with heard.listening():
        thread = helper.start()
        assert heard.threads[thread] == name
    thread.join()
    assert name not in sys.modules or sys.modules[name] is not helper


def test_packages_whose_reading_cannot_be_heard_are_noted(heard, tmp_path):
    (tmp_path / "mine" / "submission.py").write_text("def f():\n    import h5py.h5f\n")
    (tmp_path / "mine" / "part").mkdir()
    (tmp_path / "mine" / "part" / "more.py").write_text("from pyarrow import parquet\nimport numpy\n")
    heard.look_through()
    assert [what.split(",")[0] for _, what in heard.take()] == [
        "the submission imports h5py",
        "the submission imports pyarrow",
    ]
