"""What a submission does beside returning numbers: which files it reads and leaves, what it starts and sets.

Python's audit events (PEP 578) tell most of it without a cost where nothing happens; a few functions are guarded while
the submission's code runs.
"""

import _thread
import contextlib
import functools
import os
import shlex
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from algoperf.referee.places import UNHEARD, Places
from algoperf.submission import mentions, whose

_PROCESS_EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system")
_ENVIRONMENT_EVENTS = ("os.putenv", "os.unsetenv")
_FILE_EVENTS = ("open", "os.link", "os.symlink", "sqlite3.connect")
# What these packages start by themselves serves whoever asked for it, compilation above all; it does not train. Not
# so `torch.utils.data` and `torch.multiprocessing`: they run what they are given.
_COMPILERS = ("torch._", "jax.", "jaxlib.", "triton.", "tqdm.")
_FRAMEWORKS = ("torch.", "jax.", "jaxlib.", "triton.", "tqdm.")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# A share of an evaluation's time, and seconds, of processor time that is more than waking up now and then.
_BUSY_SHARE = 0.05
_BUSY_SECONDS = 0.05


class Heard:
    """What the submission's code was heard doing.

    seeders: functions that seed a global random state: modules, and names in them. writers: functions that write a
    file, named second, without Python's knowledge.

    files: of the data, which it read. threads: those that it started and that still exist, and the module that did.
    ended: of those of them that have, the seconds of a processor that they used.
    """

    def __init__(self, seeders: Sequence[tuple[Any, str]], writers: Sequence[tuple[Any, str]], places: Places):
        self.files: list[str] = []
        self._places, self._written = places, []
        self.threads: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()
        self.ended: weakref.WeakKeyDictionary[threading.Thread, float] = weakref.WeakKeyDictionary()
        self.others_processes: set[int] | None = None  # those of this program; None until the submission starts one
        self._notes: list[tuple[str, str]] = []
        self._guards = [(module, name, self._guarded_seeder(module, name)) for module, name in seeders]
        self._guards += [(module, name, self._guarded_writer(module, name)) for module, name in writers]
        self._guards.append((threading.Thread, "start", self._guarded_start()))
        self._guards.append((_thread, "start_new_thread", self._guarded_bare_start()))
        self._guards.append((BaseProcess, "start", self._guarded_process()))

    def note(self, rule: str, what: str) -> None:
        if (rule, what) not in self._notes:
            self._notes.append((rule, what))

    def look_through(self) -> None:
        """Notes what the submission's code imports that cannot be heard."""
        files = (*self._places.folder.glob("*.py"), *self._places.folder.glob("*/*.py"))
        for package in sorted(mentions.imports(files) & UNHEARD):
            self.note("files", f"the submission imports {package}, and which files that opens cannot be heard.")

    def take(self) -> list[tuple[str, str]]:
        """What was noted since it was asked last."""
        for path in filter(os.path.isfile, self._written):
            self.note("files", f"the submission left {path}, which a later trial may read.")
        notes, self._notes = self._notes, []
        return notes

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hears what this thread does."""
        _ensure_hook()
        outer = _listening()
        originals = [(owner, name, getattr(owner, name)) for owner, name, _ in self._guards]
        for owner, name, guarded in self._guards:
            setattr(owner, name, guarded)
        _LISTENER.heard = self
        try:
            yield
        finally:
            _LISTENER.heard = outer
            for owner, name, original in originals:
                setattr(owner, name, original)

    def _guarded_seeder(self, module: Any, name: str) -> Callable[..., Any]:
        original = getattr(module, name)

        @functools.wraps(original)
        def guarded(*arguments: Any, **named: Any) -> Any:
            if _listening() is self:
                self.note("random_state", f"the submission called {module.__name__}.{name}.")
            with _deaf():  # one seeder may call others
                return original(*arguments, **named)

        return guarded

    def _guarded_start(self) -> Callable[[threading.Thread], None]:
        original = threading.Thread.start

        @functools.wraps(original)
        def guarded(thread: threading.Thread) -> None:
            if _listening() is self and not _is_of(starter := _starter(), _COMPILERS):
                self.threads[thread] = starter[0]
                thread.run = self._listened(thread.run)
            original(thread)

        return guarded

    def _guarded_bare_start(self) -> Callable[..., int]:
        original = _thread.start_new_thread

        @functools.wraps(original)
        def guarded(*arguments: Any) -> int:
            if _listening() is self:
                self.note("threads", "the submission started a thread without `threading`, which nobody can watch.")
            return original(*arguments)

        return guarded

    def _guarded_process(self) -> Callable[[BaseProcess], None]:
        original = BaseProcess.start

        @functools.wraps(original)
        def guarded(process: BaseProcess) -> None:
            if _listening() is self and not _is_of(_starter(), _COMPILERS):
                self._hear_process(process.name, ())
            original(process)

        return guarded

    def _listened(self, run: Callable[[], None]) -> Callable[[], None]:
        """What a thread of the submission does is the submission's, too."""

        @functools.wraps(run)
        def listened() -> None:
            _LISTENER.heard = self
            try:
                run()
            finally:
                self.ended[threading.current_thread()] = time.thread_time()

        return listened

    def _guarded_writer(self, module: Any, name: str) -> Callable[..., Any]:
        original = getattr(module, name)

        @functools.wraps(original)
        def guarded(content: Any, path: Any, *arguments: Any, **named: Any) -> Any:
            if _listening() is self and isinstance(path, str | bytes | os.PathLike):
                self._hear_file(path, is_written=True)
            return original(content, path, *arguments, **named)

        return guarded

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS:
            if isinstance(arguments[0], str | bytes | os.PathLike):
                self._hear_file(arguments[0], event == "open" and bool(arguments[2] & _WRITING))
        elif event in _ENVIRONMENT_EVENTS:
            if not _is_of(_starter(), _FRAMEWORKS):
                name = os.fsdecode(arguments[0])
                self.note("environment", f"the submission changed the environment variable {name}.")
        elif event in _PROCESS_EVENTS:
            if not _is_of(_starter(), _COMPILERS):
                self._hear_process(event, arguments)
        elif event == "socket.connect" and not _is_of(_starter(), _COMPILERS):
            self.note("network", f"the submission connected to {arguments[1]}.")

    def _hear_process(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.others_processes is None:
            self.others_processes = {child.pid for child in psutil.Process().children(recursive=True)}
        words = list(dict.fromkeys(_words(arguments[:3])))
        command = shlex.join(words) or event
        self.note("processes", f"the submission started a process, whose files the referee does not see: {command}.")
        self.files += [word for word in words if self._places.kind(os.path.realpath(word)) == "data"]

    def _hear_file(self, path: Any, is_written: bool) -> None:
        real = os.path.realpath(os.fsdecode(path))
        kind = self._places.kind(real)
        if kind == "data":
            self.files.append(real)
        elif is_written and kind in ("settings", "other"):
            if real not in self._written:
                self._written.append(real)
        elif kind == "other" and real not in self._written and os.path.isfile(real):
            self.note("files", f"the submission read {real}.")


_LISTENER = threading.local()


def _listening() -> Heard | None:
    return getattr(_LISTENER, "heard", None)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    outer, _LISTENER.heard = _listening(), None
    try:
        yield
    finally:
        _LISTENER.heard = outer


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if (heard := _listening()) is not None:
        heard.hear(event, arguments)


@functools.cache
def _ensure_hook() -> None:
    """An audit hook stays for as long as the process."""
    sys.addaudithook(_hook)


def _starter() -> tuple[str, str]:
    """The module whose code is being run, and its file; Python's own modules and this one aside."""
    frame = sys._getframe(1)
    while frame is not None:
        name, file = frame.f_globals.get("__name__", ""), whose.file_of(frame)
        if name != __name__ and not whose.is_of_python(file):
            return name, file
        frame = frame.f_back
    return "", ""


def _is_of(starter: tuple[str, str], packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these packages', and not one that is only called like them."""
    name, file = starter
    return f"{name}.".startswith(packages) and whose.is_library(file)


def _words(arguments: Any) -> Iterator[str]:
    """The command of an event that starts a process, which says it in one of several ways."""
    if isinstance(arguments, str | bytes | os.PathLike):
        yield os.fsdecode(arguments)
    elif isinstance(arguments, list | tuple):
        for part in arguments:
            yield from _words(part)


class Activity:
    """The processor time that the submission's threads and processes use from now on.

    threads: those that are alive.
    """

    def __init__(self, heard: Heard):
        self._alive = [(thread, starter) for thread, starter in heard.threads.items() if thread.is_alive()]
        self.threads = [f"{thread.name!r}, started by {starter}," for thread, starter in self._alive]
        self._others, self._ended = heard.others_processes, heard.ended
        self._begin, self._begin_of_process = time.monotonic(), time.process_time()
        self._before = self._times()

    def busy(self) -> str | None:
        """Who has computed, None where nobody has."""
        # Where others crowd the machine, nobody gets much of the time on the wall.
        passed = min(time.monotonic() - self._begin, time.process_time() - self._begin_of_process)
        enough = max(_BUSY_SECONDS, _BUSY_SHARE * passed)
        used = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._times().items()}
        return next((f"{name} used {seconds:.2f} s" for name, seconds in used.items() if seconds > enough), None)

    def _times(self) -> dict[str, float]:
        times = {}
        if self._alive:
            used = {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}
            used |= {thread.native_id: seconds for thread, seconds in self._ended.items()}
            times = {f"its thread {thread.name!r}": used.get(thread.native_id, 0.0) for thread, _ in self._alive}
        if self._others is not None:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if child.pid not in self._others:
                        spent = child.cpu_times()
                        times[f"its process {child.pid} ({child.name()})"] = spent.user + spent.system
        return times
