"""PyTorch's own kinds of state as plain data and back: tensors, modules, and what has a `state_dict`."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from algoperf.backends import plain
from algoperf.backends.state import MISSING, Export, Restoration, made_late, mark

# Where a model lies in what `torch.compile` makes of it.
_COMPILED = "_orig_mod"
_CPU = torch.device("cpu")

# Marks of plain data, see `state.Mark`; a bare array is a tensor that is trained with nothing else.
_TENSOR, _GENERATOR, _MODULE, _STATE = "__tensor__", "__torch_generator__", "__module__", "__state__"

# Attributes that any optimizer has, or gets from a scheduler.
_OF_OPTIMIZERS = ("defaults", "state", "param_groups", "_optimizer_", "_zero_grad_", "_warned_", "_opt_called", "step")


@runtime_checkable
class _Stateful(Protocol):
    """Optimizers, schedulers, gradient scalers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def bare(model: nn.Module) -> nn.Module:
    """The model itself, without what shares its gradients or compiles it."""
    while isinstance(model, DistributedDataParallel) or _COMPILED in model._modules:
        model = model.module if isinstance(model, DistributedDataParallel) else model._modules[_COMPILED]
    return model


class PytorchKinds:
    """See `state.Kinds`. device: where tensors lie unless it is said. on_host: whether restored ones stay on the host.

    Tensors that share their memory go on to share it where they were saved as equals.
    """

    def __init__(self, device: torch.device, on_host: bool = False):
        self._device, self._on_host = device, on_host
        self._memory: set[int] = set()  # what has been restored already

    def export(self, value: Any, where: str, export: Export) -> Any:
        match value:
            case torch.Tensor():
                return self._of_tensor(value) if export.with_arrays else None
            case torch.Generator():
                return export.once(value, where, lambda: {_GENERATOR: value.get_state().numpy()})
            case nn.Module():
                return export.once(bare(value), where, lambda: self._of_module(bare(value), where, export))
            case _Stateful() if not isinstance(value, type):
                return export.once(value, where, lambda: self._of_stateful(value, where, export))
        return MISSING

    def restore(self, template: Any, exported: Any, where: str, restoration: Restoration) -> Any:
        kind = mark(exported)
        if isinstance(exported, np.ndarray) or kind == _TENSOR:
            return self._tensor(template, exported if kind else {_TENSOR: exported}, restoration)
        if kind == _GENERATOR:
            if not isinstance(template, torch.Generator):
                raise made_late(where, "a generator of random numbers")
            template.set_state(torch.from_numpy(np.array(exported[_GENERATOR])))
            return template
        if kind == _MODULE:
            if not isinstance(template, nn.Module):
                raise made_late(where, "a module")
            self._into_module(bare(template), exported, where, restoration)
            return template
        if kind == _STATE:
            if not isinstance(template, _Stateful) or not restoration.may_change(template):
                raise made_late(where, "an object with a state_dict")
            self._into_stateful(restoration.is_now(where, template), exported, where, restoration)
            return template
        return MISSING

    def _of_tensor(self, tensor: torch.Tensor) -> Any:
        array, dtype = _as_numpy(_local(tensor))
        if dtype is None and tensor.device.type == self._device.type and not tensor.requires_grad:
            return array
        return {_TENSOR: array, "dtype": dtype, "device": tensor.device.type, "grad": tensor.requires_grad}

    def _of_module(self, module: nn.Module, where: str, export: Export) -> Any:
        """With its gradients, which a submission may gather over several steps, and which of them are wanted."""
        if not export.with_arrays:
            return None
        parameters = dict(module.named_parameters())
        gradients = {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
        return {
            _MODULE: export.apart({**module.state_dict()}, where),
            "gradients": export.apart(gradients, where),
            "trained": [name for name, parameter in parameters.items() if parameter.requires_grad],
        }

    def _of_stateful(self, value: Any, where: str, export: Export) -> Any:
        """Of an optimizer also what is inside of it, as in SAM: its own `state_dict` need not hold that."""
        if not export.with_arrays:
            return None
        state = {} if _is_sharded(value) else value.state_dict()
        inside = {name: export.of(item, f"{where}.{name}") for name, item in _inside(value).items()}
        return {_STATE: export.apart(state, where), "inside": inside}

    def _into_module(self, module: nn.Module, exported: Mapping, where: str, restoration: Restoration) -> None:
        for parameter in module.parameters():
            parameter.grad = None  # its memory is needed
        # From the host, tensor by tensor: a second copy of the model may have no room on the device.
        on_host = Restoration(PytorchKinds(self._device, on_host=True), in_place=False)
        module.load_state_dict(on_host.of({**module.state_dict()}, exported[_MODULE], where))
        gradients = restoration.apart(MISSING, exported["gradients"], where)
        for name, parameter in module.named_parameters():
            parameter.grad = gradients.get(name)
            parameter.requires_grad_(name in exported["trained"])
        self._memory.update(map(_memory, (*module.parameters(), *module.buffers())))

    def _into_stateful(self, value: Any, exported: Mapping, where: str, restoration: Restoration) -> None:
        before = {parameter: dict(state) for parameter, state in value.state.items()} if _is_optimizer(value) else {}
        inside = _inside(value)
        shared = [part for part in inside.values() if _is_optimizer(part) and part.param_groups is value.param_groups]
        for name, item in exported["inside"].items():
            setattr(value, name, restoration.of(inside.get(name, MISSING), item, f"{where}.{name}"))
        if _is_sharded(value):
            for own, others in zip(value.param_groups, value.optim.param_groups, strict=True):
                own.update({name: item for name, item in others.items() if name != "params"})
            return
        is_named = mark(exported[_STATE]) is None
        if _is_usual(value) and is_named:
            # Into the tensors that there are, one by one: all of them once more may have no room on the device.
            value.load_state_dict(restoration.apart(value.state_dict(), {**exported[_STATE], "state": {}}, where))
            for number, values in self._of_parameters(value, before, exported[_STATE]["state"], where).items():
                value.state[_parameters(value).get(number, number)] = values
        else:
            value.load_state_dict(restoration.apart(value.state_dict(), exported[_STATE], where))
        for part in shared:
            part.param_groups = value.param_groups
        if _is_optimizer(value) and not _is_usual(value) and is_named:
            self._keep_types(value, before, exported[_STATE].get("state", {}), where)

    def _keep_types(self, optimizer: torch.optim.Optimizer, before: Mapping, exported: Any, where: str) -> None:
        """Its `load_state_dict` gives every tensor the type and the device of its parameter; here it keeps its own."""
        now = {number: optimizer.state.get(parameter, {}) for number, parameter in _parameters(optimizer).items()}
        for number, values in self._of_parameters(optimizer, before, exported, where).items():
            state = now.get(number)  # None where an optimizer keeps something beside what its parameters have
            if state is not None and isinstance(values, dict):
                state.update({name: item for name, item in values.items() if name in state})

    def _of_parameters(
        self, optimizer: torch.optim.Optimizer, before: Mapping, exported: Any, where: str
    ) -> dict[Any, Any]:
        """An optimizer's state, by the numbers of its parameters, in the tensors that it had `before` or has now."""
        old = {
            number: {**optimizer.state.get(parameter, {}), **before.get(parameter, {})}
            for number, parameter in _parameters(optimizer).items()
        }
        return Restoration(self).of(old, exported, f"{where}['state']")

    def _tensor(self, template: Any, exported: Mapping, restoration: Restoration) -> torch.Tensor:
        device = self._device if exported.get("device", self._device.type) == self._device.type else _CPU
        saved = _to_tensor(exported[_TENSOR], exported.get("dtype"))
        if self._on_host:
            return saved
        if not isinstance(template, torch.Tensor):
            return saved.to(device).requires_grad_(exported.get("grad", False))
        local = _local(template)
        if saved.shape != local.shape or saved.dtype != local.dtype or not restoration.in_place:
            return saved.to(template.device)
        if _memory(local) in self._memory:
            return template if torch.equal(local, saved.to(local.device)) else saved.to(template.device)
        self._memory.add(_memory(local))
        with torch.no_grad():
            local.copy_(saved)
        return template


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, torch.optim.Optimizer)


def _is_usual(value: Any) -> bool:
    """Whether it is an optimizer whose state is saved and put back as PyTorch does it."""
    cls, base = type(value), torch.optim.Optimizer
    return _is_optimizer(value) and (cls.state_dict, cls.load_state_dict) == (base.state_dict, base.load_state_dict)


def _parameters(optimizer: torch.optim.Optimizer) -> dict[int, torch.Tensor]:
    """By the numbers that they have in its `state_dict`."""
    return dict(enumerate(parameter for group in optimizer.param_groups for parameter in group["params"]))


def _inside(value: Any) -> dict[str, Any]:
    """What an optimizer has beside what its `state_dict` holds: other optimizers, and what a submission's own adds."""
    if not _is_optimizer(value):
        return {}
    is_own = plain.is_brought_along(value) and type(value).state_dict is torch.optim.Optimizer.state_dict
    return {
        name: item
        for name, item in vars(value).items()
        if _is_optimizer(item) or (is_own and not name.startswith(_OF_OPTIMIZERS) and not plain.is_code(item))
    }


def _is_sharded(value: Any) -> bool:
    """Whether it is the optimizer inside of which each process has one for its share of the parameters.

    Who has one has imported its module, which takes half a second.
    """
    module = sys.modules.get("torch.distributed.optim.zero_redundancy_optimizer")
    return module is not None and isinstance(value, module.ZeroRedundancyOptimizer)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor that several have parts of."""
    module = sys.modules.get("torch.distributed.tensor")
    is_shared = module is not None and isinstance(tensor, module.DTensor)
    return tensor.to_local() if is_shared else tensor


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _as_numpy(tensor: torch.Tensor) -> tuple[np.ndarray, str | None]:
    """Kinds of number that NumPy lacks as their bits, with the name of their type."""
    tensor = tensor.detach().cpu()
    with contextlib.suppress(TypeError):
        return tensor.numpy(), None
    bits = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
    return tensor.view(bits).numpy(), str(tensor.dtype).removeprefix("torch.")


def _to_tensor(array: np.ndarray, dtype: str | None) -> torch.Tensor:
    """On the host."""
    tensor = torch.from_numpy(np.array(array))
    return tensor if dtype is None else tensor.view(getattr(torch, dtype))
