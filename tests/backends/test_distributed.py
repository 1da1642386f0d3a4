"""Several devices and several processes give the numbers of one device, in both frameworks."""

import dataclasses
import functools
import importlib
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.workload import load_workload
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters
from algoperf.trial.evaluate import Evaluator
from algoperf.trial.input_queue import InputQueue
from tests.conftest import REPOSITORY
from tests.support.patience import PATIENCE
from tests.support.several_processes import run, start, stop
from workloads.datasets.prepare import open_source

CRITEO, RESNET = "criteo1tb", "imagenet_resnet_silu"

SEED = 3
STEPS = 4
BATCH_SIZES = {CRITEO: 512, RESNET: 32}
EVAL_BATCH_SIZES = {CRITEO: 4_096, RESNET: 304}  # of which no split is a multiple: last batches are padded
DATA = {CRITEO: {}, RESNET: {"image_size": 16}}
POINT = {
    **{"learning_rate": 1e-3, "warmup_factor": 0.0, "one_minus_beta1": 0.1, "beta2": 0.999, "weight_decay": 0.01},
    **{"grad_clip": 1.0, "label_smoothing": 0.1},
}
# JAX draws one mask for the global batch; in PyTorch each process draws its own, as it has to.
DROPOUT_RATES = {"jax": 0.1, "pytorch": 0.0}


class Recorder:
    """A metrics logger that keeps what it is given."""

    def __init__(self):
        self.steps = []

    def append_scalar_metrics(self, metrics, step):
        self.steps.append([float(metrics["loss"]), float(metrics["grad_norm"])])


def train(framework, name):
    """Steps of NAdamW on the real data and an evaluation of all splits, as in the loop of a trial.

    Halfway the state is exported, and restored over a fresh one, as when a trial goes on from a checkpoint.
    """
    importlib.import_module(f"algoperf.kit.{framework}").LOGGED_EVERY = 1
    backend = load_backend(framework)
    nadamw = loading.load(loading.find("nadamw", framework))
    point = as_hyperparameters({**POINT, "dropout_rate": DROPOUT_RATES[framework]})
    key = backend.prng_key(SEED)
    workload = load_workload(name, framework, "mini", REPOSITORY / "data")
    workload.spec = dataclasses.replace(workload.spec, data={**workload.spec.data, **DATA[name]})
    workload.metrics_logger = Recorder()
    state = fresh_state(backend, workload, nadamw, point, key)
    source = open_source(workload.spec, "train", workload.data_dir)
    queue = InputQueue(source, BATCH_SIZES[name], SEED, backend.place_batch, shard=backend.shard)
    for step in range(STEPS):
        if step == STEPS // 2:
            exported = [backend.export(part) for part in state]
            template = fresh_state(backend, workload, nadamw, point, backend.prng_key(SEED + 1))
            state = [backend.restore(*pair) for pair in zip(template, exported, strict=True)]
        _, rng, _, eval_rng = backend.step_keys(key, step)
        optimizer_state, params, model_state = state
        arguments = (workload, params, workload.model_params_types, model_state, point, next(queue), None)
        state = nadamw.update_params(*arguments, optimizer_state, [], step, rng)
    queue.close()
    _, params, model_state = state
    backend.synchronize()
    assert backend.all_finite(params)
    evaluation = Evaluator(workload, backend, EVAL_BATCH_SIZES[name])(params, model_state, eval_rng)
    return {
        "steps": np.array(workload.metrics_logger.steps),
        "exported": np.array(sorted(backend.export(params))),
        **{f"evaluation/{key}": value for key, value in evaluation.items()},
        **{f"arrays/{key}": array for key, array in workload.to_canonical(params, model_state).items()},
    }


def fresh_state(backend, workload, nadamw, point, key):
    params, model_state = backend.place(workload.init_model_fn(key))
    optimizer_state = nadamw.init_optimizer_state(workload, params, model_state, point, key)
    return backend.place(optimizer_state), params, model_state


@pytest.fixture(scope="module")
def single(tmp_path_factory, data_dir):
    """What one process on one device gives, by framework and workload."""
    return functools.cache(lambda *of: run(train, [*of], 1, tmp_path_factory.mktemp("single"))[0])


LANDING = pytest.mark.landing("training by several processes")
NIGHTLY = pytest.mark.nightly("other numbers of processes and devices")


@pytest.mark.parametrize(
    ("framework", "processes", "devices", "workload"),
    [
        pytest.param("jax", 1, 8, CRITEO, marks=NIGHTLY),
        pytest.param("jax", 2, 2, CRITEO, marks=LANDING),
        pytest.param("pytorch", 2, 1, RESNET, marks=LANDING),
        pytest.param("pytorch", 2, 1, CRITEO, marks=NIGHTLY),
        pytest.param("pytorch", 4, 1, RESNET, marks=NIGHTLY),
    ],
)
def test_training_and_evaluation_are_those_of_one_device(single, tmp_path, framework, processes, devices, workload):
    everywhere = run(train, [framework, workload], processes, tmp_path, devices)
    expected = single(framework, workload)
    assert set(everywhere[0]) == set(expected)
    for here in everywhere[1:]:
        for name, value in here.items():
            np.testing.assert_array_equal(value, everywhere[0][name], err_msg=name)
    for name, value in everywhere[0].items():
        if name == "exported":  # a checkpoint has the same names
            np.testing.assert_array_equal(value, expected[name])
        elif name == "steps" or name.endswith("loss"):  # float32 sums in another order: 1e-7 to 1e-6
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
        elif name.startswith("evaluation/"):  # how many are right may depend on a tie
            assert value == pytest.approx(expected[name], abs=2e-3), name
        elif name.endswith(("running_mean", "running_var")):
            assert relative_error(value, expected[name]) < 1e-3, name
        else:  # where a gradient is nearly zero, NAdamW divides rounding by rounding
            assert relative_error(value, expected[name]) < 2e-2, name


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def talk(framework):
    """What the processes say to each other; every number has more digits than float32 holds."""
    backend = load_backend(framework)
    rank, world_size = backend.shard
    rows = np.arange(2.0 * rank).reshape(rank, 2) / 3 + rank
    return {
        "from_first": backend.from_first((1e9 + 1 / 3 + rank, float(rank))),
        "gathered": backend.gather(rows),
        "shard": (rank, world_size),
        "num_devices": backend.num_devices,
        "count": backend.accelerator()["count"],
    }


@pytest.mark.parametrize(("framework", "devices"), [pytest.param("jax", 2, marks=LANDING), ("pytorch", 1)])
def test_processes_hear_each_other_exactly(tmp_path, framework, devices):
    everywhere = run(talk, [framework], 3, tmp_path, devices)
    for rank, here in enumerate(everywhere):
        assert here["shard"].tolist() == [rank, 3]
        assert here["num_devices"] == here["count"] == 3 * devices
        assert here["from_first"].tolist() == [1e9 + 1 / 3, 0.0]
        # The first process has no rows, the second one and the third two.
        assert here["gathered"].tolist() == [[1.0, 1 + 1 / 3], [2.0, 2 + 1 / 3], [2 + 2 / 3, 3.0]]


def decide_behind_work(framework):
    """Whether the processes have agreed before their devices have done what they were given."""
    backend = load_backend(framework)
    compute = jax.jit(lambda x: jax.lax.fori_loop(0, 400, lambda _, y: y @ y * 1e-3, x))
    array = jnp.ones((400, 400))
    compute(array).block_until_ready()
    backend.synchronize()
    queued = compute(array)
    said = [backend.from_first((float(step + backend.shard[0]),))[0] for step in range(5)]
    is_ahead = not queued.is_ready()
    backend.synchronize()
    return {"said": said, "is_ahead": is_ahead, "again": backend.from_first((7.0,))}


def test_jax_processes_decide_without_their_devices(tmp_path):
    for here in run(decide_behind_work, ["jax"], 2, tmp_path, 1):
        assert here["said"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert here["is_ahead"]
        assert here["again"].tolist() == [7.0]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_process_alone_hears_itself(framework):
    backend = load_backend(framework)
    assert backend.from_first((1e9 + 1 / 3, 0.0)) == (1e9 + 1 / 3, 0.0)
    rows = np.arange(6.0).reshape(3, 2) / 3
    np.testing.assert_array_equal(backend.gather(rows), rows)
    assert backend.gather(rows[:0]).shape == (0, 2)


def lose_a_peer(framework):
    """The second process dies; the first ends with 0 where it takes that for a failure of the infrastructure.

    Before that both have gathered: JAX raises another error where what fails has been compiled and called already.
    """
    backend = load_backend(framework)
    for _ in range(3):
        backend.gather(np.zeros((1, 1)))
    backend.synchronize()
    if backend.shard[0] == 1:
        os._exit(9)
    try:
        while True:
            backend.gather(np.zeros((1, 1)))
    except Exception as error:
        print(type(error), error, flush=True)
        # Not an ordinary end, for which JAX would wait for the other process.
        os._exit(0 if backend.is_infrastructure_error(error) else 1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_lost_process_is_a_failure_of_the_infrastructure(tmp_path, framework):
    started = start(lose_a_peer, [framework], 2, 1, tmp_path)
    try:
        for rank, code in ((1, 9), (0, 0)):
            started[rank].join(PATIENCE)
            assert started[rank].exitcode == code, (tmp_path / f"log_{rank}").read_text()
    finally:
        stop(started)
