"""`algoperf` with steps as time: 32 steps are a charged second, so two runs of one trial can be compared exactly.

The jobs of the cluster tests call it where a job calls `algoperf`. Every fourth one is saved; evaluations are of the
first examples of each split, which reach a target sooner than all do.
"""

import functools
import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # twenty jobs share two cores

from algoperf.commands import cli
from algoperf.machine import interruption, job
from algoperf.trial import evaluate, session, train
from algoperf.trial.input_queue import evaluation_batches
from workloads.datasets.prepare import open_source

EVALUATED = 2_048
SECONDS_PER_STEP = 1 / 32  # a power of two: sums of it are exact


class Steps:
    """Counts the training steps of this process; as a clock it says how many seconds they stand for."""

    def __init__(self):
        self._count = 0
        self._train_step = train.train_step

    def train_step(self, *arguments):
        self._count += 1
        return self._train_step(*arguments)

    def __call__(self) -> float:
        return self._count * SECONDS_PER_STEP


class First:
    """The first examples of a split."""

    def __init__(self, source):
        self._source = source

    def __len__(self):
        return EVALUATED

    def __getattr__(self, name):
        return getattr(self._source, name)


if __name__ == "__main__":
    steps = Steps()
    train.train_step = session.train_step = steps.train_step
    evaluate.open_source = lambda *arguments: First(open_source(*arguments))
    evaluate.evaluation_batches = lambda source, batch_size, shard: evaluation_batches(source, EVALUATED, shard)
    interruption.CHECKPOINT_PERIOD = 4 * SECONDS_PER_STEP
    job.watch = functools.partial(job.watch, now=steps)
    session.execute = functools.partial(session.execute, now=steps)
    cli.main()
