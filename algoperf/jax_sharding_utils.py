"""How arrays lie on the devices of a JAX trial: the names that published submissions import.

One mesh over the devices of all processes with the single axis `batch`: batches are divided along it, everything else
is replicated.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_AXIS = "batch"


def get_mesh() -> Mesh:
    return Mesh(np.asarray(jax.devices()), (_AXIS,))


def get_replicate_sharding() -> NamedSharding:
    """A full copy on every device."""
    return NamedSharding(get_mesh(), PartitionSpec())


def get_batch_dim_sharding() -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(get_mesh(), PartitionSpec(_AXIS))


def shard_along_batch_dim(tree):
    """Arrays of this process's examples as its share of arrays of all processes' examples."""
    return jax.make_array_from_process_local_data(get_batch_dim_sharding(), tree)


def replicate(tree):
    """Arrays that are the same in all processes, with a copy on every device."""
    return jax.make_array_from_process_local_data(get_replicate_sharding(), tree)


def shard_within_process(tree):
    """Arrays of this process's examples, divided over this process's devices alone."""
    return jax.device_put(tree, NamedSharding(get_mesh().local_mesh, PartitionSpec(_AXIS)))


def replicated_within_process(tree):
    """This process's copies of arrays that all processes have, as arrays that only this process computes with."""
    return multihost_utils.global_array_to_host_local_array(tree, get_mesh(), PartitionSpec())


def display_shard_info(array: jax.Array) -> None:
    """Prints the shape and the sharding of an array."""
    print(f"shape {array.shape}, sharding {array.sharding}")
