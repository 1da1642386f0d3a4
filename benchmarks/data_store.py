"""How fast are memory-mapped shards, Arrow IPC files and Grain's ArrayRecord files to read in shuffled order?

    python benchmarks/data_store.py DATA_DIR

DATA_DIR holds the prepared mini data. Their rows and JPEGs are written in each format to a temporary folder (2 GB, all
in the page cache, so that formats are compared and not disks) and read back: Criteo's batches of 262,144 rows as
shuffled blocks of 1,024, to the float32 array that a model gets; the bytes of JPEGs one by one.
ArrayRecord is measured where it is installed (pip install grain). What came out stands in docs/data.md.
"""

import argparse
import importlib
import importlib.util
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from workloads.datasets.criteo1tb import COLUMNS, INTEGERS, ROWS_PER_BLOCK, TABLE_SIZE, CriteoSource
from workloads.datasets.store import memory_map, read_manifest
from workloads.datasets.transforms.images import INDEX

NUM_ROWS = 4 << 20
BATCH_ROWS = 262_144
NUM_BATCHES = 8
NUM_IMAGES = 4_096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    data_dir = parser.parse_args().data_dir
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        measure_rows(data_dir / "nyc_flights", Path(scratch), pool)
        measure_images(data_dir / "fashion_mnist", Path(scratch))


def measure_rows(store: Path, scratch: Path, pool: ThreadPoolExecutor) -> None:
    days = [memory_map(store / f"{part.name}.rows", np.dtype("<i4"), COLUMNS) for part in read_manifest(store).parts]
    rows = np.resize(np.concatenate(days), (NUM_ROWS, COLUMNS))
    readers = {"mmap": _mapped_rows(rows, scratch, pool), "Arrow IPC": _arrow_rows(rows, scratch, pool)}
    if importlib.util.find_spec("array_record"):
        readers["ArrayRecord"] = _array_record_rows(rows, scratch)
    blocks = np.random.default_rng(0).permutation(NUM_ROWS // ROWS_PER_BLOCK)
    batches = np.array_split(blocks[: NUM_BATCHES * BATCH_ROWS // ROWS_PER_BLOCK], NUM_BATCHES)
    expected = readers["mmap"](batches[0])
    for name, read in readers.items():
        assert np.array_equal(read(batches[0]), expected), name
        print(f"{name:12} {NUM_BATCHES * BATCH_ROWS / _seconds(read, batches) / 1e6:6.2f} million rows/s")


def _seconds(read: Callable[[np.ndarray], object], batches: list[np.ndarray]) -> float:
    start = time.perf_counter()
    for batch in batches:
        read(batch)
    return time.perf_counter() - start


def _mapped_rows(rows: np.ndarray, scratch: Path, pool: ThreadPoolExecutor) -> Callable[[np.ndarray], np.ndarray]:
    rows.tofile(scratch / "rows")
    mapped = memory_map(scratch / "rows", np.dtype("<i4"), COLUMNS)
    source = CriteoSource([mapped], np.arange(0, NUM_ROWS, ROWS_PER_BLOCK), NUM_ROWS)

    def read(blocks: np.ndarray) -> np.ndarray:
        indices = (blocks[:, None] * ROWS_PER_BLOCK + np.arange(ROWS_PER_BLOCK)).ravel()
        return source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)["inputs"]

    return read


def _arrow_rows(rows: np.ndarray, scratch: Path, pool: ThreadPoolExecutor) -> Callable[[np.ndarray], np.ndarray]:
    columns = [pa.array(np.ascontiguousarray(column)) for column in rows.T]
    table = pa.table(columns, names=[str(column) for column in range(COLUMNS)])
    with pa.OSFile(str(scratch / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=ROWS_PER_BLOCK)
    reader = pa.ipc.open_file(pa.memory_map(str(scratch / "rows.arrow")))

    def fill(block: int, into: np.ndarray) -> None:
        batch = reader.get_batch(block)
        for column in range(INTEGERS):
            np.log1p(np.maximum(batch[1 + column].to_numpy(), 0), out=into[:, column], dtype=np.float32)
        for column in range(INTEGERS, COLUMNS - 1):
            into[:, column] = batch[1 + column].to_numpy() % TABLE_SIZE

    def read(blocks: np.ndarray) -> np.ndarray:
        inputs = np.empty((len(blocks), ROWS_PER_BLOCK, COLUMNS - 1), np.float32)
        list(pool.map(fill, blocks.tolist(), inputs))
        return inputs.reshape(-1, COLUMNS - 1)

    return read


def _array_record_rows(rows: np.ndarray, scratch: Path) -> Callable[[np.ndarray], np.ndarray]:
    blocks = (block.tobytes() for block in rows.reshape(-1, ROWS_PER_BLOCK, COLUMNS))
    reader = _array_record(blocks, scratch / "rows.array_record")

    def read(blocks: np.ndarray) -> np.ndarray:
        stored = np.frombuffer(b"".join(reader.read(blocks.tolist())), "<i4").reshape(-1, COLUMNS)
        inputs = np.empty((len(stored), COLUMNS - 1), np.float32)
        np.log1p(np.maximum(stored[:, 1 : 1 + INTEGERS], 0), out=inputs[:, :INTEGERS], dtype=np.float32)
        inputs[:, INTEGERS:] = stored[:, 1 + INTEGERS :] % TABLE_SIZE
        return inputs

    return read


def _array_record(records: object, path: Path) -> object:
    """Writes `records` uncompressed, one a group, as Grain's documents advise for random access; opens them to read."""
    module = importlib.import_module("array_record.python.array_record_module")
    writer = module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for record in records:
        writer.write(record)
    writer.close()
    return module.ArrayRecordReader(str(path), options="readahead_buffer_size:0")


def measure_images(store: Path, scratch: Path) -> None:
    jpegs = list(itertools.islice(_jpegs(store), NUM_IMAGES))
    ends = np.cumsum([len(jpeg) for jpeg in jpegs])
    places = list(zip((ends - [len(jpeg) for jpeg in jpegs]).tolist(), ends.tolist(), strict=True))
    (scratch / "jpegs").write_bytes(b"".join(jpegs))
    mapped = memory_map(scratch / "jpegs", np.dtype(np.uint8))
    table = pa.table({"jpeg": pa.array(jpegs, pa.binary())})
    with pa.OSFile(str(scratch / "jpegs.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    column = pa.ipc.open_file(pa.memory_map(str(scratch / "jpegs.arrow"))).get_batch(0)[0]
    readers: dict[str, Callable[[np.ndarray], object]] = {
        "mmap": lambda batch: [mapped[slice(*places[i])].tobytes() for i in batch.tolist()],
        "Arrow IPC": lambda batch: [column[i].as_py() for i in batch.tolist()],
    }
    if importlib.util.find_spec("array_record"):
        reader = _array_record(jpegs, scratch / "jpegs.array_record")
        readers["ArrayRecord"] = lambda batch: reader.read(batch.tolist())
    order = np.random.default_rng(0).permutation(NUM_IMAGES)
    for name, read in readers.items():
        print(f"{name:12} {NUM_IMAGES / _seconds(read, np.array_split(order, 8)):9,.0f} images/s")


def _jpegs(store: Path) -> Iterator[bytes]:
    """The content of the image files of train."""
    for part in read_manifest(store).of("train"):
        content = memory_map(store / f"{part.name}.jpegs", np.dtype(np.uint8))
        for row in memory_map(store / f"{part.name}.index", INDEX):
            yield content[row["offset"] : row["offset"] + row["size"]].tobytes()


if __name__ == "__main__":
    main()
