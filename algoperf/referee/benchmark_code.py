"""The code that numbers come from, as it was before a submission was imported: this program's, and its libraries'."""

import itertools
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

_OWN = ("algoperf.", "workloads.")
# It is a part of the submissions made with it, and PyTorch wraps its optimizers' `step` when it first meets one.
_KIT = "algoperf.kit."
# What the models and the metrics of this program compute with.
_LIBRARIES = (
    *("builtins", "math", "numpy", "numpy.linalg", "scipy.special", "sacrebleu"),
    *("torch.nn.functional", "torch.nn.modules", "torch.functional", "torch.overrides"),
    *("jax.numpy", "jax._src.numpy", "jax.nn", "jax._src.nn", "jax.lax", "jax._src.lax", "flax.nnx"),
)

Name = tuple[str, ...]
# A part's name, and how it is looked up: a function of what holds it and of its key there.
Place = tuple[Name, Callable[[Any, Any], Any], Any, Any]


class Code:
    """The code as it is when this is made."""

    def __init__(self) -> None:
        self._first = self._last = _Loaded()

    def replaced(self) -> str | None:
        """The first thing that is another now, or new in a class of this program; None where there is none."""
        if self._last.is_there():
            return None
        last = _Loaded()
        was, now = self._first.parts, last.parts
        changed = [name for name, value in was.items() if now.get(name) is not value and not _is_by_torch(now, name)]
        changed += [name for name in now if name not in was and name[0].startswith(_OWN) and _is_class(was, name)]
        if changed:
            return ".".join(changed[0])
        self._last = last
        return None


class _Loaded:
    """Every function, class, table and constant that is loaded of this program, and the functions of its libraries.

    parts: by module, name, and what is within it.
    """

    def __init__(self) -> None:
        names, self._looks, self._holders, self._keys = map(list, zip(*_places(), strict=True))
        self._values = self._found()
        self.parts: dict[Name, Any] = dict(zip(names, self._values, strict=True))
        of_own = (value for name, value in self.parts.items() if name[0].startswith(_OWN))
        self._classes = [vars(value) for value in of_own if isinstance(value, type)]
        self._names, self._members = self._in_classes()

    def is_there(self) -> bool:
        """Whether all is where it was, and no class of this program has anything else. A few milliseconds, even where
        every call of a Python function is told to somebody: there is none.
        """
        try:
            found = self._found()
        except (KeyError, AttributeError):
            return False
        names, members = self._in_classes()
        return names == self._names and all(map(operator.is_, found + members, self._values + self._members))

    def _found(self) -> list[Any]:
        return [*map(operator.call, self._looks, self._holders, self._keys)]

    def _in_classes(self) -> tuple[list[str], list[Any]]:
        values = map(operator.methodcaller("values"), self._classes)
        return [*itertools.chain.from_iterable(self._classes)], [*itertools.chain.from_iterable(values)]


def _is_by_torch(now: dict[Name, Any], name: Name) -> bool:
    """PyTorch's compiler wraps a few functions of `torch.nn` when it is first used."""
    found = now.get(name)
    wrapped = now.get(name[:-1]) if name[-1] == "code" else found
    return name[0].startswith("torch.") and str(getattr(wrapped, "__module__", "")).startswith("torch._")


def _is_class(before: dict[Name, Any], name: Name) -> bool:
    return isinstance(before.get(name[:2]), type)


def _is_used(module_name: str) -> bool:
    return any(module_name == name or module_name.startswith(f"{name}.") for name in _LIBRARIES)


def _places() -> Iterator[Place]:
    for module_name, module in list(sys.modules.items()):
        is_own = module_name.startswith(_OWN) and not module_name.startswith(_KIT)
        if not isinstance(module, ModuleType) or not (is_own or _is_used(module_name)):
            continue
        if is_own:
            yield (module_name,), operator.getitem, sys.modules, module_name
        inside = _inside if is_own else _inside_library
        for name, value in list(vars(module).items()):
            yield from inside((module_name, name), vars(module), value)


def _inside(name: Name, holder: Mapping[str, Any], value: Any) -> Iterator[Place]:
    """Of this program: functions, its own classes with all that they have, and constants."""
    if isinstance(value, FunctionType):
        yield from _of_function(name, holder, value)
    elif isinstance(value, type) and value.__module__ == name[0]:
        yield name, operator.getitem, holder, name[-1]
        for member, part in list(vars(value).items()):
            if callable(part) or hasattr(part, "__get__"):
                yield from _of_function((*name, member), vars(value), part)
    elif name[1].lstrip("_").isupper():
        yield name, operator.getitem, holder, name[-1]
        if isinstance(value, dict):
            for key in list(value):
                yield (*name, str(key)), operator.getitem, value, key


def _of_function(name: Name, holder: Mapping[str, Any], value: Any) -> Iterator[Place]:
    yield name, operator.getitem, holder, name[-1]
    if isinstance(value, FunctionType):
        yield (*name, "code"), getattr, value, "__code__"
        for part in ("__defaults__", "__kwdefaults__"):
            yield (*name, part), getattr, value, part


def _inside_library(name: Name, holder: Mapping[str, Any], value: Any) -> Iterator[Place]:
    """Of a library: functions, and those of its own classes."""
    is_class = isinstance(value, type) and value.__module__ == name[0]
    if is_class or callable(value):
        yield name, operator.getitem, holder, name[-1]
    if isinstance(value, FunctionType):
        yield (*name, "code"), getattr, value, "__code__"
    elif is_class:
        for member, part in list(vars(value).items()):
            if isinstance(part, FunctionType):
                yield (*name, member), operator.getitem, vars(value), member
