"""Folders for what a process needs only while it lives, among the machine's temporary files."""

import contextlib
import fcntl
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX = "algoperf_"
# The file in such a folder that its process has locked as long as it lives. It names the machine: where several share
# their temporary files, not every file system tells one of them of the other's locks.
_MARK = f"in_use_{platform.node()}"


class Scratch:
    """A new folder, empty, which goes with this process at the latest; as a context, at the context's end.

    A process that is killed takes nothing away, by which a machine that is often preempted would be full: the next one
    there does. what: a word for its name.
    """

    def __init__(self, what: str):
        _remove_those_of_killed_processes()
        self._temporary = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{what}_", ignore_cleanup_errors=True)
        self._mark = _marked(Path(self._temporary.name))  # open as long as the folder is wanted
        self.folder = Path(self._temporary.name) / "content"
        self.folder.mkdir()

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *raised: object) -> None:
        self._temporary.cleanup()
        self._mark.close()


def _marked(folder: Path) -> IO[bytes]:
    """The mark of a folder that has just been made. It has its name only when it is locked: without, nobody removes
    the folder."""
    unnamed = folder / "mark"
    mark = unnamed.open("wb")
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(mark, fcntl.LOCK_EX)
        os.replace(unnamed, folder / _MARK)
    return mark


def _remove_those_of_killed_processes() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _MARK).open("rb") as mark:  # none, in use, or another user's
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
