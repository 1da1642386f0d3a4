"""Criteo 1TB: 24 days of click logs as text -> fixed-width rows -> batches of 13 numbers and 26 ids.

Raw: `day_0` .. `day_23`, plain or `.gz`; a line is a label, 13 integers and 26 hexadecimal strings between tabs.
Store: one file of int32 rows a day: label, integers, ids. Days 0 to 22 are train. The first 95,000,000 of the
178,274,637 rows of day 23 are test and the others validation; a smaller day 23 is split in the same proportion.
Source: AlgoPerf v0.6, Criteo pipeline. One fault of it is mended: its ids, up to 39,979,771, are rounded when they turn
into float32 numbers. Ours are reduced first, by the size of the model's embedding table, as the model would do anyway.
"""

import functools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.source import Batch, RowSource, Source, downloaded_by_hand, made_up_numbers
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
from workloads.datasets.transforms.farmhash import fingerprint64

# The number of buckets that the strings of each column are hashed into.
# fmt: off
VOCABULARIES = (
    39_884_406, 39_043, 17_289, 7_420, 20_263, 3, 7_120, 1_543, 63, 38_532_951, 2_953_546, 403_346, 10, 2_208, 11_938,
    155, 4, 976, 14, 39_979_771, 25_641_295, 39_664_984, 585_935, 12_972, 108, 36,
)
# fmt: on
INTEGERS = 13
COLUMNS = 1 + INTEGERS + len(VOCABULARIES)
TABLE_SIZE = 4_194_304  # of the embedding table; every smaller table's size divides it, so their ids stay right too

DAYS = 24
LAST_DAY = f"day_{DAYS - 1}"
TEST_ROWS, LAST_DAY_ROWS = 95_000_000, 178_274_637
ROWS_PER_BLOCK = 1_024
CLICKED = 0.03  # share of all rows, about
ROWS_PER_JOB = 8_192
_TEXT_CHUNK = 1 << 24  # bytes of text parsed at a time
_LONGEST_STRING = 30  # the real ones have 8 bytes; with the number of its column it has to be hashed as 32 at most
_STORE_BYTES_PER_RAW_BYTE = {".gz": 2.2, "": 0.75}

_NAMES = [str(column) for column in range(COLUMNS)]
_INTEGER_NAMES, _STRING_NAMES = _NAMES[: 1 + INTEGERS], _NAMES[1 + INTEGERS :]


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`; the licence of the Criteo logs has to be accepted by a person."""
    return downloaded_by_hand(source, "Criteo 1TB")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw day files -> store; a day that was not finished is begun again."""
    prepare_days(raw, store, progress, "criteo1tb", "Criteo 1TB click logs, 24 days.", str(raw))


def prepare_days(raw: Path, store: Path, progress: Progress, dataset: str, description: str, source: str) -> None:
    """`prepare` for any dataset that comes in Criteo's day files."""
    files = {f"day_{day}": _day_file(raw, day) for day in range(DAYS)}
    bytes_needed = sum(file.stat().st_size * _STORE_BYTES_PER_RAW_BYTE[file.suffix] for file in files.values())
    makers = {name: functools.partial(_make_part, store, name, file) for name, file in files.items()}
    parts = build(store, makers, int(bytes_needed), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


def _day_file(raw: Path, day: int) -> Path:
    for name in (f"day_{day}.gz", f"day_{day}"):
        if (raw / name).is_file():
            return raw / name
    raise UsageError(f"{raw} has neither day_{day}.gz nor day_{day}; docs/data.md says how the raw files are laid out.")


def _make_part(store: Path, name: str, file: Path) -> Part:
    """Writes `<name>.rows`."""
    with FileWriter(store / f"{name}.rows") as writer:
        for rows in parse(file):
            writer.write(rows)
    count = writer.size // (4 * COLUMNS)
    return written_part(name, split_of_last_day(count) if name == LAST_DAY else {"train": count}, writer)


def split_of_last_day(rows: int) -> dict[str, int]:
    """How many of the last day's rows, from its first on, are test and then validation."""
    test = round(rows * TEST_ROWS / LAST_DAY_ROWS)
    return {"test": test, "validation": rows - test}


def parse(file: Path) -> Iterator[np.ndarray]:
    """The rows of a day file, a chunk at a time: (n, 40) int32.

    Raises UsageError, which names the row, counted from 1, where it is not Criteo's format.
    """
    rows_before = 0
    try:
        reader = pyarrow.csv.open_csv(
            pa.input_stream(file),  # decompresses by the file's suffix
            pyarrow.csv.ReadOptions(column_names=_NAMES, block_size=_TEXT_CHUNK, use_threads=False),
            pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(_INTEGER_NAMES, pa.int32()) | dict.fromkeys(_STRING_NAMES, pa.binary()),
                null_values=["", "-1"],
                strings_can_be_null=True,
            ),
        )
        for chunk in reader:
            yield _rows(chunk, rows_before)
            rows_before += chunk.num_rows
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged or not a day file of Criteo ({str(error).splitlines()[0]}).") from error


def _rows(chunk: pa.RecordBatch, rows_before: int) -> np.ndarray:
    rows = np.empty((chunk.num_rows, COLUMNS), np.int32)
    for column, name in enumerate(_INTEGER_NAMES):
        rows[:, column] = pc.fill_null(chunk[name], 0)
    for category, name in enumerate(_STRING_NAMES):
        lengths = pc.binary_length(chunk[name])
        if (longest := pc.max(lengths).as_py() or 0) > _LONGEST_STRING:
            row = rows_before + pc.index(lengths, longest).as_py() + 1
            raise ValueError(f"In CSV column #{name}: Row #{row}: a string of {longest} bytes")
        rows[:, 1 + INTEGERS + category] = hashed(chunk[name], category)
    return rows


def hashed(strings: pa.Array, category: int) -> np.ndarray:
    """The ids of one column's strings: the fingerprint of string and column number modulo the column's vocabulary."""
    filled = pc.fill_null(strings, b"00000000")
    suffixed = pc.binary_join_element_wise(filled, str(category).encode(), b"")
    _, offsets, text = suffixed.buffers()
    ends = np.frombuffer(offsets, np.int32, len(suffixed) + 1).astype(np.int64)
    fingerprints = fingerprint64(np.frombuffer(text, np.uint8), ends[:-1], np.diff(ends))
    return (fingerprints % np.uint64(VOCABULARIES[category])).astype(np.int32)


def open_split(store: Path, split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """The rows of a split. eval_train: blocks of train rows, evenly spaced over all days."""
    parts = read_manifest(store).of("train" if split == "eval_train" else split)
    days = [memory_map(store / f"{part.name}.rows", np.dtype("<i4"), COLUMNS) for part in parts]
    if split == "test":
        days = [day[: part.examples["test"]] for day, part in zip(days, parts, strict=True)]
    if split == "validation":
        days = [day[part.examples["test"] :] for day, part in zip(days, parts, strict=True)]
    num_blocks = -(-sum(len(day) for day in days) // ROWS_PER_BLOCK)
    blocks = evenly_spaced(num_blocks, -(-num_examples // ROWS_PER_BLOCK))
    return CriteoSource(days, blocks * ROWS_PER_BLOCK, num_examples)


def made_up(split: Split, num_examples: int, data: Mapping[str, object]) -> Source:
    """Rows with 3 % of clicks, counts, and ids drawn evenly from each vocabulary: harder on caches than real ones."""
    random, blocks = made_up_numbers(), 64
    rows = np.empty((blocks * ROWS_PER_BLOCK, COLUMNS), np.int32)
    rows[:, 0] = random.random(len(rows)) < CLICKED
    rows[:, 1 : 1 + INTEGERS] = random.geometric(0.05, (len(rows), INTEGERS)) - 1
    rows[:, 1 + INTEGERS :] = random.integers(VOCABULARIES, size=(len(rows), len(VOCABULARIES)))
    of_block = np.arange(-(-num_examples // ROWS_PER_BLOCK), dtype=np.int64) % blocks
    return CriteoSource([rows], of_block * ROWS_PER_BLOCK, num_examples)


class CriteoSource(RowSource):
    """Rows by number."""

    block_size = ROWS_PER_BLOCK

    def __init__(self, days: list[np.ndarray], block_starts: np.ndarray, num_examples: int) -> None:
        """block_starts: where each block of ROWS_PER_BLOCK rows begins, counted through all days."""
        self._days = days
        self._day_starts = np.cumsum([0, *(len(day) for day in days)])
        self._block_starts = block_starts
        self._num_examples = num_examples

    def __len__(self) -> int:
        return self._num_examples

    def read(
        self, indices: np.ndarray, epochs: np.ndarray, rows: slice, size: int, seed: int, pool: ThreadPoolExecutor
    ) -> Batch:
        """inputs (B, 39) float32: log(1 + integer), negative as 0, then ids below TABLE_SIZE; targets (B,) float32."""
        indices = indices[rows]
        lines = self._block_starts[indices // ROWS_PER_BLOCK] + indices % ROWS_PER_BLOCK
        inputs = np.empty((len(lines), COLUMNS - 1), np.float32)
        targets = np.empty(len(lines), np.float32)
        jobs = -(-len(lines) // ROWS_PER_JOB)
        list(pool.map(self._fill, *(np.array_split(array, jobs) for array in (lines, inputs, targets))))
        return {"inputs": inputs, "targets": targets}

    def _fill(self, lines: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Reads the rows with the numbers `lines`, counted through all days."""
        stored = np.empty((len(lines), COLUMNS), np.int32)
        of_line = np.searchsorted(self._day_starts, lines, side="right") - 1
        for day in np.unique(of_line):
            of_day = of_line == day
            stored[of_day] = self._days[day][lines[of_day] - self._day_starts[day]]
        targets[:] = stored[:, 0]
        np.log1p(np.maximum(stored[:, 1 : 1 + INTEGERS], 0), out=inputs[:, :INTEGERS], dtype=np.float32)
        inputs[:, INTEGERS:] = stored[:, 1 + INTEGERS :] % TABLE_SIZE
