"""How arrays lie on the devices of a JAX trial: the names that published submissions import.

One mesh over all devices with the single axis `batch`: batches are divided along it, everything else is replicated.
"""

import jax
import numpy as np
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
    return jax.device_put(tree, get_batch_dim_sharding())


def replicate(tree):
    return jax.device_put(tree, get_replicate_sharding())


def display_shard_info(array: jax.Array) -> None:
    """Prints the shape and the sharding of an array."""
    print(f"shape {array.shape}, sharding {array.sharding}")
