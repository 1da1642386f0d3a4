"""The raw files of ogbg-molpcba, as its archive has them: tables of numbers, gzip of comma-separated text, no header.

`raw/num-node-list` and `raw/num-edge-list` say how many nodes and edges each graph has, a line each; `raw/node-feat`,
`raw/edge` and `raw/edge-feat` have a line for each node or edge, graph after graph. An edge is two numbers of nodes,
counted from 0 in its graph; it stands once, whichever way it goes. `raw/graph-label` has a line for each graph: 0, 1 or
nothing for every task. `split/scaffold/{train,valid,test}` are numbers of graphs, counted from 0.
"""

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv

from algoperf.benchmark.facts import UsageError

Folder: TypeAlias = Path | zipfile.Path

NODE_FEATURES, EDGE_FEATURES = 9, 3
# What the first feature of a node counts, from hydrogen on.
# fmt: off
ELEMENTS = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc",
    "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr",
    "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
)
# fmt: on
MISSING = -1  # where a graph has no label for a task
SPLIT_FILES = {"train": "train", "validation": "valid", "test": "test"}
_NO_NUMBER = ["", "nan", "NaN"]
_TEXT_CHUNK = 1 << 22  # bytes of text parsed at a time
_LONGEST_LINE = 1 << 16


def find_root(raw: Path) -> Folder:
    """The folder with `raw` and `split`: `raw` itself, or one in it, or in a .zip in it."""
    for folder in (raw, *sorted(path for path in raw.glob("*") if path.is_dir())):
        if (folder / "raw/num-node-list.csv.gz").is_file():
            return folder
    for archive in sorted(raw.glob("*.zip")):
        for folder in _folders(archive):
            if (folder / "raw/num-node-list.csv.gz").is_file():
                return folder
    raise UsageError(f"{raw} has no raw/num-node-list.csv.gz; docs/data.md says how the raw files are laid out.")


def _folders(archive: Path) -> list[zipfile.Path]:
    try:
        return list(zipfile.Path(archive).iterdir())
    except zipfile.BadZipFile as error:
        raise UsageError(f"{archive} is damaged or not a zip archive ({error}); get it again.") from error


def read_counts(root: Folder) -> tuple[np.ndarray, np.ndarray]:
    """How many nodes and edges each graph has: (G,) int64 both. An edge counts once."""
    nodes, edges = root / "raw/num-node-list.csv.gz", root / "raw/num-edge-list.csv.gz"
    n_node, n_edge = (_table(file, 1, pa.int32())[:, 0].astype(np.int64) for file in (nodes, edges))
    _check_length(edges, n_edge, len(n_node), f"{nodes} has")
    _check(nodes, (n_node >= 1) & (n_node <= np.iinfo(np.uint16).max), n_node, "is no number of nodes")
    _check(edges, n_edge >= 0, n_edge, "is no number of edges")
    return n_node, n_edge


def read_nodes(root: Folder, n_node: np.ndarray) -> np.ndarray:
    """The features of all nodes: (N, 9) uint8."""
    file = root / "raw/node-feat.csv.gz"
    nodes = _table(file, NODE_FEATURES, pa.uint8())
    _check_length(file, nodes, n_node.sum(), "the numbers of nodes add up to")
    return nodes


def read_edges(root: Folder, n_node: np.ndarray, n_edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of all edges, (E, 2) uint16 numbers of nodes in their graphs, and their features (E, 3) uint8."""
    file, feature_file = root / "raw/edge.csv.gz", root / "raw/edge-feat.csv.gz"
    ends = _table(file, 2, pa.uint16())
    features = _table(feature_file, EDGE_FEATURES, pa.uint8())
    for path, rows in ((file, ends), (feature_file, features)):
        _check_length(path, rows, n_edge.sum(), "the numbers of edges add up to")
    limits = np.repeat(n_node, n_edge)
    largest = ends.max(axis=1)
    _check(file, largest < limits, largest, "is no node of its graph")
    return ends, features


def read_labels(root: Folder, num_graphs: int) -> np.ndarray:
    """0, 1 or MISSING of each graph and task: (G, K) int8."""
    file = root / "raw/graph-label.csv.gz"
    with _reading(file) as text:
        num_tasks = text.read(_LONGEST_LINE).partition(b"\n")[0].count(b",") + 1

    def checked(rows: np.ndarray, before: int) -> np.ndarray:
        good = (rows == 0) | (rows == 1) | (rows == MISSING)
        _check(file, good.all(axis=1), np.where(good, 0, rows).sum(axis=1), "is no label", before)
        return rows.astype(np.int8)

    labels = _table(file, num_tasks, pa.float32(), MISSING, checked)
    _check_length(file, labels, num_graphs, "the graphs are")
    return labels


def read_split(root: Folder, split: str, num_graphs: int) -> np.ndarray:
    """The numbers of the graphs of a split: (n,) int32."""
    file = root / f"split/scaffold/{SPLIT_FILES[split]}.csv.gz"
    numbers = _table(file, 1, pa.int32())[:, 0]
    _check(file, (numbers >= 0) & (numbers < num_graphs), numbers, f"is no number of one of the {num_graphs} graphs")
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    _check(file, first, numbers, "stands there already")
    return numbers


@contextlib.contextmanager
def _reading(file: Folder) -> Iterator[pa.NativeFile]:
    """The text of a table. Raises UsageError where the file is missing, or damaged or no table."""
    if not file.is_file():
        raise UsageError(f"{file} is missing; docs/data.md says how the raw files are laid out.")
    try:
        with file.open("rb") as compressed:
            yield pa.CompressedInputStream(pa.PythonFile(compressed, "r"), "gzip")
    except (pa.ArrowInvalid, OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{file} is damaged or no such table ({str(error).splitlines()[0]}); replace it.") from error


def _table(
    file: Folder,
    columns: int,
    kind: pa.DataType,
    missing: int | None = None,
    convert: Callable[[np.ndarray, int], np.ndarray] = lambda rows, before: rows,
) -> np.ndarray:
    """(n, columns) numbers. missing: what stands for an empty field, which is an error where it is None.

    convert: some rows, and how many are before them -> what is kept of them.

    Raises UsageError, which names the row, counted from 1, where there is something else.
    """
    names = [str(column) for column in range(columns)]
    read_options = pyarrow.csv.ReadOptions(column_names=names, block_size=_TEXT_CHUNK, use_threads=False)
    parse_options = pyarrow.csv.ParseOptions(ignore_empty_lines=False)
    convert_options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, kind), null_values=[] if missing is None else _NO_NUMBER
    )
    chunks = [convert(np.empty((0, columns), kind.to_pandas_dtype()), 0)]
    before = 0
    with _reading(file) as text:
        for chunk in pyarrow.csv.open_csv(text, read_options, parse_options, convert_options):
            rows = np.empty((chunk.num_rows, columns), kind.to_pandas_dtype())
            for column, values in enumerate(chunk.columns):
                rows[:, column] = values if missing is None else values.fill_null(missing)
            chunks.append(convert(rows, before))
            before += len(rows)
    return np.concatenate(chunks)


def _check_length(file: Folder, rows: np.ndarray, wanted: int, why: str) -> None:
    if len(rows) != wanted:
        raise UsageError(f"{file} has {len(rows):,} lines, but {why} {wanted:,}; is it complete?")


def _check(file: Folder, good: np.ndarray, values: np.ndarray, what: str, before: int = 0) -> None:
    """Raises UsageError naming the first line (n,) that is not good. before: how many lines there are before these."""
    if not good.all():
        line = int(np.argmin(good))
        raise UsageError(f"line {before + line + 1} of {file}: {values[line]} {what}; replace the file.")
