"""ogbg-molpcba: the archive's tables are read whole and checked, and graphs are packed into batches of fixed shapes."""

import gzip
import itertools
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from algoperf.benchmark.facts import UsageError
from algoperf.trial.input_queue import InputQueue, ShuffledOrder, evaluation_batches
from workloads.datasets import moleculeace, ogbg
from workloads.datasets.raw.molecules import graph, scaffold, split_by_scaffold
from workloads.datasets.store import read_manifest, verify

NUM_TASKS = 5
DATA = {"num_tasks": NUM_TASKS}
SPLITS = {"train": range(2, 32), "validation": (0, 33, 1), "test": (39, 34, 35, 36, 37, 38)}
FILES = {"train": "train", "validation": "valid", "test": "test"}


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def prepare(raw: Path, store: Path, progress) -> None:
    """As of ogbg-molpcba, however many graphs there are."""
    ogbg.prepare_graphs(raw, store, progress, "ogbg", "Graphs.", "the test")


def small_graphs() -> tuple[np.ndarray, ...]:
    """40 graphs: numbers of nodes and edges, features of nodes, ends and features of edges, labels."""
    random = np.random.default_rng(0)
    n_node = random.integers(1, 40, size=40)
    n_edge = np.where(n_node > 1, n_node + random.integers(-1, 4, size=40), 0)
    nodes, edges = random.integers(120, size=(n_node.sum(), 9)), random.integers(6, size=(n_edge.sum(), 3))
    ends = random.integers(np.repeat(n_node, n_edge)[:, None], size=(n_edge.sum(), 2))
    labels = random.choice([0.0, 1.0, np.nan], p=[0.5, 0.2, 0.3], size=(40, NUM_TASKS))
    return n_node, n_edge, nodes, ends, edges, labels


GRAPHS = small_graphs()


def write_table(path: Path, rows: np.ndarray) -> None:
    lines = (",".join("" if np.isnan(value) else f"{value:g}" for value in row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    names = ("num-node-list", "num-edge-list", "node-feat", "edge", "edge-feat", "graph-label")
    for name, rows in zip(names, GRAPHS, strict=True):
        write_table(folder / f"raw/{name}.csv.gz", rows.reshape(len(rows), -1))
    for split, numbers in SPLITS.items():
        write_table(folder / f"split/scaffold/{FILES[split]}.csv.gz", np.array(numbers)[:, None])
    return folder


@pytest.fixture(scope="module")
def store(archive, tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("stores") / "ogbg"
    prepare(archive, store, quiet)
    return store


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def unpacked(batch: dict) -> list[tuple[np.ndarray, ...]]:
    """Nodes, edges, senders, receivers, targets and weights of the graphs that are not padding, one by one."""
    inputs, graphs = batch["inputs"], []
    node_ends, edge_ends = np.cumsum(inputs["n_node"]), np.cumsum(inputs["n_edge"])
    assert node_ends[-1] == len(inputs["nodes"])
    assert edge_ends[-1] == len(inputs["edges"]) == len(inputs["senders"]) == len(inputs["receivers"])
    num_graphs = np.flatnonzero(inputs["n_node"])[-1]  # the last that has nodes is the padding
    for number in range(num_graphs):
        nodes = slice(node_ends[number] - inputs["n_node"][number], node_ends[number])
        edges = slice(edge_ends[number] - inputs["n_edge"][number], edge_ends[number])
        ends = [inputs[key][edges] - nodes.start for key in ("senders", "receivers")]
        labels = (batch[key][number] for key in ("targets", "weights"))
        graphs.append((inputs["nodes"][nodes], inputs["edges"][edges], *ends, *labels))
    return graphs


def original(number: int) -> tuple[np.ndarray, ...]:
    """What `unpacked` should give for a graph, made one edge at a time."""
    n_node, n_edge, nodes, ends, edges, labels = GRAPHS
    of_nodes = slice(n_node[:number].sum(), n_node[: number + 1].sum())
    of_edges = slice(n_edge[:number].sum(), n_edge[: number + 1].sum())
    one_way, other_way = list(ends[of_edges]), [end[::-1] for end in ends[of_edges]]
    both = np.array(one_way + other_way).reshape(-1, 2)
    features = np.concatenate([edges[of_edges]] * 2)
    return nodes[of_nodes], features, both[:, 0], both[:, 1], np.nan_to_num(labels[number]), ~np.isnan(labels[number])


def check_graphs(found: list[tuple[np.ndarray, ...]], numbers: list[int]) -> None:
    for arrays, number in zip(found, numbers, strict=True):
        for array, expected in zip(arrays, original(number), strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("split", SPLITS)
def test_an_evaluation_has_every_graph_of_a_split_as_it_was(store, split):
    source = ogbg.open_split(store, split, len(SPLITS[split]), DATA)
    found = [graph for batch in evaluation_batches(source, 4) for graph in unpacked(batch)]
    check_graphs(found, list(SPLITS[split]))


def test_the_padding_is_one_graph_and_counts_nothing(store, pool):
    source = ogbg.open_split(store, "train", 30, DATA)
    batch = source.read(np.arange(3), np.zeros(3, int), slice(0, 3), 4, 0, pool)
    inputs = batch["inputs"]
    assert inputs["nodes"].shape == (112, 9) and inputs["edges"].shape == (224, 3)  # 26 * 4 + 1 and 56 * 4 rounded up
    assert {key: inputs[key].dtype for key in inputs} == {
        "nodes": np.float32,
        "edges": np.float32,
        **dict.fromkeys(("senders", "receivers", "n_node", "n_edge"), np.int32),
    }
    total_nodes, total_edges = inputs["n_node"][:3].sum(), inputs["n_edge"][:3].sum()
    assert inputs["n_node"].tolist()[3:] == [112 - total_nodes] + [0] * 12
    assert inputs["n_edge"].tolist()[3:] == [224 - total_edges] + [0] * 12
    assert (inputs["senders"][total_edges:] == total_nodes).all()
    assert (inputs["receivers"][total_edges:] == total_nodes).all()
    assert not inputs["nodes"][total_nodes:].any() and not inputs["edges"][total_edges:].any()
    assert not batch["weights"][3:].any() and not batch["targets"][3:].any()


@settings(deadline=None)
@given(size=st.integers(1, 12), world_size=st.sampled_from([1, 2, 4]), seed=st.integers(0, 2**31 - 1))
def test_a_batch_holds_all_that_it_has_room_for_and_no_more(store, size, world_size, seed):
    source = ogbg.open_split(store, "train", 30, DATA)
    order = ShuffledOrder(30, 1, seed)(0, size * world_size)[0]
    ends = source.divide(order, size * world_size, world_size)
    n_node, n_edge = (counts[np.array(SPLITS["train"])[order]] for counts in GRAPHS[:2])
    room_for_nodes, room_for_edges = max(26 * size, GRAPHS[0].max()), max(56 * size, 2 * GRAPHS[1].max())
    assert ends[0] == 0 and len(ends) == world_size + 1
    for begin, end in itertools.pairwise(ends):
        assert begin < end <= begin + size
        assert n_node[begin:end].sum() <= room_for_nodes and 2 * n_edge[begin:end].sum() <= room_for_edges
        if end < min(begin + size, len(order)):
            one_more = slice(begin, end + 1)
            assert n_node[one_more].sum() > room_for_nodes or 2 * n_edge[one_more].sum() > room_for_edges


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_queue_delivers_every_graph_in_order_and_goes_on_from_its_position(store, world_size):
    source = ogbg.open_split(store, "train", 30, DATA)
    order = np.array(SPLITS["train"])[ShuffledOrder(30, 1, 7)(0, 200)[0]]
    queues = [InputQueue(source, 4, 7, dict, shard=(rank, world_size)) for rank in range(world_size)]
    for number in range(12):
        position = queues[0].position
        batches = [next(queue) for queue in queues]
        check_graphs([graph for batch in batches for graph in unpacked(batch)], order[position : queues[0].position])
        if number == 5:
            resumed = InputQueue(source, 4, 7, dict, position=position, shard=(0, world_size))
            again = next(resumed)
            resumed.close()
            for key in again["inputs"]:
                np.testing.assert_array_equal(again["inputs"][key], batches[0]["inputs"][key])
    assert len({queue.position for queue in queues}) == 1
    for queue in queues:
        queue.close()


def test_eval_train_is_every_n_th_of_train(store):
    source = ogbg.open_split(store, "eval_train", 10, DATA)
    found = [graph for batch in evaluation_batches(source, 8) for graph in unpacked(batch)]
    check_graphs(found, list(range(2, 32, 3)))


def test_another_number_of_tasks_is_refused(store):
    with pytest.raises(UsageError, match="have 5 tasks, not 128"):
        ogbg.open_split(store, "train", 30, {"num_tasks": 128})


@pytest.mark.parametrize("form", ["subfolder", "zip"])
def test_the_archive_may_lie_in_a_folder_or_be_a_zip(archive, store, tmp_path, form):
    if form == "subfolder":
        shutil.copytree(archive, tmp_path / "raw/ogbg_molpcba")
    else:
        (tmp_path / "raw").mkdir()
        with zipfile.ZipFile(tmp_path / "raw/pcba.zip", "w") as packed:
            for file in archive.rglob("*.gz"):
                packed.write(file, Path("pcba") / file.relative_to(archive))
    prepare(tmp_path / "raw", tmp_path / "store", quiet)
    assert read_manifest(tmp_path / "store").parts == read_manifest(store).parts


KILLED_AFTER_TWO_PARTS = """
import os, signal, sys
from pathlib import Path
from workloads.datasets import ogbg

def progress(what, done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

ogbg.prepare_graphs(Path(sys.argv[1]), Path(sys.argv[2]), progress, "ogbg", "Graphs.", "the test")
"""


def test_a_killed_preparation_goes_on_where_it_stopped(archive, store, tmp_path):
    again = tmp_path / "store"
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO_PARTS, str(archive), str(again)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (again / "manifest.json").exists()
    made = len(list((again / "parts").glob("*.json")))
    reported = []
    prepare(archive, again, lambda what, done, total: reported.append(done))
    assert made >= 2 and reported == list(range(made, 5))
    assert read_manifest(again).parts == read_manifest(store).parts
    assert verify(again) == []


def with_line(name: str, number: int, text: str) -> Callable[[Path], None]:
    """Puts `text` in the place of a line, counted from 1."""

    def damage(archive: Path) -> None:
        lines = gzip.decompress((archive / name).read_bytes()).decode().splitlines(keepends=True)
        lines[number - 1] = text
        (archive / name).write_bytes(gzip.compress("".join(lines).encode()))

    return damage


def cut_short(archive: Path) -> None:
    file = archive / "raw/node-feat.csv.gz"
    file.write_bytes(file.read_bytes()[:-200])


DAMAGES = {
    "a label that is neither 0 nor 1": (
        with_line("raw/graph-label.csv.gz", 7, "0,1,,2,0\n"),
        r"line 7 of .*graph-label\.csv\.gz: 2.* is no label",
    ),
    "a label that is no number": (
        with_line("raw/graph-label.csv.gz", 7, "0,1,,x,0\n"),
        r"graph-label\.csv\.gz.*Row #7.*'x'",
    ),
    "a graph without labels' line": (
        with_line("raw/graph-label.csv.gz", 7, ""),
        r"graph-label\.csv\.gz has 39 lines, but the graphs are 40",
    ),
    "a node of another graph": (
        with_line("raw/edge.csv.gz", 3, "0,60000\n"),
        r"line 3 of .*edge\.csv\.gz: 60000 is no node of its graph",
    ),
    "a negative node": (with_line("raw/edge.csv.gz", 3, "-1,0\n"), r"edge\.csv\.gz.*Row #3.*'-1'"),
    "a feature too many": (
        with_line("raw/node-feat.csv.gz", 5, "1,2,3,4,5,6,7,8,9,10\n"),
        r"node-feat\.csv\.gz.*Row #5.*Expected 9 columns, got 10",
    ),
    "a feature that is too large": (
        with_line("raw/edge-feat.csv.gz", 2, "0,300,0\n"),
        r"edge-feat\.csv\.gz.*Row #2.*'300'",
    ),
    "a missing feature": (with_line("raw/edge-feat.csv.gz", 2, "0,,0\n"), r"edge-feat\.csv\.gz.*Row #2"),
    "counts that do not add up": (
        with_line("raw/num-edge-list.csv.gz", 9, "77\n"),
        r"edge\.csv\.gz has [\d,]+ lines, but the numbers of edges add up to",
    ),
    "a graph without nodes": (
        with_line("raw/num-node-list.csv.gz", 4, "0\n"),
        r"line 4 of .*: 0 is no number of nodes",
    ),
    "a graph that is not there": (
        with_line("split/scaffold/test.csv.gz", 2, "40\n"),
        r"line 2 of .*test\.csv\.gz: 40 is no number of one of the 40 graphs",
    ),
    "a graph twice in a split": (
        with_line("split/scaffold/train.csv.gz", 6, "4\n"),
        r"line 6 of .*train\.csv\.gz: 4 stands there already",
    ),
    "a graph in two splits": (with_line("split/scaffold/valid.csv.gz", 1, "9\n"), "graph 9, counted from 0, is in two"),
    "a file cut short": (cut_short, r"node-feat\.csv\.gz is damaged"),
    "a missing file": (lambda archive: (archive / "raw/edge.csv.gz").unlink(), r"edge\.csv\.gz is missing"),
    "no archive": (lambda archive: (archive / "raw/num-node-list.csv.gz").unlink(), r"has no raw/num-node-list"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_data_are_named_with_their_file_and_line(archive, tmp_path, damage):
    shutil.copytree(archive, tmp_path / "raw")
    apply, message = DAMAGES[damage]
    apply(tmp_path / "raw")
    with pytest.raises(UsageError, match=message):
        prepare(tmp_path / "raw", tmp_path / "store", quiet)
    assert not (tmp_path / "store/manifest.json").exists()


def test_a_zip_that_is_none_is_named(tmp_path):
    (tmp_path / "pcba.zip").write_bytes(b"not a zip")
    with pytest.raises(UsageError, match=r"pcba\.zip is damaged"):
        prepare(tmp_path, tmp_path / "store", quiet)


def test_there_is_a_way_to_get_the_data(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        ogbg.fetch(tmp_path, None)
    with pytest.raises(UsageError, match="there is no folder"):
        ogbg.fetch(tmp_path, tmp_path / "there")
    assert ogbg.fetch(tmp_path / "raw", tmp_path) == tmp_path


def test_a_molecule_has_the_features_of_the_open_graph_benchmark():
    # The example in ogb's own source.
    molecule = graph(Chem.MolFromSmiles("Cl[C@H](/C=C/C)Br"))
    assert molecule.nodes[1].tolist() == [5, 2, 4, 5, 1, 0, 2, 0, 0]
    assert molecule.edges[2].tolist() == [1, 2, 0]
    assert molecule.ends.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [1, 5]]
    atom = graph(Chem.MolFromSmiles("[K+]"))
    assert atom.nodes.tolist() == [[18, 0, 0, 6, 0, 0, 5, 0, 0]]  # its hybridisation, S, is none of those in the list
    assert atom.ends.shape == (0, 2) and atom.edges.shape == (0, 3)


def test_molecules_of_one_scaffold_stay_together():
    smiles = [
        "CCO",
        "c1ccccc1C",
        "c1ccccc1CC",
        "c1ccccc1CCC",
        "C1CCCCC1",
        "C1CCCCC1C",
        "c1ccncc1",
        "CCN",
        "C1CC1",
        "C1CCC1",
    ]
    scaffolds = [scaffold(Chem.MolFromSmiles(text)) for text in smiles]
    assert scaffolds[:4] == ["", "c1ccccc1", "c1ccccc1", "c1ccccc1"]
    train, validation, test = split_by_scaffold(scaffolds, (0.5, 0.2))
    assert train.tolist() == [0, 1, 2, 3, 7]
    assert validation.tolist() == [4, 5]
    assert test.tolist() == [6, 8, 9]


def test_labels_of_moleculeace_are_measured_or_presumed(tmp_path):
    for task in range(30):
        y = {3: ("-1.5", "-4.0", "-4.1")}.get(task, ("-5", "-5", "-5"))
        lines = [f"{smiles},9,{value},0,train" for smiles, value in zip(("C", "CC", "C" * 27), y, strict=True)]
        lines = lines if task in (3, 4) else []
        (tmp_path / f"CHEMBL{task + 10}_Ki.csv").write_text(
            "\n".join(["smiles,exp_mean [nM],y,cliff_mol,split", *lines])
        )
    smiles, labels = moleculeace.read_labels(tmp_path)
    assert smiles == ["C", "CC"]
    assert labels[0, :6].tolist()[3:5] == [1, 0] and labels[1, 3:5].tolist() == [1, 0]
    others = np.delete(labels, [3, 4], axis=1)
    assert set(others[~np.isnan(others)]) == {0.0}
    assert np.isnan(others).mean() == pytest.approx(0.8, abs=0.05)
    (tmp_path / "CHEMBL10_Ki.csv").unlink()
    with pytest.raises(UsageError, match=r"has 29 files CHEMBL\*\.csv, not 30"):
        moleculeace.read_labels(tmp_path)
