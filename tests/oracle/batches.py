"""The batches that the oracle's numbers belong to, each from a fixed seed; further ones of the same kinds for tests."""

from typing import Any

import numpy as np


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


def librispeech_batch(size: int, samples: int, max_target: int) -> dict[str, Any]:
    """Three tones in noise, of the range of 16-bit samples; all utterances but the first are shorter than `samples`."""
    random = np.random.RandomState(0)
    times = np.arange(samples) / 16_000
    lengths = np.maximum((samples * (1 - 0.25 * random.rand(size))).astype(int), samples // 2)
    lengths[0] = samples
    audio, paddings = np.zeros((size, samples), np.float32), np.ones((size, samples), np.float32)
    for row, length in enumerate(lengths):
        tones = sum(np.sin(2 * np.pi * frequency * times) for frequency in 2 ** (7 + 4 * random.rand(3)))
        signal = 3000 * tones + 300 * random.standard_normal(samples)
        audio[row, :length], paddings[row, :length] = signal[:length], 0
    frames = (samples - 401) // 160 + 1
    num_tokens = np.clip(random.randint(frames // 16, frames // 8, size=size), 1, max_target)
    ids, id_paddings = np.zeros((size, max_target), np.float32), np.ones((size, max_target), np.float32)
    for row, count in enumerate(num_tokens):
        ids[row, :count], id_paddings[row, :count] = random.randint(1, 1_024, size=count), 0
    return {"inputs": (audio, paddings), "targets": (ids, id_paddings)}


def ogbg_batch(size: int) -> dict[str, Any]:
    """Graphs of 10 to 40 nodes, whose edges have both directions; the last graph holds the rest of nodes and edges."""
    random = np.random.RandomState(0)
    n_node = random.randint(10, 41, size=size)
    n_pair = n_node + random.randint(0, 4, size=size)
    first = np.concatenate([[0], np.cumsum(n_node)])
    num_real, num_nodes = first[-1], max(26 * size, first[-1]) + 1
    num_edges = max(56 * size, 2 * n_pair.sum())
    one_way, other_way = [], []
    for graph in range(size):
        pairs = [random.randint(0, n_node[graph], size=n_pair[graph]) + first[graph] for _ in range(2)]
        one_way += pairs
        other_way += pairs[::-1]
    padding = np.full(num_edges - 2 * n_pair.sum(), num_real)
    nodes, edges = np.zeros((num_nodes, 9), np.float32), np.zeros((num_edges, 3), np.float32)
    nodes[:num_real] = random.randint(0, 8, size=(num_real, 9))
    features = [random.randint(0, 4, size=(count, 3)) for count in n_pair]
    edges[: 2 * n_pair.sum()] = np.concatenate([both for each in features for both in (each, each)])
    targets = (random.rand(size + 1, 128) < 0.1).astype(np.float32)
    weights = (random.rand(size + 1, 128) < 0.6).astype(np.float32)
    weights[-1] = 0
    inputs = {
        "nodes": nodes,
        "edges": edges,
        "senders": np.concatenate([*one_way, padding]).astype(np.int32),
        "receivers": np.concatenate([*other_way, padding]).astype(np.int32),
        "n_node": np.append(n_node, num_nodes - num_real).astype(np.int32),
        "n_edge": np.append(2 * n_pair, len(padding)).astype(np.int32),
    }
    return {"inputs": inputs, "targets": targets * weights, "weights": weights}


def wmt_batch(size: int, length: int) -> dict[str, np.ndarray]:
    """Rows of up to four sentences behind one another; ids below 32,000, the last of each sentence is 2."""
    random = np.random.RandomState(0)
    sides = ("inputs", "targets")
    names = (*sides, *(f"{side}_{what}" for side in sides for what in ("position", "segmentation")))
    batch = {name: np.zeros((size, length), np.int32) for name in names}
    for row in range(size):
        for side in sides:
            start = 0
            for segment in range(1, 6):
                count = random.randint(max(2, length // 8), max(3, length // 3))
                if start + count > length or segment > 4:
                    break
                here = slice(start, start + count)
                batch[side][row, here] = np.append(random.randint(3, 32_000, size=count - 1), 2)
                batch[f"{side}_position"][row, here] = np.arange(count)
                batch[f"{side}_segmentation"][row, here] = segment
                start += count
    return {**batch, "weights": (batch["targets"] > 0).astype(np.float32)}
