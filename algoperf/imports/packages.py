"""The packages that a submission's files are members of: each file is a module that is called after its path.

`/home/me/mine/submission.py` is the module `algoperf_submissions.home.me.mine.submission`, and each folder on the way
there is a package made for it. So two submissions with a `utils.py` do not meet, relative imports go as far up as they
like, and a process that was started anew (`multiprocessing`'s spawn) finds a module by its name alone. What an absolute
import in such a file means is decided in `homes.py`.
"""

import builtins
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

TOP = "algoperf_submissions"

# A real package of that name, which sets all this up, lies in this folder. Python hands sys.path to the processes that
# it starts, and so they can import it.
_IMPORTABLE = str(Path(__file__).parent / "importable")


def module_name(location: Path) -> str:
    """The module of a file (its absolute path without the suffix) or of a folder. A dot in it is written %2E."""
    return ".".join((TOP, *(part.replace("%", "%25").replace(".", "%2E") for part in location.parts[1:])))


def location_of(name: str) -> Path:
    """The inverse of `module_name`."""
    return Path("/", *(part.replace("%2E", ".").replace("%25", "%") for part in name.split(".")[1:]))


def is_module(location: Path) -> bool:
    """Whether a module or a package is at a path without its suffix; a mere folder is none."""
    return (location / "__init__.py").is_file() or _file_of_module(location) is not None


def _file_of_module(location: Path) -> Path | None:
    files = (location.with_name(location.name + suffix) for suffix in (".py", *EXTENSION_SUFFIXES))
    return next((file for file in files if file.is_file()), None)


class Loader(SourceFileLoader):
    """Runs a file in which `import` means what `import_` does, and neither reads nor leaves compiled code beside it."""

    def __init__(self, name: str, path: str, import_: Callable[..., Any]):
        super().__init__(name, path)
        self._import = import_

    def path_stats(self, path: str) -> NoReturn:
        """Python takes a file of unknown age from its source: the folder is somebody's own, and what is compiled there
        is no part of a submission's content and may be of another source."""
        raise OSError

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)


class Finder:
    """Finds the modules of submissions for Python.

    import_of: what `import` does in the module of a name and a location. is_above: of a folder, whether a submission is
    somewhere in it: then its `__init__.py` is somebody else's. is_home: whether it is a submission's own.
    """

    def __init__(
        self,
        import_of: Callable[[str, Path], Callable[..., Any]],
        is_above: Callable[[Path], bool],
        is_home: Callable[[Path], bool],
    ):
        self._import_of, self._is_above, self._is_home = import_of, is_above, is_home

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        del path, target
        if not name.startswith(TOP + "."):
            return None
        location = location_of(name)
        if self._is_above(location):
            return _folder(name, location)
        init, file = location / "__init__.py", None
        if not init.is_file() and not self._is_home(location):
            file = _file_of_module(location)
        if file is None and not location.is_dir():
            return None
        import_ = self._import_of(name, location)
        if init.is_file():
            loader = Loader(name, str(init), import_)
            return spec_from_file_location(name, init, loader=loader, submodule_search_locations=[str(location)])
        if file is None:
            return _folder(name, location)
        loader = Loader(name, str(file), import_) if file.suffix == ".py" else ExtensionFileLoader(name, str(file))
        return spec_from_file_location(name, file, loader=loader)


def forget(name: str) -> None:
    """Lets a module be imported anew."""
    module = sys.modules.pop(name, None)
    above, _, last = name.rpartition(".")
    if vars(sys.modules.get(above, ModuleType(above))).get(last) is module is not None:
        delattr(sys.modules[above], last)


def _folder(name: str, location: Path) -> ModuleSpec:
    """A package without code."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(location)]
    return spec


def install(finder: Finder) -> None:
    """Lets Python find the modules of submissions, in this process and in those that it starts."""
    sys.meta_path.insert(0, finder)
    if _IMPORTABLE not in sys.path:
        sys.path.append(_IMPORTABLE)
