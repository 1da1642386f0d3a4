"""The shapes of batches are those that the datasets make, seen on the mini data, of whose specs they are told alike."""

import numpy as np
import pytest

from algoperf.benchmark.registry import base_workloads, load_spec
from algoperf.shapes import batches
from algoperf.trial import input_queue
from workloads.datasets.prepare import open_source


def shapes(batch):
    if isinstance(batch, dict):
        return {name: shapes(part) for name, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(map(shapes, batch))
    return batch.shape, str(batch.dtype)


# Few rows of graphs have room for the largest graph, however many there are.
SIZES = {"ogbg": 64}


@pytest.mark.parametrize("name", base_workloads())
def test_they_are_as_the_datasets_make_them(name, data_dir):
    spec, size = load_spec(name, "mini"), SIZES.get(name, 4)
    queue = input_queue.InputQueue(
        open_source(spec, "train", data_dir), size, seed=0, place=lambda batch: batch, shard=(0, 1), position=0
    )
    try:
        assert shapes(next(queue)) == batches.training(spec, size)
    finally:
        queue.close()
    batch = next(iter(input_queue.evaluation_batches(open_source(spec, "validation", data_dir), size)))
    assert shapes(batch) == batches.evaluation(spec, size)


def test_as_many_are_ahead_as_the_queue_has():
    assert batches.READ_AHEAD == input_queue._PREFETCHED_BATCHES + 1


def test_their_bytes_are_counted():
    batch = batches.training(load_spec("librispeech_conformer"), 2)
    arrays = batches.placed(batch, np.zeros)
    assert batches.size(batch) == sum(array.nbytes for pair in arrays.values() for array in pair)
