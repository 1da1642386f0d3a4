"""An evaluation of the real mini data: every example of three splits once, whatever the batch size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.benchmark.workload import load_workload
from algoperf.trial.evaluate import Evaluator
from workloads.datasets.prepare import open_source

# Values that make a mini model cheap, and two batch sizes; the second leaves a last batch that is not full.
EVALUATIONS = {
    "criteo1tb": ({}, (8_192, 5_000)),
    "fastmri": ({"num_channels": 2, "num_pool_layers": 2}, (96, 36)),
    "finewebedu_lm": ({"width": 16, "mlp_dim": 16, "depth": 1}, (256, 200)),
    "imagenet_resnet": ({"width": 4}, (500, 700)),
    "imagenet_vit": ({"width": 24, "mlp_dim": 24, "depth": 1}, (500, 700)),
    "librispeech_conformer": ({"width": 16, "hidden_dim": 16}, (32, 20)),
    "librispeech_deepspeech": ({"width": 16, "recurrent_depth": 1}, (32, 20)),
    "ogbg": ({"latent_dim": 16, "hidden_dims": (16,)}, (256, 200)),
    "wmt": ({"width": 16, "mlp_dim": 16, "depth": 1}, (128, 100)),
}


# JAX compiles the others for longer, twice for each split's last batch.
QUICK_IN_JAX = ("criteo1tb",)
SLOW_IN_PYTORCH = ("librispeech_conformer", "librispeech_deepspeech", "wmt")
NIGHTLY = pytest.mark.nightly("an evaluation in JAX, each workload")
LANDING = pytest.mark.landing("evaluations that take longest")


def left_out(name, framework):
    if framework == "jax":
        return [] if name in QUICK_IN_JAX else [NIGHTLY]
    return [LANDING] if name in SLOW_IN_PYTORCH else []


EVALUATED = [
    pytest.param(name, framework, marks=left_out(name, framework))
    for name in PROTOCOLS["mini"].workloads
    for framework in FRAMEWORKS
]


@pytest.mark.parametrize(("name", "framework"), EVALUATED)
def test_an_evaluation_is_the_same_for_every_batch_size(name, framework, data_dir):
    model, sizes = EVALUATIONS[name]
    workload, backend = load_workload(name, framework, "mini", data_dir, model), load_backend(framework)
    key = backend.prng_key(0)
    params, model_state = backend.place(workload.init_model_fn(key))
    first, second = (Evaluator(workload, backend, size)(params, model_state, key) for size in sizes)
    splits = ("validation", "test") if workload.num_test_examples else ("validation",)
    assert set(first) == {
        *(f"{split}/{metric}" for split in ("train", *splits) for metric in workload.spec.metrics),
        *(f"{split}/num_examples" for split in splits),
    }
    # Some of WMT's pairs are too long.
    assert first["validation/num_examples"] == len(open_source(workload.spec, "validation", data_dir))
    assert all(type(value) in (int, float) for value in first.values())
    for metric, value in first.items():
        # A rank changes where two logits differ by no more than their rounding.
        tolerance = 1e-3 if metric.endswith("mean_average_precision") else 1e-5
        assert value == pytest.approx(second[metric], rel=tolerance), metric


class Numbers:
    """A workload whose loss of an example is its label."""

    def __init__(self, spec, data_dir):
        self.spec, self.data_dir = spec, data_dir

    def forward_for_evaluation(self, params, batch, model_state, rng, wanted):
        del params, model_state, rng, wanted
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
            indices = np.arange(len(source))
            batch = source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)
        assert total == batch["targets"].sum()
