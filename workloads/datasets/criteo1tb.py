"""Criteo 1TB: 24 days of click logs -> fixed-width rows -> batches of 13 numbers and 26 ids.

Raw: see raw/criteo.py. Store: one file of int32 rows a day: label, integers, ids. Days 0 to 22 are train. The first
95,000,000 of the 178,274,637 rows of day 23 are test and the others validation; a smaller day 23 is split in the same
proportion. Source: AlgoPerf v0.6, Criteo pipeline. One fault of it is mended: its ids, up to 39,979,771, are rounded
when they turn into float32 numbers. Ours are reduced first, by the size of the model's embedding table, as the model
would do anyway.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algoperf.benchmark.facts import Split, UsageError
from workloads.datasets.raw.criteo import CATEGORIES, DAYS, INTEGERS, ROWS, Day, check_count, find_days, num_rows
from workloads.datasets.raw.criteo_lines import MISSING, Lines
from workloads.datasets.sheet.card import Card, table
from workloads.datasets.source import Batch, RowSource, Source, made_up_numbers, raw_folder, read_one
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
from workloads.datasets.transforms.farmhash import fingerprint64, fingerprint64_of_8_bytes

# The number of buckets that the strings of each column are hashed into.
# fmt: off
VOCABULARIES = (
    39_884_406, 39_043, 17_289, 7_420, 20_263, 3, 7_120, 1_543, 63, 38_532_951, 2_953_546, 403_346, 10, 2_208, 11_938,
    155, 4, 976, 14, 39_979_771, 25_641_295, 39_664_984, 585_935, 12_972, 108, 36,
)
# fmt: on
COLUMNS = 1 + INTEGERS + CATEGORIES
TABLE_SIZE = 4_194_304  # of the embedding table; every smaller table's size divides it, so their ids stay right too

LAST_DAY = f"day_{DAYS - 1}"
TEST_ROWS, LAST_DAY_ROWS = 95_000_000, ROWS[-1]
ROWS_PER_BLOCK = 1_024
CLICKED = 0.03  # share of all rows, about
ROWS_PER_JOB = 8_192
_LONGEST_STRING = 30  # the real ones have 8 bytes; with the number of its column it has to be hashed as 32 at most


def fetch(raw: Path, source: Path | None) -> Path:
    """`source`, with the days."""
    return raw_folder(source, "Criteo 1TB")


def prepare(raw: Path, store: Path, progress: Progress) -> None:
    """Raw days -> store; a day that was not finished is begun again."""
    prepare_days(raw, store, progress, "criteo1tb", "Criteo 1TB click logs, 24 days.", str(raw), ROWS)


def prepare_days(
    raw: Path,
    store: Path,
    progress: Progress,
    dataset: str,
    description: str,
    source: str,
    rows: Sequence[int] | None = None,
) -> None:
    """`prepare` for any dataset that comes in Criteo's days. rows: how many each has, where that is known."""
    days = find_days(raw, rows)
    makers = {
        day.name: functools.partial(_make_part, store, day, rows and rows[number]) for number, day in enumerate(days)
    }
    parts = build(store, makers, sum(day.store_bytes for day in days), progress)
    write_manifest(store, Manifest(dataset, description, source, parts))


def _make_part(store: Path, day: Day, wanted: int | None) -> Part:
    """Writes `<name>.rows`."""
    with FileWriter(store / f"{day.name}.rows") as writer:
        for rows in parse(day):
            writer.write(rows)
    count = writer.size // (4 * COLUMNS)
    if wanted is not None:
        check_count(day, count, wanted)
    return written_part(day.name, split_of_last_day(count) if day.name == LAST_DAY else {"train": count}, writer)


def split_of_last_day(rows: int) -> dict[str, int]:
    """How many of the last day's rows, from its first on, are test and then validation."""
    test = round(rows * TEST_ROWS / LAST_DAY_ROWS)
    return {"test": test, "validation": rows - test}


def parse(day: Day) -> Iterator[np.ndarray]:
    """The rows of a day, a chunk at a time: (n, 40) int32.

    Raises UsageError, which names the row, counted from 1 in the day, where it is not Criteo's format.
    """
    rows_before = 0
    for chunk in day.read():
        try:
            yield _rows_of_lines(chunk) if isinstance(chunk, Lines) else _rows(chunk, rows_before)
        except ValueError as error:
            raise UsageError(f"{day.path} is damaged or not a day file of Criteo ({error}).") from error
        rows_before += num_rows(chunk)


def _rows_of_lines(lines: Lines) -> np.ndarray:
    rows = np.empty((len(lines.integers), COLUMNS), np.int32)
    rows[:, : 1 + INTEGERS] = lines.integers
    for category, words in enumerate(np.ascontiguousarray(lines.words.T)):
        fingerprints = fingerprint64_of_8_bytes(words, str(category).encode())
        rows[:, 1 + INTEGERS + category] = _modulo(fingerprints, VOCABULARIES[category])
    return rows


def _rows(chunk: pa.RecordBatch, rows_before: int) -> np.ndarray:
    rows = np.empty((chunk.num_rows, COLUMNS), np.int32)
    for column in range(1 + INTEGERS):
        integers = pc.fill_null(chunk[column], 0).to_numpy(zero_copy_only=False)
        rows[:, column] = np.where(integers == -1, 0, integers)
    labels = pc.fill_null(chunk[0], -1).to_numpy(zero_copy_only=False)
    if len(wrong := np.flatnonzero((labels != 0) & (labels != 1))):
        found = "-1 or none" if labels[wrong[0]] == -1 else labels[wrong[0]]
        raise ValueError(f"Row #{rows_before + wrong[0] + 1}: the label {found}, not 0 or 1")
    for category in range(CATEGORIES):
        strings = chunk[1 + INTEGERS + category]
        ids = hashed(strings, category)
        if ids is None:
            lengths = pc.binary_length(strings)
            longest = pc.max(lengths).as_py()
            row = rows_before + pc.index(lengths, longest).as_py() + 1
            raise ValueError(f"In CSV column #{1 + INTEGERS + category}: Row #{row}: a string of {longest} bytes")
        rows[:, 1 + INTEGERS + category] = ids
    return rows


def hashed(strings: pa.Array, category: int) -> np.ndarray | None:
    """The ids of one column's strings: the fingerprint of string and column number modulo the column's vocabulary.

    None where one of them is too long to be hashed here.
    """
    suffix = str(category).encode()
    words = _words(strings)
    if words is not None:
        return _modulo(fingerprint64_of_8_bytes(words, suffix), VOCABULARIES[category])
    if (pc.max(pc.binary_length(strings)).as_py() or 0) > _LONGEST_STRING:
        return None
    missing = pc.or_kleene(pc.is_null(strings), pc.is_in(strings, pa.array([b"", b"-1"])))
    suffixed = pc.binary_join_element_wise(pc.if_else(missing, MISSING.to_bytes(8, "little"), strings), suffix, b"")
    _, offsets, text = suffixed.buffers()
    ends = np.frombuffer(offsets, np.int32, len(suffixed) + 1).astype(np.int64)
    fingerprints = fingerprint64(np.frombuffer(text, np.uint8), ends[:-1], np.diff(ends))
    return _modulo(fingerprints, VOCABULARIES[category])


def _words(strings: pa.Array) -> np.ndarray | None:
    """The 8 bytes of each string as a number, (n,) uint64, where each has as many or is missing; as nearly all have."""
    _, offsets, text = strings.buffers()
    ends = np.frombuffer(offsets, np.int32, len(strings) + 1, 4 * strings.offset)
    lengths = np.diff(ends)
    has = lengths == 8
    if not np.array_equal(lengths, 8 * has):
        return None
    words = np.full(len(strings), MISSING, np.uint64)
    words[has] = np.frombuffer(text or b"", "<u8", np.count_nonzero(has), int(ends[0]))
    return words


def _modulo(numbers: np.ndarray, divisor: int) -> np.ndarray:
    """numbers % divisor, by the division of NumPy that is fast for one divisor: (n,) int32."""
    divisor = np.uint64(divisor)
    return (numbers - numbers // divisor * divisor).astype(np.int32)


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

    def show(self, number: int) -> Card:
        """A row as the model gets it."""
        batch = read_one(self, number)
        integers, ids = batch["inputs"][0, :INTEGERS], batch["inputs"][0, INTEGERS:].astype(int)
        rows = {"log(1 + integer)": [f"{value:.2f}" for value in integers], "id": ids.tolist()}
        return Card(f"row {number:,}: {'clicked' if batch['targets'][0] else 'not clicked'}", (table(rows),))

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
