"""Whose a piece of code is: told by the folder that its file lies in, as anybody may choose any name."""

import functools
import os
import site
import sys
import sysconfig
from pathlib import Path
from types import FrameType

_PACKAGE = Path(__file__).parents[1]


def real_folders(*folders: str | Path) -> tuple[str, ...]:
    """How every path within them begins, symbolic links resolved."""
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


# The kit and the baselines are parts of the submissions made with them.
_SUBMISSIONS = real_folders(_PACKAGE / "kit", _PACKAGE.parent / "submissions")
_BENCHMARK = real_folders(_PACKAGE, _PACKAGE.parent / "workloads")
_PYTHON = real_folders(*(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")))
_PACKAGES = real_folders(
    *(sysconfig.get_path(name) for name in ("purelib", "platlib")), *site.getsitepackages(), site.getusersitepackages()
)


@functools.cache
def is_benchmark(file: str) -> bool:
    """Whether a file is this program's own, the kit and the baselines aside."""
    real = os.path.realpath(file)
    return real.startswith(_BENCHMARK) and not real.startswith(_SUBMISSIONS)


@functools.cache
def is_library(file: str) -> bool:
    """Whether a file is an installed package's or Python's own."""
    real = os.path.realpath(file)
    return real.startswith(_PACKAGES + _PYTHON) and not real.startswith(_SUBMISSIONS + _BENCHMARK)


@functools.cache
def is_of_python(file: str) -> bool:
    """Whether a file is of Python's standard library."""
    return file.startswith("<frozen ") or (
        os.path.realpath(file).startswith(_PYTHON) and not os.path.realpath(file).startswith(_PACKAGES)
    )


class Owner:
    """Tells the files of one submission: those in its folder, the baselines and the kit, and what it has imported.

    Made before the submission is imported. folder: of its file.
    """

    def __init__(self, folder: Path):
        self._own = (*real_folders(folder), *_SUBMISSIONS)
        self._known: dict[str, bool] = {}
        self._before = _loaded_files()

    def is_submissions(self, file: str) -> bool:
        if (known := self._known.get(file)) is None:
            known = self._known[file] = self._is_submissions(file)
        return known

    def _is_submissions(self, file: str) -> bool:
        if file.startswith("<") or is_library(file) or is_benchmark(file):
            return False
        return os.path.realpath(file).startswith(self._own) or file not in self._before


def file_of(frame: FrameType) -> str:
    """The file of the module whose code a frame runs; what the compiler was told where the module has none."""
    return frame.f_globals.get("__file__") or frame.f_code.co_filename


def _loaded_files() -> frozenset[str]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(file for file in files if file)
