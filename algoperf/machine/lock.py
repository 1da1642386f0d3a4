"""A lock for a folder: no trial is computed twice, and nothing is written by two.

Each trial has one, and each run of the workflow. The lock is a file that names its holder. A holder that is gone (a
killed process, a requeued or finished job) is succeeded; one that is alive is not. A process that was taken for dead
and is not (a node that was cut off) finds another's name in the lock before its next write, and stops.
"""

import contextlib
import dataclasses
import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Self

import psutil

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import slurm

LOCK = "lock.json"

# Seconds to wait for a Slurm job that holds the lock: its successor may be started while it is still ending.
PATIENCE = 60.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lock. started: the process's, in seconds since the epoch. job: of Slurm. token: of this holding."""

    host: str
    pid: int
    started: float
    job: str | None
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.job is None else f"job {self.job} on {self.host}"


def read(folder: Path) -> Holder | None:
    """Whom the lock of a folder names; None where there is none that can be read."""
    try:
        holder = Holder(**json.loads((folder / LOCK).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    is_whole = isinstance(holder.host, str) and isinstance(holder.pid, int) and 0 < holder.pid < 2**31
    return holder if is_whole and isinstance(holder.job, str | None) else None


def is_alive(holder: Holder) -> bool:
    """Whether the holder may still write. One on another machine that Slurm does not know is taken to be alive."""
    if holder.host == socket.gethostname():
        with contextlib.suppress(psutil.Error):
            return psutil.Process(holder.pid).create_time() == holder.started
        return False
    if holder.job is None:
        return True
    # The same job on another machine: it was requeued, and this process is what it goes on as.
    return holder.job != os.environ.get("SLURM_JOB_ID") and slurm.is_active(holder.job)


class FolderLock:
    """Held inside of a `with`, or from `take` to `release`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._made: list[Path] = []
        self._holder = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            job=os.environ.get("SLURM_JOB_ID"),
            token=uuid.uuid4().hex,
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
            self._take()
        except OSError as error:
            raise InfrastructureError(f"{self._folder} cannot be written to: {error.strerror or error}.") from error
        self.verify()
        return self

    def _take(self) -> None:
        mine = self._folder / f".{LOCK}.{self._holder.token}"
        try:
            mine.write_text(json.dumps(dataclasses.asdict(self._holder)) + "\n")
            try:
                os.link(mine, self._folder / LOCK)  # the only call that creates a file or fails, on network disks too
            except FileExistsError:
                self._wait_for_the_holder()
                mine.replace(self._folder / LOCK)
        finally:
            mine.unlink(missing_ok=True)

    def release(self) -> None:
        """Folders that were made for the lock, and into which nothing was written, go with it."""
        if read(self._folder) != self._holder:
            return
        (self._folder / LOCK).unlink()
        with contextlib.suppress(OSError):  # the first that is not empty is the last that is looked at
            for folder in self._made:
                folder.rmdir()

    def verify(self) -> None:
        """Call it before each write. Raises InfrastructureError where another has succeeded this holder."""
        holder = read(self._folder)
        if holder != self._holder:
            by = "nobody" if holder is None else holder
            raise InfrastructureError(f"the lock of {self._folder} is held by {by} now; this process writes no more.")

    def _wait_for_the_holder(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (holder := read(self._folder)) is not None and is_alive(holder):
            if holder.job is None or time.monotonic() > deadline:
                raise InfrastructureError(
                    f"{self._folder} is being written by {holder}; wait for it or end it. "
                    f"If it is gone, remove {self._folder / LOCK}."
                )
            time.sleep(1)
