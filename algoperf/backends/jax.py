"""JAX: the devices of all processes on one mesh, random keys of `jax.random`."""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.experimental.compilation_cache import compilation_cache
from jax.extend.backend import backends

from algoperf import jax_sharding_utils as sharding
from algoperf.backends import gather_rows, plain
from algoperf.backends.jax_news import News
from algoperf.backends.jax_state import JaxKinds
from algoperf.backends.state import Export, Restoration
from algoperf.benchmark.facts import WorkloadSpec
from algoperf.machine import hardware, ranks

# How XLA begins or what it says where a device, a driver or another process failed. An assertion on the device is the
# program's own fault.
_LOST = ("UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "CUDA_ERROR_", "CUDA error", "NCCL", "Gloo")
_ASSERTION = "CUDA_ERROR_ASSERT"
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")

# How XLA's errors begin. From the second call of a compiled function on JAX raises them as ValueError.
_STATUS = re.compile("(ABORTED|DEADLINE_EXCEEDED|INTERNAL|RESOURCE_EXHAUSTED|UNAVAILABLE|UNKNOWN): ")

# Settings of JAX that change how fast or how exactly it computes, what it keeps and what it tells, but not what.
_FREE_SETTINGS = (
    *("jax_default_matmul_precision", "jax_compilation_cache", "jax_enable_compilation_cache", "jax_persistent_cache"),
    *(
        "jax_log",
        "jax_explain_cache_misses",
        "jax_traceback",
        "jax_include_",
        "jax_dump",
        "jax_pprint",
        "jax_debug_log",
    ),
)


# By which variables JAX is told how much of a GPU's memory it takes, and in which way.
_MEMORY = (
    *("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"),
    *("XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_ALLOCATOR"),
)
# JAX itself takes three quarters, in which some workloads do not fit a V100. The rest is the libraries' own.
_MEMORY_FRACTION = "0.92"


class JaxBackend:
    def __init__(self):
        _join()

    num_devices = property(lambda self: jax.device_count())
    shard = property(lambda self: (jax.process_index(), jax.process_count()))

    def accelerator(self) -> dict[str, Any]:
        device = jax.local_devices()[0]
        return hardware.accelerator(device.platform, device.device_kind, jax.device_count())

    def configure(self, spec: WorkloadSpec) -> None:
        if spec.tf32 is not None:
            jax.config.update("jax_default_matmul_precision", "tensorfloat32" if spec.tf32 else "highest")

    def framework_settings(self) -> dict[str, Any]:
        """Products and convolutions have one precision; None: that of the device, TF32 where it has that."""
        settings = {"XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), "precision": jax.config.jax_default_matmul_precision}
        if jax.default_backend() == "cpu":
            return settings
        memory = {name: os.environ[name] for name in _MEMORY if name in os.environ}
        return {**hardware.nvidia_libraries(), **settings, **memory}

    def seed(self, seed: int) -> None:
        """JAX itself has no global random state; Python and NumPy have."""
        plain.seed_generators(plain.seed_of_process(seed, jax.process_index()))

    def prng_key(self, seed: int) -> jax.Array:
        return jax.random.PRNGKey(seed)

    def split(self, key: jax.Array, count: int) -> jax.Array:
        return jax.random.split(key, count)

    def step_keys(self, key: jax.Array, global_step: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        return _step_keys(key, global_step)

    def from_first(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return values if jax.process_count() == 1 else _NEWS.from_first(values)

    # This goes through the devices, so it waits until they have come to it.
    def gather(self, rows: np.ndarray) -> np.ndarray:
        return gather_rows(rows, lambda array: _numbers(multihost_utils.process_allgather(_bits(array))))

    def place_batch(self, batch: Any) -> Any:
        return sharding.shard_along_batch_dim(batch)

    def place(self, tree: Any) -> Any:
        """Replicates what is not on the mesh yet and makes weak types strong.

        The first step's inputs then look like its outputs: the step is compiled once, where it would be twice.
        """
        replicated = sharding.get_replicate_sharding()

        def placed(leaf: Any) -> Any:
            if not isinstance(leaf, jax.Array):
                return leaf
            if getattr(leaf.sharding, "mesh", None) != replicated.mesh:
                leaf = sharding.replicate(leaf)
            is_weak = not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf.weak_type
            return jax.lax.convert_element_type(leaf, leaf.dtype) if is_weak else leaf

        return jax.tree.map(placed, tree)

    def wait(self) -> None:
        """Arrays may be anywhere, in a closure or on another platform; of work whose results were dropped, or are only
        its effects, none is left. A device computes in the order in which it was asked, so the last computation ends
        last.
        """
        for client in backends().values():
            jax.block_until_ready([_last(_on(device)) for device in client.local_devices()])
            jax.block_until_ready([array for array in client.live_arrays() if not array.is_deleted()])
        jax.effects_barrier()

    def synchronize(self, *trees: Any) -> None:
        self.wait()
        jax.block_until_ready(trees)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("synchronize")
            _NEWS.all_have_heard()

    def evaluating(self, params: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def hooks(self, params: Any) -> list[str]:
        return []

    def remember(self, params: Any) -> Callable[[], bool]:
        """Arrays do not change, but the dictionaries that hold them can."""
        before = jax.tree.leaves(params)
        return lambda: not _are_the_same(before, jax.tree.leaves(params))

    def all_finite(self, params: Any) -> bool:
        return bool(_all_finite(params))

    def is_out_of_memory(self, error: BaseException) -> bool:
        return plain.is_out_of_host_memory(error) or (
            _is_of_xla(error) and any(sign in str(error) for sign in _OUT_OF_MEMORY)
        )

    def is_infrastructure_error(self, error: BaseException) -> bool:
        if not _is_of_xla(error) or self.is_out_of_memory(error):
            return False
        return _ASSERTION not in str(error) and any(sign in str(error) for sign in _LOST)

    def snapshot(self, value: Any) -> Any:
        # Of this process alone: the others may log nothing.
        return jnp.copy(value.addressable_data(0)) if isinstance(value, jax.Array) else None

    def export(self, tree: Any) -> Any:
        return Export(JaxKinds()).of(tree, "state")

    def restore(self, template: Any, exported: Any) -> Any:
        return Restoration(JaxKinds()).of(template, exported, "state")

    def not_exported(self, tree: Any, name: str) -> list[str]:
        export = Export(JaxKinds(), with_arrays=False)
        export.of(tree, name)
        return export.left_out

    def foreign_attributes(self, params: Any) -> list[str]:
        return []

    def layout(self, params: Any) -> tuple[Any, ...]:
        leaves, structure = jax.tree.flatten(params)
        return structure, [_kind(leaf) for leaf in leaves]

    def describe(self, params: Any) -> dict[str, str]:
        kinds = [(path, _kind(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
        return {repr(jax.tree_util.keystr(path)): f"{dtype} {shape}" for path, (shape, dtype) in kinds}

    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in jax.config.values.items() if not name.startswith(_FREE_SETTINGS)}

    def seeding_functions(self) -> tuple[tuple[Any, str], ...]:
        return ()

    def writing_functions(self) -> tuple[tuple[Any, str], ...]:
        return ()

    def compile_into(self, folder: Path) -> None:
        """Programs only: a folder for measurements of their parts would be in their keys, and has another name when the
        trial goes on.
        """
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
        jax.config.update("jax_compilation_cache_dir", self._cache(folder))
        compilation_cache.reset_cache()

    def compiles_into(self, folder: Path) -> str | None:
        found = jax.config.jax_compilation_cache_dir
        return None if found == self._cache(folder) else str(found)

    def _cache(self, folder: Path) -> str | None:
        """None in trials of several processes: where only some find a program, the others would wait for them."""
        return str(folder) if jax.process_count() == 1 else None

    def peak_memory(self) -> int | None:
        statistics = [device.memory_stats() or {} for device in jax.local_devices()]
        peaks = [entry["peak_bytes_in_use"] for entry in statistics if "peak_bytes_in_use" in entry]
        return sum(peaks) if peaks else None

    def export_random_state(self) -> Any:
        """JAX has none: every key is derived from the seed and the step."""
        return plain.export_generators()

    def restore_random_state(self, exported: Any) -> None:
        plain.restore_generators(exported)


BACKEND = JaxBackend


_NEWS = News()


def _join() -> None:
    """Makes one of all processes' devices, where there are several; JAX must not have looked for its devices before."""
    joined = ranks.join()
    if not any(name in os.environ for name in _MEMORY):
        os.environ["XLA_CLIENT_MEM_FRACTION"] = _MEMORY_FRACTION
    flags = os.environ.get("XLA_FLAGS", "")
    if hardware.XLA_FLAG.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {hardware.XLA_FLAG}".strip()
    if joined.world_size == 1 or jax.distributed.is_initialized():
        return
    coordinator = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    # Detecting Slurm by itself, JAX would use one device of each process.
    jax.distributed.initialize(coordinator, joined.world_size, joined.rank, cluster_detection_method="deactivate")


def _is_of_xla(error: BaseException) -> bool:
    return isinstance(error, jax.errors.JaxRuntimeError) or (
        isinstance(error, ValueError) and _STATUS.match(str(error)) is not None
    )


def _bits(array: np.ndarray) -> np.ndarray:
    """Float64, which JAX would round to float32, as pairs of integers along the last axis."""
    return np.ascontiguousarray(array, np.float64).view(np.uint32)


def _numbers(bits: np.ndarray) -> np.ndarray:
    """The inverse of `_bits`."""
    return np.ascontiguousarray(bits).view(np.float64)


@jax.jit
def _step_keys(key: jax.Array, global_step: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """One dispatch a step, where splitting and indexing one by one would be six."""
    return tuple(jax.random.split(jax.random.fold_in(key, global_step), 4))


@functools.cache
def _on(device: jax.Device) -> jax.Array:
    return jax.device_put(np.zeros((), np.float32), device)


@jax.jit
def _last(number: jax.Array) -> jax.Array:
    return number + 1


def _are_the_same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


@jax.jit
def _all_finite(params: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]))


def _kind(leaf: Any) -> tuple[tuple[int, ...], Any]:
    return getattr(leaf, "shape", ()), getattr(leaf, "dtype", type(leaf))
