"""Numbers of the reference implementation, and the weights and batches they belong to; README.md says what is what."""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.reference import from_reference, to_reference
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


def canonical_weights(spec: WorkloadSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The oracle's weights under our names, whose `shapes` are given; running statistics as before the first step."""
    fresh = {"running_mean": np.zeros, "running_var": np.ones}
    leaves = {name: name.rpartition(".")[2] for name in shapes}
    statistics = {name: fresh[leaf](shapes[name], np.float32) for name, leaf in leaves.items() if leaf in fresh}
    return {**from_reference(spec, shapes, weights(spec.name)), **statistics}


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


def fastmri_batch(size: int, image_size: int) -> dict[str, np.ndarray]:
    """Noise, and targets of which seven tenths can be known from it."""
    random = np.random.RandomState(0)
    shape = (size, image_size, image_size)
    inputs = np.clip(random.standard_normal(shape), -6, 6).astype(np.float32)
    targets = np.clip(0.7 * inputs + 0.3 * random.standard_normal(shape), -6, 6).astype(np.float32)
    batch = {"inputs": inputs, "targets": targets, "weights": np.ones(size, np.float32)}
    for name, least in (("mean", 1e-4), ("std", 1e-4), ("volume_max", 1e-3)):
        batch[name] = (least * (1 + random.rand(size))).astype(np.float32)
    return batch


def criteo_batch(size: int) -> dict[str, np.ndarray]:
    """Log counts and ids below 262,144; the last row is padding."""
    random = np.random.RandomState(0)
    counts = np.log1p(random.randint(0, 1000, size=(size, 13))).astype(np.float32)
    ids = random.randint(0, 262_144, size=(size, 26)).astype(np.float32)
    targets = (random.rand(size) < 0.25).astype(np.float32)
    weights = np.ones(size, np.float32)
    weights[-1] = 0
    return {"inputs": np.concatenate([counts, ids], axis=1), "targets": targets, "weights": weights}


_JAX_LAYOUT = {
    "id": lambda array: array,
    "T": lambda array: array.T,
    "conv2d": lambda array: array.transpose(2, 3, 1, 0),
    "convT2d": lambda array: array.transpose(2, 3, 0, 1)[::-1, ::-1],
    "cat0": lambda *arrays: np.concatenate(arrays),
}
_NEGLIGIBLE = 1e-5


@dataclasses.dataclass(frozen=True)
class GradientErrors:
    """Relative errors against the oracle, one for each parameter; the probes' are relative to the norms.

    A gradient that is zero but for rounding, such as that of attention's key biases, is compared with a norm that is
    just as small beside the whole gradient's: `_NEGLIGIBLE` times that.
    """

    norms: np.ndarray
    probes: np.ndarray


def gradient_errors(spec: WorkloadSpec, gradients: Mapping[str, np.ndarray]) -> GradientErrors:
    """Compares gradients under our names with the oracle's."""
    tensors = to_reference(spec, gradients)
    entries = numbers(spec.name)["gradients"]
    least_norm = _NEGLIGIBLE * np.linalg.norm([norm for *_, norm, _ in entries])
    norms, probes = [], []
    for name, shape, layout, pieces, norm, expected in entries:
        gradient = _JAX_LAYOUT[layout](*(tensors[piece] for piece in pieces)).reshape(shape).astype(np.float64)
        scale = max(norm, least_norm)
        norms.append(abs(np.linalg.norm(gradient) - norm) / scale)
        probed = (gradient * probe(name, shape)).sum() / np.sqrt(gradient.size)
        probes.append(abs(probed - expected) / scale)
    return GradientErrors(np.array(norms), np.array(probes))
