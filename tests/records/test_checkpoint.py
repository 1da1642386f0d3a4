"""Saving and restoring: every value comes back, every kind of damage is noticed, a kill at any moment loses nothing."""

import errno
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from algoperf.records import checkpoint
from algoperf.records.checkpoint import CheckpointError
from tests.support.odd_machines import failing

_arrays = st_numpy.arrays(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]), st_numpy.array_shapes(min_dims=0, max_side=3)
)
_scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
_states = st.dictionaries(
    st.text(),
    st.recursive(
        st.one_of(_scalars, _arrays),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=3),
        ),
        max_leaves=8,
    ),
    max_size=4,
)


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


@given(_states)
def test_every_state_comes_back_as_it_was(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoint.save(folder, 7, state)
    restored, damaged = checkpoint.restore_latest(folder)
    assert same(state, restored)
    assert damaged == []


def test_no_checkpoint_is_no_state(tmp_path):
    assert checkpoint.restore_latest(tmp_path / "none") == (None, [])


def test_the_last_two_are_kept_and_the_newest_is_restored(tmp_path):
    for step in (1, 20, 300, 4_000):
        checkpoint.save(tmp_path, step, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint_000000000300.npz",
        "checkpoint_000000004000.npz",
    ]
    assert checkpoint.restore_latest(tmp_path)[0] == {"step": 4_000}


@pytest.fixture
def two(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {"step": step, "params": np.arange(50.0)})
    return tmp_path


def test_every_flipped_byte_and_every_truncation_is_noticed(two):
    newest = two / "checkpoint_000000000002.npz"
    whole = newest.read_bytes()
    state = {"step": 2, "params": np.arange(50.0)}
    unnoticed = []
    for position in range(0, len(whole), 7):
        newest.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        restored, damaged = checkpoint.restore_latest(two)
        # A byte that the archive does not use (a date, say) may change; the state may not.
        if restored["step"] == 1:
            assert str(newest) in damaged[0]
        elif not same(restored, state):
            unnoticed.append(position)
    assert unnoticed == []
    for length in range(0, len(whole), 101):
        newest.write_bytes(whole[:length])
        restored, damaged = checkpoint.restore_latest(two)
        assert restored["step"] == 1
        assert str(newest) in damaged[0]


def test_all_damaged_is_an_error_that_says_the_way_out(two):
    for path in two.iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="remove the folder"):
        checkpoint.restore_latest(two)


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failure_while_writing_leaves_the_checkpoint_before(two, monkeypatch, function):
    def fail(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace" if function == "replace" else "os.fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            checkpoint.save(two, 3, {"step": 3})
    assert sorted(path.suffix for path in two.iterdir()) == [".npz", ".npz"]  # a full disk is not left fuller
    assert checkpoint.restore_latest(two)[0]["step"] == 2
    checkpoint.save(two, 3, {"step": 3})
    assert checkpoint.restore_latest(two)[0] == {"step": 3}


SAVES = """
import sys
from pathlib import Path
from algoperf.records import checkpoint
checkpoint.save(Path(sys.argv[1]), 3, {"step": 3})
"""


@pytest.mark.parametrize(("code", "is_done"), [(errno.EINVAL, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_waited_for_has_checkpoints(two, code, is_done):
    command = [sys.executable, "-c", SAVES, two]
    calls = failing(f"fsync_folder {code} 100 /")
    done = subprocess.run(command, env=calls, capture_output=True, check=False)
    assert (done.returncode == 0) == is_done
    assert checkpoint.restore_latest(two)[0] == {"step": 3}  # else it is there, and may go when the machine does


def test_a_kill_while_writing_leaves_the_checkpoint_before(two):
    child = os.fork()
    if child == 0:
        os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
        checkpoint.save(two, 3, {"step": 3})
    assert os.waitpid(child, 0)[1] == 9
    assert checkpoint.restore_latest(two)[0]["step"] == 2


def test_all_checkpoints_are_removed_whole_and_half_and_nothing_else(two):
    (two / ".checkpoint_000000000003.npz.4711.tmp").write_bytes(b"half")
    (two / "finished.json").write_text("{}")
    checkpoint.remove(two)
    assert [path.name for path in two.iterdir()] == ["finished.json"]
    checkpoint.remove(two / "none")


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ({"optimizer": {"hook": print}}, "hook"),
        ({"a": [1, {1.5: 2}]}, "1.5"),
        ({"a": np.array([object()])}, "object"),
    ],
)
def test_what_cannot_be_held_is_named(tmp_path, state, names):
    with pytest.raises(CheckpointError, match=names):
        checkpoint.save(tmp_path, 1, state)
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_read_without_the_rest_and_of_the_newest_that_can_be_read(tmp_path):
    assert checkpoint.peek(tmp_path, ("identity",)) is None
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {"identity": {"seed": step}, "state": np.ones(3), "global_step": step})
    assert checkpoint.peek(tmp_path, ("identity", "hardware")) == {"identity": {"seed": 2}}
    newest, oldest = sorted(tmp_path.iterdir(), reverse=True)
    newest.write_bytes(newest.read_bytes()[:100])
    assert checkpoint.peek(tmp_path, ("identity",)) == {"identity": {"seed": 1}}
    oldest.write_bytes(b"")
    with pytest.raises(checkpoint.CheckpointError, match=r"no checkpoint in .* can be read"):
        checkpoint.peek(tmp_path, ("identity",))
