"""A lock for a folder: no trial is computed twice, and nothing is written by two.

Each trial has one, each run of the workflow, and each preparation of data. The lock is a file that names its holder. A
holder that is gone (a killed process, a requeued or finished job) is succeeded; one that is alive is not, nor one of
which nothing can be known from here. A process that was taken for dead and is not (a node that was cut off) finds
another's name in the lock before its next write, and stops.

Whoever would succeed a holder first takes the claim on it: another lock, whose name has the holder's token. So of many
that find a dead holder one succeeds it, and only the holder that it found.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Self

import psutil

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import job, slurm
from algoperf.records.words import trouble

LOCK = "lock.json"

# Seconds to wait for a Slurm job that holds the lock: its successor may be started while it is still ending.
PATIENCE = 60.0

# Seconds for which a lock is read again: where the disk fails, as network disks do for moments (ESTALE, EIO), and where
# it names nobody, as without hard links a lock is there a moment before its content is.
_FAILING = 5.0
_NAMELESS = 1.0
_PAUSE = 0.1

# File systems that only the machine has that they are in: what was held there before it began anew is held no more.
_OF_ONE_MACHINE = {"btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "vfat", "xfs", "zfs"}

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("/proc/self/ns/pid", "/proc/self/ns/time")  # process numbers mean something, and beginnings, only within


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    started: its process, in clock ticks since the machine's start, which no step of a clock changes. place: where the
    process's number and beginning mean something. disk: the lock's file system. job: of Slurm. token: of this holding.
    What an earlier version wrote has no place and no disk.
    """

    host: str
    pid: int
    started: float
    job: str | None
    token: str
    place: str = ""
    disk: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.job is None else f"job {self.job} on {self.host}"


def read(folder: Path) -> Holder | None:
    """Whom the lock of a folder names; None where there is none that can be read."""
    try:
        return _named((folder / LOCK).read_bytes())
    except OSError:
        return None


def is_alive(holder: Holder) -> bool:
    """Whether the holder may still write; one of which nothing can be known from here is taken to be alive.

    Raises InfrastructureError where Slurm does not answer.
    """
    is_of_this_boot = holder.place.startswith(_boot())
    is_here = is_of_this_boot and holder.host == socket.gethostname()
    if is_here and holder.place == _place():
        return _runs(holder.pid, holder.started)
    if holder.place and not is_of_this_boot and holder.disk in _OF_ONE_MACHINE:
        return False
    if holder.job is None:
        return True
    # The same job elsewhere, or before the machine began anew: it was requeued, and this process is what it goes on as.
    # In another container of the running machine it may be a second process of the same job.
    return is_here if holder.job == job.current() else slurm.is_active(holder.job)


@functools.cache
def _boot() -> str:
    """What tells this start of this machine from all others."""
    try:
        return _BOOT.read_text("utf-8").strip()
    except OSError:
        return uuid.uuid4().hex  # equal to no other


@functools.cache
def _place() -> str:
    """The machine, since its start, and the namespaces of this process: containers may share a machine and its name."""
    namespaces = [os.readlink(path) for path in _NAMESPACES if os.path.lexists(path)]
    if os.readlink("/proc/self") != str(os.getpid()):  # it shows the numbers of another namespace
        namespaces.append(uuid.uuid4().hex)
    return " ".join((_boot(), *namespaces))


def _stat(pid: int | str) -> list[bytes]:
    """What the kernel says of a process, from its state on. Raises OSError where it says nothing."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def _runs(pid: int, started: float) -> bool:
    """Whether the process of this number that began then may still do something."""
    try:
        state, begun = (words := _stat(pid))[0], int(words[19])
        is_over = state in b"ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1  # nobody has asked how it ended
    except OSError:
        return _is_hidden(pid)
    return begun == started and not is_over


def _is_hidden(pid: int) -> bool:
    """Whether there is a process of which the machine tells nothing: sites hide those of others."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _disk(folder: Path) -> str:
    """The type of the file system that a folder is in, as the mount table names it."""
    path = folder.resolve()
    mounted = {disk.mountpoint: disk.fstype for disk in psutil.disk_partitions(all=True)}  # the last is on top
    return next((mounted[str(parent)] for parent in (path, *path.parents) if str(parent) in mounted), "")


class FolderLock:
    """Held inside of a `with`, or from `take` to `release`.

    waits: as long as it takes, for a live holder of which it can be known from here when it is gone.
    """

    def __init__(self, folder: Path, waits: bool = False):
        self._folder, self._waits = folder, waits
        self._made: list[Path] = []
        self._holder = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=int(_stat("self")[19]),
            job=job.current(),
            token=uuid.uuid4().hex,
            place=_place(),
        )

    def __enter__(self) -> Self:
        return self.take()

    def __exit__(self, *error: object) -> None:
        self.release()

    def take(self) -> Self:
        """Raises InfrastructureError where a live holder has it, and where nothing can be written there."""
        try:
            self._made = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
            self._folder.mkdir(parents=True, exist_ok=True)
            self._holder = dataclasses.replace(self._holder, disk=_disk(self._folder))
            self._take(self._folder / LOCK)
        except OSError as error:
            raise InfrastructureError(f"{self._folder} cannot be written to: {trouble(error)}.") from error
        self.verify()
        return self

    def _take(self, path: Path) -> None:
        """Puts this holder's name into a file, as the first one or after one that is gone."""
        mine = path.with_name(f".{LOCK}.{uuid.uuid4().hex}")
        try:
            mine.write_text(json.dumps(dataclasses.asdict(self._holder)) + "\n", encoding="utf-8")
            while not (_created(path, mine) or self._has(path)):  # a network disk may lose its answer that it did
                if (left := self._left(path)) is None:
                    continue
                claim = path.with_name(f".{LOCK}.{_token(left)}.claim")
                self._take(claim)
                try:
                    if _content(path) == left:  # which nobody but the claimant changes
                        with contextlib.suppress(FileNotFoundError):  # that answer may be lost, too
                            mine.replace(path)
                        if self._has(path):
                            return
                finally:
                    self._drop(claim)
        finally:
            mine.unlink(missing_ok=True)

    def _left(self, path: Path) -> bytes | None:
        """What is in a lock whose holder is gone; None where there is none any more. Waits for jobs that are ending."""
        begun = time.monotonic()
        while (content := _content(path)) is not None:
            holder, waited = _named(content), time.monotonic() - begun
            if holder is None:
                if waited > _NAMELESS:
                    return content
            elif not is_alive(holder):
                return content
            elif not self._waits_for(holder, waited):
                raise InfrastructureError(
                    f"{self._folder} is being written by {holder}; wait for it or end it. If it is gone, remove {path}."
                )
            time.sleep(_PAUSE if holder is None else 1)
        return None

    def _waits_for(self, holder: Holder, waited: float) -> bool:
        if self._waits:
            return holder.job is not None or holder.place == _place()
        return holder.job is not None and waited < PATIENCE

    def _has(self, path: Path) -> bool:
        return _named(_content(path) or b"") == self._holder

    def _drop(self, path: Path) -> bool:
        """Whether the lock was this holder's: then it is there no longer."""
        if is_mine := self._has(path):
            path.unlink(missing_ok=True)
        return is_mine

    def release(self) -> None:
        """Folders that were made for the lock, and into which nothing was written, go with it."""
        if self._drop(self._folder / LOCK):
            with contextlib.suppress(OSError):  # the first that is not empty is the last that is looked at
                for folder in self._made:
                    folder.rmdir()

    def verify(self) -> None:
        """Call it before each write. Raises InfrastructureError where another has succeeded this holder, and where the
        lock cannot be read.
        """
        path = self._folder / LOCK
        try:
            content = _content(path)
        except OSError as error:
            raise InfrastructureError(f"{trouble(error)}: the lock cannot be read; nothing more is written.") from error
        if (holder := _named(content or b"")) != self._holder:
            by = "nobody" if holder is None else holder
            raise InfrastructureError(f"the lock of {self._folder} is held by {by} now; this process writes no more.")


def _created(path: Path, content: Path) -> bool:
    """Whether `path` was created, with what `content` holds; False where it is there already."""
    try:
        os.link(content, path)  # the only call that creates a file with its content or fails, on network disks too
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links; any other trouble shows again
        try:
            with path.open("xb", buffering=0) as file:
                file.write(content.read_bytes())
        except FileExistsError:
            return False
    return True


def _content(path: Path) -> bytes | None:
    """What a lock holds, None where there is none. Raises OSError where it cannot be read, time and again."""
    deadline = time.monotonic() + _FAILING
    while True:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _named(content: bytes) -> Holder | None:
    """The holder that a lock names; None for what is none, such as what a machine leaves that went off."""
    try:
        holder = Holder(**json.loads(content))
    except (ValueError, TypeError):
        return None
    texts = (holder.host, holder.token, holder.place, holder.disk, holder.job or "")
    is_whole = all(isinstance(text, str) for text in texts) and isinstance(holder.pid, int)
    named = dataclasses.replace(holder, job=holder.job or None)  # an empty job is none
    return named if is_whole and 0 < holder.pid < 2**31 else None


def _token(content: bytes) -> str:
    """What the claim on a holder is called after: its lock's content has its token."""
    return hashlib.sha256(content).hexdigest()[:32]
