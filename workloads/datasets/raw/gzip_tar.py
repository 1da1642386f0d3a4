"""A `.tar.gz` read where it lies, file by file and in any order, by several threads at once.

Gzip can only be unpacked from its beginning on. One pass does that, and keeps the state of the unpacking at points
evenly spread over the archive, a fixed number of them; a file is read from the point before it. Nothing is written.
"""

import bisect
import contextlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from algoperf.benchmark.facts import UsageError

_POINTS = 512  # each about 45 kB in memory
_LEAST_APART = 1 << 22  # bytes of the archive
_CHUNK = 1 << 16  # bytes of the archive unpacked at a time
_GZIP = 31  # zlib's name for a window of 32 kB with gzip's header and checksum


class Place(NamedTuple):
    """Where a file is in the unpacked archive."""

    offset: int
    size: int


class _Point(NamedTuple):
    unpacked: int  # bytes before it
    packed: int
    state: Any  # of zlib


class GzipTar:
    """An archive. places: the path of each file in it -> its place. contents: of the files that were wanted."""

    def __init__(self, path: Path, wanted: Callable[[str], bool]) -> None:
        """Reads all of it, and its checksum. wanted: which files' content is kept, by their paths.

        Raises UsageError where it is damaged or cut short.
        """
        self.path = path
        self.places: dict[str, Place] = {}
        self.contents: dict[str, bytes] = {}
        self._points: list[_Point] = []
        with self._named_if_damaged(), path.open("rb") as file:
            apart = max(_LEAST_APART, path.stat().st_size // _POINTS)
            stream = _Unpacked(file, _Point(0, 0, zlib.decompressobj(_GZIP)), apart, self._points)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
                for member in archive:
                    archive.members = []  # it would keep all of them
                    if member.isfile():
                        self.places[member.name.removeprefix("./")] = Place(member.offset_data, member.size)
                        if wanted(member.name):
                            self.contents[member.name.removeprefix("./")] = archive.extractfile(member).read()
            while stream.read(1 << 20):  # the end, with the checksum
                pass

    def read(self, places: list[Place]) -> Iterator[bytes]:
        """The content of files, which lie one behind another where they are read fast. Raises UsageError."""
        stream = None
        with self._named_if_damaged(), self.path.open("rb") as file:
            for place in places:
                if stream is None or not stream.at <= place.offset <= self._after(stream.at):
                    number = bisect.bisect(self._points, place.offset, key=lambda point: point.unpacked) - 1
                    stream = _Unpacked(file, self._points[number])
                stream.skip(place.offset - stream.at)
                yield stream.read(place.size)

    def _after(self, at: int) -> int:
        """Where the next point is, from which on it would be faster to begin there."""
        number = bisect.bisect(self._points, at, key=lambda point: point.unpacked)
        return self._points[number].unpacked if number < len(self._points) else 1 << 62

    @contextlib.contextmanager
    def _named_if_damaged(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise UsageError(f"{self.path} is damaged or cut short ({error}); get it again.") from error


class _Unpacked(io.RawIOBase):
    """The unpacked bytes from a point on; at: how many are before the next. Notes `points` that are `apart`."""

    def __init__(
        self, file: io.BufferedReader, point: _Point, apart: int = 0, points: list[_Point] | None = None
    ) -> None:
        super().__init__()
        self.at, self._packed = point.unpacked, point.packed
        self._state = point.state.copy()
        self._file, self._apart, self._points = file, apart, points
        self._buffer = memoryview(b"")
        file.seek(point.packed)

    def _fill(self) -> bool:
        """Unpacks some more; False at the end."""
        if self._points is not None and (not self._points or self._packed - self._points[-1].packed >= self._apart):
            self._points.append(_Point(self.at, self._packed, self._state.copy()))
        packed = self._file.read(_CHUNK)
        if not packed:
            if self._state.eof or not self._packed:
                return False
            raise EOFError("it has no end")
        self._packed += len(packed)
        unpacked = self._state.decompress(packed)
        while self._state.eof and (rest := self._state.unused_data.lstrip(b"\0")):  # as several gzip files in a row are
            self._state = zlib.decompressobj(_GZIP)
            unpacked += self._state.decompress(rest)
        self._buffer = memoryview(unpacked)
        return True

    def _take(self, size: int) -> memoryview:
        """At most `size` of the next bytes; none at the end."""
        while not self._buffer:
            if not self._fill():
                return self._buffer
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        self.at += len(taken)
        return taken

    def skip(self, size: int) -> None:
        while size and (taken := self._take(size)):
            size -= len(taken)

    def read(self, size: int = -1) -> bytes:
        pieces, left = [], size
        while left and (taken := self._take(left)):
            pieces.append(taken)
            left -= len(taken)
        return b"".join(pieces)
