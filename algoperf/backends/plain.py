"""Kinds of state that are the same in both frameworks: random generators, and objects of a submission's own classes."""

import functools
import random
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import numpy as np

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)

_REPOSITORY = Path(__file__).parents[2]
# Objects of classes from these folders are no submission's own.
_LIBRARIES = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    *(_REPOSITORY / name for name in ("algoperf", "workloads")),
)


def is_code(value: Any) -> bool:
    """Whether it is a function, a class or a module: those come anew from the submission."""
    return isinstance(value, CODE) or callable(value)


def is_of_benchmark(value: Any) -> bool:
    """Whether it is one of this program's own objects, such as the workload."""
    return type(value).__module__.startswith(("algoperf.", "workloads."))


def is_brought_along(value: Any) -> bool:
    """Whether it is an object with attributes whose class the submission has defined, or a SimpleNamespace."""
    return not isinstance(value, CODE) and hasattr(value, "__dict__") and _is_of_submission(type(value))


@functools.cache
def _is_of_submission(cls: type) -> bool:
    if cls is types.SimpleNamespace:
        return True
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and not any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


def export_generator(generator: Any) -> Any:
    """The state of a random generator of NumPy or Python, as plain data."""
    match generator:
        case np.random.Generator():
            return generator.bit_generator.state
        case np.random.RandomState():
            return generator.get_state(legacy=False)
    return generator.getstate()


def restore_generator(generator: Any, exported: Any) -> Any:
    """The generator, in the state that `export_generator` gave."""
    match generator:
        case np.random.Generator():
            generator.bit_generator.state = exported
        case np.random.RandomState():
            generator.set_state(exported)
        case _:
            generator.setstate(exported)
    return generator
