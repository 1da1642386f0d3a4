"""The order of the examples, and that the queue delivers it, whatever its position and its number of processes."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import InfrastructureError
from algoperf.trial.input_queue import InputQueue, ShuffledOrder, evaluation_batches
from workloads.datasets.source import RowSource


class Numbers(RowSource):
    """Examples that are their own number and epoch."""

    def __init__(self, count, block_size=1, fails_at=None):
        self._count, self.block_size, self._fails_at = count, block_size, fails_at

    def __len__(self):
        return self._count

    def read(self, indices, epochs, rows, size, seed, pool):
        if self._fails_at is not None and self._fails_at in indices:
            raise OSError("the disk is gone")
        return {"inputs": indices[rows], "targets": epochs[rows]}


_sizes = {"num_examples": st.integers(1, 60), "block_size": st.integers(1, 20), "seed": st.integers(0, 2**31 - 1)}


@given(**_sizes, epochs=st.integers(1, 3))
def test_every_epoch_has_every_example_once(num_examples, block_size, seed, epochs):
    indices, numbers = ShuffledOrder(num_examples, block_size, seed)(0, epochs * num_examples)
    for epoch in range(epochs):
        assert sorted(indices[numbers == epoch]) == list(range(num_examples))


@given(**_sizes, position=st.integers(0, 200), count=st.integers(1, 100))
def test_any_part_of_the_order_is_the_same_as_in_the_whole(num_examples, block_size, seed, position, count):
    order = ShuffledOrder(num_examples, block_size, seed)
    whole = order(0, position + count)
    part = ShuffledOrder(num_examples, block_size, seed)(position, count)
    np.testing.assert_array_equal(whole[0][position:], part[0])
    np.testing.assert_array_equal(whole[1][position:], part[1])


@given(**_sizes)
def test_blocks_stay_together(num_examples, block_size, seed):
    indices, _ = ShuffledOrder(num_examples, block_size, seed)(0, num_examples)
    breaks = np.flatnonzero(np.diff(indices) != 1)
    assert all(indices[i + 1] % block_size == 0 for i in breaks)


def test_seeds_and_epochs_differ():
    order = ShuffledOrder(1_000, 1, seed=1)
    first, second = order(0, 1_000)[0], order(1_000, 1_000)[0]
    other = ShuffledOrder(1_000, 1, seed=2)(0, 1_000)[0]
    assert (first != second).mean() > 0.9
    assert (first != other).mean() > 0.9


def test_the_order_is_the_same_on_every_machine():
    # NumPy promises the stream of Philox and keeps `permutation` stable by its random-number compatibility policy;
    # a change would silently give other batches to a resumed trial, so it is pinned here.
    indices = ShuffledOrder(10, 1, seed=123)(0, 20)[0]
    assert indices.tolist() == [1, 0, 8, 9, 5, 7, 6, 4, 2, 3, 1, 2, 7, 0, 9, 5, 3, 6, 8, 4]


def test_a_queue_goes_on_from_its_position():
    whole = InputQueue(Numbers(10), 4, seed=5, place=dict)
    batches = [next(whole)["inputs"] for _ in range(6)]
    assert whole.position == 24
    whole.close()
    rest = InputQueue(Numbers(10), 4, seed=5, place=dict, position=12)
    for batch in batches[3:]:
        np.testing.assert_array_equal(next(rest)["inputs"], batch)
    rest.close()


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_together_read_the_batches_of_one(world_size):
    alone = InputQueue(Numbers(30), 8, seed=5, place=dict)
    together = [InputQueue(Numbers(30), 8, 5, dict, shard=(rank, world_size)) for rank in range(world_size)]
    for _ in range(5):
        parts = [next(queue)["inputs"] for queue in together]
        np.testing.assert_array_equal(np.concatenate(parts), next(alone)["inputs"])
    for queue in (alone, *together):
        queue.close()


class Mixed(Numbers):
    """Examples that are mixed with the one before them in the batch, as mixup does it."""

    def read(self, indices, epochs, rows, size, seed, pool):
        return {"inputs": (indices + 1_000 * np.roll(indices, 1))[rows], "targets": epochs[rows]}


def test_what_mixes_the_examples_of_a_batch_is_the_same_for_every_number_of_processes():
    alone = InputQueue(Mixed(30), 8, seed=5, place=dict)
    together = [InputQueue(Mixed(30), 8, 5, dict, shard=(rank, 4)) for rank in range(4)]
    for _ in range(5):
        parts = [next(queue)["inputs"] for queue in together]
        np.testing.assert_array_equal(np.concatenate(parts), next(alone)["inputs"])
    for queue in (alone, *together):
        queue.close()


def test_a_failure_to_read_is_told_to_whoever_draws():
    queue = InputQueue(Numbers(10, fails_at=3), 10, seed=5, place=dict)
    for _ in range(3):  # whoever asks again is told again, and waits for nothing
        with pytest.raises(InfrastructureError, match="the disk is gone") as told:
            next(queue)
        assert isinstance(told.value.__cause__, OSError)
    queue.close()
    with pytest.raises(InfrastructureError, match="the queue is closed"):
        next(queue)


@pytest.mark.parametrize("error", [MemoryError(), SystemExit(0)])
def test_whatever_ends_the_reader_is_told(error):
    def place(batch):
        raise error

    queue = InputQueue(Numbers(10), 10, seed=5, place=place)
    for _ in range(2):
        with pytest.raises(InfrastructureError) as told:
            next(queue)
        assert told.value.__cause__ is error
    queue.close()


def test_the_reader_stays_a_few_batches_ahead_and_ends_with_the_queue():
    source = Numbers(1_000)
    reads = []
    read = source.read
    source.read = lambda *arguments: (reads.append(1), read(*arguments))[1]
    queue = InputQueue(source, 4, seed=5, place=dict)
    next(queue)
    while len(reads) < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(reads) <= 6
    queue.close()
    before = len(reads)
    time.sleep(0.1)
    assert len(reads) == before


class Bags(Numbers):
    """Number n weighs n % 7 + 1. Each row of a batch is a bag that is filled in order, up to a weight of 10."""

    lookahead = 10

    def divide(self, indices, batch_size, world_size):
        ends = [0]
        for _ in range(batch_size):
            ends.append(ends[-1] + int((np.cumsum(indices[ends[-1] :] % 7 + 1) <= 10).sum()))
        return np.array(ends[:: batch_size // world_size])

    def read(self, indices, epochs, rows, size, seed, pool):
        bags = self.divide(indices[rows], size, size)
        inputs, of_row = np.full((size, 10), -1), indices[rows]
        for bag in range(size):
            inputs[bag, : bags[bag + 1] - bags[bag]] = of_row[bags[bag] : bags[bag + 1]]
        return {"inputs": {"numbers": inputs}, "targets": inputs, "weights": np.float32(inputs >= 0)}


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_batches_that_use_up_a_varying_number_of_examples_leave_none_out(world_size):
    order = ShuffledOrder(30, 1, seed=5)(0, 1_000)[0]
    together = [InputQueue(Bags(30), 8, 5, dict, shard=(rank, world_size)) for rank in range(world_size)]
    for _ in range(5):
        position = together[0].position
        numbers = np.concatenate([next(queue)["inputs"]["numbers"] for queue in together])
        assert len(numbers) == 8
        assert len({queue.position for queue in together}) == 1
        np.testing.assert_array_equal(numbers[numbers >= 0], order[position : together[0].position])
    for queue in together:
        queue.close()


def test_such_a_queue_too_goes_on_from_its_position():
    whole = InputQueue(Bags(30), 4, seed=5, place=dict)
    positions, batches = zip(*((whole.position, next(whole)["targets"]) for _ in range(6)), strict=True)
    assert len(set(np.diff(positions))) > 1
    whole.close()
    for position, batch in zip(positions, batches, strict=True):
        rest = InputQueue(Bags(30), 4, seed=5, place=dict, position=position)
        np.testing.assert_array_equal(next(rest)["targets"], batch)
        rest.close()


_evaluations = {"batch_size": st.integers(1, 12), "world_size": st.sampled_from([1, 2, 4])}


@given(count=st.integers(1, 40), **_evaluations)
def test_an_evaluation_has_every_example_once_for_any_batch_size(count, batch_size, world_size):
    batch_size *= world_size
    seen = []
    for rank in range(world_size):
        for batch in evaluation_batches(Numbers(count), batch_size, (rank, world_size)):
            assert len(batch["inputs"]) == batch_size // world_size
            seen += batch["inputs"][batch["weights"] == 1].tolist()
    assert seen == list(range(count))


@given(count=st.integers(1, 40), **_evaluations)
def test_an_evaluation_leaves_batches_alone_that_fill_themselves(count, batch_size, world_size):
    seen = []
    for rank in range(world_size):
        for batch in evaluation_batches(Bags(count), batch_size * world_size, (rank, world_size)):
            assert batch["targets"].shape == batch["weights"].shape == (batch_size, 10)
            seen += batch["targets"][batch["weights"] == 1].tolist()
    assert seen == list(range(count))


class Nested(Numbers):
    """Numbers as the batches of speech have them: several arrays under one name."""

    def read(self, indices, epochs, rows, size, seed, pool):
        numbers = indices[rows]
        pair = (numbers, np.stack([numbers, -numbers], axis=1))
        return {"inputs": {"numbers": numbers, "pair": pair}, "targets": pair}


def test_the_last_batch_of_an_evaluation_is_filled_up_in_every_array():
    first, last = evaluation_batches(Nested(5), 3)
    assert first["weights"].tolist() == [1, 1, 1]
    assert last["weights"].tolist() == [1, 1, 0]
    for value in (last["inputs"]["pair"], last["targets"]):
        assert value[0].tolist() == [3, 4, 4]
        assert value[1].tolist() == [[3, -3], [4, -4], [4, -4]]
    assert last["inputs"]["numbers"].tolist() == [3, 4, 4]
