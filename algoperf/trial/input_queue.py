"""The order of examples, and the queue that a submission draws its batches from.

The stream of training examples is a pure function of the seed: example number g of a trial is number g mod n of epoch
g div n, and an epoch is a permutation of blocks. So the position of a stream is one integer, kept in the checkpoint,
and every number of devices reads the same global batches.
"""

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np

from algoperf.benchmark.facts import InfrastructureError
from workloads.datasets import processors
from workloads.datasets.source import Batch, Source, equal_parts, map_arrays, num_rows

PlacedBatch: TypeAlias = dict[str, Any]
_PREFETCHED_BATCHES = 3


class ShuffledOrder:
    """An endless, shuffled order of `num_examples`: blocks of neighbours are permuted anew each epoch.

    block_size is 1 where single examples can be read fast, thousands where a dataset is read in runs of rows.
    """

    def __init__(self, num_examples: int, block_size: int, seed: int):
        self._num_examples = num_examples
        self._block_size = block_size
        self._epoch = functools.lru_cache(maxsize=2)(functools.partial(self._permuted_blocks, seed))

    def _permuted_blocks(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The first example of each block in the epoch's order, and the offset in the epoch at which the block ends."""
        generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        starts = np.arange(0, self._num_examples, self._block_size)
        starts = starts[generator.permutation(len(starts))]
        lengths = np.minimum(self._block_size, self._num_examples - starts)
        return starts, np.cumsum(lengths)

    def __call__(self, position: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and epochs, both int64 of shape (count,), of the examples from `position` on."""
        positions = np.arange(position, position + count)
        epochs, offsets = np.divmod(positions, self._num_examples)
        indices = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            starts, ends = self._epoch(int(epoch))
            block = np.searchsorted(ends, offsets[here], side="right")
            block_begin = np.concatenate([[0], ends])[block]
            indices[here] = starts[block] + offsets[here] - block_begin
        return indices, epochs


class InputQueue:
    """Iterator of training batches on the device, read ahead by a thread.

    position: the number of examples used up by the batches delivered so far; a queue made with that position goes on
    from there. place: puts a NumPy batch on the devices. shard: (this process, number of processes); each reads its own
    part of every global batch. Failing to read is an InfrastructureError, each time anew; its cause says whether memory
    was missing, which a submission may have taken.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        seed: int,
        place: Callable[[Batch], PlacedBatch],
        position: int = 0,
        shard: tuple[int, int] = (0, 1),
    ):
        self.position = position
        self._source, self._batch_size, self._seed, self._place, self._shard = source, batch_size, seed, place, shard
        self._order = ShuffledOrder(len(source), source.block_size, seed)
        self._ready: queue.Queue[tuple[PlacedBatch, int] | BaseException] = queue.Queue(_PREFETCHED_BATCHES)
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read_ahead, args=(position,), daemon=True)
        self._reader.start()

    def __iter__(self) -> Iterator[PlacedBatch]:
        return self

    def __next__(self) -> PlacedBatch:
        item = self._ready.get()
        if isinstance(item, BaseException):
            self._ready.put(item)  # nothing comes after it: whoever asks again gets it again
            raise InfrastructureError(f"the training data could not be read: {item}") from item
        batch, used = item
        self.position += used
        return batch

    def close(self) -> None:
        """Ends the reading thread. Who asks for a batch afterwards gets an error."""
        self._closed.set()
        while self._reader.is_alive() or not self._ready.empty():
            with contextlib.suppress(queue.Empty):
                self._ready.get(timeout=0.05)
        self._ready.put(ValueError("the queue is closed"))

    def _read_ahead(self, position: int) -> None:
        with ThreadPoolExecutor(processors.threads()) as pool:
            while not self._closed.is_set():
                try:
                    batch, used = self._read(position, pool)
                    item = self._place(batch), used
                except BaseException as error:  # else whoever waits for a batch would wait for ever
                    self._ready.put(error)
                    return
                position += used
                self._ready.put(item)

    def _read(self, position: int, pool: ThreadPoolExecutor) -> tuple[Batch, int]:
        """This process's part of the global batch that begins with the example at `position`, and how many examples the
        global batch uses up.
        """
        rank, world_size = self._shard
        indices, epochs = self._order(position, self._batch_size * self._source.lookahead)
        ends = self._source.divide(indices, self._batch_size, world_size)
        used, rows = int(ends[-1]), slice(ends[rank], ends[rank + 1])
        size = self._batch_size // world_size
        return self._source.read(indices[:used], epochs[:used], rows, size, self._seed, pool), used


def evaluation_batches(source: Source, batch_size: int, shard: tuple[int, int] = (0, 1)) -> Iterator[Batch]:
    """Every example of a split once, in order, in batches of one size; each process reads a part of the split.

    A batch has batch_size / world_size rows, and beside the source's own arrays it has `weights`, float32 of shape
    (rows,) unless the source says otherwise. A last batch that is not full is filled up with rows of weight 0. There
    may be one batch more in one process than in another.
    """
    rank, world_size = shard
    begin, end = equal_parts(len(source), world_size)[rank : rank + 2]
    with ThreadPoolExecutor(processors.threads()) as pool, ThreadPoolExecutor(1) as ahead:
        batches = _batches_in_order(source, begin, end, batch_size // world_size, pool)
        upcoming = ahead.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = ahead.submit(next, batches, None)
            yield batch


def _batches_in_order(source: Source, begin: int, end: int, size: int, pool: ThreadPoolExecutor) -> Iterator[Batch]:
    while begin < end:
        indices = np.arange(begin, min(begin + size * source.lookahead, end))
        used = int(source.divide(indices, size, 1)[-1])
        batch = source.read(indices[:used], np.zeros(used, np.int64), slice(used), size, 0, pool)
        yield _full(batch, size)
        begin += used


def _full(batch: Batch, size: int) -> Batch:
    """`batch` with weights, and with its last row repeated where it has fewer than `size`; these have the weight 0."""
    count = num_rows(batch["targets"])
    weights = batch.get("weights", np.ones(count, np.float32))
    missing = size - count
    if missing <= 0:
        return {**batch, "weights": weights}

    def padded(array: np.ndarray, mode: str = "edge") -> np.ndarray:
        return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1), mode)

    return {**map_arrays(padded, batch), "weights": padded(weights, "constant")}
