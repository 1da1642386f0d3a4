"""One evaluation: every example of its splits, once, with the metrics of the workload."""

import importlib
from typing import Any

import numpy as np

from algoperf.backends import Backend
from algoperf.benchmark.facts import Split
from algoperf.benchmark.workload import Workload
from algoperf.trial.input_queue import evaluation_batches
from workloads.datasets.prepare import open_source

# The split as the files call it -> the split that is read. `train` is a fixed part of the training set, unaugmented.
_SPLITS: dict[str, Split] = {"train": "eval_train", "validation": "validation", "test": "test"}


class Evaluator:
    """Evaluates one workload's parameters; the splits are opened once.

    batch_size: examples evaluated at once; the result does not depend on it, nor on the number of devices.
    """

    def __init__(self, workload: Workload, backend: Backend, batch_size: int):
        self._workload, self._backend, self._batch_size = workload, backend, batch_size
        self._metrics = {name: importlib.import_module(f"workloads.metrics.{name}") for name in workload.spec.metrics}
        self._wanted = frozenset().union(*(metric.NEEDS for metric in self._metrics.values()))
        self._sources = {
            name: open_source(workload.spec, split, workload.data_dir)
            for name, split in _SPLITS.items()
            if workload.spec.num_examples(split)
        }

    def __call__(self, params: Any, model_state: Any, rng: Any) -> dict[str, float | int]:
        """`<split>/<metric>` for all splits that the workload has, and `<split>/num_examples` of validation and test.

        Involves all processes: each evaluates its own rows of every batch, and all of them get the values.
        """
        values: dict[str, float | int] = {}
        for split, source in self._sources.items():
            statistics = {name: [] for name in self._metrics}
            for batch in evaluation_batches(source, self._batch_size, self._backend.shard):
                outputs = self._workload.forward_for_evaluation(params, batch, model_state, rng, self._wanted)
                for name, metric in self._metrics.items():
                    statistics[name].append(metric.statistics(outputs, batch, source))
            for name, metric in self._metrics.items():
                values[f"{split}/{name}"] = metric.result(self._backend.gather(np.concatenate(statistics[name])))
            if split != "train":
                values[f"{split}/num_examples"] = len(source)
        return values
