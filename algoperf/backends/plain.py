"""What state is made of in both frameworks: constants, NumPy's arrays, random generators, objects of own classes."""

import dataclasses
import enum
import errno
import functools
import random
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.records.checkpoint import CheckpointError

GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
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
    cls = type(value)
    has_attributes = hasattr(value, "__dict__") or any("__slots__" in vars(base) for base in cls.__mro__)
    return not isinstance(value, CODE) and has_attributes and _is_of_submission(cls)


def is_of_attributes(value: Any) -> bool:
    """Whether its attributes are all that it is: an object of the submission's, or any dataclass."""
    is_dataclass = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return is_brought_along(value) or (is_dataclass and not is_of_benchmark(value))


def attributes(value: Any) -> dict[str, Any]:
    """What an object holds, by name: in its dictionary, and in its slots."""
    slots = [vars(base).get("__slots__", ()) for base in type(value).__mro__]
    names = [name for group in slots for name in ((group,) if isinstance(group, str) else group)]
    names = [name for name in names if name not in ("__dict__", "__weakref__") and hasattr(value, name)]
    return {name: getattr(value, name) for name in names} | getattr(value, "__dict__", {})


@functools.cache
def _is_of_submission(cls: type) -> bool:
    if cls is types.SimpleNamespace:
        return True
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and not any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)


def name_of(cls: type) -> list[str]:
    return [cls.__module__, cls.__qualname__]


def find_class(name: list[str]) -> type | None:
    """The class that has this name now; None where there is none any more."""
    module, path = name
    found = functools.reduce(lambda owner, part: getattr(owner, part, None), path.split("."), sys.modules.get(module))
    return found if isinstance(found, type) else None


def is_key(value: Any) -> bool:
    """Whether it can be saved as a key of a dictionary."""
    if isinstance(value, tuple | frozenset):
        return all(map(is_key, value))
    return value is None or isinstance(value, bool | int | float | str | bytes | complex | enum.Enum | np.generic)


def export_constant(value: Any) -> list[Any] | None:  # noqa: PLR0911 (one return for each kind)
    """What a value is that cannot change and is no plain number or string, and plain data for it; None for others."""
    match value:
        case enum.Enum() if value.name in type(value).__members__:
            return ["enum", name_of(type(value)), value.name]
        case enum.Flag():
            return ["flags", name_of(type(value)), int(value.value)]
        case np.generic() if not value.dtype.hasobject:
            return ["numpy", export_array(np.asarray(value))]
        case complex():
            return ["complex", [value.real, value.imag]]
        case bytes():
            return ["bytes", np.frombuffer(value, np.uint8)]
        case range():
            return ["range", [value.start, value.stop, value.step]]
        case bool() | int() | float() | str():  # of a class of its own
            base = next(cls for cls in (bool, int, float, str) if isinstance(value, cls))
            return ["subclass", name_of(type(value)), base(value)]
    return None


def restore_constant(exported: list[Any]) -> Any:
    """The inverse of `export_constant`. Raises CheckpointError for a class that is not there any more."""
    match exported:
        case ["numpy", array]:
            return restore_array(array)[()]
        case ["complex", parts]:
            return complex(*parts)
        case ["bytes", array]:
            return array.tobytes()
        case ["range", bounds]:
            return range(*bounds)
    kind, name, value = exported
    if (cls := find_class(name)) is None:
        raise CheckpointError(f"the class {'.'.join(name)} of a saved value is not there now.")
    return cls[value] if kind == "enum" else cls(value)


def export_array(array: np.ndarray) -> Any:
    """An array as a checkpoint holds it: kinds of number that NumPy lacks, bfloat16 for example, as their bits."""
    if array.dtype.kind != "V" or array.dtype.names is not None:
        return array
    return [array.view(f"u{array.dtype.itemsize}"), array.dtype.name]


def restore_array(exported: Any) -> np.ndarray:
    """The inverse of `export_array`, as memory of its own."""
    if isinstance(exported, list | tuple):
        bits, name = exported
        return np.array(bits).view(name)
    return np.array(exported)


def is_alike(value: Any, array: np.ndarray) -> bool:
    """Whether it is an array that can take the other one's place."""
    is_array = isinstance(value, np.ndarray) and (value.shape, value.dtype) == (array.shape, array.dtype)
    return is_array and value.flags.writeable


def export_generator(generator: Any) -> Any:
    """The state of a random generator of NumPy or Python, as plain data."""
    match generator:
        case np.random.Generator():
            return generator.bit_generator.state
        case np.random.BitGenerator():
            return generator.state
        case np.random.RandomState():
            return generator.get_state(legacy=False)
    return generator.getstate()


def restore_generator(generator: Any, exported: Any) -> Any:
    """The generator, in the state that `export_generator` gave."""
    match generator:
        case np.random.Generator():
            generator.bit_generator.state = exported
        case np.random.BitGenerator():
            generator.state = exported
        case np.random.RandomState():
            generator.set_state(exported)
        case _:
            generator.setstate(exported)
    return generator


def fresh_generator(kind: str, exported: Any) -> Any:
    """A generator of the class with this name, for a state that `export_generator` gave."""
    match kind:
        case "Random":
            return random.Random()
        case "RandomState":
            return np.random.RandomState()
        case "Generator":
            return np.random.Generator(getattr(np.random, exported["bit_generator"])())
    return getattr(np.random, kind)()


def seed_generators(seed: int) -> None:
    """Seeds the generators of Python and of NumPy that have no owner."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def seed_of_process(seed: int, rank: int) -> int:
    """Each process draws differently, the first one as one alone would."""
    return int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]) if rank > 0 else seed


def export_generators() -> dict[str, Any]:
    """The states of the generators that `seed_generators` seeds."""
    return {"python": random.getstate(), "numpy": np.random.get_state(legacy=True)}


def restore_generators(exported: dict[str, Any]) -> None:
    random.setstate(exported["python"])
    np.random.set_state(exported["numpy"])


def is_out_of_host_memory(error: BaseException) -> bool:
    """Whether the machine itself has no more memory, as Python or the operating system says it."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
