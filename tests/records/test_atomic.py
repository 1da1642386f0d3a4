"""A write is whole or has not happened."""

import json

import pytest

from algoperf.records.atomic import write_atomically, write_json


@pytest.mark.parametrize("function", ["pathlib.Path.replace", "os.fsync"])
def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "result.json"
    write_json(path, {"status": "old"})

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(function, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert json.loads(path.read_text()) == {"status": "old"}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_write_replaces_what_was_there(tmp_path):
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1
