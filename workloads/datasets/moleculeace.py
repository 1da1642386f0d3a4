"""MoleculeACE written as the archive of ogbg-molpcba: the mini scale's molecules.

Activities of drug-like molecules on 30 proteins (van Tilborg, Alenicheva and Grisoni 2022; from ChEMBL, CC BY-SA 3.0);
of the 35,633 molecules those with at most 26 atoms. A label is 1 where 10 uM or less are enough, as they mostly are
where it was measured, and 0 where more is needed. Where nothing was measured, which is 95 % of the table, every fifth
label is 0 nevertheless, as is usual in virtual screening: a molecule is taken for inactive on a protein that it was not
made for. The other labels are missing. It is not molpcba, and results on it say nothing about molpcba. Preparation and
reading are those of ogbg.
"""

import csv
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from rdkit import Chem

from algoperf.benchmark.facts import UsageError
from workloads.datasets.ogbg import made_up, open_split, prepare_graphs
from workloads.datasets.raw.molecules import graph, scaffold, split_by_scaffold
from workloads.datasets.raw.ogbg import SPLIT_FILES
from workloads.datasets.raw.packages import unpack_wheel
from workloads.datasets.store import Progress

__all__ = ["fetch", "made_up", "open_split", "prepare"]

PACKAGE, VERSION = "MoleculeACE", "3.0.0"
SHA256 = "c2028c9a75281eab53d3b3e7dc11cbc8ac970d008bac4a0d3927f11ac2024bdc"
FOLDER = "MoleculeACE/Data/benchmark_data"
WAY_OUT = f"give the folder {FOLDER} of the package as --source DIR"
NUM_TASKS = 30
MAX_ATOMS = 26  # without hydrogen; molpcba has as many on average, all of MoleculeACE 32
PRESUMED = 5  # every fifth label that was not measured is presumed
ACTIVE = -4.0  # y = -log10 of the concentration in nM
_ATOM = re.compile(r"\[[^]]*\]|Br|Cl|[BCNOPSFIbcnops]")  # in SMILES
SHARES = (0.6, 0.2)  # of train and validation


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes the tables below `raw`, from the package or from `source`, a folder with its 30 .csv files."""
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            unpack_wheel(PACKAGE, VERSION, SHA256, Path(scratch), WAY_OUT)
            source = Path(scratch) / FOLDER
        tables = Path(scratch) / "tables"
        write_tables(source, tables)
        tables.rename(raw)
    return raw


def write_tables(source: Path, raw: Path) -> None:
    """The .csv files of MoleculeACE -> the layout of an OGB archive. Raises UsageError where they are not all there."""
    smiles, labels = read_labels(source)
    molecules = [Chem.MolFromSmiles(text) for text in smiles]
    graphs = [graph(molecule) for molecule in molecules]
    (raw / "raw").mkdir(parents=True)
    (raw / "split/scaffold").mkdir(parents=True)
    _write(raw / "raw/num-node-list.csv.gz", np.array([[len(one.nodes)] for one in graphs]))
    _write(raw / "raw/num-edge-list.csv.gz", np.array([[len(one.ends)] for one in graphs]))
    _write(raw / "raw/node-feat.csv.gz", np.concatenate([one.nodes for one in graphs]))
    _write(raw / "raw/edge.csv.gz", np.concatenate([one.ends for one in graphs]))
    _write(raw / "raw/edge-feat.csv.gz", np.concatenate([one.edges for one in graphs]))
    _write(raw / "raw/graph-label.csv.gz", labels)
    numbers = split_by_scaffold([scaffold(molecule) for molecule in molecules], SHARES)
    for split, of_split in zip(("train", "validation", "test"), numbers, strict=True):
        _write(raw / f"split/scaffold/{SPLIT_FILES[split]}.csv.gz", of_split[:, None])


def read_labels(source: Path) -> tuple[list[str], np.ndarray]:
    """The small molecules as SMILES, in their order, and their labels: (molecules, 30), NaN where one is missing.

    The tasks have the order of the names of their files.
    """
    files = sorted(source.glob("CHEMBL*.csv"))
    if len(files) != NUM_TASKS:
        raise UsageError(f"{source} has {len(files)} files CHEMBL*.csv, not {NUM_TASKS}; {WAY_OUT}.")
    measured: dict[str, dict[int, float]] = {}
    for task, file in enumerate(files):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                measured.setdefault(row["smiles"], {})[task] = float(row["y"])
    smiles = sorted(molecule for molecule in measured if len(_ATOM.findall(molecule)) <= MAX_ATOMS)
    is_presumed = np.add.outer(np.arange(len(smiles)), np.arange(NUM_TASKS)) % PRESUMED == 0
    labels = np.where(is_presumed, 0, np.nan)
    for number, molecule in enumerate(smiles):
        for task, y in measured[molecule].items():
            labels[number, task] = y >= ACTIVE
    return smiles, labels


def _write(path: Path, rows: np.ndarray) -> None:
    """A table of whole numbers; NaN is an empty field."""
    columns = [pa.array(column, from_pandas=True).cast(pa.int64()) for column in rows.T]
    table = pa.Table.from_arrays(columns, names=[str(number) for number in range(len(columns))])
    with pa.CompressedOutputStream(path, "gzip") as file:
        pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=False))


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw tables -> store."""
    description = (
        f"MoleculeACE, small molecules and their activity on {NUM_TASKS} proteins, a part of it presumed: not molpcba."
    )
    prepare_graphs(raw, store, progress, "moleculeace", description, f"PyPI {PACKAGE} {VERSION}")
