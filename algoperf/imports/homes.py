"""What an absolute `import` in a submission's file means.

First the submission's own modules count: those in its folder, in folders that it puts on `sys.path`, and those that it
names by the layout of an official repository (`submissions.self_tuning.NAME.module`). Then come the names of the
official packages (`official.py`), then what is installed. Never does a file of its own stand for a framework or for
Python's own modules: a submission's `jax.py` is not JAX. Names that JAX has dropped are there again (`dropped.py`).
"""

import builtins
import contextlib
import functools
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from algoperf.benchmark.identity import folders
from algoperf.imports import dropped, official, packages

# What folders of the official repositories are called. A name below one of them is looked for by its end, too: a
# submission is handed on without the folders around it, and under another name.
_LAYOUT = {
    *("submissions", "submissions_algorithms", "algorithms", "reference_algorithms", "baselines", "leaderboard"),
    *("prize_qualification_baselines", "qualification_baselines", "previous_leaderboards", "external_tuning"),
    *("self_tuning", "target_setting_algorithms", "paper_baselines", "archived_paper_baselines"),
}
_BASELINES = "submissions"
# Nobody's file stands for these.
NEVER_ITS_OWN = {*sys.stdlib_module_names, "algoperf", "jax", "jaxlib", "numpy", "torch"}


class LayoutError(ModuleNotFoundError):
    """A module that is named by the layout of an official repository is not there. Its text says what to do."""


# Errors that are a sentence already.
SENTENCES = (LayoutError, official.OfficialNameError, dropped.DroppedNameError, dropped.DroppedImportError)


class Home:
    """A submission's folder, and what the imports in its files have come to.

    main: its file, without the suffix; None in a process that it has started. stand_ins: of the official and dropped
    names that it has asked for, what stands for each. modules: its own ones.
    """

    def __init__(self, folder: Path, main: Path | None = None):
        self.folder, self.main = folder, main
        self.stand_ins: dict[str, str] = {}
        self.modules: set[str] = set()
        self._roots = [folder]
        self._path_before = list(sys.path)
        self._jax = dropped.Names(self.stand_ins)
        self._heads: dict[str, ModuleType] = {}
        self._known: dict[tuple[str, tuple[str, ...]], str | None] = {}

    def has(self, location: Path) -> bool:
        return any(location.is_relative_to(root) for root in self._roots)

    def import_(
        self,
        name: str,
        globals: Any = None,  # noqa: A002
        locals: Any = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """In the place of Python's `__import__`, with its arguments."""
        wanted = tuple(fromlist or ())
        with _at(self):
            if level > 0:
                return builtins.__import__(name, globals, locals, wanted, level)
            if official.is_one(name):
                return official.module(name, wanted, self.stand_ins)
            own = self._own_module(name, wanted)
            if own is None:
                return self._installed(name, globals, locals, wanted)
            module = builtins.__import__(own, globals, locals, wanted or ("__name__",), 0)
            return module if wanted else self._head(name, module)

    def _refuse_compiled(self, name: str) -> None:
        """Raises ImportError where Python might run what was compiled of a module of its own that is not there."""
        for root in self._roots:
            if (file := root.joinpath(*name.split(".")).with_suffix(".pyc")).is_file():
                raise ImportError(
                    f"{file} is compiled code, which is no part of a submission's content: its source has to lie there",
                    name=name,
                )

    def _installed(self, name: str, globals_: Any, locals_: Any, wanted: tuple[str, ...]) -> Any:
        if (module := self._jax.module(name)) is not None:
            return module if wanted else self._jax.over(importlib.import_module("jax"), ())
        try:
            module = builtins.__import__(name, globals_, locals_, wanted, 0)
        except ModuleNotFoundError as error:
            if (head := name.partition(".")[0]) not in _LAYOUT or not name.startswith(error.name or name):
                raise
            raise LayoutError(
                f"{name!r}, by the folders of an official repository ({head}), but there is no such file in "
                f"{self.folder}, nor by that path in a folder above: put {name.rpartition('.')[2]}.py beside it",
                name=name,
            ) from error
        if module is importlib:
            return self._importlib
        return self._jax.over(module, wanted)

    @functools.cached_property
    def _importlib(self) -> ModuleType:
        """An `importlib` whose `import_module` means by a name what `import` does."""

        def import_module(name: str, package: str | None = None) -> Any:
            if name.startswith("."):
                return importlib.import_module(name, package)
            return self.import_(name, fromlist=("__name__",))

        return dropped.Over(importlib, {"import_module": import_module}.get)

    def _head(self, name: str, module: ModuleType) -> ModuleType:
        """What `import a.b.c` binds: an `a` with a `b` that has the module as its `c`."""
        head, *rest = name.split(".")
        if not rest:
            return module
        top = node = self._heads.setdefault(head, ModuleType(head))
        for part in rest[:-1]:
            node = vars(node).setdefault(part, ModuleType(part))
        setattr(node, rest[-1], module)
        return top

    def _own_module(self, name: str, wanted: tuple[str, ...]) -> str | None:
        """The module of the submission's own that an absolute name means, None where it means none."""
        self._notice_added_roots()
        key = (name, wanted)
        if key not in self._known:
            location = own_location(self.folder, self._roots, name.split("."), wanted)
            if location is None:
                self._refuse_compiled(name)
            self._known[key] = None if location is None else packages.module_name(location)
        return self._known[key]

    def _notice_added_roots(self) -> None:
        """Folders that the submission has put on `sys.path`."""
        for entry in sys.path:
            if entry not in self._path_before:
                self._path_before.append(entry)
                self._roots.append(Path(entry).absolute())
                self._known.clear()


def own_location(folder: Path, roots: Sequence[Path], parts: Sequence[str], wanted: Sequence[str]) -> Path | None:
    """The file (without its suffix) or folder that an absolute import in a submission of `folder` means, None where it
    means something installed, or nothing.

    roots: the folder, and those that the submission has put on `sys.path`. parts: the module's name. wanted: what is
    imported from it.
    """
    for root in () if parts[0] in NEVER_ITS_OWN else roots:
        location = root.joinpath(*parts)
        if packages.is_module(root / parts[0]) or (not _is_installed(parts[0]) and _is_there(location)):
            return location
    if parts[0] in NEVER_ITS_OWN or (parts[0] not in _LAYOUT and _is_installed(parts[0])):
        return None
    for above in folder.parents:
        if _is_there(location := above.joinpath(*parts)):
            return location
    if parts[0] not in _LAYOUT or _is_baselines(parts):
        return None
    for place, start in itertools.product(folders(folder), range(1, len(parts))):
        if _is_there(location := place.joinpath(*parts[start:])):
            return location
    is_folder = parts[-1] == folder.name or any(packages.is_module(folder / name) for name in wanted)
    return folder if is_folder else None


def _is_there(location: Path) -> bool:
    return packages.is_module(location) or location.is_dir()


def _is_baselines(parts: Sequence[str]) -> bool:
    """Whether this is a module of the baselines' own package, which is called like one of the official layouts."""
    if parts[0] != _BASELINES or (spec := importlib.util.find_spec(_BASELINES)) is None:
        return False
    return any(_is_there(Path(place, *parts[1:])) for place in spec.submodule_search_locations)


@functools.cache
def _is_installed(name: str) -> bool:
    """Whether there is a package or a module of that name; a mere folder is none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


_homes: dict[Path, Home] = {}
_importing: list[Home] = []


@contextlib.contextmanager
def _at(home: Home) -> Iterator[None]:
    _importing.append(home)
    try:
        yield
    finally:
        _importing.pop()


@contextlib.contextmanager
def loading(file: Path) -> Iterator[Home]:
    """While a submission is loaded from its file. What was loaded from its folder before is forgotten."""
    folder, main = file.parent, file.with_suffix("")
    packages.forget(packages.module_name(main))
    if (before := _homes.pop(folder, None)) is not None:
        for name in before.modules:
            packages.forget(name)
    for above in (folder, *folder.parents):  # a file of the same name beside it may have been loaded as a module
        if not hasattr(sys.modules.get(name := packages.module_name(above)), "__path__"):
            packages.forget(name)
    home = _homes[folder] = Home(folder, main)
    path = list(sys.path)
    try:
        with _at(home):
            yield home
    finally:
        home._notice_added_roots()
        sys.path[:] = path


def _import_of(name: str, location: Path) -> Callable[..., Any]:
    """What `import` does in a module: it belongs to the submission that has its file, or that asks for it."""
    having = [home for home in _homes.values() if home.has(location)]
    if having:
        home = max(having, key=lambda home: len(home.folder.parts))
    elif _importing:
        home = _importing[-1]
    else:
        home = Home(location.parent)
        if packages.is_module(location):  # a process that a submission has started imports it
            _homes[location.parent] = home
    home.modules.add(name)
    return home.import_


def _is_above(location: Path) -> bool:
    """Whether it is a folder above a submission's: what it does when it is imported is somebody else's."""
    return any(home.folder != location and home.folder.is_relative_to(location) for home in _homes.values())


def _is_home(location: Path) -> bool:
    return location in _homes and not (_importing and _importing[-1].main == location)


packages.install(packages.Finder(_import_of, _is_above, _is_home))
