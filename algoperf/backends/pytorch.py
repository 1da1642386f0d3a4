"""PyTorch: one device for each process, an emulation of split keys, state through `state_dict`."""

import atexit
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from algoperf.backends import gather_rows, plain, pytorch_model
from algoperf.backends.pytorch_state import PytorchKinds, bare
from algoperf.backends.state import Export, Restoration
from algoperf.benchmark.facts import InfrastructureError, UsageError, WorkloadSpec
from algoperf.machine import hardware, ranks
from algoperf.pytorch_utils import pytorch_setup

_KEY_MODULUS = 2**31 - 1
_IMAGE_RANK = 4
# From which compute capability on a GPU multiplies float32 on tensor cores, for which cuDNN wants channels last, and
# Triton has code for it.
_AMPERE = (8, 0)

# What PyTorch says where a device, its driver or another process failed. An assertion on the device is the program's
# own fault.
_LOST = ("CUDA error", "CUDA driver", "NVIDIA driver", "NCCL", "gloo")
_ASSERTION = "device-side assert"
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "_STATUS_ALLOC_FAILED")


class PytorchBackend:
    def __init__(self):
        self._ranks = ranks.join()
        use_ddp, _, self.device, _ = pytorch_setup()
        if not distributed.is_initialized():
            _join(self.device, use_ddp)
        is_gpu = self.device.type == "cuda"
        self.is_older_gpu = is_gpu and torch.cuda.get_device_capability(self.device) < _AMPERE
        # Beside the stream that computes, behind whose queue batches would else wait to be copied.
        self._copies = torch.cuda.Stream(self.device) if is_gpu else None

    num_devices = property(lambda self: self._ranks.world_size)
    shard = property(lambda self: (self._ranks.rank, self._ranks.world_size))

    def accelerator(self) -> dict[str, Any]:
        if self.device.type == "cpu":
            return hardware.accelerator("cpu", "cpu", self.num_devices)
        return hardware.accelerator("gpu", torch.cuda.get_device_name(self.device), self.num_devices)

    def configure(self, spec: WorkloadSpec) -> None:
        torch.backends.cudnn.benchmark = spec.cudnn_benchmark
        if spec.tf32 is not None:
            torch.set_float32_matmul_precision("high" if spec.tf32 else "highest")
            torch.backends.cudnn.allow_tf32 = spec.tf32

    def framework_settings(self) -> dict[str, Any]:
        if self.device.type == "cpu":
            return {}
        # By the newer names, which answer whichever ones a submission has set them by.
        precisions = {
            "products": torch.backends.cuda.matmul.fp32_precision,
            "convolutions": torch.backends.cudnn.conv.fp32_precision,
            "recurrences": torch.backends.cudnn.rnn.fp32_precision,
        }
        return {
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
            "NCCL": ".".join(map(str, torch.cuda.nccl.version())),
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "tf32": sorted(name for name, precision in precisions.items() if precision == "tf32"),
        }

    def is_compiled(self, spec: WorkloadSpec) -> bool:
        """Whether the model of a workload is compiled on this device."""
        is_ampere = self.device.type == "cuda" and not self.is_older_gpu
        return spec.torch_compile == "always" or (spec.torch_compile == "ampere" and is_ampere)

    def seed(self, seed: int) -> None:
        """The first process has the state that a single one would have."""
        seed = plain.seed_of_process(seed, self._ranks.rank)
        plain.seed_generators(seed)
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

    # The processes hear each other through tensors on the CPU, so neither of these waits for a device.
    def from_first(self, values: tuple[float, ...]) -> tuple[float, ...]:
        if self.num_devices == 1:
            return values
        said = torch.tensor(values, dtype=torch.float64)
        distributed.broadcast(said, src=0)
        return tuple(said.tolist())

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return gather_rows(rows, _from_all) if self.num_devices > 1 else rows

    def place_batch(self, batch: Any) -> Any:
        """On a GPU it returns when the batch is there, without waiting for anything else that the device has to do."""
        if self._copies is None:
            return self._placed(batch)
        with torch.cuda.stream(self._copies):
            placed = self._placed(batch)
        self._copies.synchronize()
        return placed

    def _placed(self, batch: Any) -> Any:
        match batch:
            case dict():
                return {name: self._placed(part) for name, part in batch.items()}
            case tuple():
                return tuple(map(self._placed, batch))
        return self._place_array(batch)

    def _place_array(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if tensor.ndim == _IMAGE_RANK:  # images are stored channels last, PyTorch counts channels second
            tensor = tensor.permute(0, 3, 1, 2)
        if self._copies is None:
            return tensor
        tensor = tensor.pin_memory().to(self.device, non_blocking=True)
        if self.is_older_gpu:
            tensor = tensor.contiguous()
        # The memory is that of the stream of copies, which must not fill it again before it has been computed with.
        tensor.record_stream(torch.cuda.default_stream(self.device))
        return tensor

    def place(self, tree: Any) -> Any:
        return tree

    def wait(self) -> None:
        """On all GPUs that this process has touched; on each, all streams."""
        if torch.cuda.is_initialized():
            for number in range(torch.cuda.device_count()):
                if torch._C._cuda_hasPrimaryContext(number):
                    torch.cuda.synchronize(number)

    def synchronize(self, *trees: Any) -> None:
        del trees  # a device's queues hold all of them
        self.wait()
        if self.num_devices > 1:
            distributed.all_reduce(torch.zeros(1))  # ends when all processes have begun it

    def evaluating(self, params: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
        return pytorch_model.without_hooks(bare(params))

    def hooks(self, params: torch.nn.Module) -> list[str]:
        return pytorch_model.hooks(bare(params))

    def remember(self, params: torch.nn.Module) -> Callable[[], bool]:
        before = pytorch_model.checksums(params)
        return lambda: pytorch_model.checksums(params) != before

    @torch.no_grad()
    def all_finite(self, params: torch.nn.Module) -> bool:
        return all(bool(torch.isfinite(parameter).all()) for parameter in params.parameters())

    def is_out_of_memory(self, error: BaseException) -> bool:
        return (
            plain.is_out_of_host_memory(error)
            or isinstance(error, torch.OutOfMemoryError)
            or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY))
        )

    def is_infrastructure_error(self, error: BaseException) -> bool:
        if not isinstance(error, RuntimeError) or self.is_out_of_memory(error) or _ASSERTION in str(error):
            return False
        is_lost = isinstance(error, torch.AcceleratorError | distributed.DistError)
        return is_lost or any(sign in str(error) for sign in _LOST)

    def snapshot(self, value: Any) -> Any:
        return value.detach().clone() if isinstance(value, torch.Tensor) else None

    def export(self, tree: Any) -> Any:
        return Export(PytorchKinds(self.device)).of(tree, "state")

    def restore(self, template: Any, exported: Any) -> Any:
        return Restoration(PytorchKinds(self.device)).of(template, exported, "state")

    def not_exported(self, tree: Any, name: str) -> list[str]:
        export = Export(PytorchKinds(self.device), with_arrays=False)
        export.of(tree, name)
        return export.left_out

    def foreign_attributes(self, params: torch.nn.Module) -> list[str]:
        return pytorch_model.foreign_attributes(bare(params))

    def layout(self, params: torch.nn.Module) -> tuple[Any, ...]:
        return pytorch_model.layout(bare(params))

    def describe(self, params: torch.nn.Module) -> dict[str, str]:
        return pytorch_model.describe(bare(params))

    def settings(self) -> dict[str, Any]:
        return {
            "torch.default_dtype": torch.get_default_dtype(),
            "torch.default_device": torch.get_default_device(),
            "torch.num_threads": torch.get_num_threads(),
            "torch.num_interop_threads": torch.get_num_interop_threads(),
            "torch.deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "torch.grad_enabled": torch.is_grad_enabled(),
            "torch.autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")],
            "torch.anomaly_enabled": torch.is_anomaly_enabled(),
            "torch.modes": [type(mode).__name__ for mode in pytorch_model.modes()],
        }

    def seeding_functions(self) -> tuple[tuple[Any, str], ...]:
        return (
            *((torch, "manual_seed"), (torch.random, "manual_seed"), (torch, "seed"), (torch.random, "seed")),
            *((torch.cuda, "manual_seed"), (torch.cuda, "manual_seed_all")),
        )

    def writing_functions(self) -> tuple[tuple[Any, str], ...]:
        return (torch, "save"), (torch.serialization, "save")

    def compile_into(self, folder: Path) -> None:
        """The compilers go by their variables."""

    def compiles_into(self, folder: Path) -> str | None:
        """See `compile_into`."""

    def peak_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def export_random_state(self) -> dict[str, Any]:
        own = {**plain.export_generators(), "torch": torch.get_rng_state().numpy()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device).numpy()
        return own

    def restore_random_state(self, exported: dict[str, Any]) -> None:
        plain.restore_generators(exported)
        torch.set_rng_state(torch.from_numpy(exported["torch"]))
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(torch.from_numpy(exported["cuda"]), self.device)


BACKEND = PytorchBackend


def _join(device: torch.device, use_ddp: bool) -> None:
    """Joins this process to the others of its trial: tensors on GPUs go through NCCL, those on the CPU through gloo.

    One that is alone is a group of one: published submissions call `torch.distributed` without asking.
    """
    if device.type == "cuda":
        if device.index >= torch.cuda.device_count():
            raise UsageError(
                f"process {device.index} of the node sees {torch.cuda.device_count()} GPUs; start one process for each "
                "GPU, and show all of them to every process (no --gpus-per-task)."
            )
        torch.cuda.set_device(device)
    try:
        alone = {} if use_ddp else {"store": distributed.HashStore(), "rank": 0, "world_size": 1}
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", **alone)
    except RuntimeError as error:
        raise InfrastructureError(f"the processes of the trial did not find each other: {error}") from error
    # Its threads must end before the interpreter does.
    atexit.register(distributed.destroy_process_group)


def _from_all(array: np.ndarray) -> np.ndarray:
    """The arrays of all processes, which have one shape, stacked."""
    own = torch.from_numpy(array)
    found = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, own)
    return torch.stack(found).numpy()


def _generator(key: np.ndarray) -> np.random.RandomState:
    return np.random.RandomState(np.asarray(key) % _KEY_MODULUS)
