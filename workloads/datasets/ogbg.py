"""ogbg-molpcba: tables of molecules' atoms and bonds -> one array for each -> batches of graphs of a fixed size.

Raw: the OGB archive, see raw/ogbg.py. Store: `nodes`, `ends`, `edges`, `labels` and `counts` of all graphs in the order
of the raw files, and which of them each split has. Source: AlgoPerf v0.6, OGBG pipeline.
"""

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.ogbg import (
    EDGE_FEATURES,
    ELEMENTS,
    MISSING,
    NODE_FEATURES,
    SPLIT_FILES,
    Folder,
    find_root,
    read_counts,
    read_edges,
    read_labels,
    read_nodes,
    read_split,
)
from workloads.datasets.sheet.card import Card, graph
from workloads.datasets.source import MADE_UP_EXAMPLES, Batch, Source, made_up_numbers, raw_folder
from workloads.datasets.store import (
    FileWriter,
    Manifest,
    Part,
    Progress,
    build,
    evenly_spaced,
    memory_map,
    read_manifest,
    write_manifest,
    written_part,
)

GRAPHS = 437_929
# How many nodes and edges, in both directions, a batch has room for, for each graph.
NODES_PER_GRAPH, EDGES_PER_GRAPH = 26, 56
# Arrays are rounded up to a multiple of this, so that they divide over devices.
MULTIPLE = 16
BYTES_PER_LABEL_ROW = 512  # more than a graph's labels and counts have


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`, with the archive."""
    return raw_folder(source, "ogbg-molpcba")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw tables -> store. Every number is looked at once, so that a damaged file is named here and not in a trial."""
    description = "ogbg-molpcba, molecules and 128 measured properties."
    prepare_graphs(raw, store, progress, "ogbg", description, str(raw), GRAPHS)


def prepare_graphs(
    raw: Path,
    store: Path,
    progress: Progress,
    dataset: str,
    description: str,
    source: str,
    graphs: int | None = None,
) -> None:
    """`prepare` for any dataset that comes in the form of an OGB archive of molecules. graphs: how many, if known."""
    root = find_root(raw)
    n_node, n_edge = counts = read_counts(root)
    if graphs not in (None, len(n_node)):
        raise UsageError(f"{root} has {len(n_node):,} graphs and not {graphs:,}; is it {dataset}'s archive?")
    bytes_needed = n_node.sum() * NODE_FEATURES + n_edge.sum() * (4 + EDGE_FEATURES) + len(n_node) * BYTES_PER_LABEL_ROW
    makers = {
        "nodes": functools.partial(_make_nodes, store, root, counts),
        "edges": functools.partial(_make_edges, store, root, counts),
        "labels": functools.partial(_make_labels, store, root, counts),
        "splits": functools.partial(_make_splits, store, root, counts),
    }
    parts = build(store, makers, int(bytes_needed), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


Counts = tuple[np.ndarray, np.ndarray]


def _make_nodes(store: Path, root: Folder, counts: Counts) -> Part:
    nodes = read_nodes(root, counts[0])
    return written_part("nodes", {}, _written(store / "nodes", nodes))


def _make_edges(store: Path, root: Folder, counts: Counts) -> Part:
    ends, edges = read_edges(root, *counts)
    return written_part("edges", {}, _written(store / "ends", ends), _written(store / "edges", edges))


def _make_labels(store: Path, root: Folder, counts: Counts) -> Part:
    return written_part("labels", {}, _written(store / "labels", read_labels(root, len(counts[0]))))


def _make_splits(store: Path, root: Folder, counts: Counts) -> Part:
    """Writes the counts of all graphs and which graphs each split has."""
    numbers = {split: read_split(root, split, len(counts[0])) for split in SPLIT_FILES}
    in_several = np.bincount(np.concatenate(list(numbers.values())), minlength=len(counts[0])) > 1
    if in_several.any():
        raise UsageError(f"{root}/split/scaffold: graph {np.argmax(in_several)}, counted from 0, is in two splits.")
    files = [_written(store / "counts", np.stack(counts, axis=1).astype(np.int32))]
    files += [_written(store / split, of_split) for split, of_split in numbers.items()]
    return written_part("splits", {split: len(of_split) for split, of_split in numbers.items()}, *files)


def _written(path: Path, array: np.ndarray) -> FileWriter:
    with FileWriter(path) as writer:
        writer.write(array)
    return writer


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The graphs of a split. eval_train: every n-th of train. Raises UsageError where the store has not
    `data["num_tasks"]` tasks.
    """
    read_manifest(store)
    counts = memory_map(store / "counts", np.dtype("<i4"), 2).astype(np.int64)
    num_tasks = int(data["num_tasks"])
    labels = memory_map(store / "labels", np.dtype("i1"))
    if labels.size != len(counts) * num_tasks:
        raise UsageError(f"the graphs in {store} have {labels.size // len(counts)} tasks, not {num_tasks}.")
    numbers = memory_map(store / ("train" if split == "eval_train" else split), np.dtype("<i4"))
    return GraphSource(
        numbers[evenly_spaced(len(numbers), num_examples)],
        counts,
        memory_map(store / "nodes", np.dtype("u1"), NODE_FEATURES),
        memory_map(store / "ends", np.dtype("<u2"), 2),
        memory_map(store / "edges", np.dtype("u1"), EDGE_FEATURES),
        labels.reshape(-1, num_tasks),
    )


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """Chains with chords: 26 nodes and 28 edges on average, as molecules of molpcba have; of the labels that it has for
    three tasks of five, 1.4 % are positive."""
    random, num_tasks = made_up_numbers(), int(data["num_tasks"])
    nodes = np.clip(random.normal(NODES_PER_GRAPH, 6, MADE_UP_EXAMPLES).round(), 4, 60).astype(np.int64)
    counts = np.stack([nodes, nodes - 1 + random.poisson(3.1, MADE_UP_EXAMPLES)], axis=1)
    of_graph = np.repeat(nodes, counts[:, 1])
    place = _ranges(np.zeros(MADE_UP_EXAMPLES, np.int64), counts[:, 1])
    chord = random.integers(of_graph)
    ends = np.stack([np.where(place < of_graph - 1, place, chord), np.minimum(place + 1, of_graph - 1)], axis=1)
    labels = (random.random((MADE_UP_EXAMPLES, num_tasks)) < 0.014).astype(np.int8)
    labels[random.random(labels.shape) < 0.4] = MISSING
    return GraphSource(
        np.arange(num_examples) % MADE_UP_EXAMPLES,
        counts,
        random.integers(2, size=(counts[:, 0].sum(), NODE_FEATURES)).astype(np.uint8),
        ends.astype(np.uint16),
        random.integers(2, size=(len(ends), EDGE_FEATURES)).astype(np.uint8),
        labels,
    )


class GraphSource:
    """Graphs by number, as a `Source`: as many in a batch as there is room for.

    A process's batch of b rows holds up to b graphs with 26 b nodes and 56 b edges in all, which are about those of b
    graphs; where b is so small that the largest graph has more, as many as that has.
    """

    block_size = 1
    lookahead = 1

    def __init__(
        self,
        numbers: np.ndarray,
        counts: np.ndarray,
        nodes: np.ndarray,
        ends: np.ndarray,
        edges: np.ndarray,
        labels: np.ndarray,
    ) -> None:
        """numbers: which of the graphs are in the split. counts (G, 2) int64: nodes and edges of each graph, an edge
        once. The rest as the store has it."""
        self._numbers = numbers
        self._counts = counts
        self._starts = np.cumsum(counts, axis=0) - counts
        self._nodes, self._ends, self._edges, self._labels = nodes, ends, edges, labels

    def __len__(self) -> int:
        return len(self._numbers)

    def _room(self, size: int) -> np.ndarray:
        """How many nodes and edges, in both directions, `size` rows have room for: (2,)."""
        official = size * np.array([NODES_PER_GRAPH, EDGES_PER_GRAPH])
        return np.maximum(official, self._counts.max(axis=0) * [1, 2])

    def divide(self, indices: np.ndarray, batch_size: int, world_size: int) -> np.ndarray:
        size = batch_size // world_size
        room = self._room(size)
        used = np.cumsum(np.pad(self._counts[self._numbers[indices]] * [1, 2], [(1, 0), (0, 0)]), axis=0)
        ends = [0]
        for _ in range(world_size):
            limits = used[ends[-1]] + room
            fit = min(np.searchsorted(used[:, kind], limits[kind], "right") for kind in range(2)) - 1
            ends.append(min(int(fit), ends[-1] + size))
        return np.array(ends)

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """Arrays of N nodes, E edges and G graphs, which depend on `size` alone.

        inputs: nodes (N, 9), edges (E, 3) float32; senders, receivers (E,) int32, numbers of nodes; n_node, n_edge (G,)
        int32. targets, weights (G, K) float32; the weight is 0 where there is no label. The graph behind the last has
        the nodes and edges that are left; its edges go from its first node to itself. The graphs behind it are empty.
        """
        graphs = self._numbers[indices[rows]]
        most_nodes, most_edges = self._room(size).tolist()
        num_nodes, num_edges, num_graphs = map(_rounded_up, (most_nodes + 1, most_edges, size + 1))
        nodes = self._nodes[_ranges(self._starts[graphs, 0], self._counts[graphs, 0])]
        edges, senders, receivers = self._edges_of(graphs)
        left = [[num_nodes - len(nodes), num_edges - len(edges)]]
        n_node, n_edge = np.concatenate([self._counts[graphs] * [1, 2], left]).T
        labels = self._labels[graphs]
        return {
            "inputs": {
                "nodes": _filled_up(nodes, num_nodes, np.float32),
                "edges": _filled_up(edges, num_edges, np.float32),
                "senders": _filled_up(senders, num_edges, np.int32, len(nodes)),
                "receivers": _filled_up(receivers, num_edges, np.int32, len(nodes)),
                "n_node": _filled_up(n_node, num_graphs, np.int32),
                "n_edge": _filled_up(n_edge, num_graphs, np.int32),
            },
            "targets": _filled_up(labels == 1, num_graphs, np.float32),
            "weights": _filled_up(labels != MISSING, num_graphs, np.float32),
        }

    def show(self, number: int) -> Card:
        """The molecule, and how many of its properties were measured and are there."""
        graph_number = self._numbers[number]
        first, count = self._starts[graph_number], self._counts[graph_number]
        atoms = self._nodes[first[0] : first[0] + count[0], 0].tolist()
        ends, kinds = (array[first[1] : first[1] + count[1]].tolist() for array in (self._ends, self._edges))
        bonds = [(a, b, kind[0] % 4 + 1) for (a, b), kind in zip(ends, kinds, strict=True)]
        labels = self._labels[graph_number]
        measured = f"{np.count_nonzero(labels != MISSING)} labels, {np.count_nonzero(labels == 1)} of them 1"
        names = [ELEMENTS[atom] if atom < len(ELEMENTS) else str(atom + 1) for atom in atoms]
        return Card(f"graph {graph_number:,}: {count[0]} nodes, {count[1]} edges; {measured}", (graph(names, bonds),))

    def _edges_of(self, graphs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, senders and receivers of all edges: those of a graph one way, then the same the other way."""
        counts = np.repeat(self._counts[graphs, 1], 2)
        rows = _ranges(np.repeat(self._starts[graphs, 1], 2), counts)
        nodes_before = np.cumsum(self._counts[graphs, 0]) - self._counts[graphs, 0]
        ends = self._ends[rows] + np.repeat(np.repeat(nodes_before, 2), counts)[:, None]
        is_back = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        ends[is_back] = ends[is_back, ::-1]
        return self._edges[rows], ends[:, 0], ends[:, 1]


def _rounded_up(count: int) -> int:
    return -(-count // MULTIPLE) * MULTIPLE


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers starts[0], ..., starts[0] + counts[0] - 1, starts[1], ...: (sum of counts,) int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def _filled_up(array: np.ndarray, length: int, kind: type[np.generic], value: int = 0) -> np.ndarray:
    """The array with rows of `value` at its end: (length, ...)."""
    filled = np.full((length, *array.shape[1:]), value, kind)
    filled[: len(array)] = array
    return filled
