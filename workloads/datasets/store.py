"""A prepared dataset on disk: checksummed parts, and a manifest that is written last.

A store is a folder. It is prepared in parts, each a few files made from some of the raw files. A part counts as made
once its record stands in `parts/`, and files and records appear under their names only when whole; so a preparation
that was killed goes on with the parts that are missing. `manifest.json` is the sign that all are there.
"""

import concurrent.futures
import ctypes
import dataclasses
import json
import mmap
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.records import atomic
from algoperf.records.atomic import write_json
from workloads.datasets import processors

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
    """Makes the parts that are missing, several at a time, and returns all in the order of `makers`.

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
        if (part := _recorded(record)) is not None and part.intact(store):
            done[name] = part
    progress(f"prepare {store.name}", len(done), len(makers))
    _check_space(store, bytes_needed - sum(file["bytes"] for part in done.values() for file in part.files.values()))

    def make_and_record(name: str) -> Part:
        part = makers[name]()
        write_json(records / f"{name}.json", dataclasses.asdict(part))
        return part

    pool = concurrent.futures.ThreadPoolExecutor(processors.available())
    try:
        jobs = [pool.submit(make_and_record, name) for name in makers if name not in done]
        for job in concurrent.futures.as_completed(jobs):
            part = job.result()
            done[part.name] = part
            progress(f"prepare {store.name}", len(done), len(makers))
    finally:
        pool.shutdown(cancel_futures=True)
    return tuple(done[name] for name in makers)


def _recorded(record: Path) -> Part | None:
    """The part that was made; None where its record is not there, or not whole."""
    try:
        return Part(**json.loads(record.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


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
    """Raises UsageError for a manifest that is damaged or of another format, and where a file that it names is missing
    or cut short.
    """
    try:
        content = json.loads((store / MANIFEST).read_bytes())
    except ValueError:
        raise UsageError(f"{store / MANIFEST} is damaged; remove it and prepare again.") from None
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
    """The file as a read-only array of shape (n,) or (n, columns), read from the disk as it is touched.

    It is mapped once for all that read it, and no descriptor stays open for it: stores have more parts than a process
    may have open files. Raises InfrastructureError where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if (mapping := _MAPPINGS.get(key)) is None:
                mapping = _MAPPINGS[key] = _Mapping(file.fileno(), status.st_size)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be read: {error.strerror}.") from error
    array = np.asarray(mapping).view(dtype)
    return array if columns is None else array.reshape(-1, columns)


class _Mapping:
    """The bytes of a file in memory, for as long as there is an array of them. Python's own keeps the file open."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Raises OSError where the file cannot be mapped."""
        address = 0
        if size:  # no byte cannot be mapped
            address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, 0)
            if address == _FAILED:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            weakref.finalize(self, _LIBC.munmap, address, size).atexit = False  # a thread may still read then
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (address, True)}


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value

# A file, as it is now -> its mapping, while there is one.
_MAPPINGS: weakref.WeakValueDictionary[tuple[int, ...], _Mapping] = weakref.WeakValueDictionary()


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """`count` of the numbers 0 .. total-1 (int64, ascending), the same distance apart as nearly as can be."""
    return np.arange(count, dtype=np.int64) * total // count
