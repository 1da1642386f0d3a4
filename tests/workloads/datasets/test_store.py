"""A store on disk: whole files or none, damage named, a killed preparation continued."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from workloads.datasets.store import (
    FileWriter,
    Manifest,
    Part,
    build,
    evenly_spaced,
    memory_map,
    read_manifest,
    verify,
    write_manifest,
    written_part,
)


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def make(store: Path, name: str, content: bytes) -> Part:
    with FileWriter(store / f"{name}.bytes") as writer:
        writer.write(content)
    return written_part(name, {"train": len(content)}, writer)


def makers(store: Path, made: list[str]):
    def maker(name: str):
        def make_one() -> Part:
            made.append(name)
            return make(store, name, name.encode() * 100)

        return make_one

    return {name: maker(name) for name in ("a", "b", "c")}


def prepared(store: Path) -> Manifest:
    manifest = Manifest("letters", "Letters.", "this test", build(store, makers(store, []), 1000, quiet))
    write_manifest(store, manifest)
    return manifest


def test_a_file_that_was_not_finished_does_not_appear(tmp_path):
    with pytest.raises(RuntimeError), FileWriter(tmp_path / "file") as writer:
        writer.write(b"half of it")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_writer_sums_up_what_it_wrote(tmp_path):
    numbers = np.arange(6, dtype=np.int32).reshape(2, 3)
    with FileWriter(tmp_path / "file") as writer:
        writer.write(numbers[0])
        writer.write(numbers[1])
    assert (tmp_path / "file").read_bytes() == numbers.tobytes()
    assert (writer.size, writer.crc32) == (24, zlib.crc32(numbers.tobytes()))
    assert np.array_equal(memory_map(tmp_path / "file", np.dtype(np.int32), 3), numbers)


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    manifest = prepared(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert manifest.examples("train") == 300
    assert verify(tmp_path) == []


def test_only_what_is_missing_or_damaged_is_made_again(tmp_path):
    prepared(tmp_path)
    made: list[str] = []
    build(tmp_path, makers(tmp_path, made), 1000, quiet)
    assert made == []
    os.truncate(tmp_path / "b.bytes", 50)
    (tmp_path / "parts/c.json").unlink()
    parts = build(tmp_path, makers(tmp_path, made), 1000, quiet)
    assert sorted(made) == ["b", "c"]
    assert [part.name for part in parts] == ["a", "b", "c"]


def test_a_failing_part_keeps_the_parts_that_were_made(tmp_path):
    def fail() -> Part:
        raise UsageError("day_7 is damaged.")

    with pytest.raises(UsageError, match="day_7"):
        build(tmp_path, {"a": makers(tmp_path, [])["a"], "z": fail}, 1000, quiet)
    made: list[str] = []
    build(tmp_path, makers(tmp_path, made), 1000, quiet)
    assert sorted(made) == ["b", "c"]


def test_a_full_disk_is_refused_before_anything_is_made(tmp_path):
    made: list[str] = []
    with pytest.raises(UsageError, match="GB free"):
        build(tmp_path, makers(tmp_path, made), 10**18, quiet)
    assert made == []


def test_damage_is_named(tmp_path):
    prepared(tmp_path)
    (tmp_path / "b.bytes").write_bytes(b"B" * 100)
    assert verify(tmp_path) == ["b.bytes"]
    os.truncate(tmp_path / "b.bytes", 50)
    with pytest.raises(UsageError, match=r"b in .* cut short"):
        read_manifest(tmp_path)


def test_a_manifest_of_another_format_is_refused(tmp_path):
    prepared(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text()) | {"format": 0}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="another version"):
        read_manifest(tmp_path)


@given(st.integers(1, 10**12), st.data())
def test_evenly_spaced_numbers_are_different_and_in_range(total, data):
    count = data.draw(st.integers(1, min(total, 1000)))
    chosen = evenly_spaced(total, count)
    assert len(chosen) == count
    assert chosen[0] == 0 and chosen[-1] < total
    assert count == 1 or np.diff(chosen).min() >= 1
    assert count == 1 or np.ptp(np.diff(chosen)) <= 1
