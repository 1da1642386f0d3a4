"""Trials that are timed on this machine at the same time: each is known to the others for as long as its process lives.

A process binds a socket to a name of Linux's abstract namespace, which all users of a machine can list, leaves no file
behind and ends with the process. Where there is no such namespace, nobody is known.
"""

import contextlib
import hashlib
import os
import socket
from pathlib import Path

_PREFIX = "algoperf.timed."
_LIST = Path("/proc/net/unix")
_LONGEST = 70  # of 107 bytes that a name may have


class Announced:
    """A trial that lets itself be known. folder: of its results, the same in all of its processes."""

    def __init__(self, folder: Path):
        path = str(folder.resolve())
        self._token = hashlib.sha256(path.encode()).hexdigest()[:10]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        label = path.encode()[-_LONGEST:].decode(errors="ignore").replace(" ", "_")
        with contextlib.suppress(OSError):  # a machine without the namespace
            self._socket.bind(f"\0{_PREFIX}{self._token}.{os.getpid()}.{label}")

    def others(self) -> list[str]:
        """The ends of the folders of all other trials that are timed here now."""
        try:
            lines = _LIST.read_text(errors="replace").splitlines()
        except OSError:
            return []
        names = {line.partition(f"@{_PREFIX}")[2] for line in lines} - {""}
        return sorted({name.split(".", 2)[2] for name in names if not name.startswith(f"{self._token}.")})

    def close(self) -> None:
        self._socket.close()
