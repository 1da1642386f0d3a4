"""One file from its mirrors to its place: in ranges, several at a time, each cut taken up where it was.

A server that knows no ranges is read from the beginning to the end. The file has its name only once its size and its
checksum are right; where none is published, its first and last bytes have to be those of its kind.
"""

import concurrent.futures
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from workloads.datasets.fetch.client import Answer, Client, CutError, RefusedError
from workloads.datasets.fetch.links import shown
from workloads.datasets.fetch.official import File
from workloads.datasets.fetch.partial import Partial

CHUNK = 1 << 25  # bytes of a range, which is what a kill loses of each connection
CUTS = 6  # in a row without a byte between them, after which a server is given up; from the start, without ranges
_WRONG = 2  # how often a server may give wrong bytes
_READ = 1 << 22  # bytes read at a time for a checksum
# What a file begins and ends with, by the end of its name; (offset, bytes), offsets below 0 from the end.
_MARKS = {
    ".gz": ((0, b"\x1f\x8b"),),
    ".tgz": ((0, b"\x1f\x8b"),),
    ".xz": ((0, b"\xfd7zXZ\0"), (-2, b"YZ")),
    ".zip": ((0, b"PK"),),
    ".tar": ((257, b"ustar"),),
    ".parquet": ((0, b"PAR1"), (-4, b"PAR1")),
}

Received = Callable[[int], None]  # called with each number of bytes that came; below 0 where some have to come again


class _WrongBytesError(Exception):
    """All is here, but it is not the file."""


class Transfer:
    """Transfers files below a folder, with as many connections at a time as there are, for all files together."""

    def __init__(self, folder: Path, client: Client, connections: int, received: Received, chunk: int = CHUNK) -> None:
        self._folder = folder
        self._client = client
        self._received = received
        self._chunk = chunk
        self._free = threading.Semaphore(connections)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Lets every transfer end soon; what is here stays."""
        self._stopping.set()

    def fetch(self, file: File, pool: Executor) -> tuple[str, tuple[str, str]]:
        """Fetches a file that is not there. pool: of threads for its ranges, in which the caller is not running itself.

        Returns where it came from and its checksum. Raises InfrastructureError, one sentence with every reason.
        """
        partial = Partial(self._folder / file.name)
        self._received(partial.here)
        reasons = []
        try:
            for url in file.urls:
                for _ in range(_WRONG):
                    try:
                        self._bring(file, url, partial, pool)
                        found = _checked(file, partial.path)
                        partial.finish()
                        return shown(url), found
                    except _WrongBytesError as error:
                        self._received(-(partial.total or 0))
                        partial.discard()
                        reasons.append(f"{shown(url)} gives {error}")
                    except (RefusedError, CutError) as error:
                        reasons.append(str(error))
                        break
        finally:
            partial.close()
        raise InfrastructureError(f"{file.name} can not be fetched: {'; '.join(dict.fromkeys(reasons))}.")

    def _bring(self, file: File, url: str, partial: Partial, pool: Executor) -> None:
        """All bytes of the file. Raises RefusedError and CutError where the server does not give them."""
        for cut in range(CUTS):
            try:
                with self._free, self._client.ask(url, 0, 1) as answer:
                    self._agree(file, url, partial, answer)
                    if answer.ranges:
                        break
                    return self._whole(file, url, partial, answer)
            except CutError as error:
                if cut == CUTS - 1:
                    raise CutError(f"{shown(url)} was cut {CUTS} times ({error})") from error
                self._stopping.wait(self._client.backoff * cut)
        self._ranges(url, partial, pool)
        return None

    def _agree(self, file: File, url: str, partial: Partial, answer: Answer) -> None:
        """Begins the file, or goes on with it where the answer is of what is here. Raises RefusedError."""
        if file.bytes is not None and answer.total not in (None, file.bytes):
            raise RefusedError(f"{shown(url)} has {answer.total:,} bytes instead of {file.bytes:,}")
        before = partial.here
        same = file.checksum is not None or partial.tag == answer.tag
        partial.begin(answer.total, answer.tag, keep=answer.ranges and same)
        self._received(partial.here - before)

    def _whole(self, file: File, url: str, partial: Partial, answer: Answer) -> None:
        at = 0
        try:
            for piece in answer.pieces():
                partial.write(piece, at)
                at += len(piece)
                self._received(len(piece))
        except CutError:
            self._received(-at)
            raise
        if answer.total is None:
            if file.bytes not in (None, at):
                self._received(-at)
                raise RefusedError(f"{shown(url)} gives {at:,} bytes instead of {file.bytes:,}")
            partial.total = at
        partial.add(0, at)

    def _ranges(self, url: str, partial: Partial, pool: Executor) -> None:
        failed = threading.Event()

        def bring(span: tuple[int, int]) -> None:
            try:
                self._range(url, partial, span, failed)
            except BaseException:
                failed.set()
                raise

        jobs = [pool.submit(bring, span) for span in partial.missing(self._chunk)]
        concurrent.futures.wait(jobs)
        for job in jobs:
            job.result()
        if self._stopping.is_set():
            raise CutError("the fetch was stopped")

    def _range(self, url: str, partial: Partial, span: tuple[int, int], failed: threading.Event) -> None:
        """The bytes of a span, over as many connections as it takes, unless another span of the file `failed`."""
        begin, end = span
        at, cuts = begin, 0
        try:
            while at < end and not (failed.is_set() or self._stopping.is_set()):
                before = at
                try:
                    for piece in self._pieces(url, partial, at, end):
                        partial.write(piece, at)
                        at += len(piece)
                        self._received(len(piece))
                        if self._stopping.is_set():
                            break
                except CutError as error:
                    cuts = 0 if at > before else cuts + 1
                    if cuts == CUTS:
                        raise CutError(f"{shown(url)} was cut {CUTS} times in a row ({error})") from error
                    self._stopping.wait(self._client.backoff * cuts)
        finally:
            if at < end:
                self._received(begin - at)
        if at == end:
            partial.add(begin, end)

    def _pieces(self, url: str, partial: Partial, begin: int, end: int) -> Iterator[bytes]:
        """The bytes begin .. end as they come. Raises RefusedError, and CutError where they are fewer."""
        with self._free, self._client.ask(url, begin, end, partial.tag) as answer:
            if not answer.ranges or answer.total != partial.total:
                raise RefusedError(f"{shown(url)} has changed while it was fetched")
            for piece in answer.pieces():
                yield piece[: end - begin]
                begin += len(piece)
                if begin >= end:
                    return
            raise CutError("the answer is shorter than was asked for")


def checksum_of(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while piece := stream.read(_READ):
            digest.update(piece)
    return digest.hexdigest()


def _checked(file: File, path: Path) -> tuple[str, str]:
    """The checksum of the file, that is what is published where anything is. Raises _WrongBytesError."""
    algorithm, wanted = file.checksum or ("sha256", "")
    found = checksum_of(path, algorithm)
    if wanted and found != wanted:
        raise _WrongBytesError(
            f"other bytes than are published ({algorithm} {found[:12]}... instead of {wanted[:12]}...)"
        )
    if not wanted:
        with path.open("rb") as stream:
            for offset, mark in _MARKS.get(Path(file.name).suffix, ()):
                stream.seek(offset, 2 if offset < 0 else 0)
                if stream.read(len(mark)) != mark:
                    raise _WrongBytesError(f"no {Path(file.name).suffix} file")
    return algorithm, found
