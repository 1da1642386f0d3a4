"""Files that are either wholly written or not touched."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_SUFFIX = ".tmp"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end: readers see the old file or the whole new one.

    It is flushed to the disk before it is renamed. Where it fails, what was at `path` stays. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk must not stay full of halves
            temporary.unlink()
        raise


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
