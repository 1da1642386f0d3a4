"""A file of which some bytes are here already: `.NAME.part`, and which ones, in `.NAME.part.json`.

Bytes count once they are flushed to the disk and written down; so a fetch that was killed, or a machine that went down,
loses the chunks that were on their way and nothing else. The file gets its name when all of it was checked.
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError
from algoperf.records import atomic
from algoperf.records.atomic import write_json


class Partial:
    """Usable from several threads at once, and by one process."""

    def __init__(self, path: Path) -> None:
        """path: of the whole file."""
        self._whole = path
        self._part = path.with_name(f".{path.name}.part")
        self._record = path.with_name(f".{path.name}.part.json")
        self._lock = threading.Lock()
        self._file: int | None = None
        self.total: int | None = None
        self.tag = ""
        self._done: list[list[int]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._read()

    def _read(self) -> None:
        try:
            record = json.loads(self._record.read_text("utf-8"))
            if self._part.stat().st_size == record["bytes"]:
                self.total, self.tag, self._done = record["bytes"], record["tag"], record["done"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # begun anew

    @property
    def here(self) -> int:
        """How many bytes are here for certain."""
        return sum(end - begin for begin, end in self._done)

    def begin(self, total: int | None, tag: str, keep: bool) -> None:
        """Opens the file for writing. total: its size, where it is known. keep: whether what is here is of it."""
        self.close()
        if not keep or total is None or total != self.total:
            self._done = []
        self.total, self.tag = total, tag
        with self._writing():
            self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT, 0o666)
            os.ftruncate(self._file, total or 0)
            self._write_down()

    def missing(self, size: int) -> list[tuple[int, int]]:
        """begin, end of the chunks of `size` bytes or less that are not here; needs a `total`."""
        gaps, at = [], 0
        for begin, end in [*self._done, [self.total, self.total]]:
            gaps += [(first, min(first + size, begin)) for first in range(at, begin, size)]
            at = end
        return gaps

    def write(self, data: bytes, at: int) -> None:
        with self._writing():
            while data:
                written = os.pwrite(self._file, data, at)
                data, at = data[written:], at + written

    def add(self, begin: int, end: int) -> None:
        """Writes down that the bytes begin .. end are here."""
        with self._writing():
            atomic.flush(self._file)
            with self._lock:
                self._done = _merged([*self._done, [begin, end]])
                self._write_down()

    def _write_down(self) -> None:
        write_json(self._record, {"bytes": self.total, "tag": self.tag, "done": self._done})

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def path(self) -> Path:
        """Of what is here."""
        return self._part

    def discard(self) -> None:
        self.close()
        self._done, self.total = [], None
        for file in (self._part, self._record):
            file.unlink(missing_ok=True)

    def finish(self) -> None:
        """Gives the file its name."""
        self.close()
        self._part.replace(self._whole)
        self._record.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Says what failed where the disk does."""
        try:
            yield
        except OSError as error:
            raise InfrastructureError(
                f"{self._part} can not be written ({error.strerror}); what was fetched stays, give the command again."
            ) from error


def _merged(spans: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([begin, end])
    return merged
