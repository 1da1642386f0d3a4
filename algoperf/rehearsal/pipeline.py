"""How fast the input pipeline is by itself: whether a step will wait for its batch, before there is a step."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from algoperf.benchmark.facts import WorkloadSpec
from algoperf.trial.input_queue import InputQueue
from workloads.datasets.prepare import open_source
from workloads.datasets.source import Source


def draw(counts: Iterator[int], warm_up: float, measured: float) -> tuple[int, float, float]:
    """What arrives within `measured` seconds after `warm_up`: things, seconds, and seconds of the cores together.

    counts: of each arrival, when it is there, how many things there were so far.
    """
    begin, before = time.perf_counter(), next(counts)
    while time.perf_counter() < begin + warm_up:
        before = next(counts)
    begin, core_begin, count = time.perf_counter(), time.process_time(), before
    while time.perf_counter() < begin + measured:
        count = next(counts)
    return count - before, time.perf_counter() - begin, time.process_time() - core_begin


def training(source: Source, batch_size: int, warm_up: float, measured: float) -> tuple[int, float, float]:
    """`draw` of training examples through the queue of a trial, put on no device."""
    with contextlib.closing(InputQueue(source, batch_size, seed=0, place=dict)) as queue:
        return draw((queue.position for _ in queue), warm_up, measured)


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """Threads that are started inside have so many of this process's cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def batches_a_second(spec: WorkloadSpec, data_dir: Path, batch_size: int, seconds: float) -> dict[int, float]:
    """By the number of cores: 1, 2, 4 and so on, as far as this process has them."""
    source, available, found = open_source(spec, "train", data_dir), len(os.sched_getaffinity(0)), {}
    for count in sorted({*(2**power for power in range(available.bit_length()) if 2**power <= available), available}):
        with cores(count):
            examples, took, _ = training(source, batch_size, seconds / 4, seconds)
        found[count] = examples / batch_size / took
    return found
