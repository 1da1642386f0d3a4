"""Real trials that take a moment: any submission on a few rows of the smallest workload, where a step is a second."""

import contextlib
import csv
import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algoperf.benchmark.facts import WorkloadSpec
from algoperf.benchmark.identity import make_trial
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import Workload, make_workload
from algoperf.machine.interruption import Watch
from algoperf.records import official_files
from algoperf.trial import session
from algoperf.trial.input_queue import Batch, Source, evaluation_batches
from algoperf.trial.setup import Setup, set_up
from workloads.datasets.criteo1tb import COLUMNS
from workloads.datasets.store import Part, read_manifest, write_manifest

DATASET = "nyc_flights"
TRAIN, VALIDATION, TEST = 4_096, 48, 40
MAX_STEPS = 7
EVAL_PERIOD = 3.0  # evaluations after steps 1, 4 and 7


def little_data(data_dir: Path, folder: Path) -> Path:
    """The first rows of a training day, of validation and of test, as a store of their own."""
    store, whole = folder / DATASET, read_manifest(data_dir / DATASET)
    store.mkdir(parents=True)
    days = {name: np.fromfile(data_dir / DATASET / f"{name}.rows", "<i4") for name in ("day_0", "day_23")}
    days = {name: rows.reshape(-1, COLUMNS) for name, rows in days.items()}
    (last,) = whole.of("test")
    test = days["day_23"][: last.examples["test"]]
    validation = days["day_23"][last.examples["test"] :]
    parts = []
    for name, rows, examples in (
        ("day_0", days["day_0"][:TRAIN], {"train": TRAIN}),
        ("day_23", np.concatenate([test[:TEST], validation[:VALIDATION]]), {"test": TEST, "validation": VALIDATION}),
    ):
        rows.tofile(store / f"{name}.rows")
        parts.append(Part(name, examples, {f"{name}.rows": {"bytes": rows.nbytes, "crc32": 0}}))
    write_manifest(store, dataclasses.replace(whole, parts=tuple(parts)))
    return folder


class Steps:
    """A clock that goes on by a second with each step, wherever it is taken."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def counted(self, update_params):
        def update(**arguments):
            self.seconds += 1.0
            return update_params(**arguments)

        return update


class StopsAfter(Watch):
    """Asks for the end after some steps, as a signal does; None: never."""

    def __init__(self, steps: int | None):
        super().__init__(lambda: 0.0)
        self._left = steps

    @property
    def is_interrupted(self):
        if self._left is not None:
            self._left -= 1
        return self._left == 0


@contextlib.contextmanager
def few_evaluated(number: int = 512) -> Iterator[None]:
    """Evaluations are of each split's first examples, with targets that none reaches: to go through all examples takes
    most of a compiled mini trial's time.
    """

    def out_of_reach(spec: WorkloadSpec, *arguments: Any) -> Workload:
        never = -1e300 if spec.target.goal == "min" else 1e300
        test = None if spec.target.test is None else never
        target = dataclasses.replace(spec.target, validation=never, test=test)
        return make_workload(dataclasses.replace(spec, target=target), *arguments)

    def first(source: Source, batch_size: int, shard: tuple[int, int] = (0, 1)) -> Iterator[Batch]:
        return itertools.islice(evaluation_batches(source, min(batch_size, number), shard), 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("algoperf.trial.setup.make_workload", out_of_reach)
        patch.setattr("algoperf.trial.evaluate.evaluation_batches", first)
        yield


def made(submission: Path, out: Path, data: tuple[Path, Path], framework: str, max_steps: int = MAX_STEPS) -> Setup:
    """data: where the mini data lie, and where the little ones do."""
    identity = make_trial("mini", "self", str(submission), framework, "criteo1tb", 0, 1)
    setup = set_up(identity, out, data[0], max_steps)
    setup.workload.spec = dataclasses.replace(
        setup.workload.spec,
        eval_period=EVAL_PERIOD,
        target=dataclasses.replace(setup.workload.spec.target, validation=-1.0, test=-1.0),  # so few rows reach any
        num_train_examples=TRAIN,
        num_eval_train_examples=TEST,
        num_validation_examples=VALIDATION,
        num_test_examples=TEST,
    )
    setup.workload.data_dir = data[1]
    return dataclasses.replace(setup, batch_size=16, eval_batch_size=64, max_runtime=1_000.0)


def run(setup: Setup, stops_after: int | None = None, report=lambda state: None, watch: Watch | None = None) -> dict:
    """The result. Raises InterruptionError where it stops before. watch: one that listens to signals, say."""
    clock = Steps()
    counted = dataclasses.replace(setup.submission, update_params=clock.counted(setup.submission.update_params))
    return session.execute(
        dataclasses.replace(setup, submission=counted), report, now=clock, watch=watch or StopsAfter(stops_after)
    )


def as_if_its_budget_had_ended_it(out: Path) -> None:
    """A mini trial on Criteo that a person has limited by --max-steps, which is no trial of an experiment."""
    for path in (out / official_files.RESULT, out / "checkpoints" / "finished.json"):
        limits = {"max_steps": None, "last_step": load_spec("criteo1tb", "mini").budget["mini"].step_hint}
        path.write_text(json.dumps({**json.loads(path.read_text()), **limits}))


def evaluations(out: Path) -> list[dict[str, str]]:
    """What is on the disk, but for what an interruption may change."""
    return [
        {name: value for name, value in row.items() if name not in ("preemption_count", "total_duration")}
        for row in official_files.whole_rows(out / official_files.EVALUATIONS)
    ]


def logged(out: Path) -> list[dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))
