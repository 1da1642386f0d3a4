"""State in PyTorch as plain data and back: modules, optimizers, schedulers, and what a submission keeps beside them.

What comes back is put *into* the objects that are there: a closure or an optimizer that holds one of them would
otherwise go on with the old one.
"""

import contextlib
import copy
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from algoperf.backends import plain
from algoperf.records.checkpoint import CheckpointError

# Where a model lies in what `torch.compile` makes of it.
_COMPILED = "_orig_mod"
_CPU = torch.device("cpu")

# Names of an exported value's parts; a submission's own keys do not begin like this.
_STATE, _GRADIENTS, _INNER = "__state__", "__gradients__", "__inner__"
_BITS, _DTYPE, _NUMPY = "__bits__", "__dtype__", "__numpy__"


@runtime_checkable
class _Stateful(Protocol):
    """Modules, optimizers, schedulers, gradient scalers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def bare(model: nn.Module) -> nn.Module:
    """The model itself, without what shares its gradients or compiles it."""
    while isinstance(model, DistributedDataParallel) or _COMPILED in model._modules:
        model = model.module if isinstance(model, DistributedDataParallel) else model._modules[_COMPILED]
    return model


class Export:
    """One export. See `Backend.export`; objects without a `state_dict` are exported attribute by attribute.

    with_arrays: False where only `left_out` is wanted: where there was something neither saved nor a function.
    """

    def __init__(self, with_arrays: bool = True):
        self.left_out: list[str] = []
        self._with_arrays = with_arrays
        self._open: list[Any] = []  # what is being exported; what comes up again inside of itself is not

    def of(self, value: Any, where: str) -> Any:  # noqa: PLR0911 (one return for each kind of state)
        if isinstance(value, plain.GENERATORS):
            return plain.export_generator(value)
        match value:
            case torch.Tensor():
                return _from_tensor(value) if self._with_arrays else None
            case torch.Generator():
                return _from_tensor(value.get_state())
            case np.ndarray() | np.generic():
                return {_NUMPY: np.asarray(value)}
            case nn.Module():
                return self._of_module(bare(value), where)
            case _Stateful() if not self._with_arrays:
                return None
            case _Stateful():
                return {_STATE: self._each(value.state_dict(), where), _INNER: self._each(_inner(value), where)}
            case Mapping():
                return self._each(value, where)
            case list() | tuple():
                items = [(f"{where}[{number}]", item) for number, item in enumerate(value)]
                return [self.of(item, name) if self._is_saved(item, name) else None for name, item in items]
        return self._each(vars(value), where) if plain.is_brought_along(value) else value

    def _of_module(self, module: nn.Module, where: str) -> dict[str, Any]:
        """With its gradients, which a submission may gather over several steps."""
        gradients = {name: param.grad for name, param in module.named_parameters() if param.grad is not None}
        return {_STATE: self._each(module.state_dict(), where), _GRADIENTS: self._each(gradients, where)}

    def _each(self, items: Mapping, where: str) -> dict[Any, Any]:
        if any(items is outer for outer in self._open):
            return {}
        self._open.append(items)
        named = [(f"{where}[{key!r}]", key, item) for key, item in items.items()]
        self.left_out += [f"the key of {name}" for name, key, _ in named if type(key) not in (str, int)]
        named = [(name, key, item) for name, key, item in named if type(key) in (str, int)]
        exported = {key: self.of(item, name) for name, key, item in named if self._is_saved(item, name)}
        self._open.pop()
        return exported

    def _is_saved(self, value: Any, where: str) -> bool:
        if not _has_state(value) and not plain.is_code(value) and not plain.is_of_benchmark(value):
            self.left_out.append(f"{where}, a {type(value).__name__}")
        return _has_state(value)


class Restoration:
    """One restoration of all that a checkpoint holds. See `Backend.restore`.

    Tensors that share their memory go on to share it where they were saved as equals.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._memory: set[int] = set()  # what has been restored already

    def of(self, template: Any, exported: Any) -> Any:  # noqa: PLR0912 (one branch for each kind of state)
        if isinstance(template, plain.GENERATORS):
            return plain.restore_generator(template, exported)
        match template:
            case nn.Module():
                self._into_module(bare(template), exported)
            case torch.optim.Optimizer():
                self._into_optimizer(template, exported)
            case torch.Generator():
                template.set_state(_to_tensor(exported, _CPU))
            case _Stateful():
                template.load_state_dict(self._loaded(template.state_dict(), exported[_STATE]))
            case dict():
                if missing := {key for key, value in template.items() if _has_state(value)} - set(exported):
                    raise CheckpointError(f"the checkpoint lacks the state {min(map(str, missing))!r}.")
                template.update(self._each(template, exported))
            case list():
                template[:] = self._items(template, exported)
            case tuple():
                items = self._items(template, exported)
                return type(template)(*items) if hasattr(template, "_fields") else type(template)(items)
            case torch.Tensor():
                return self._into_tensor(template, exported)
            case _ if plain.is_brought_along(template):
                for name, value in self._each(vars(template), exported).items():
                    object.__setattr__(template, name, value)  # it may be frozen
            case _:
                return self._as_saved(exported)
        return template

    def _each(self, template: Mapping, exported: Mapping) -> dict[Any, Any]:
        return {key: self.of(template.get(key), value) for key, value in exported.items()}

    def _items(self, template: list | tuple, exported: list) -> list[Any]:
        known = [*template, *[None] * len(exported)][: len(exported)]
        return [old if new is None else self.of(old, new) for old, new in zip(known, exported, strict=True)]

    def _into_module(self, module: nn.Module, exported: Mapping) -> None:
        module.load_state_dict(self._loaded(module.state_dict(), exported[_STATE]))
        for name, param in module.named_parameters():
            gradient = exported[_GRADIENTS].get(name)
            param.grad = None if gradient is None else _to_tensor(gradient, param.device)
        self._memory.update(map(_memory, (*module.parameters(), *module.buffers())))

    def _into_tensor(self, template: torch.Tensor, exported: Any) -> torch.Tensor:
        saved = _to_tensor(exported, template.device)
        if saved.shape != template.shape or saved.dtype != template.dtype:
            return saved
        if _memory(template) in self._memory:
            return template if torch.equal(template, saved) else saved
        self._memory.add(_memory(template))
        with torch.no_grad():
            template.copy_(saved)
        return template

    def _into_optimizer(self, optimizer: torch.optim.Optimizer, exported: Mapping) -> None:
        """Its `load_state_dict` gives every tensor the type and the device of its parameter; here it keeps its own."""
        before = {param: dict(state) for param, state in optimizer.state.items()}
        shared = [inner for inner in _inner(optimizer).values() if inner.param_groups is optimizer.param_groups]
        self._each(_inner(optimizer), exported[_INNER])
        optimizer.load_state_dict(self._loaded(optimizer.state_dict(), exported[_STATE]))
        for inner in shared:
            inner.param_groups = optimizer.param_groups
        params = dict(enumerate(param for group in optimizer.param_groups for param in group["params"]))
        for number, values in exported[_STATE].get("state", {}).items():
            state = optimizer.state.get(params.get(number), {})
            old = before.get(params.get(number), state)
            state.update({name: self.of(old.get(name, state[name]), values[name]) for name in values if name in state})

    def _loaded(self, template: Any, exported: Any) -> Any:
        """What `load_state_dict` gets: the saved values, and the template's own where they are not saved."""
        if isinstance(template, dict) and isinstance(exported, dict) and not _is_array(exported):
            loaded = copy.copy(template)
            for key in [key for key, value in template.items() if _has_state(value) and key not in exported]:
                del loaded[key]
            loaded.update({key: self._loaded(template.get(key), value) for key, value in exported.items()})
            return loaded
        if isinstance(template, list | tuple) and isinstance(exported, list | tuple) and len(template) == len(exported):
            pairs = zip(template, exported, strict=True)
            return type(template)(old if new is None else self._loaded(old, new) for old, new in pairs)
        return self._as_saved(exported)

    def _as_saved(self, value: Any) -> Any:
        """A value for which there is no template. Raises CheckpointError for an object, which needs one."""
        if isinstance(value, np.ndarray) or _is_array(value):
            return _to_tensor(value, self._device)
        match value:
            case {"__numpy__": array}:
                return np.array(array)[()]
            case {"__state__": _}:
                raise CheckpointError("the checkpoint has an object that the trial makes only after its first steps.")
            case dict():
                return {key: self._as_saved(item) for key, item in value.items()}
            case list() | tuple():
                return type(value)(self._as_saved(item) for item in value)
        return value


def _inner(value: Any) -> dict[str, torch.optim.Optimizer]:
    """Optimizers inside of an optimizer, as in SAM, whose state its own `state_dict` need not hold."""
    if not isinstance(value, torch.optim.Optimizer):
        return {}
    return {name: item for name, item in vars(value).items() if isinstance(item, torch.optim.Optimizer)}


def _has_state(value: Any) -> bool:
    """Whether there is something in `value` to save; functions and the like come anew from the submission."""
    if isinstance(value, plain.CODE):
        return False
    known = (bool, int, float, str, np.ndarray, np.generic, torch.Tensor, torch.Generator)
    known = (*known, Mapping, list, tuple, _Stateful, *plain.GENERATORS)
    return value is None or isinstance(value, known) or plain.is_brought_along(value)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_array(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {_BITS, _DTYPE}


def _from_tensor(tensor: torch.Tensor) -> Any:
    """Kinds of number that NumPy lacks as their bits."""
    tensor = tensor.detach().cpu()
    with contextlib.suppress(TypeError):
        return tensor.numpy()
    bits = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
    return {_BITS: tensor.view(bits).numpy(), _DTYPE: str(tensor.dtype).removeprefix("torch.")}


def _to_tensor(exported: Any, device: torch.device) -> torch.Tensor:
    if _is_array(exported):
        bits = torch.from_numpy(np.array(exported[_BITS]))
        return bits.view(getattr(torch, exported[_DTYPE])).to(device)
    return torch.from_numpy(np.array(exported)).to(device)
