"""What an experiment writes to the disk: prepared data, checkpoints while trials run, results."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from algoperf.benchmark.identity import Trial
from algoperf.progress import costs
from algoperf.progress.estimate import Kind, facts
from algoperf.records import checkpoint

# Bytes of a number in a CSV file, of a row of training metrics as the kit logs them, of what else a trial leaves; and
# steps between these rows. As measured in mini results.
_NUMBER, _METRICS_ROW, _METADATA, _METRICS_PERIOD = 19, 45, 8_000, 100
_COLUMNS = 11  # of an evaluation, beside its metrics on three splits


@dataclasses.dataclass(frozen=True)
class Disk:
    """Of the trials of one kind, in bytes. checkpoints: of one trial, while it runs. results: of all, for good."""

    kind: Kind
    dataset: str
    checkpoints: int
    results: int


@dataclasses.dataclass(frozen=True)
class Store:
    """A dataset's prepared data in bytes; expected ones where it is not prepared yet."""

    dataset: str
    size: int
    is_prepared: bool


def of_trials(trials: Iterable[Trial]) -> list[Disk]:
    """One for each workload and ruleset, in the order of the trials."""
    return [_disk(kind, number) for kind, number in Counter(map(Kind.of, trials)).items()]


def _disk(kind: Kind, trials: int) -> Disk:
    known = facts(kind)
    columns = _COLUMNS + 3 * len(known.spec.metrics)
    steps = known.spec.budget[kind.protocol].step_hint
    results = known.evaluations * columns * _NUMBER + steps / _METRICS_PERIOD * _METRICS_ROW + _METADATA
    # While the newest is written, those that are kept are there.
    return Disk(kind, known.spec.dataset, (checkpoint.KEPT + 1) * known.checkpoint, round(trials * results))


def stores(disks: Iterable[Disk], data_dir: Path) -> list[Store]:
    """Of the datasets that these need, each once."""
    datasets = dict.fromkeys(disk.dataset for disk in disks)
    return [Store(dataset, *costs.store_bytes(dataset, data_dir)) for dataset in datasets]


def checkpoints(disks: Iterable[Disk], at_once: int, trials: Sequence[Trial]) -> int:
    """The most that checkpoints can take while `at_once` trials run: those with the largest ones at the same time."""
    size = {disk.kind: disk.checkpoints for disk in disks}
    largest = sorted((size[Kind.of(trial)] for trial in trials), reverse=True)
    return sum(itertools.islice(largest, at_once))
