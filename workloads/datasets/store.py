"""A prepared dataset on disk: checksummed parts, and a manifest that is written last.

A store is a folder. It is prepared in parts, each a few files made from some of the raw files. A part counts as made
once its record stands in `parts/`, and files and records appear under their names only when whole; so a preparation
that was killed goes on with the parts that are missing. `manifest.json` is the sign that all are there.
"""

import concurrent.futures
import dataclasses
import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from algoperf.benchmark.facts import UsageError
from algoperf.records import atomic
from algoperf.records.atomic import write_json

MANIFEST = "manifest.json"
FORMAT = 1

# progress(what, done, total): called at the beginning of each stage and whenever more of it is done.
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Part:
    """One part that was made. examples: split -> number of them in it. files: name -> its size in bytes and CRC-32."""

    name: str
    examples: dict[str, int]
    files: dict[str, dict[str, int]]

    def intact(self, store: Path) -> bool:
        """Whether all of the part's files are there in their full sizes (their content is not read)."""
        return all(
            (store / name).is_file() and (store / name).stat().st_size == file["bytes"]
            for name, file in self.files.items()
        )


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a store holds. description: what the data really are, in a sentence. source: where they come from."""

    dataset: str
    description: str
    source: str
    parts: tuple[Part, ...]

    def examples(self, split: str) -> int:
        return sum(part.examples[split] for part in self.of(split))

    def of(self, split: str) -> list[Part]:
        return [part for part in self.parts if split in part.examples]


class FileWriter:
    """Writes `path` atomically, and sums its bytes up while doing so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.crc32 = 0
        self._writing = atomic.writing(path)
        self._file = self._writing.__enter__()

    def write(self, data: Any) -> None:
        """`data`: anything with a contiguous buffer: bytes, an array."""
        view = memoryview(data).cast("B")
        self._file.write(view)
        self.crc32 = zlib.crc32(view, self.crc32)
        self.size += view.nbytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writing.__exit__(kind, error, at)


def written_part(name: str, examples: dict[str, int], *writers: FileWriter) -> Part:
    """The part whose files `writers`, all closed, have written."""
    files = {writer.path.name: {"bytes": writer.size, "crc32": writer.crc32} for writer in writers}
    return Part(name, examples, files)


def build(
    store: Path, makers: Mapping[str, Callable[[], Part]], bytes_needed: int, progress: Progress
) -> tuple[Part, ...]:
    """Makes the parts that are missing, as many at a time as there are cores, and returns all in the order of `makers`.

    makers: part name -> the function that writes its files; it should spend its time where the interpreter's lock is
    free (decoding, parsing, NumPy). bytes_needed: about the size of the whole store. One process at a time may build a
    store. Raises UsageError where the disk is too full, and whatever a maker raises.
    """
    records = store / "parts"
    records.mkdir(parents=True, exist_ok=True)
    atomic.clear(store)
    atomic.clear(records)
    done: dict[str, Part] = {}
    for name in makers:
        record = records / f"{name}.json"
        if record.is_file() and (part := Part(**json.loads(record.read_text()))).intact(store):
            done[name] = part
    progress(f"prepare {store.name}", len(done), len(makers))
    _check_space(store, bytes_needed - sum(file["bytes"] for part in done.values() for file in part.files.values()))

    def make_and_record(name: str) -> Part:
        part = makers[name]()
        write_json(records / f"{name}.json", dataclasses.asdict(part))
        return part

    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    try:
        jobs = [pool.submit(make_and_record, name) for name in makers if name not in done]
        for job in concurrent.futures.as_completed(jobs):
            part = job.result()
            done[part.name] = part
            progress(f"prepare {store.name}", len(done), len(makers))
    finally:
        pool.shutdown(cancel_futures=True)
    return tuple(done[name] for name in makers)


def _check_space(store: Path, needed: int) -> None:
    free = shutil.disk_usage(store).free
    if needed > free:
        raise UsageError(
            f"{store} needs about {needed / 1e9:.1f} GB more, but its disk has {free / 1e9:.1f} GB free; "
            "choose another --data-dir or make room."
        )


def write_manifest(store: Path, manifest: Manifest) -> None:
    """The last act of a preparation."""
    write_json(store / MANIFEST, {"format": FORMAT, **dataclasses.asdict(manifest)})


def read_manifest(store: Path) -> Manifest:
    """Raises UsageError for a manifest of another format, and where a file that it names is missing or cut short."""
    content = json.loads((store / MANIFEST).read_text())
    if content.pop("format") != FORMAT:
        raise UsageError(f"{store} was prepared by another version of this program; remove it and prepare it again.")
    parts = tuple(Part(**part) for part in content.pop("parts"))
    for part in parts:
        if not part.intact(store):
            raise UsageError(
                f"{part.name} in {store} is missing or cut short; remove {store / MANIFEST} and prepare again."
            )
    return Manifest(**content, parts=parts)


def verify(store: Path) -> list[str]:
    """The names of the store's files whose content is not what was written; reads every byte."""
    damaged = []
    for part in read_manifest(store).parts:
        for name, file in part.files.items():
            crc32 = 0
            with (store / name).open("rb") as stream:
                while chunk := stream.read(1 << 24):
                    crc32 = zlib.crc32(chunk, crc32)
            if crc32 != file["crc32"]:
                damaged.append(name)
    return damaged


def memory_map(path: Path, dtype: np.dtype, columns: int | None = None) -> np.ndarray:
    """The file as a read-only array of shape (n,) or (n, columns), read from the disk as it is touched."""
    array = np.memmap(path, dtype, mode="r")
    return array if columns is None else array.reshape(-1, columns)


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """`count` of the numbers 0 .. total-1 (int64, ascending), the same distance apart as nearly as can be."""
    return np.arange(count, dtype=np.int64) * total // count
