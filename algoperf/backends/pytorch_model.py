"""What makes a PyTorch module compute what it computes: its parameters, its attributes, and hooks beside them."""

import contextlib
import functools
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

_MODULE = frozenset(vars(nn.Module()))
_COMPILERS = (
    "_is_torch",
    "_torch",
    "_dynamo",
    "_compiled",
)  # how the names begin of what PyTorch's compiler notes on a module


class _Same:
    """Equal to nothing but what stands for the same object."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self.value).__name__} {getattr(self.value, '__qualname__', '')}".strip()


def layout(model: nn.Module) -> tuple[Any, ...]:
    """See `Backend.layout`."""
    modules = [(name, type(module), _attributes(module)) for name, module in model.named_modules()]
    return modules, [(name, type(tensor), tensor.shape, tensor.dtype) for name, tensor in _tensors(model)]


def describe(model: nn.Module) -> dict[str, str]:
    """See `Backend.describe`."""
    found = {}
    for name, module in model.named_modules():
        found[f"the module {name!r}"] = type(module).__name__
        for attribute, value in _attributes(module).items():
            found[f"the attribute {attribute!r} of the module {name!r}"] = repr(value)
    for name, tensor in _tensors(model):
        kind = "" if type(tensor) in (torch.Tensor, nn.Parameter) else f"{type(tensor).__name__} of "
        found[f"{name!r}"] = f"{kind}{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    return found


def foreign_attributes(model: nn.Module) -> list[str]:
    """See `Backend.foreign_attributes`."""
    return [
        f"the attribute {attribute!r} of the module {name!r}"
        for name, module in model.named_modules()
        for attribute in vars(module)
        if attribute not in _MODULE | _known_names(type(module))
        and not attribute.startswith(_COMPILERS)
        and not _is_pytorchs(module)
    ]


@contextlib.contextmanager
def without_hooks(model: nn.Module) -> Iterator[None]:
    """See `Backend.evaluating`."""
    places = [getattr(owner, name) for owner, name, _ in _hook_places(model)]
    aside = [dict(place) for place in places]
    try:
        for place in places:
            place.clear()
        yield
    finally:
        for place, hooks_there in zip(places, aside, strict=True):
            place.update(hooks_there)


def hooks(model: nn.Module) -> list[str]:
    """See `Backend.hooks`."""
    return [where for owner, name, where in _hook_places(model) if getattr(owner, name)]


@torch.no_grad()
def checksums(model: nn.Module) -> list[int]:
    """Sums of the bits of parameters and buffers."""
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return [int(tensor.detach().view(kinds[tensor.element_size()]).long().sum()) for _, tensor in _tensors(model)]


def modes() -> list[Any]:
    """What is asked before every operation of PyTorch, and may answer itself; the default device aside."""
    found = [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()]
    return [mode for mode in found if not isinstance(mode, DeviceContext)]


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _hook_places(model: nn.Module) -> Iterator[tuple[Any, str, str]]:
    """Where there may be hooks that change what a model computes: an object, its attribute, and both in words."""
    everywhere = nn.modules.module
    for name in ("_global_forward_pre_hooks", "_global_forward_hooks"):
        yield everywhere, name, f"{name.removeprefix('_global_')} on all modules"
    for path, module in model.named_modules():
        for name in ("_forward_pre_hooks", "_forward_hooks"):
            yield module, name, f"{name.removeprefix('_')} on the module {path!r}"


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What of a module's attributes can change what it computes, numbers by their values.

    Not those that every module has, nor what a layer of PyTorch keeps for itself, nor those that no code of the module
    knows.
    """
    known = _known_names(type(module))
    return {
        name: _comparable(value)
        for name, value in vars(module).items()
        if name not in _MODULE
        and name in known
        and not name.startswith(_COMPILERS)
        and not (_is_pytorchs(module) and name.startswith("_"))
    }


def _is_pytorchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.")


@functools.cache
def _known_names(cls: type) -> frozenset[str]:
    """Every name that the code of a class, or of those that it is derived from, reads or has."""
    names: set[str] = set(dir(cls))
    codes = [part.__code__ for base in cls.__mro__ for part in vars(base).values() if isinstance(part, FunctionType)]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(names)


def _comparable(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return value
    if isinstance(value, tuple | list):
        return [_comparable(item) for item in value]
    return _Same(value)
