"""Numbers of the reference implementation, and the weights and batches they belong to; README.md says what is what."""

import dataclasses
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.benchmark.facts import WorkloadSpec
from algoperf.benchmark.reference_names import from_reference, to_reference
from tests.oracle.batches import (
    criteo_batch,
    fastmri_batch,
    imagenet_batch,
    librispeech_batch,
    ogbg_batch,
    wmt_batch,
)

__all__ = [
    "INIT_STATS",
    "TREES",
    "GradientErrors",
    "arrays",
    "canonical_weights",
    "criteo_batch",
    "fastmri_batch",
    "gradient_errors",
    "gradient_norm_errors",
    "imagenet_batch",
    "librispeech_batch",
    "numbers",
    "ogbg_batch",
    "probe",
    "weights",
    "wmt_batch",
]

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


_JAX_LAYOUT = {
    "id": lambda array: array,
    "T": lambda array: array.T,
    "conv2d": lambda array: array.transpose(2, 3, 1, 0),
    "convT2d": lambda array: array.transpose(2, 3, 0, 1)[::-1, ::-1],
    "conv1d": lambda array: array.transpose(2, 1, 0),
    "cat0": lambda *arrays: np.concatenate(arrays),
    # The reference's PyTorch models have some tensors in one that JAX has in parts: `rows` says which of its rows.
    "rows": lambda array: array,
    "rows_T": lambda array: array.T,
    "sum_rows": lambda *arrays: sum(arrays),
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
    probes = []
    for gradient, scale, name, shape, *_, expected in _beside_oracle(spec, gradients):
        probed = (gradient * probe(name, shape)).sum() / np.sqrt(gradient.size)
        probes.append(abs(probed - expected) / scale)
    return GradientErrors(gradient_norm_errors(spec, gradients), np.array(probes))


def gradient_norm_errors(spec: WorkloadSpec, gradients: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of these the norms' alone: probes are as many random numbers as there are parameters."""
    return np.array(
        [
            abs(np.linalg.norm(gradient) - norm) / scale
            for gradient, scale, *_, norm, _ in _beside_oracle(spec, gradients)
        ]
    )


def _beside_oracle(spec: WorkloadSpec, gradients: Mapping[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    """Each JAX parameter's gradient, what its errors are relative to, and the oracle's entry."""
    tensors = to_reference(spec, gradients)
    entries = numbers(spec.name)["gradients"]
    least_norm = _NEGLIGIBLE * np.linalg.norm([norm for *_, norm, _ in entries])
    for name, shape, layout, pieces, rows, norm, probed in entries:
        found = [tensors[piece][slice(*rows)] for piece in pieces]
        gradient = _JAX_LAYOUT[layout](*found).reshape(shape).astype(np.float64)
        yield gradient, max(norm, least_norm), name, shape, norm, probed
