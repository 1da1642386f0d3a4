"""JAX's own kinds of state as plain data and back: arrays, random keys, and nodes of trees that are no containers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from algoperf import jax_sharding_utils as sharding
from algoperf.backends import plain
from algoperf.backends.state import MISSING, Export, Restoration, made_late, mark
from algoperf.records.checkpoint import CheckpointError

# Marks of plain data, see `state.Mark`; a bare array is a copy on every device.
_ARRAY, _KEY, _NODE = "__array__", "__key__", "__node__"


class JaxKinds:
    """See `state.Kinds`."""

    def export(self, value: Any, where: str, export: Export) -> Any:
        if isinstance(value, jax.Array):
            return _of_array(value) if export.with_arrays else None
        if value is None or isinstance(value, dict | list | tuple) or plain.is_of_attributes(value):
            return MISSING
        children, _ = _flatten(value)
        if len(children) == 1 and children[0] is value:
            return MISSING
        parts = [export.of(child, f"{where}[{number}]") for number, child in enumerate(children)]
        return {_NODE: parts, "of": plain.name_of(type(value))}

    def restore(self, template: Any, exported: Any, where: str, restoration: Restoration) -> Any:
        kind = mark(exported)
        if isinstance(exported, np.ndarray) or kind == _ARRAY:
            return _array(template, exported if kind else {_ARRAY: exported})
        if kind == _KEY:
            is_key = isinstance(template, jax.Array) and jnp.issubdtype(template.dtype, jax.dtypes.prng_key)
            data = _array(jax.random.key_data(template) if is_key else MISSING, {_ARRAY: exported[_KEY]})
            return jax.random.wrap_key_data(data, impl=exported["of"])
        if kind == _NODE:
            if plain.name_of(type(template)) != exported["of"]:
                raise made_late(where, f"a {'.'.join(exported['of'])}")
            children, structure = _flatten(template)
            if len(children) != len(exported[_NODE]):
                raise CheckpointError(f"{where} has {len(children)} parts now, and had {len(exported[_NODE])}.")
            names = [f"{where}[{number}]" for number in range(len(children))]
            return jax.tree.unflatten(structure, map(restoration.of, children, exported[_NODE], names))
        return MISSING


def _flatten(value: Any) -> tuple[list[Any], Any]:
    """The parts of a node of a tree, no deeper; of anything else, itself."""
    return jax.tree.flatten(value, is_leaf=lambda part: part is not value)


def _of_array(array: jax.Array) -> Any:
    """Arrays that only some devices have become whole ones, for which all processes are needed."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return {_KEY: _whole(jax.random.key_data(array)), "of": str(jax.random.key_impl(array))}
    exported = plain.export_array(_whole(array))
    if isinstance(exported, np.ndarray) and not array.weak_type and array.committed and _is_everywhere(array):
        return exported
    return {_ARRAY: exported, "weak": array.weak_type, "own": not array.committed or not _is_everywhere(array)}


def _is_everywhere(array: jax.Array) -> bool:
    return len(array.sharding.device_set) == jax.device_count()


def _whole(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def _array(template: Any, exported: dict[str, Any]) -> jax.Array:
    """Where the template lies, for what is compiled depends on it; without one as it was: own, or everywhere."""
    array = plain.restore_array(exported[_ARRAY])
    is_weak = exported.get("weak", False)
    is_there = isinstance(template, jax.Array)
    if is_there and template.committed and (template.shape == array.shape or template.is_fully_replicated):
        return _placed(array, is_weak, template.sharding)
    if exported.get("own") or (is_there and not template.committed):
        return _weak(array) if is_weak else jnp.asarray(array)
    return _placed(array, is_weak, sharding.get_replicate_sharding())


def _placed(array: np.ndarray, is_weak: bool, where: jax.sharding.Sharding) -> jax.Array:
    """The array, which all processes have read whole."""
    if is_weak:
        return jax.device_put(_weak(array), where)
    return jax.make_array_from_callback(array.shape, where, array.__getitem__)


def _weak(array: np.ndarray) -> jax.Array:
    """With the type of a Python number, which gives way to others in promotion."""
    nothing = {"f": 0.0, "c": 0j}.get(array.dtype.kind, 0)
    return jnp.full(array.shape, nothing).at[...].set(array)
