"""What a step in PyTorch takes, told by its operations: memory, time at best, waits for the device, collectives."""

import collections
import sys
import weakref
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from algoperf.shapes import device

_REPOSITORY = Path(__file__).parents[2]
_HERE = Path(__file__).parent

_aten = torch.ops.aten
_COPIES = {_aten._to_copy.default, _aten.copy_.default}
# Operations that give another view of the same memory, or memory that nothing has been written to.
_NOTHING_MOVED = ("aten.detach", "aten._unsafe_view", "aten.empty", "aten.new_empty", "aten.alias", "aten.lift_fresh")
# It is given a tensor for its type alone.
_UNREAD = "aten.batch_norm_gather_stats"
# What a model must do: products, convolutions, attention, norms, look-ups in tables, recurrences.
_NEEDED = ("mm", "convolution", "attention", "norm", "embedding", "index_select", "rnn")


class Meter(TorchDispatchMode):
    """Inside of it, all tensors on the accelerator are counted.

    now, peak: bytes of them. moved, needed: bytes that operations have read and written; of those that a model cannot
    do without. flops: of products, by type. kernels: operations. waits: of the host for the device, by the lines that
    make them. collectives: how many there were, and of how many bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[int, weakref.ref] = {}
        self.now = self.peak = 0
        self.at = ""
        self.begin_step()

    def begin_step(self) -> None:
        """What is counted from now on is of one step; what is held goes on to be."""
        self.peak, self.at = self.now, ""
        self.moved = self.needed = self.kernels = self.collective_bytes = 0
        self.flops: collections.Counter[str] = collections.Counter()
        self.waits: collections.Counter[str] = collections.Counter()
        self.collectives: collections.Counter[str] = collections.Counter()

    def told(self) -> dict[str, Any]:
        """What `fit.cells.Figures` has of a step."""
        return {
            "collectives": sum(self.collectives.values()),
            "collective_bytes": self.collective_bytes,
            "waits": dict(self.waits),
            "flops": dict(self.flops),
            "moved": self.moved,
            "needed": self.needed,
            "kernels": self.kernels,
        }

    def hold(self, tensor: torch.Tensor, by: str = "") -> None:
        """Counts a tensor's memory until it is free."""
        if not device.is_on(tensor):
            return
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._held:
            return

        def free(_: Any) -> None:
            del self._held[key]
            self.now -= size

        self._held[key] = weakref.ref(storage, free)
        self.now += size
        if self.now > self.peak:
            self.peak, self.at = self.now, by

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            return self._dispatched(func, args, kwargs or {})

    def _dispatched(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = str(func)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if name.startswith("c10d."):
            self.collectives[name.split(".")[1].strip("_")] += 1
            self.collective_bytes += sum(map(_bytes, _distinct(given)))
            return device.collective(args)
        result = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        for tensor in made:
            self.hold(tensor, name)
        if func in _COPIES and not (kwargs.get("non_blocking") or args[2:] == (True,)) and _is_across(given + made):
            self.waited("a copy to the device")
        if not func.is_view and not name.startswith(_NOTHING_MOVED):
            self._count(func, name, args, kwargs, result, given, made)
        return result

    def _count(self, func: Any, name: str, args: Any, kwargs: Any, result: Any, given: Any, made: Any) -> None:
        if name.startswith(_UNREAD):
            given = given[1:]
        read = given * (
            2 if "native_batch_norm" in name else 1
        )  # its kernels come twice: for the moments, then with them
        moved = sum(_bytes(tensor) for tensor in (*read, *made) if device.is_on(tensor))
        if not moved:
            return
        self.kernels += 1
        self.moved += moved
        if any(part in name for part in _NEEDED):
            self.needed += moved
        if func._overloadpacket in flop_registry:
            kind = str(given[0].dtype).removeprefix("torch.")
            self.flops[kind] += flop_registry[func._overloadpacket](*args, **kwargs, out_val=result)
        elif func._overloadpacket in (_aten._cudnn_rnn, _aten._cudnn_rnn_backward):
            times = 1 if func._overloadpacket == _aten._cudnn_rnn else 2
            products = sum(2 * matrix.numel() for matrix in args[1] if matrix.ndim == 2)
            steps = args[0].numel() // args[0].shape[-1]
            self.flops[str(given[0].dtype).removeprefix("torch.")] += times * steps * products

    def waited(self, what: str) -> None:
        """The host has waited for the device."""
        self.waits[f"{what} at {_caller()}"] += 1


def _is_across(tensors: list[torch.Tensor]) -> bool:
    """Whether some of them are on the device and some are not; a single number is taken along with the operation."""
    return len({device.is_on(tensor) for tensor in tensors if tensor.ndim or device.is_on(tensor)}) > 1


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _distinct(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _caller() -> str:
    """The line of this repository that asked for the operation."""
    frame = sys._getframe()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_REPOSITORY) and not path.is_relative_to(_HERE):
            return f"{path.relative_to(_REPOSITORY)}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
