"""A CUDA device that is not there: PyTorch's meta tensors, which have a shape and a type and no memory, say that they
are on it, and what only CUDA does is done by shapes.

Whoever asks a tensor where it lies is told `DEVICE`, so that models and optimizers take the ways that they take on a
GPU.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import distributed, nn
from torch._C._distributed_c10d import FakeWork
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._pytree import tree_map
from torch.utils.hooks import RemovableHandle

from algoperf.shapes import kernels

DEVICE = torch.device("cuda", 0)
_META = torch.device("meta")
_CPU = torch.device("cpu")

_BUCKET = 25 * 2**20  # bytes that `DistributedDataParallel` sums at once

# What brings a value to the host, or takes one from there, and waits for it; the first argument is the tensor.
_TO_THE_HOST = ("__bool__", "__int__", "__float__", "__index__", "__complex__", "item", "tolist", "nonzero")
_TO_THE_DEVICE = ("new_tensor", "tensor", "as_tensor")


@contextlib.contextmanager
def pretended(world_size: int, waited: Callable[[str], None]) -> Iterator[None]:
    """Inside of it there is a `DEVICE`, one of `world_size`. waited: hears what the host waits for it for."""
    distributed.init_process_group("fake", rank=0, world_size=world_size, store=FakeStore())
    library = kernels.kernels()
    try:
        with Device(waited) as mode, _in_backward_passes(mode):
            yield
    finally:
        library._destroy()
        distributed.destroy_process_group()


@contextlib.contextmanager
def _in_backward_passes(mode: TorchFunctionMode) -> Iterator[None]:
    """PyTorch leaves modes aside where functions compute their gradients by themselves; there, too, it is asked."""
    apply = BackwardCFunction.apply

    def applied(self: Any, *args: Any) -> Any:
        with mode:
            return apply(self, *args)

    BackwardCFunction.apply = applied
    try:
        yield
    finally:
        BackwardCFunction.apply = apply


def of_shape(shape: Sequence[int], dtype: str) -> torch.Tensor:
    """A tensor on the device as the input queue leaves one there: channels, stored last, are counted second."""
    tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=DEVICE)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def is_on(tensor: torch.Tensor) -> bool:
    """Whether it lies on the device, asked where no mode answers."""
    return tensor.is_meta


def collective(args: tuple[Any, ...]) -> tuple[Any, Any]:
    """What a collective of the `c10d` namespace returns at once: its results, and what may be waited for."""
    return args[0], FakeWork().boxed()


def share_gradients(model: nn.Module) -> list[RemovableHandle]:
    """As `DistributedDataParallel` does where gradients are views of what it sums: of each there is no second copy.

    What undoes it.
    """
    params = [param for param in model.parameters() if param.requires_grad]
    sizes = [param.numel() for param in params]
    sums = params[0].new_empty(sum(sizes))
    views = dict(zip(params, sums.split(sizes), strict=True))
    waiting = set(params)

    def taken(param: torch.Tensor) -> None:
        param.grad = views[param].copy_(param.grad.flatten()).view_as(param)
        waiting.discard(param)
        if not waiting:
            for bucket in sums.split(_BUCKET // sums.element_size()):
                distributed.all_reduce(bucket)
            waiting.update(params)

    return [param.register_post_accumulate_grad_hook(taken) for param in params]


class Device(TorchFunctionMode):
    """What Python asks PyTorch for, as it is answered where there is a `DEVICE`."""

    def __init__(self, waited: Callable[[str], None]):
        super().__init__()
        self._waited = waited

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        if name == "__get__":
            return _attribute(func, args)
        if func is torch.Tensor.untyped_storage and args[0].is_meta:
            return _Storage(func(*args))
        if (stand_in := kernels.STAND_INS.get(func)) is not None:
            return stand_in(*args, **kwargs)
        if is_to_host := _is_to_host(name, args, kwargs):
            self._waited(name)
        if name in _TO_THE_HOST and is_to_host:
            return _value(name, args[0])
        if name in _TO_THE_DEVICE and (name == "new_tensor" or _names_device(kwargs)):
            self._waited(name)
        if is_to_host:  # a copy there
            return _on_host(args[0])
        return func(*tree_map(_translated, args), **tree_map(_translated, kwargs))


class _Storage:
    """Of a tensor without memory: it has an address, by which tensors that share it are known."""

    def __init__(self, storage: torch.UntypedStorage):
        self._storage = storage

    def data_ptr(self) -> int:
        return self._storage._cdata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def _attribute(func: Any, args: tuple[Any, ...]) -> Any:
    """Of a tensor: where it lies, for one that has no memory."""
    found = func(*args)
    attribute = func.__self__
    if attribute is torch.Tensor.device and found == _META:
        return DEVICE
    if attribute is torch.Tensor.is_cuda:
        return args[0].is_meta
    if attribute is torch.Tensor.is_meta:
        return False
    return found


def _translated(value: Any) -> Any:
    """The device's name into that of tensors without memory."""
    if isinstance(value, torch.device):
        return _META if value.type == DEVICE.type else value
    return _META if isinstance(value, str) and value.partition(":")[0] == DEVICE.type else value


def _names_device(kwargs: dict[str, Any]) -> bool:
    return _translated(kwargs.get("device")) == _META


def _is_to_host(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a value of the device's is asked for there, which waits, or copied there, which here does so as well."""
    if not args or not isinstance(args[0], torch.Tensor) or not args[0].is_meta:
        return False
    if name == "to":
        wanted = [
            torch.device(value) for value in (*args[1:], *kwargs.values()) if isinstance(value, str | torch.device)
        ]
        return _CPU in wanted
    return name in (*_TO_THE_HOST, "cpu", "numpy")


def _value(name: str, tensor: torch.Tensor) -> Any:
    """Some value, as nobody computes any."""
    if name == "nonzero":  # all of them
        return tensor.new_zeros(tensor.numel(), tensor.ndim, dtype=torch.int64)
    if name == "tolist":
        return torch.zeros(tensor.shape, dtype=tensor.dtype).tolist()
    return getattr(torch.ones((), dtype=tensor.dtype), name)()


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    """Zeros that take no memory."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
