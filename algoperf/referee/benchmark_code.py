"""The code that numbers come from, as it was before a submission was imported: this program's, and its libraries'."""

import sys
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

Code = dict[tuple[str, ...], Any]


def snapshot() -> Code:
    """Every function, class, table and constant that is loaded of this program, and the functions of its libraries."""
    found: Code = {}
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType):
            continue
        if module_name.startswith(_OWN) and not module_name.startswith(_KIT):
            for name, value in vars(module).items():
                found |= _parts((module_name, name), value)
        elif _is_used(module_name):
            for name, value in vars(module).items():
                found |= _parts_of_library((module_name, name), value)
    return found


def replaced(before: Code) -> str | None:
    """The first thing in `before` that is another now, or new in a class of this program; None where all is as it was.

    Costs some 50 ms.
    """
    now = snapshot()
    changed = [name for name, value in before.items() if now.get(name) is not value and not _is_by_torch(now, name)]
    changed += [name for name in now if name not in before and name[0].startswith(_OWN) and _is_class(before, name)]
    return ".".join(changed[0]) if changed else None


def _is_by_torch(now: Code, name: tuple[str, ...]) -> bool:
    """PyTorch's compiler wraps a few functions of `torch.nn` when it is first used."""
    found = now.get(name)
    wrapped = now.get(name[:-1]) if name[-1] == "code" else found
    return name[0].startswith("torch.") and str(getattr(wrapped, "__module__", "")).startswith("torch._")


def _is_class(before: Code, name: tuple[str, ...]) -> bool:
    return isinstance(before.get(name[:2]), type)


def _is_used(module_name: str) -> bool:
    return any(module_name == name or module_name.startswith(f"{name}.") for name in _LIBRARIES)


def _parts(name: tuple[str, ...], value: Any) -> Code:
    if isinstance(value, FunctionType):
        return _parts_of_function(name, value)
    if isinstance(value, type) and value.__module__ == name[0]:
        members = {member: part for member, part in vars(value).items() if callable(part) or hasattr(part, "__get__")}
        found: Code = {name: value}
        for member, part in members.items():
            found |= _parts_of_function((*name, member), part)
        return found
    if not name[1].lstrip("_").isupper():
        return {}
    if isinstance(value, dict):
        return {name: value} | {(*name, str(key)): part for key, part in value.items()}
    return {name: value}


def _parts_of_function(name: tuple[str, ...], value: Any) -> Code:
    if not isinstance(value, FunctionType):
        return {name: value}
    found: Code = {name: value, (*name, "code"): value.__code__}
    return found | {
        (*name, part): getattr(value, part) for part in ("__defaults__", "__kwdefaults__") if getattr(value, part)
    }


def _parts_of_library(name: tuple[str, ...], value: Any) -> Code:
    if isinstance(value, type) and value.__module__ == name[0]:
        return {name: value} | {
            (*name, member): part for member, part in vars(value).items() if isinstance(part, FunctionType)
        }
    if isinstance(value, FunctionType):
        return {name: value, (*name, "code"): value.__code__}
    return {name: value} if callable(value) else {}
