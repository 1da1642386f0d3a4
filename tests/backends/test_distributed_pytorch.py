"""What only PyTorch has to do where several processes share the work: gradients, batch normalisation, random states."""

import dataclasses
import functools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed.nn as dist_nn
from torch.distributed.tensor.debug import CommDebugMode

from algoperf.backends import load_backend
from algoperf.benchmark.facts import ForwardPassMode
from algoperf.benchmark.workload import load_workload
from algoperf.kit.pytorch import TorchSubmission
from algoperf.pytorch_utils import pytorch_setup
from tests.support.several_processes import run
from workloads.layers import speech_pytorch
from workloads.layers.context import ForwardContext
from workloads.layers.pytorch import BatchNorm

BATCH_SIZE = 24
TRAIN = ForwardContext(train=True, update_batch_norm=True, use_running_average=False)


def rows_of(backend, array):
    """This process's share of a global batch."""
    rank, world_size = backend.shard
    return np.array_split(array, world_size)[rank]


def batch_of(backend):
    """This process's rows of a batch whose first third is not valid: of four processes, the first has no valid one."""
    rng = np.random.default_rng(0)
    batch = {
        "inputs": rng.standard_normal((BATCH_SIZE, 39)).astype(np.float32) ** 2,
        "targets": rng.integers(0, 2, BATCH_SIZE).astype(np.float32),
        "weights": (np.arange(BATCH_SIZE) >= BATCH_SIZE // 3).astype(np.float32),
    }
    return backend.place_batch({name: rows_of(backend, array) for name, array in batch.items()})


class Seen(torch.optim.SGD):
    """Keeps the gradients that it is given, as the kit frees them after its step."""

    def step(self, closure=None):
        del closure
        self.gradients = [parameter.grad.clone() for parameter in self.param_groups[0]["params"]]


def kits_update(workload, model, batch):
    submission = TorchSubmission(lambda model, *_: (Seen(model.parameters(), lr=0.0), lambda step: 1.0), {})
    hyperparameters = SimpleNamespace(_asdict=dict)
    state = submission.init_optimizer_state(workload, model, None, hyperparameters, None)
    submission.update_params(workload, model, None, None, hyperparameters, batch, None, state, [], 1, None)
    assert all(parameter.grad is None for parameter in model.parameters())
    return state["optimizers"][0].gradients


def published_update(workload, model, batch):
    """As the published submissions of AlgoPerf v0.5 have it."""
    use_ddp, *_ = pytorch_setup()
    logits, _ = workload.model_fn(model, batch, None, ForwardPassMode.TRAIN, None, update_batch_norm=True)
    loss = workload.loss_fn(batch["targets"], logits, batch["weights"])
    summed, n_valid = loss["summed"], loss["n_valid_examples"]
    if use_ddp:
        summed, n_valid = dist_nn.all_reduce(summed), dist_nn.all_reduce(n_valid)
    model.zero_grad()
    (summed / n_valid).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def gradients():
    """The gradients by either update, by parameter."""
    backend = load_backend("pytorch")
    workload = load_workload("criteo1tb", "pytorch", "mini", "no data are read")
    model, _ = workload.init_model_fn(backend.prng_key(0))
    results = {}
    for update in (kits_update, published_update):
        found = update(workload, model, batch_of(backend))
        for (name, _), gradient in zip(model.named_parameters(), found, strict=True):
            results[f"{update.__name__}/{name.removeprefix('module.')}"] = gradient.numpy()
    return results


def batch_norm():
    """Of images with a mean far from zero: the output, the gradient of the input, and the running statistics."""
    backend = load_backend("pytorch")
    images = 3 + 2 * np.random.default_rng(0).standard_normal((8, 5, 4, 4), np.float32)
    layer = BatchNorm(5)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1, 6))
        layer.bias.copy_(torch.arange(5))
    x = torch.tensor(rows_of(backend, images), requires_grad=True)
    kept_for_the_gradient = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept_for_the_gradient.append(t.numel()) or t, lambda t: t):
        y = layer(x, TRAIN)
    (y * x.detach() ** 2).sum().backward()
    assert sum(numel == x.numel() for numel in kept_for_the_gradient) == 1
    with torch.no_grad():
        kept = layer(x, dataclasses.replace(TRAIN, update_batch_norm=False))
        half = layer(x.bfloat16(), dataclasses.replace(TRAIN, update_batch_norm=False))
    assert torch.equal(kept, y)
    assert half.dtype == torch.bfloat16
    return {
        **{"y": y.detach().numpy(), "half": half.float().numpy(), "gradient": x.grad.numpy()},
        **{"mean": layer.running_mean.numpy(), "var": layer.running_var.numpy()},
        **{"of_weight": layer.weight.grad.numpy(), "of_bias": layer.bias.grad.numpy()},
    }


def speech_batch_norm():
    """The same of frames, of which the first example has none, and the number of collectives there and back."""
    backend = load_backend("pytorch")
    random = np.random.default_rng(0)
    frames = 30 + 2 * random.standard_normal((8, 6, 5), np.float32)
    paddings = (np.arange(6) >= np.array([0, 6, 3, 1, 5, 2, 6, 4])[:, None]).astype(np.float32)
    layer = speech_pytorch.BatchNorm(5)
    x = torch.tensor(rows_of(backend, frames), requires_grad=True)
    with CommDebugMode() as counted:
        y = layer(x, torch.tensor(rows_of(backend, paddings)), TRAIN)
        (y * (x.detach() - 30) ** 2).sum().backward()
    assert counted.get_total_counts() == (0 if backend.num_devices == 1 else 2)
    return {
        **{"y": y.detach().numpy(), "gradient": x.grad.numpy()},
        **{"mean": layer.running_mean.numpy(), "var": layer.running_var.numpy()},
    }


def draw():
    return [random.random(), np.random.rand(), torch.rand(()).item()]


def random_states():
    """What the generators give after the seed, after the states are exported, and after they are restored."""
    backend = load_backend("pytorch")
    backend.seed(5)
    after_seed = draw()
    workload = load_workload("criteo1tb", "pytorch", "mini", "no data are read")
    workload.init_model_fn(backend.prng_key(0))
    states = backend.export_random_state()
    after_export = draw()
    backend.restore_random_state(states)
    after_restore = draw()
    return {"after_seed": after_seed, "after_export": after_export, "after_restore": after_restore}


def everything():
    tasks = (gradients, batch_norm, speech_batch_norm, random_states)
    return {f"{task.__name__}:{name}": value for task in tasks for name, value in task().items()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """By the number of processes, what each of them gives."""

    @functools.cache
    def of(count):
        return run(everything, [], count, tmp_path_factory.mktemp("outcomes"))

    return of


PROCESSES = [2, pytest.param(4, marks=pytest.mark.nightly("other numbers of processes and devices"))]


@pytest.mark.parametrize("processes", PROCESSES)
def test_the_kit_and_published_submissions_have_the_gradient_of_one_process(outcomes, processes):
    (expected,) = outcomes(1)
    names = [name for name in expected if name.startswith("gradients:kits_update")]
    assert names
    for name in names:
        np.testing.assert_allclose(expected[name.replace("kits", "published")], expected[name], rtol=1e-6)
        for here in outcomes(processes):
            for found in (here[name], here[name.replace("kits", "published")]):
                np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("processes", PROCESSES)
def test_batch_normalisation_is_that_of_the_global_batch(outcomes, processes):
    (expected,) = outcomes(1)
    for name in ("y", "half", "gradient"):
        found = np.concatenate([here[f"batch_norm:{name}"] for here in outcomes(processes)])
        tolerance = 2e-2 if name == "half" else 1e-5
        np.testing.assert_allclose(found, expected[f"batch_norm:{name}"], rtol=tolerance, atol=tolerance)
    for here in outcomes(processes):
        for name in ("batch_norm:mean", "batch_norm:var"):
            np.testing.assert_allclose(here[name], expected[name], rtol=1e-5)
    for name in ("batch_norm:of_weight", "batch_norm:of_bias"):  # each process has its share of them
        found = sum(here[name] for here in outcomes(processes))
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("processes", PROCESSES)
def test_batch_normalisation_of_frames_is_that_of_all_valid_ones(outcomes, processes):
    (expected,) = outcomes(1)
    for name in ("y", "gradient"):
        found = np.concatenate([here[f"speech_batch_norm:{name}"] for here in outcomes(processes)])
        np.testing.assert_allclose(found, expected[f"speech_batch_norm:{name}"], rtol=1e-4, atol=1e-4)
    for here in outcomes(processes):
        for name in ("speech_batch_norm:mean", "speech_batch_norm:var"):
            np.testing.assert_allclose(here[name], expected[name], rtol=1e-5)


def test_processes_draw_differently_the_first_as_if_alone_and_go_on_bit_by_bit(outcomes):
    (alone,) = outcomes(1)
    together = outcomes(2)
    for name in ("after_seed", "after_export"):
        drawn = np.array([here[f"random_states:{name}"] for here in together])
        assert len(np.unique(drawn)) == drawn.size
        np.testing.assert_array_equal(drawn[0], alone[f"random_states:{name}"])
    for here in together:
        np.testing.assert_array_equal(here["random_states:after_restore"], here["random_states:after_export"])


def test_one_process_under_torchrun_is_joined_like_several(tmp_path, monkeypatch):
    """Published submissions call collectives whenever LOCAL_RANK is set."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "0")
    (here,) = run(everything, [], 1, tmp_path)
    assert here["gradients:published_update/head.bias"].shape == (1,)
