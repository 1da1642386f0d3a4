"""All files of a dataset into a folder: what is missing is fetched, what is there is checked once.

`fetched.json` in the folder says of each file its checksum, where it came from and when. A file whose size and time are
those written there is not read again; one that a person put there is taken where it is the right one.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.records import atomic
from algoperf.records.atomic import write_json
from workloads.datasets.fetch.client import Client, RefusedError
from workloads.datasets.fetch.links import shown
from workloads.datasets.fetch.official import File
from workloads.datasets.fetch.partial import Partial
from workloads.datasets.fetch.transfer import CHUNK, Transfer, checksum_of
from workloads.datasets.store import Progress

RECORD = "fetched.json"
CONNECTIONS = 8  # for all files together


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What the folder has now. files: how many in all. new: how many of them were fetched now. bytes: of all."""

    files: int
    new: int
    bytes: int


def fetch(
    files: Sequence[File],
    folder: Path,
    client: Client,
    progress: Progress,
    connections: int = CONNECTIONS,
    chunk: int = CHUNK,
) -> Fetched:
    """Fetches what is not in the folder yet. progress: of bytes.

    Raises UsageError where the disk is too small, where another process fetches into the folder and where another file
    has the place of one; InfrastructureError where a file can not be had, after all others have been fetched.
    """
    with _alone(folder):
        atomic.clear(folder)
        record = Record(folder)
        missing = [_with_size(file, client) for file in files if not record.has(file, progress)]
        _check_space(folder, missing)
        counted = _Counted(sum(file.bytes or 0 for file in missing), progress)
        transfer = Transfer(folder, client, connections, counted.add, chunk)
        _fetch_all(missing, transfer, record, connections)
    return Fetched(len(files), len(missing), sum((folder / file.name).stat().st_size for file in files))


def _fetch_all(files: Sequence[File], transfer: Transfer, record: "Record", connections: int) -> None:
    """Raises the first InfrastructureError at the end: one file that can not be had keeps no other from its place."""
    failed: list[InfrastructureError] = []
    with ThreadPoolExecutor(connections) as of_ranges, ThreadPoolExecutor(connections) as of_files:
        jobs = {of_files.submit(transfer.fetch, file, of_ranges): file for file in files}
        try:
            for job in as_completed(jobs):
                try:
                    record.add(jobs[job], *job.result())
                except InfrastructureError as error:
                    failed.append(error)
        except BaseException:
            transfer.stop()
            of_files.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        more = f" And {len(failed) - 1} other files." if len(failed) > 1 else ""
        raise InfrastructureError(f"{failed[0]}{more}")


class Record:
    """`fetched.json` of a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where it is none."""
        self._folder = folder
        self._path = folder / RECORD
        try:
            self._files = json.loads(self._path.read_text("utf-8"))["files"] if self._path.is_file() else {}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self._path} is damaged ({error}); remove it, and every file is checked again."
            ) from error

    def has(self, file: File, progress: Progress) -> bool:
        """Whether the file is there and the right one. Raises UsageError where it is another one."""
        path = self._folder / file.name
        if not path.is_file():
            return False
        stat, known = path.stat(), self._files.get(file.name, {})
        same_file = (known.get("bytes"), known.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
        if same_file and file.checksum in (None, tuple(known["checksum"])):
            return True
        way_out = "move it away, and it will be fetched"
        if file.bytes not in (None, stat.st_size):
            raise UsageError(f"{path} has {stat.st_size:,} bytes instead of {file.bytes:,}; {way_out}.")
        algorithm, wanted = file.checksum or ("sha256", None)
        progress(f"check {path.name}", 0, 1)
        found = checksum_of(path, algorithm)
        progress(f"check {path.name}", 1, 1)
        if wanted not in (None, found):
            raise UsageError(f"{path} has the {algorithm} {found} instead of {wanted}; {way_out}.")
        self.add(file, "the folder, where it was", (algorithm, found))
        return True

    def add(self, file: File, where: str, checksum: tuple[str, str]) -> None:
        stat = (self._folder / file.name).stat()
        self._files[file.name] = {
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "checksum": checksum,
            "from": where,
            "on": datetime.date.today().isoformat(),
        }
        write_json(self._path, {"files": dict(sorted(self._files.items()))})


class _Counted:
    """Bytes of all files, from several threads."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._done, self._progress = total, 0, progress
        self._lock = threading.Lock()
        progress("fetch", 0, total)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._progress("fetch", self._done, self._total)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Makes the folder. Raises UsageError where it can not be written, or another process fetches into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".fetch.lock").open("wb")
    except OSError as error:
        raise UsageError(f"{folder} can not be written ({error.strerror}); choose another --source.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another process fetches into {folder}; let it, or stop it first.") from error
        except OSError:
            pass  # a file system without locks
        yield


def _with_size(file: File, client: Client) -> File:
    """The file with its size, asked of the first server that tells, where it is not known."""
    for url in file.urls if file.bytes is None else ():
        with contextlib.suppress(RefusedError), client.ask(url, 0, 1) as answer:
            return dataclasses.replace(file, bytes=answer.total)
    return file


def _check_space(folder: Path, files: Sequence[File]) -> None:
    needed = sum((file.bytes or 0) - Partial(folder / file.name).here for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{folder} needs {needed / 1e9:,.1f} GB more, but its disk has {free / 1e9:,.1f} GB free; "
            "choose another --source or make room."
        )


def check(files: Sequence[File], client: Client) -> Iterator[tuple[File, str, str]]:
    """Asks every server of every file for one byte: file, address for people, and what is wrong, or ""."""
    for file in files:
        for url in file.urls:
            yield file, shown(url), _wrong(file, url, client)


def _wrong(file: File, url: str, client: Client) -> str:
    try:
        with client.ask(url, 0, 1) as answer:
            if file.bytes is not None and answer.total != file.bytes:
                found = "does not say how many bytes it has" if answer.total is None else f"has {answer.total:,} bytes"
                return f"{found} instead of {file.bytes:,}"
            return ""
    except RefusedError as error:
        return str(error)
