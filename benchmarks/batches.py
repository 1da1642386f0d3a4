"""Batches of random, but valid, examples of each workload: NumPy arrays as the input queue gives them."""

from typing import Any

import numpy as np


def clicks(size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    numbers = random.standard_normal((size, 13), dtype=np.float32)
    ids = random.integers(1 << 24, size=(size, 26)).astype(np.float32)
    targets = (random.random(size) < 0.25).astype(np.float32)
    return {"inputs": np.concatenate([numbers, ids], axis=1), "targets": targets}


def slices(side: int) -> dict[str, np.ndarray]:
    inputs, targets = np.random.default_rng(0).standard_normal((2, 1, side, side), dtype=np.float32)
    return {"inputs": inputs, "targets": targets}


def photographs(size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((size, 224, 224, 3), dtype=np.float32)
    return {"inputs": inputs, "targets": random.integers(1_000, size=size)}


def recordings(size: int, num_samples: int, max_tokens: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Noise of three quarters of the length or more, the first of the whole; a token for every 80 to 160 ms."""
    random = np.random.default_rng(0)
    lengths = np.append(num_samples, random.integers(num_samples * 3 // 4, num_samples, size=size - 1))
    paddings = (np.arange(num_samples) >= lengths[:, None]).astype(np.float32)
    audio = 3_000 * random.standard_normal((size, num_samples), dtype=np.float32) * (1 - paddings)
    num_frames = num_samples // 160
    num_tokens = np.minimum(random.integers(num_frames // 16, num_frames // 8, size=size), max_tokens)
    token_paddings = (np.arange(max_tokens) >= num_tokens[:, None]).astype(np.float32)
    tokens = random.integers(1, 1_024, size=(size, max_tokens)) * (1 - token_paddings)
    return {"inputs": (audio, paddings), "targets": (tokens.astype(np.float32), token_paddings)}


def molecules(size: int) -> dict[str, Any]:
    """Graphs of 10 to 40 nodes, in the arrays of 26 nodes and 56 edges each that a batch has."""
    random = np.random.default_rng(0)
    num_nodes = random.integers(10, 41, size=size)
    num_bonds = num_nodes + random.integers(0, 4, size=size)
    nodes, edges = 26 * size + 16, 56 * size
    while num_nodes.sum() >= nodes or 2 * num_bonds.sum() > edges:
        num_nodes, num_bonds = num_nodes[:-1], num_bonds[:-1]
    starts = np.repeat(np.cumsum(num_nodes) - num_nodes, num_bonds)
    one, other = (starts + random.integers(np.repeat(num_nodes, num_bonds)) for _ in range(2))
    num_padding = edges - 2 * len(one)
    padding = np.full(num_padding, num_nodes.sum())
    empty = np.zeros(size + 16 - len(num_nodes) - 1, np.int64)
    inputs = {
        "nodes": random.integers(8, size=(nodes, 9)).astype(np.float32),
        "edges": random.integers(4, size=(edges, 3)).astype(np.float32),
        "senders": np.concatenate([one, other, padding]).astype(np.int32),
        "receivers": np.concatenate([other, one, padding]).astype(np.int32),
        "n_node": np.concatenate([num_nodes, [nodes - num_nodes.sum()], empty]).astype(np.int32),
        "n_edge": np.concatenate([2 * num_bonds, [num_padding], empty]).astype(np.int32),
    }
    weights = random.random((size + 16, 128)) < 0.6
    weights[len(num_nodes) :] = False
    targets = (random.random(weights.shape) < 0.1) & weights
    return {"inputs": inputs, "targets": targets.astype(np.float32), "weights": weights.astype(np.float32)}


def sentences(size: int, length: int) -> dict[str, np.ndarray]:
    """Four packed pairs a row, the last of which ends before the row does."""
    random = np.random.default_rng(0)
    batch = {}
    for side in ("inputs", "targets"):
        places = np.arange(length)
        segments = np.where(places < length - 3, places // (length // 4) + 1, 0)
        tokens = np.where(segments > 0, random.integers(3, 32_000, size=(size, length)), 0)
        batch[side] = tokens.astype(np.int32)
        batch[f"{side}_position"] = np.tile(places % (length // 4), (size, 1)).astype(np.int32)
        batch[f"{side}_segmentation"] = np.tile(segments, (size, 1)).astype(np.int32)
    return {**batch, "weights": (batch["targets"] > 0).astype(np.float32)}


def tokens(size: int, length: int) -> dict[str, np.ndarray]:
    stream = np.random.default_rng(0).integers(50_257, size=(size, length + 1), dtype=np.int32)
    return {"inputs": stream[:, :-1], "targets": stream[:, 1:]}
