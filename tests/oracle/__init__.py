"""Numbers of the reference implementation, and the weights and batches they belong to; README.md says what is what."""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.spec import WorkloadSpec

_HERE = Path(__file__).parent

TREES: dict[str, dict[str, list[int]]] = json.loads((_HERE / "trees.json").read_text())
INIT_STATS: dict[str, dict[str, list[float]]] = json.loads((_HERE / "init_stats.json").read_text())


def numbers(workload: str) -> dict[str, Any]:
    return json.loads((_HERE / f"{workload}.json").read_text())


def arrays(workload: str) -> dict[str, np.ndarray]:
    with np.load(_HERE / f"{workload}.npz") as file:
        return dict(file)


def weights(workload: str) -> dict[str, np.ndarray]:
    """The oracle's weights, under the reference's PyTorch names."""
    return {
        name: np.float32(center) + np.float32(scale) * _normal(name, shape)
        for name, shape, center, scale in numbers(workload)["weights"]
    }


def probe(name: str, shape: list[int]) -> np.ndarray:
    """The fixed random direction of a gradient's probe."""
    return _normal(f"{name}#probe", shape)


def _normal(name: str, shape: list[int]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    return random.standard_normal(int(np.prod(shape))).astype(np.float32).reshape(shape)


def imagenet_batch(size: int) -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    inputs = random.standard_normal((size, 224, 224, 3)).astype(np.float32)
    return {"inputs": inputs, "targets": random.randint(0, 1000, size=size), "weights": np.ones(size, np.float32)}


def criteo_batch(size: int) -> dict[str, np.ndarray]:
    """Log counts and ids below 262,144; the last row is padding."""
    random = np.random.RandomState(0)
    counts = np.log1p(random.randint(0, 1000, size=(size, 13))).astype(np.float32)
    ids = random.randint(0, 262_144, size=(size, 26)).astype(np.float32)
    targets = (random.rand(size) < 0.25).astype(np.float32)
    weights = np.ones(size, np.float32)
    weights[-1] = 0
    return {"inputs": np.concatenate([counts, ids], axis=1), "targets": targets, "weights": weights}


def reference_names(spec: WorkloadSpec, name: str) -> tuple[str, ...]:
    """The reference's name of one of our arrays, or of its pieces."""
    names = spec.reference_names.get(name, name)
    return (names,) if isinstance(names, str) else names


def to_reference(spec: WorkloadSpec, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    pieces = {}
    for name, array in arrays.items():
        names = reference_names(spec, name)
        pieces.update(zip(names, np.split(array, len(names)), strict=True))
    return pieces


def from_reference(
    spec: WorkloadSpec, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays under our names; running statistics as they are before the first step."""
    fresh = {"running_mean": 0.0, "running_var": 1.0}
    return {
        name: np.full(shape, fresh[leaf], np.float32)
        if (leaf := name.rpartition(".")[2]) in fresh
        else np.concatenate([tensors[piece] for piece in reference_names(spec, name)])
        for name, shape in shapes.items()
    }


_JAX_LAYOUT = {
    "id": lambda array: array,
    "T": lambda array: array.T,
    "conv2d": lambda array: array.transpose(2, 3, 1, 0),
    "cat0": lambda *arrays: np.concatenate(arrays),
}


@dataclasses.dataclass(frozen=True)
class GradientErrors:
    """Relative errors against the oracle, one for each parameter; the probes' are relative to the norms."""

    norms: np.ndarray
    probes: np.ndarray


def gradient_errors(spec: WorkloadSpec, gradients: Mapping[str, np.ndarray]) -> GradientErrors:
    """Compares gradients under our names with the oracle's."""
    tensors = to_reference(spec, gradients)
    norms, probes = [], []
    for name, shape, layout, pieces, norm, expected in numbers(spec.name)["gradients"]:
        gradient = _JAX_LAYOUT[layout](*(tensors[piece] for piece in pieces)).astype(np.float64)
        norms.append(abs(np.linalg.norm(gradient) - norm) / norm)
        probed = (gradient * probe(name, shape)).sum() / np.sqrt(gradient.size)
        probes.append(abs(probed - expected) / norm)
    return GradientErrors(np.array(norms), np.array(probes))
