"""JAX: the devices of all processes on one mesh, random keys of `jax.random`."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from algoperf import jax_sharding_utils as sharding
from algoperf.backends import gather_rows, plain
from algoperf.backends.jax_state import JaxKinds
from algoperf.backends.state import Export, Restoration
from algoperf.machine import hardware, ranks

# How XLA begins or what it says where a device, a driver or another process failed. An assertion on the device is the
# program's own fault.
_LOST = ("UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "CUDA_ERROR_", "CUDA error", "NCCL", "Gloo")
_ASSERTION = "CUDA_ERROR_ASSERT"
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")

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


class JaxBackend:
    def __init__(self):
        _join()

    num_devices = property(lambda self: jax.device_count())
    shard = property(lambda self: (jax.process_index(), jax.process_count()))

    def accelerator(self) -> dict[str, Any]:
        device = jax.local_devices()[0]
        return hardware.accelerator(device.platform, device.device_kind, jax.device_count())

    def seed(self, seed: int) -> None:
        """JAX itself has no global random state; Python and NumPy have."""
        plain.seed_generators(plain.seed_of_process(seed, jax.process_index()))

    def prng_key(self, seed: int) -> jax.Array:
        return jax.random.PRNGKey(seed)

    def split(self, key: jax.Array, count: int) -> jax.Array:
        return jax.random.split(key, count)

    def step_keys(self, key: jax.Array, global_step: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        return _step_keys(key, global_step)

    # The processes hear each other through their devices, so both of these wait until the devices have come to them.
    def from_first(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(_numbers(multihost_utils.broadcast_one_to_all(_bits(np.array(values)))).tolist())

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

    def synchronize(self, *trees: Any) -> None:
        jax.block_until_ready(trees)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("synchronize")

    def all_finite(self, params: Any) -> bool:
        return bool(_all_finite(params))

    def is_out_of_memory(self, error: BaseException) -> bool:
        return plain.is_out_of_host_memory(error) or (
            isinstance(error, jax.errors.JaxRuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)
        )

    def is_infrastructure_error(self, error: BaseException) -> bool:
        if not isinstance(error, jax.errors.JaxRuntimeError) or self.is_out_of_memory(error):
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


def _join() -> None:
    """Makes one of all processes' devices, where there are several; JAX must not have looked for its devices before."""
    joined = ranks.join()
    if joined.world_size == 1 or jax.distributed.is_initialized():
        return
    coordinator = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    # Detecting Slurm by itself, JAX would use one device of each process.
    jax.distributed.initialize(coordinator, joined.world_size, joined.rank, cluster_detection_method="deactivate")


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


@jax.jit
def _all_finite(params: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]))


def _kind(leaf: Any) -> tuple[tuple[int, ...], Any]:
    return getattr(leaf, "shape", ()), getattr(leaf, "dtype", type(leaf))
