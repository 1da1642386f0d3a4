"""The order of examples, and the queue that a submission draws its batches from.

The stream of training examples is a pure function of the seed: example number g of a trial is number g mod n of epoch
g div n, and an epoch is a permutation of blocks. So the position of a stream is one integer, kept in the checkpoint,
and every number of devices reads the same global batches.
"""

import functools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from algoperf.spec import InfrastructureError
from workloads.datasets.source import Source

Batch = dict[str, Any]
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

    position: the number of examples delivered so far; a queue made with that position goes on from there.
    place: puts a NumPy batch on the devices. shard: (this process, number of processes); each reads its own rows of
    every global batch. Failing to read is an InfrastructureError: it is not the submission's fault.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        seed: int,
        place: Callable[[dict[str, np.ndarray]], Batch],
        position: int = 0,
        shard: tuple[int, int] = (0, 1),
    ):
        self.position = position
        self._source, self._batch_size, self._seed, self._place, self._shard = source, batch_size, seed, place, shard
        self._order = ShuffledOrder(len(source), source.block_size, seed)
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(_PREFETCHED_BATCHES)
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read_ahead, args=(position,), daemon=True)
        self._reader.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        item = self._ready.get()
        if isinstance(item, Exception):
            raise InfrastructureError(f"the training data could not be read: {item}") from item
        self.position += self._batch_size
        return item

    def close(self) -> None:
        """Ends the reading thread."""
        self._closed.set()
        while self._reader.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue

    def _read_ahead(self, position: int) -> None:
        rank, world_size = self._shard
        rows = slice(rank * self._batch_size // world_size, (rank + 1) * self._batch_size // world_size)
        with ThreadPoolExecutor() as pool:
            while not self._closed.is_set():
                try:
                    indices, epochs = self._order(position, self._batch_size)
                    item = self._place(self._source.read(indices, epochs, rows, self._seed, pool))
                except Exception as error:
                    self._ready.put(error)
                    return
                position += self._batch_size
                self._ready.put(item)


def evaluation_batches(
    source: Source, batch_size: int, shard: tuple[int, int] = (0, 1)
) -> Iterator[dict[str, np.ndarray]]:
    """Every example of a split once, in order, in batches of one size: the last is padded with examples of weight 0.

    Each batch has `weights`, float32 of shape (batch_size / world_size,), beside the source's own arrays.
    """
    rank, world_size = shard
    rows = slice(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)
    num_batches = -(-len(source) // batch_size)
    with ThreadPoolExecutor() as pool, ThreadPoolExecutor(1) as ahead:

        def read(number: int) -> dict[str, np.ndarray]:
            indices = np.arange(number * batch_size, (number + 1) * batch_size)
            valid = indices < len(source)
            indices = np.where(valid, indices, 0)
            batch = source.read(indices, np.zeros_like(indices), rows, 0, pool)
            weights = valid[rows].astype(np.float32)
            return {**batch, "weights": batch["weights"] * weights if "weights" in batch else weights}

        upcoming = ahead.submit(read, 0)
        for number in range(num_batches):
            batch = upcoming.result()
            if number + 1 < num_batches:
                upcoming = ahead.submit(read, number + 1)
            yield batch
