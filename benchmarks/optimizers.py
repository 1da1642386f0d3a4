"""What does a step of each submission cost beside nadamw's, in seconds and in memory?

    OMP_WAIT_POLICY=PASSIVE python benchmarks/optimizers.py [--sizes SIZE ...] [SUBMISSION ...]

A step is `update_params` where the model costs next to nothing: the loss is the sum of the parameters times numbers
that are drawn anew for each step, and are thus its gradient. The parameters are those of a ViT, at mini scale and one
layer of the full width. All submissions take turns, step by step, each at the first point of its search space. The
first steps are discarded, shampoo preconditions from step 101 on; then come two of the intervals at which it computes
its roots. `step` is the median, `mean` has the costly steps in it, `slowest` is one of those: each divided by nadamw's
median. `bytes` are of the optimizer's state, for each parameter.
"""

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS, Framework
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.benchmark.workload import Workload, load_workload
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters, hyperparameter_points

BASELINE = "nadamw"
NUM_DISCARDED = 101
NUM_TIMED = 40
NUM_BATCHES = 3
SIZES: Mapping[str, Mapping[str, Any]] = {"mini": {"scale": "mini"}, "layer": {"scale": "full", "model": {"depth": 1}}}


class LinearLoss:
    """The workload with a model whose only output is the sum of its parameters times the batch."""

    def __init__(self, workload: Workload):
        self._workload = workload

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workload, name)

    def model_fn(self, params: Any, batch: Mapping[str, Any], model_state: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        leaves = jax.tree.leaves(dict(params.named_parameters()) if self.framework == "pytorch" else params)
        products = (leaf.ravel() @ factor.ravel() for leaf, factor in zip(leaves, batch["inputs"], strict=True))
        return sum(products), model_state

    def loss_fn(self, label_batch: Any, logits_batch: Any, *_: Any) -> dict[str, Any]:
        return {"summed": logits_batch, "n_valid_examples": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", nargs="*", metavar="SUBMISSION", help="all if none is named")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    arguments = parser.parse_args()
    print(f"{'size':8}{'framework':11}{'submission':24}{'step ms':>9}{'step':>8}{'mean':>8}{'slowest':>9}{'bytes':>8}")
    for size, framework in itertools.product(arguments.sizes, FRAMEWORKS):
        report(size, framework, arguments.submissions)


def report(size: str, framework: Framework, wanted: list[str]) -> None:
    known = sorted(path.parent.name for path in loading.SUBMISSIONS.glob(f"*/{framework}.py"))
    names = [BASELINE, *(name for name in wanted or known if name != BASELINE)]
    workload = LinearLoss(load_workload("imagenet_vit", framework, **SIZES[size]))
    made = {name: training_step(workload, name) for name in names}
    batches = itertools.cycle(random_batches(workload))
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(NUM_DISCARDED + NUM_TIMED):
        batch = next(batches)
        for name, (step, _) in made.items():
            start = time.perf_counter()
            step(batch)
            times[name].append(time.perf_counter() - start)
    unit = statistics.median(times[BASELINE][NUM_DISCARDED:])
    for name, (_, state_bytes) in made.items():
        timed = times[name][NUM_DISCARDED:]
        median = statistics.median(timed)
        print(
            f"{size:8}{framework:11}{name:24}{1e3 * median:9.2f}{median / unit:8.2f}"
            f"{statistics.mean(timed) / unit:8.2f}{max(timed) / unit:9.1f}{state_bytes():8.1f}",
            flush=True,
        )


def shapes(workload: LinearLoss) -> list[tuple[int, ...]]:
    leaves = jax.tree.leaves(workload.param_shapes, is_leaf=lambda leaf: hasattr(leaf, "shape_tuple"))
    return [leaf.shape_tuple for leaf in leaves]


def random_batches(workload: LinearLoss) -> list[dict[str, Any]]:
    random, place = np.random.default_rng(0), {"jax": jax.numpy.asarray, "pytorch": torch.from_numpy}
    return [
        {
            "inputs": [
                place[workload.framework](random.standard_normal(shape, dtype=np.float32)) for shape in shapes(workload)
            ],
            "targets": np.zeros(1, np.float32),
        }
        for _ in range(NUM_BATCHES)
    ]


def training_step(workload: LinearLoss, name: str) -> tuple[Callable[[Any], None], Callable[[], float]]:
    """A step of the submission on a batch, and what its optimizer's state takes, in bytes for each parameter."""
    path = loading.find(name, workload.framework)
    functions = loading.load(path)
    point = hyperparameter_points(path, PROTOCOLS["v0.6"], "external", workload.name)[0]
    hyperparameters = as_hyperparameters(point)
    backend = load_backend(workload.framework)
    key = backend.prng_key(0)
    params, model_state = backend.place(workload.init_model_fn(key))
    state = backend.place(functions.init_optimizer_state(workload, params, model_state, hyperparameters, key))
    types = workload.model_params_types

    def step(batch: Any) -> None:
        nonlocal state, params, model_state
        state, params, model_state = functions.update_params(
            workload, params, types, model_state, hyperparameters, batch, workload.loss_type, state, [], 1, key
        )
        backend.synchronize()

    def state_bytes() -> float:
        return num_bytes(backend.export(state)) / sum(map(math.prod, shapes(workload)))

    return step, state_bytes


def num_bytes(exported: Any) -> int:
    match exported:
        case np.ndarray():
            return exported.nbytes
        case Mapping():
            return sum(map(num_bytes, exported.values()))
        case list() | tuple():
            return sum(map(num_bytes, exported))
    return 0


if __name__ == "__main__":
    main()
