"""The baselines with more than a plain update, on several devices and in several processes: the numbers of one."""

import importlib

import numpy as np
import pytest

from algoperf.backends import load_backend
from algoperf.benchmark.workload import load_workload
from algoperf.submission import loading
from tests.backends.test_distributed import Recorder
from tests.backends.test_distributed_pytorch import rows_of
from tests.kit.test_trajectories import point_of
from tests.support.several_processes import run

NAMES = ("muon", "sam", "schedule_free_adamw")
BATCH_SIZE, STEPS = 24, 3
SMALL = {"vocab_size": 4_096, "embed_dim": 16, "bottom_mlp": (16, 16, 16), "top_mlp": (32, 32, 32)}


def train(framework):
    """Losses, norms of the gradients, and the parameters that are evaluated, by baseline; rows differ in validity."""
    importlib.import_module(f"algoperf.kit.{framework}").LOGGED_EVERY = 1
    backend, results = load_backend(framework), {}
    rng = np.random.default_rng(0)
    batch = {
        "inputs": rng.standard_normal((BATCH_SIZE, 39)).astype(np.float32) ** 2,
        "targets": rng.integers(0, 2, BATCH_SIZE).astype(np.float32),
        "weights": (np.arange(BATCH_SIZE) >= BATCH_SIZE // 3).astype(np.float32),
    }
    for name in NAMES:
        loaded = loading.load(loading.find(name, framework))
        workload = load_workload("criteo1tb", framework, "full", "no data are read", SMALL)
        workload.metrics_logger, point, key = Recorder(), point_of(name), backend.prng_key(0)
        params, model_state = backend.place(workload.init_model_fn(key))
        state = backend.place(loaded.init_optimizer_state(workload, params, model_state, point, key))
        for step in range(STEPS):
            placed = backend.place_batch({key: rows_of(backend, array) for key, array in batch.items()})
            arguments = (workload, params, None, model_state, point, placed, None)
            state, params, model_state = loaded.update_params(*arguments, state, [], step, key)
            arguments = (workload, params, None, model_state, point, None)
            state, params, model_state = loaded.prepare_for_eval(*arguments, state, [], step, key)
        if framework == "jax":
            assert state.step._cache_size() == 1
        results[f"{name}/steps"] = np.array(workload.metrics_logger.steps)
        arrays = workload.to_canonical(params, model_state)
        results |= {f"{name}/arrays/{key}": array for key, array in arrays.items()}
    return results


@pytest.mark.nightly("other numbers of processes and devices")  # by day: backends/test_distributed_pytorch.py
@pytest.mark.parametrize(("framework", "processes", "devices"), [("jax", 1, 4), ("pytorch", 2, 1)])
def test_training_is_that_of_one_device(tmp_path_factory, framework, processes, devices):
    (expected,) = run(train, [framework], 1, tmp_path_factory.mktemp("one"))
    everywhere = run(train, [framework], processes, tmp_path_factory.mktemp("several"), devices)
    for here in everywhere:
        for name, value in expected.items():
            if name.endswith("/steps"):
                np.testing.assert_allclose(here[name], value, rtol=1e-4, err_msg=name)
            else:  # where a gradient is nearly zero, its sign is that of a rounding
                assert np.linalg.norm(here[name] - value) <= 5e-3 * np.linalg.norm(value), name
            np.testing.assert_array_equal(here[name], everywhere[0][name], err_msg=name)
