"""What a log holds, read so that nothing in it can stop or mislead the reader."""

import json
import os
import stat
from typing import Any

MAX_FILE_BYTES = 64 * 1024**2  # a real trial's evaluations are some hundred rows: thousands of times less


def printable(text: str) -> str:
    """`text` fit to be written and shown: what is no printable character of valid Unicode becomes an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def read_file(path: str) -> bytes:
    """A regular file's bytes. Raises OSError for anything else, and for a file larger than any log."""
    # Without O_NONBLOCK, opening a named pipe would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(0, f"larger than {MAX_FILE_BYTES // 1024**2} MiB")
        return os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def read_object(path: str) -> dict[str, Any] | None:
    """The JSON object in a file; None where it holds no such thing. Raises OSError as `read_file` does."""
    try:
        content = json.loads(read_file(path))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
