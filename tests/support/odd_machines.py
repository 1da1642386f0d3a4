"""Machines as people have them: calls that fail, other namespaces, other disks and locales; all for one process."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("failing_calls.c")
_FOLDERS: list[tempfile.TemporaryDirectory] = []  # until this process ends


def _made(prefix: str) -> Path:
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix=prefix))
    return Path(_FOLDERS[-1].name)


@functools.cache
def _library() -> Path:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = _made("algoperf_calls_") / "failing_calls.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


def preloaded() -> dict[str, str]:
    """The environment of a process whose calls `FAILS` and `ENDS` are for, once it sets them."""
    return {**os.environ, "LD_PRELOAD": str(_library())}


def failing(calls: str = "", seconds_behind: int = 0) -> dict[str, str]:
    """The environment of a process in which calls fail (`FAILS` in failing_calls.c), and whose clock is behind."""
    return {**preloaded(), "FAILS": calls, "CLOCK_BEHIND": str(seconds_behind)}


def unshared(*options: str) -> list[str]:
    """Before a command: what runs it in namespaces of its own."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *own, *options]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    return command


def mounted(script: str) -> list[str]:
    """Before a command: what runs it where the mounts of a shell script were made before, for it alone."""
    return [*unshared("--mount"), "sh", "-ec", f'{script}\nexec "$@"', "sh"]


@functools.cache
def latin_1() -> dict[str, str]:
    """The environment of a German terminal in ISO 8859-1."""
    folder = _made("algoperf_locales_")
    command = ["localedef", "--no-archive", "-i", "de_DE", "-f", "ISO-8859-1", folder / "de_DE.ISO-8859-1"]
    if shutil.which("localedef") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no locale in ISO 8859-1 can be made; the Debian package `locales` has what it is made of")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}
