"""Who else is at work on this machine while a trial is timed: trials by name, and all others by what they take.

Each trial is known to the others for as long as its process lives: it binds a socket to a name of Linux's abstract
namespace, which all users of a machine can list, leaves no file behind and ends with the process. Where there is no
such namespace, nobody is known.
"""

import contextlib
import dataclasses
import hashlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

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
        return sorted({name for token, _, name in _announced() if token != self._token})

    def processes(self) -> set[int]:
        """The numbers of this trial's processes on this machine, this one among them."""
        return {os.getpid(), *(int(process) for token, process, _ in _announced() if token == self._token)}

    def close(self) -> None:
        self._socket.close()


def _announced() -> list[list[str]]:
    """Token, process and name of each trial, as sockets are called; what else is called so is left out."""
    try:
        lines = _LIST.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    names = {line.partition(f"@{_PREFIX}")[2] for line in lines}
    parts = (name.split(".", 2) for name in names)
    return [found for found in parts if len(found) == 3 and found[1].isdecimal()]


@dataclasses.dataclass(frozen=True)
class Work:
    """Seconds of the processors that a trial may use, since some moment: all that there were, those that its own
    processes took, those that anybody took, and those that the host of a virtual machine gave to other machines.
    """

    all: float
    own: float
    anybodys: float
    stolen: float


class Witness:
    """What others take of the processors of this process, from when it is made on.

    before: of `seen`, by an earlier session of the trial.
    """

    def __init__(self, announced: Announced, before: Mapping[str, float] | None = None):
        self._announced, self._before = announced, before or {}
        self._begin = self._now()

    def seen(self) -> dict[str, float]:
        """processor_seconds: of all processors that it may use, together; others_seconds: what processes took of them
        that are not the trial's; stolen_seconds: what the host of a virtual machine gave to others. Over all sessions.
        """
        begin, now = self._begin, self._now()
        others = now.anybodys - begin.anybodys - (now.own - begin.own)
        found = {
            "processor_seconds": now.all - begin.all,
            "others_seconds": max(0.0, others),
            "stolen_seconds": now.stolen - begin.stolen,
        }
        return {name: round(self._before.get(name, 0.0) + value, 2) for name, value in found.items()}

    def _now(self) -> Work:
        processors = os.sched_getaffinity(0)
        of_processors = _processors(processors)
        return Work(
            all=len(processors) * time.monotonic(),
            own=_taken_by(self._announced.processes()),
            anybodys=sum(taken for taken, _ in of_processors),
            stolen=sum(stolen for _, stolen in of_processors),
        )


def _processors(numbers: Iterable[int]) -> list[tuple[float, float]]:
    """Of these processors, since the machine's start: seconds that processes and the kernel took, and stolen ones."""
    try:
        lines = Path("/proc/stat").read_text("utf-8").splitlines()
    except OSError:
        return []
    ticks = os.sysconf("SC_CLK_TCK")
    found = {name: [int(word) / ticks for word in words] for name, *words in map(str.split, lines) if name[:3] == "cpu"}
    # user, nice, system, idle, waits for a disk, two kinds of interrupts, stolen
    return [(sum(of[:3]) + sum(of[5:7]), of[7]) for number in numbers if (of := found.get(f"cpu{number}"))]


def _taken_by(pids: Iterable[int]) -> float:
    """Seconds of processors that processes have taken, with those that they have started."""
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found |= {process, *process.children(recursive=True)}
    seconds = 0.0
    for process in found:
        with contextlib.suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:4])  # its own and of those whose end it has heard of
    return seconds
