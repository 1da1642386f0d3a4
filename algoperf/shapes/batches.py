"""Shapes and types of each workload's batches, as its dataset makes them: (shape, type) where an array will be."""

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from algoperf.benchmark.facts import WorkloadSpec
from workloads.datasets.ogbg import EDGE_FEATURES, EDGES_PER_GRAPH, MULTIPLE, NODE_FEATURES, NODES_PER_GRAPH

# An array that is not there: its shape, and the name of its type in NumPy.
Leaf = tuple[tuple[int, ...], str]
Batch = dict[str, Any]

_FLOAT, _INT = "float32", "int32"
_BYTES = 4  # of either
# Batches that the input queue has on the devices beside the one that is computed: those that are ready, and one that
# waits to be.
READ_AHEAD = 4


def placed(batch: Any, make: Callable[[tuple[int, ...], str], Any]) -> Any:
    """The batch with what `make(shape, type)` gives for its arrays."""
    if isinstance(batch, dict):
        return {name: placed(part, make) for name, part in batch.items()}
    if isinstance(batch[1], str):
        return make(*batch)
    return tuple(placed(part, make) for part in batch)


def size(batch: Batch) -> int:
    """Bytes."""
    sizes: list[int] = []
    placed(batch, lambda shape, dtype: sizes.append(_BYTES * math.prod(shape)))
    return sum(sizes)


def wanted(spec: WorkloadSpec) -> frozenset[str]:
    """What the workload's metrics need of an evaluation, as `trial.evaluate` asks for it."""
    return frozenset().union(*(importlib.import_module(f"workloads.metrics.{name}").NEEDS for name in spec.metrics))


def training(spec: WorkloadSpec, size: int) -> Batch:
    """Of a process's part of a batch, `size` examples of it."""
    return _MAKERS[spec.name if spec.name in _MAKERS else spec.base](spec, size)


def evaluation(spec: WorkloadSpec, size: int) -> Batch:
    """The same of a batch that is evaluated; there, each example has a weight."""
    batch = training(spec, size)
    if spec.base == "wmt":  # pairs are not packed
        return {key: batch[key] for key in ("inputs", "targets", "weights")}
    if spec.base.startswith("imagenet"):  # and images are not mixed
        batch["targets"] = ((size,), _INT)
    return {"weights": ((size,), _FLOAT), **batch}


def _clicks(spec: WorkloadSpec, size: int) -> Batch:
    return {"inputs": ((size, 39), _FLOAT), "targets": ((size,), _FLOAT)}


def _slices(spec: WorkloadSpec, size: int) -> Batch:
    image = ((size, spec.data["image_size"], spec.data["image_size"]), _FLOAT)
    return {"inputs": image, "targets": image, **dict.fromkeys(("mean", "std", "volume_max"), ((size,), _FLOAT))}


def _images(spec: WorkloadSpec, size: int) -> Batch:
    side = spec.data["image_size"]
    is_mixed = spec.data["mixup_alpha"] > 0
    targets = ((size, spec.model["num_classes"]), _FLOAT) if is_mixed else ((size,), _INT)
    return {"inputs": ((size, side, side, 3), _FLOAT), "targets": targets}


def _recordings(spec: WorkloadSpec, size: int) -> Batch:
    samples, tokens = (((size, spec.data[name]), _FLOAT) for name in ("max_samples", "max_tokens"))
    return {"inputs": (samples, samples), "targets": (tokens, tokens)}


def _molecules(spec: WorkloadSpec, size: int) -> Batch:
    nodes, edges, graphs = (
        -(-count // MULTIPLE) * MULTIPLE for count in (size * NODES_PER_GRAPH + 1, size * EDGES_PER_GRAPH, size + 1)
    )
    labels = ((graphs, spec.data["num_tasks"]), _FLOAT)
    inputs = {
        "nodes": ((nodes, NODE_FEATURES), _FLOAT),
        "edges": ((edges, EDGE_FEATURES), _FLOAT),
        **dict.fromkeys(("senders", "receivers"), ((edges,), _INT)),
        **dict.fromkeys(("n_node", "n_edge"), ((graphs,), _INT)),
    }
    return {"inputs": inputs, "targets": labels, "weights": labels}


def _sentences(spec: WorkloadSpec, size: int) -> Batch:
    shape = (size, spec.data["max_length"])
    keys = [f"{side}{what}" for side in ("inputs", "targets") for what in ("", "_position", "_segmentation")]
    return {**dict.fromkeys(keys, (shape, _INT)), "weights": (shape, _FLOAT)}


def _tokens(spec: WorkloadSpec, size: int) -> Batch:
    return dict.fromkeys(("inputs", "targets"), ((size, spec.data["sequence_length"]), _INT))


_MAKERS: Mapping[str, Callable[[WorkloadSpec, int], Batch]] = {
    "criteo1tb": _clicks,
    "fastmri": _slices,
    **dict.fromkeys(("imagenet_resnet", "imagenet_vit"), _images),
    **dict.fromkeys(("librispeech_conformer", "librispeech_deepspeech"), _recordings),
    "ogbg": _molecules,
    "wmt": _sentences,
    "finewebedu_lm": _tokens,
}
