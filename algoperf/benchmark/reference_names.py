"""Weights under the names of the reference implementation's PyTorch models, which are the way in and out for others.

A spec's `reference_names` says where its model's names differ. All functions work on plain arrays.
"""

import dataclasses
from collections.abc import Container, Mapping

import numpy as np

from algoperf.benchmark.facts import Rows, Sum, UsageError, WorkloadSpec


def pieces(spec: WorkloadSpec, name: str) -> tuple[Rows, ...]:
    """Where the reference has our array `name`: pieces of its tensors, to be joined along the first axis."""
    module, leaf = name, ""
    while module not in spec.reference_names:
        module, _, last = module.rpartition(".")
        if not module:
            return (Rows(name),)
        leaf = f".{last}{leaf}"
    match spec.reference_names[module]:
        case str(theirs):
            return (Rows(theirs + leaf),)
        case Rows() as rows:
            return (dataclasses.replace(rows, name=rows.name + leaf),)
        case Sum(names=(first, *_)):
            return (Rows(first + leaf),)
        case several:
            return tuple(Rows(theirs + leaf) for theirs in several)


def _added(spec: WorkloadSpec, present: Container[str]) -> dict[str, str]:
    """The reference's tensors that are but added to another one, which is present -> that other one."""
    sums = (theirs.names for theirs in spec.reference_names.values() if isinstance(theirs, Sum))
    return {name: first for first, *others in sums if first in present for name in others}


def reference_shapes(spec: WorkloadSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The reference's name and shape of every tensor, from those of our arrays."""
    found = {}
    for name, (length, *others) in shapes.items():
        joined = pieces(spec, name)
        found.update({rows.name: (length // len(joined) * rows.parts, *others) for rows in joined})
    return found | {name: found[first] for name, first in _added(spec, found).items()}


def to_reference(spec: WorkloadSpec, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays under the reference's names."""
    parts: dict[str, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        joined = pieces(spec, name)
        for rows, piece in zip(joined, np.split(array, len(joined)), strict=True):
            parts.setdefault(rows.name, {})[rows.part] = piece
    tensors = {
        name: found[0] if len(found) == 1 else np.concatenate([found[part] for part in range(len(found))])
        for name, found in parts.items()
    }
    return tensors | {name: np.zeros_like(tensors[first]) for name, first in _added(spec, tensors).items()}


def from_reference(
    spec: WorkloadSpec, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The reference's tensors under our names, whose `shapes` are given; the inverse of `to_reference`.

    Running statistics may be left out as a whole, and are then left out here; what is no weight in the reference's
    checkpoints (counters, constants of its preprocessing) is passed over. Raises UsageError naming the first missing or
    extra name or wrong shape.
    """
    tensors = {name: np.asarray(tensor) for name, tensor in tensors.items() if not _is_constant(name)}
    if not any(_is_statistic(name) for name in tensors):
        shapes = {name: shape for name, shape in shapes.items() if not _is_statistic(name)}
    expected = reference_shapes(spec, shapes)
    for name, shape in expected.items():
        if name not in tensors:
            raise UsageError(f"{spec.name} needs the tensor {name!r}, which is missing.")
        if tensors[name].shape != shape:
            raise UsageError(
                f"the tensor {name!r} of {spec.name} has shape {tensors[name].shape}; it must have {shape}."
            )
    for name in tensors:
        if name not in expected:
            raise UsageError(f"{spec.name} has no tensor {name!r}.")
    for name, first in _added(spec, tensors).items():
        tensors[first] = tensors[first] + tensors[name]
    return {name: _joined(tensors, pieces(spec, name)) for name in shapes}


def _joined(tensors: Mapping[str, np.ndarray], joined: tuple[Rows, ...]) -> np.ndarray:
    arrays = [np.split(tensors[rows.name], rows.parts)[rows.part] for rows in joined]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _is_statistic(name: str) -> bool:
    return name.endswith((".running_mean", ".running_var"))


def _is_constant(name: str) -> bool:
    constants = (".num_batches_tracked", ".paddings_kernel", ".inv_timescales", ".bn.dim", ".pe")
    return name.startswith("preprocessor.") or name.endswith(constants)
