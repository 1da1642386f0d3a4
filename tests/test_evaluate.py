"""An evaluation of the real mini data: every example of three splits once, whatever the batch size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from algoperf.backends import load_backend
from algoperf.evaluate import Evaluator
from algoperf.protocol import PROTOCOLS
from algoperf.spec import FRAMEWORKS
from algoperf.workload import load_workload
from workloads.datasets.prepare import open_source

# Values that make a mini model cheap, and two batch sizes; the second leaves a last batch that is not full.
EVALUATIONS = {
    "criteo1tb": ({}, (8_192, 5_000)),
    "fastmri": ({"num_channels": 2, "num_pool_layers": 2}, (96, 36)),
    "imagenet_resnet": ({"width": 4}, (500, 700)),
    "imagenet_vit": ({"width": 24, "mlp_dim": 24, "depth": 1}, (500, 700)),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", PROTOCOLS["mini"].workloads)
def test_an_evaluation_is_the_same_for_every_batch_size(name, framework, data_dir):
    model, sizes = EVALUATIONS[name]
    workload, backend = load_workload(name, framework, "mini", data_dir, model), load_backend(framework)
    key = backend.prng_key(0)
    params, model_state = backend.place(workload.init_model_fn(key))
    first, second = (Evaluator(workload, backend, size)(params, model_state, key) for size in sizes)
    assert set(first) == {
        *(f"{split}/{metric}" for split in ("train", "validation", "test") for metric in workload.spec.metrics),
        *(f"{split}/num_examples" for split in ("validation", "test")),
    }
    assert first["validation/num_examples"] == workload.num_validation_examples
    assert all(type(value) in (int, float) for value in first.values())
    assert first == pytest.approx(second, rel=1e-5)


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
