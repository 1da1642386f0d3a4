"""Files that are either wholly written or not touched."""

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_SUFFIX = ".tmp"

# What file systems say that have no such call: some know no `fsync` of a folder.
_HAS_NONE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end: readers see the old file or the whole new one.

    It is flushed to the disk before it is renamed. Where it fails, what was at `path` stays. Raises OSError.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{_SUFFIX}")  # machines that share a disk may share numbers
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            flush(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk must not stay full of halves
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def flush(descriptor: int) -> bool:
    """Waits until a file or a folder is on the disk. Whether its file system can do so; where it cannot, nothing waits.

    Raises OSError where the disk fails.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _HAS_NONE:
            raise
        return False
    return True


def flush_folder(folder: Path) -> bool:
    """As `flush`, of the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return flush(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """As `writing`, in one call."""
    with writing(path) as file:
        file.write(data)


def write_json(path: Path, content: Any) -> None:
    """As `writing`, of what JSON can hold."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def clear(folder: Path) -> None:
    """Removes what writers that were killed have left in a folder; only where no other process writes to it."""
    for leftover in folder.glob(f".*{_SUFFIX}"):
        leftover.unlink(missing_ok=True)
