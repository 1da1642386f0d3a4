"""What a submission does beside returning numbers: which code it replaces, which files it reads, what it starts.

Python's audit events (PEP 578) tell most of it without a cost where nothing happens; a few functions are guarded while
the submission's code runs.
"""

import contextlib
import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import psutil

_OWN = ("algoperf.", "workloads.")
# It is a part of the submissions made with it, and PyTorch wraps its optimizers' `step` when it first meets one.
_KIT = "algoperf.kit."
_PROCESS_EVENTS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.spawn")
_ENVIRONMENT_EVENTS = ("os.putenv", "os.unsetenv")
# What these packages do by themselves serves whoever asked for it, compilation above all; it does not train.
_LIBRARIES = ("torch", "jax", "tqdm")

# A share of an evaluation's time, and seconds, of processor time that is more than waking up now and then.
_BUSY_SHARE = 0.05
_BUSY_SECONDS = 0.05

Code = dict[tuple[str, ...], Any]


def code_of_benchmark() -> Code:
    """Every function, class and table of functions of this program that is loaded."""
    found: Code = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(_OWN) and not module_name.startswith(_KIT) and module is not None:
            for name, value in vars(module).items():
                found |= _parts((module_name, name), value)
    return found


def replaced(before: Code) -> str | None:
    """The first thing in `before` that is another now, or new in a class; None where all is as it was."""
    now = code_of_benchmark()
    changed = [name for name, value in before.items() if now.get(name) is not value]
    changed += [name for name in now if name not in before and isinstance(before.get(name[:2]), type)]
    return ".".join(changed[0]) if changed else None


def _parts(name: tuple[str, ...], value: Any) -> Code:
    if isinstance(value, FunctionType):
        return {name: value, (*name, "code"): value.__code__}
    if isinstance(value, type) and value.__module__ == name[0]:
        return {name: value} | {
            (*name, member): part for member, part in vars(value).items() if callable(part) or hasattr(part, "__get__")
        }
    if isinstance(value, dict) and name[1].isupper():
        return {(*name, str(key)): part for key, part in value.items() if callable(part)}
    return {}


class Heard:
    """What the submission's code was heard doing.

    seeders: functions that seed a global random state: modules, and names in them.

    files: of the prepared data, which lie in the folder `data`. threads: those that it started and that still exist,
    and the module that did.
    """

    def __init__(self, seeders: Sequence[tuple[Any, str]]):
        self.data: Path | None = None
        self.files: list[str] = []
        self.threads: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()
        self.others_processes: set[int] | None = None  # those of this program; None until the submission starts one
        self._notes: list[tuple[str, str]] = []
        self._guards = [(module, name, self._guarded_seeder(module, name)) for module, name in seeders]
        self._guards.append((threading.Thread, "start", self._guarded_start()))

    def note(self, rule: str, what: str) -> None:
        if (rule, what) not in self._notes:
            self._notes.append((rule, what))

    def take(self) -> list[tuple[str, str]]:
        """What was noted since it was asked last."""
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
            if _listening() is self and not (starter := _starter()).startswith(_LIBRARIES):
                self.threads[thread] = starter
            original(thread)

        return guarded

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._hear_file(arguments[0])
        elif event in _ENVIRONMENT_EVENTS and not _starter().startswith(_LIBRARIES):
            name = os.fsdecode(arguments[0])
            self.note("environment", f"the submission changed the environment variable {name}.")
        elif event in _PROCESS_EVENTS and not _starter().startswith(_LIBRARIES) and self.others_processes is None:
            self.others_processes = {child.pid for child in psutil.Process().children(recursive=True)}

    def _hear_file(self, path: Any) -> None:
        if self.data is not None and isinstance(path, str | bytes):
            real = os.path.realpath(os.fsdecode(path))
            if real.startswith(os.path.realpath(self.data) + os.sep):
                self.files.append(real)


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


def _starter() -> str:
    """The module whose code is being run, Python's own and this one aside."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != __name__ and name.partition(".")[0] not in sys.stdlib_module_names:
            return name
        frame = frame.f_back
    return ""


class Activity:
    """The processor time that the submission's threads and processes use from now on.

    threads: those that are alive.
    """

    def __init__(self, heard: Heard):
        self._alive = [(thread, starter) for thread, starter in heard.threads.items() if thread.is_alive()]
        self.threads = [f"{thread.name!r}, started by {starter}," for thread, starter in self._alive]
        self._others = heard.others_processes
        self._begin = time.monotonic()
        self._before = self._times()

    def busy(self) -> str | None:
        """Who has computed, None where nobody has."""
        enough = max(_BUSY_SECONDS, _BUSY_SHARE * (time.monotonic() - self._begin))
        used = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._times().items()}
        return next((f"{name} used {seconds:.2f} s" for name, seconds in used.items() if seconds > enough), None)

    def _times(self) -> dict[str, float]:
        times = {}
        if self._alive:
            used = {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}
            times = {f"its thread {thread.name!r}": used.get(thread.native_id, 0.0) for thread, _ in self._alive}
        if self._others is not None:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if child.pid not in self._others:
                        spent = child.cpu_times()
                        times[f"its process {child.pid} ({child.name()})"] = spent.user + spent.system
        return times
