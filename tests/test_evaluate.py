"""An evaluation of the real mini data: every example of three splits once, whatever the batch size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from algoperf.backends import load_backend
from algoperf.evaluate import Evaluator
from algoperf.spec import FRAMEWORKS
from algoperf.workload import load_workload
from workloads.datasets.prepare import open_source


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_example_counts_once_for_any_batch_size(framework, data_dir):
    workload = load_workload("criteo1tb", framework, "mini", data_dir)
    backend = load_backend(framework)
    key = backend.prng_key(0)
    params, model_state = backend.place(workload.init_model_fn(key))
    rows = [Evaluator(workload, backend, size)(params, model_state, key) for size in (5_000, 8_192)]
    assert set(rows[0]) == {
        *(f"{split}/loss" for split in ("train", "validation", "test")),
        *(f"{split}/num_examples" for split in ("validation", "test")),
    }
    assert rows[0]["validation/num_examples"] == workload.num_validation_examples
    assert all(type(value) in (int, float) for value in rows[0].values())
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


class Numbers:
    """A workload whose loss of an example is its label."""

    def __init__(self, spec, data_dir):
        self.spec, self.data_dir = spec, data_dir

    def forward_for_evaluation(self, params, batch, model_state, rng):
        del params, model_state, rng
        per_example = batch["targets"] * batch["weights"]
        return {"per_example": per_example, "n_valid_examples": batch["weights"].sum()}


class OneOfThree:
    """The backend of one of three processes, which keeps the rows that it would send to the others."""

    def __init__(self, rank):
        self.shard = (rank, 3)
        self.sent = []

    def gather(self, rows):
        self.sent.append(rows)
        return rows


def test_the_rows_of_all_processes_are_one_split(data_dir):
    spec = load_workload("criteo1tb", "pytorch", "mini", data_dir).spec
    backends = [OneOfThree(rank) for rank in range(3)]
    for backend in backends:
        Evaluator(Numbers(spec, data_dir), backend, 999)(None, None, None)
    for number, split in enumerate(("eval_train", "validation", "test")):
        source = open_source(spec, split, data_dir)
        total, count = np.concatenate([backend.sent[number] for backend in backends]).sum(axis=0)
        assert count == len(source)
        with ThreadPoolExecutor() as pool:
            batch = source.read(np.arange(len(source)), np.zeros(len(source), int), slice(None), 0, pool)
        assert total == batch["targets"].sum()
