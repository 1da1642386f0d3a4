"""A store on disk: whole files or none, damage named, a killed preparation continued."""

import errno
import gc
import io
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from algoperf.benchmark.facts import InfrastructureError, UsageError
from tests.support.odd_machines import failing
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
from workloads.datasets.transforms.images import INDEX


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


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"name": "a"}'])
def test_a_record_in_pieces_is_of_no_part_and_a_manifest_in_pieces_says_what_to_do(tmp_path, damage):
    prepared(tmp_path)
    (tmp_path / "parts/b.json").write_text(damage)
    made: list[str] = []
    build(tmp_path, makers(tmp_path, made), 1000, quiet)
    assert made == ["b"]
    if damage in ("", "{"):
        (tmp_path / "manifest.json").write_text(damage)
        with pytest.raises(UsageError, match=r"manifest.json is damaged; remove it"):
            read_manifest(tmp_path)


def test_a_mapped_file_cannot_be_written_and_is_mapped_once_for_as_long_as_it_is_read(tmp_path):
    numbers = np.arange(5000, dtype="<i4")
    numbers.tofile(tmp_path / "file")

    def mappings():
        return [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(f"{tmp_path}/file")]

    first = memory_map(tmp_path / "file", np.dtype("<i4"))
    second = memory_map(tmp_path / "file", np.dtype("u1"), 4)
    assert len(mappings()) == 1
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    part = first[10:20]
    del first, second
    gc.collect()
    assert len(mappings()) == 1
    assert part.tolist() == list(range(10, 20))
    (tmp_path / "file").unlink()
    (numbers + 1).tofile(tmp_path / "file")  # another file of the same name
    assert memory_map(tmp_path / "file", np.dtype("<i4"))[0] == 1
    del part
    gc.collect()
    assert mappings() == []


def test_of_an_empty_file_there_is_nothing_and_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "empty").touch()
    assert memory_map(tmp_path / "empty", np.dtype("<i4"), 2).shape == (0, 2)
    with pytest.raises(InfrastructureError, match=r"gone cannot be read: No such file"):
        memory_map(tmp_path / "gone", np.dtype("u1"))


READS_A_THOUSAND_PARTS = """
import os, resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from workloads.datasets.transforms.images import open_split
pipeline = {"image_size": 8, "rand_augment": 0, "mixup_alpha": 0.0}
store = Path(sys.argv[1])
splits = {split: open_split(store, split, 1_000, pipeline) for split in ("train", "eval_train", "validation", "test")}
with ThreadPoolExecutor(2) as pool:
    for split, source in splits.items():
        numbers = np.arange(len(source))
        batch = source.read(numbers, numbers * 0, slice(len(numbers)), len(numbers), 0, pool)
        print(split, len(source), len(np.unique(batch["targets"], axis=0)))
print(len(os.listdir("/proc/self/fd")) < 32)
"""


def test_a_store_of_a_thousand_parts_is_read_under_the_usual_limit_of_open_files(tmp_path):
    """ImageNet at full scale has a part for each of its classes, each of two files, and is opened for four splits."""
    photo = io.BytesIO()
    Image.new("RGB", (100, 100), "red").save(photo, "JPEG")
    jpeg, parts = photo.getvalue(), []
    for name in (*(f"class_{number}" for number in range(1_000)), "validation", "test"):
        split = name if name in ("validation", "test") else "train"
        rows = [(0, len(jpeg), int(name.rpartition("_")[2]), 100, 100)] if split == "train" else []
        rows = rows or [(0, len(jpeg), number, 100, 100) for number in range(1_000)]
        (tmp_path / f"{name}.jpegs").write_bytes(jpeg)
        np.array(rows, INDEX).tofile(tmp_path / f"{name}.index")
        files = {f"{name}.{kind}": (tmp_path / f"{name}.{kind}").stat().st_size for kind in ("jpegs", "index")}
        known = {file: {"bytes": size, "crc32": 0} for file, size in files.items()}
        parts.append(Part(name, {split: len(rows)}, known))
    write_manifest(tmp_path, Manifest("imagenet", "A photo.", "this test", tuple(parts)))
    limited = ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", sys.executable, "-c", READS_A_THOUSAND_PARTS, tmp_path]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    splits = [f"{split} 1000 1000" for split in ("train", "eval_train", "validation", "test")]
    assert done.stdout.splitlines() == [*splits, "True"]


def test_a_file_system_that_cannot_wait_for_the_disk_has_stores(tmp_path):
    write = (
        "import sys; from pathlib import Path; from workloads.datasets.store import FileWriter\n"
        "with FileWriter(Path(sys.argv[1])) as writer: writer.write(b'letters')"
    )
    for code, is_done in ((errno.EINVAL, True), (errno.EIO, False)):
        path = tmp_path / str(code)
        command = [sys.executable, "-c", write, path]
        done = subprocess.run(command, env=failing(f"fsync {code} 9 /"), capture_output=True, text=True, check=False)
        assert (done.returncode == 0, path.exists()) == (is_done, is_done)
