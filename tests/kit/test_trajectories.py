"""Every baseline from the same weights on the same batches: the frameworks agree, and a killed trial goes on."""

import json

import jax
import numpy as np
import pytest

from algoperf.backends.jax import JaxBackend
from algoperf.backends.jax_workload import JaxWorkload
from algoperf.backends.pytorch import PytorchBackend
from algoperf.backends.pytorch_workload import PytorchWorkload
from algoperf.submission import loading
from algoperf.submission.loading import SUBMISSIONS
from algoperf.submission.points import as_hyperparameters
from tests.backends.test_distributed import Recorder
from tests.conftest import REPOSITORY
from tests.support.functional_models import with_floats
from tests.support.nightly import some_first
from tests.support.small_models import small_batch, small_spec, small_tensors
from tests.trial.test_session import run, set_up, without_times

NAMES = sorted(path.parent.name for path in SUBMISSIONS.glob("*/search_space.json"))
STEPS = 4
WORKLOADS = {"jax": JaxWorkload, "pytorch": PytorchWorkload}
BACKENDS = {"jax": JaxBackend, "pytorch": PytorchBackend}
POINT = {"learning_rate": 1e-3, "warmup_factor": 0.0, "label_smoothing": 0.1, "dropout_rate": 0.0, "grad_clip": 0.1}


def point_of(name):
    """The first of the ranges of a search space, and what is the same for all."""
    space = json.loads((SUBMISSIONS / name / "search_space.json").read_text())
    if isinstance(space, list):
        return as_hyperparameters({**space[0], **POINT})
    first = {key: values["min"] if "min" in values else values["feasible_points"][0] for key, values in space.items()}
    return as_hyperparameters({**first, **POINT})


def trajectory(framework, name, monkeypatch):
    """Losses and norms of the gradients of some steps in float64, and the parameters that are evaluated after them.

    Between two steps there is an evaluation.
    """
    loaded = loading.load(loading.find(name, framework))
    workload = WORKLOADS[framework](small_spec("criteo1tb"), REPOSITORY / "data", "v0.6")
    monkeypatch.setattr(f"algoperf.kit.{framework}.LOGGED_EVERY", 1)
    workload.metrics_logger = Recorder()
    backend, hyperparameters = BACKENDS[framework](), point_of(name)
    params, model_state = workload.from_canonical(small_tensors("criteo1tb"))
    if framework == "jax":
        params = jax.tree.map(lambda array: array.astype(np.float64), params)
    else:
        params.double()
    params = backend.place(params)
    state = backend.place(loaded.init_optimizer_state(workload, params, model_state, hyperparameters, None))
    for step in range(STEPS):
        batch = backend.place_batch(with_floats(small_batch("criteo1tb"), np.float64))
        key = backend.prng_key(step)
        arguments = (workload, params, workload.model_params_types, model_state, hyperparameters)
        state, params, model_state = loaded.update_params(*arguments, batch, None, state, [], step, key)
        if step in (1, STEPS - 1):
            arguments = (workload, params, workload.model_params_types, model_state, hyperparameters)
            state, params, model_state = loaded.prepare_for_eval(*arguments, None, state, [], step, key)
    return np.array(workload.metrics_logger.steps), workload.to_canonical(params, model_state)


# What the others compute in PyTorch is by day compared with their equations (test_optimizers.py, test_shampoo.py).
@pytest.mark.parametrize("name", some_first(NAMES, ("muon", "nadamw", "sam"), "trajectories of baselines"))
@pytest.mark.usefixtures("compiled_fast")
def test_the_frameworks_agree(name, monkeypatch):
    with jax.enable_x64(True):
        steps, arrays = trajectory("jax", name, monkeypatch)
    expected_steps, expected_arrays = trajectory("pytorch", name, monkeypatch)
    assert expected_steps[-1, 0] < expected_steps[0, 0]
    np.testing.assert_allclose(steps, expected_steps, rtol=1e-6)
    assert set(arrays) == set(expected_arrays)
    start = small_tensors("criteo1tb")
    for key, expected in expected_arrays.items():
        change = np.linalg.norm(expected - start[key])
        assert np.linalg.norm(arrays[key] - expected) <= 1e-4 * change, key
        assert change > 0


# In JAX the state of every optimizer is a tree of arrays; that of schedule-free AdamW says where the parameters are.
RESUMED = [
    ("schedule_free_adamw", "pytorch"),
    *(
        pytest.param(name, "pytorch", marks=pytest.mark.landing("resumed baselines"))
        for name in ("adafactor", "muon", "sam")
    ),
    pytest.param("schedule_free_adamw", "jax", marks=pytest.mark.nightly("a resumed baseline in JAX")),
]


@pytest.mark.usefixtures("few_evaluated")
@pytest.mark.parametrize(("name", "framework"), RESUMED)
def test_a_resumed_trial_is_the_uninterrupted_one_bit_by_bit(name, framework, tmp_path, data_dir):
    whole = run(set_up(framework, tmp_path / "whole", data_dir, submission=name, max_steps=20))
    assert len(whole) >= 3
    out = tmp_path / "interrupted"
    assert run(set_up(framework, out, data_dir, submission=name, max_steps=20), killed_after=2) is None
    resumed = run(set_up(framework, out, data_dir, submission=name, max_steps=20))
    assert without_times(resumed) == without_times(whole)
