"""PyTorch: one device for each process, an emulation of split keys, state through `state_dict`."""

import random
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from algoperf.checkpoint import CheckpointError
from algoperf.hardware import cpu_name, memory_gib
from algoperf.pytorch_utils import pytorch_setup
from algoperf.spec import UsageError

_KEY_MODULUS = 2**31 - 1
_BYTES_PER_GIB = 2**30
_IMAGE_RANK = 4


@runtime_checkable
class _Stateful(Protocol):
    """Modules, optimizers, schedulers, gradient scalers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class PytorchBackend:
    def __init__(self):
        use_ddp, _, self.device, _ = pytorch_setup()
        if use_ddp:
            raise UsageError("a PyTorch trial runs in one process on one device yet; unset LOCAL_RANK.")

    num_devices = 1
    shard = (0, 1)

    def accelerator(self) -> dict[str, Any]:
        if self.device.type == "cpu":
            return {"kind": "cpu", "name": cpu_name(), "count": self.num_devices, "memory_gib": memory_gib()}
        properties = torch.cuda.get_device_properties(self.device)
        memory = round(properties.total_memory / _BYTES_PER_GIB)
        return {"kind": "gpu", "name": properties.name, "count": self.num_devices, "memory_gib": memory}

    def seed(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    # Keys are pairs of integers, derived as the official emulation derives them, so that a submission that draws from
    # its key draws the same numbers here.
    def prng_key(self, seed: int) -> np.ndarray:
        return self.split(np.asarray(seed), 2)[0]

    def split(self, key: np.ndarray, count: int) -> np.ndarray:
        return _generator(key).randint(0, _KEY_MODULUS, size=(count, 2), dtype=np.int32)

    def step_keys(self, key: np.ndarray, global_step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        folded_in = np.asarray([_generator(key).randint(0, _KEY_MODULUS, dtype=np.int32), global_step])
        return tuple(self.split(folded_in, 4))

    def place_batch(self, batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        return {name: self._place_array(array) for name, array in batch.items()}

    def _place_array(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if tensor.ndim == _IMAGE_RANK:  # images are stored channels last, PyTorch counts channels second
            tensor = tensor.permute(0, 3, 1, 2)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def place(self, tree: Any) -> Any:
        return tree

    def synchronize(self, *trees: Any) -> None:
        del trees
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @torch.no_grad()
    def all_finite(self, params: torch.nn.Module) -> bool:
        return all(bool(torch.isfinite(parameter).all()) for parameter in params.parameters())

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)

    def export(self, tree: Any) -> Any:
        match tree:
            case _Stateful():
                return _exported(tree.state_dict())
            case Mapping():
                return {key: self.export(value) for key, value in tree.items() if _has_state(value)}
            case list() | tuple():
                return [self.export(value) if _has_state(value) else None for value in tree]
        return _exported(tree)

    def restore(self, template: Any, exported: Any) -> Any:
        match template:
            case _Stateful():
                template.load_state_dict(_restored(exported, self.device))
                return template
            case dict():
                if missing := {key for key, value in template.items() if _has_state(value)} - set(exported):
                    raise CheckpointError(f"the checkpoint lacks the state {sorted(map(str, missing))[0]!r}.")
                restored = {key: self.restore(template.get(key), value) for key, value in exported.items()}
                return {**template, **restored}
            case list() | tuple() if not _is_plain(template):
                pairs = zip(template, exported, strict=True)
                return type(template)(self.restore(a, b) if _has_state(a) else a for a, b in pairs)
        return _restored(exported, self.device)

    def export_random_state(self) -> dict[str, Any]:
        state = {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=True),
            "torch": torch.get_rng_state().numpy(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device).numpy()
        return state

    def restore_random_state(self, exported: dict[str, Any]) -> None:
        random.setstate(exported["python"])
        np.random.set_state(exported["numpy"])
        torch.set_rng_state(torch.from_numpy(exported["torch"]))
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(torch.from_numpy(exported["cuda"]), self.device)


BACKEND = PytorchBackend


def _generator(key: np.ndarray) -> np.random.RandomState:
    return np.random.RandomState(np.asarray(key) % _KEY_MODULUS)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic | torch.Tensor)


def _has_state(value: Any) -> bool:
    """Whether there is something in `value` to save; functions and the like come anew from the submission."""
    return _is_plain(value) or isinstance(value, Mapping | list | tuple | _Stateful)


def _exported(value: Any) -> Any:
    """Tensors as NumPy arrays, at any depth; kinds of number that NumPy lacks as their bits."""
    match value:
        case torch.Tensor():
            tensor = value.detach().cpu()
            if tensor.dtype == torch.bfloat16:
                return {"bfloat16": tensor.view(torch.int16).numpy()}
            return tensor.numpy()
        case Mapping():
            return {key: _exported(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_exported(item) for item in value) if type(value) in (list, tuple) else list(value)
    return value


def _restored(value: Any, device: torch.device) -> Any:
    match value:
        case np.ndarray():
            return torch.from_numpy(np.array(value)).to(device)
        case {"bfloat16": bits, **rest} if not rest:
            return torch.from_numpy(np.array(bits)).view(torch.bfloat16).to(device)
        case dict():
            return {key: _restored(item, device) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_restored(item, device) for item in value)
    return value
