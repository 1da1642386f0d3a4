"""What the core asks of a framework: keys, finite parameters, and state that comes back from plain data."""

import errno
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.kit.optimizers_pytorch import NAdamW
from algoperf.records import checkpoint
from tests.conftest import REPOSITORY

REFERENCE = json.loads((REPOSITORY / "tests" / "data" / "reference_values.json").read_text())


@pytest.fixture(params=FRAMEWORKS)
def backend(request):
    return load_backend(request.param)


def through_a_file(folder, exported):
    """What a checkpoint makes of it."""
    checkpoint.save(folder, 1, {"state": exported})
    return checkpoint.restore_latest(folder)[0]["state"]


def test_pytorch_keys_are_the_official_ones():
    backend, expected = load_backend("pytorch"), REFERENCE["np_prng"]
    key = backend.prng_key(42)
    assert key.tolist() == expected["PRNGKey(42)"]
    assert backend.split(key, 2).tolist() == expected["split(.,2)"]
    assert backend.split(key, 4).tolist() == expected["split4"]
    *_, rng = backend.split(key, 4)
    assert [key.tolist() for key in backend.step_keys(rng, 0)] == expected["step0"]


def test_jax_keys_are_the_official_ones():
    backend = load_backend("jax")
    rng = backend.prng_key(3)
    expected = jax.random.split(jax.random.fold_in(rng, 7), 4)
    assert [key.tolist() for key in backend.step_keys(rng, 7)] == expected.tolist()


def test_the_keys_of_a_trial_differ(backend):
    *keys, rng = backend.split(backend.prng_key(3), 4)
    keys += [key for step in range(5) for key in backend.step_keys(rng, step)]
    assert len({tuple(np.asarray(key).tolist()) for key in keys}) == len(keys)


def test_the_machine_is_described(backend):
    accelerator = backend.accelerator()
    assert set(accelerator) == {"kind", "name", "count", "memory_gib"}
    assert accelerator["count"] == backend.num_devices >= 1
    json.dumps(accelerator)


def test_finite_parameters_are_told_from_others():
    model = torch.nn.Linear(2, 2)
    assert load_backend("pytorch").all_finite(model)
    model.bias.data[0] = torch.nan
    assert not load_backend("pytorch").all_finite(model)
    assert load_backend("jax").all_finite({"a": jnp.ones(3)})
    assert not load_backend("jax").all_finite({"a": jnp.ones(3), "b": jnp.array([1.0, jnp.inf])})


def test_running_out_of_memory_is_told_from_other_errors(backend):
    assert backend.is_out_of_memory(MemoryError())
    assert backend.is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not backend.is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_pytorch_really_out_of_memory():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert load_backend("pytorch").is_out_of_memory(error.value)


def test_jax_really_out_of_memory():
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jax.block_until_ready(jnp.zeros((2**23, 2**22)))
    assert load_backend("jax").is_out_of_memory(error.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: unspecified launch failure"),
        torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:1, remote process exited"),
        torch.distributed.DistNetworkError("The client socket has timed out after 1800s"),
        RuntimeError("Found no NVIDIA driver on your system."),
        RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [::1]:1"),
        jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered"),
        jax.errors.JaxRuntimeError("INTERNAL: NCCL operation ncclGroupEnd() failed: unhandled system error"),
        jax.errors.JaxRuntimeError("UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats)"),
        ValueError("UNKNOWN: Gloo AllGather failed: [gloo/transport/tcp/pair.cc:7] Connection closed by peer [::1]:1"),
    ],
)
def test_a_failing_device_or_network_is_a_failure_of_the_infrastructure(error):
    is_jaxs = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
    backend = load_backend("jax" if is_jaxs else "pytorch")
    assert backend.is_infrastructure_error(error)
    assert not backend.is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "is_out_of_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), False),
        (ValueError("NCCL"), False),
        (ValueError("RESOURCE_EXHAUSTED: Underlying backend ran out of memory trying to instantiate a graph"), True),
        (ValueError("INTERNAL: of the submission's own"), False),
        (jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ASSERT: device-side assert triggered"), False),
        (jax.errors.JaxRuntimeError("INVALID_ARGUMENT: Argument does not match host shape"), False),
    ],
)
def test_what_a_submission_asks_too_much_of_a_device_is_its_own_fault(error, is_out_of_memory):
    is_jaxs = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
    backend = load_backend("jax" if is_jaxs else "pytorch")
    assert not backend.is_infrastructure_error(error)
    assert backend.is_out_of_memory(error) == is_out_of_memory


def heavy():
    """A function whose result takes a while after it has been asked for, and an argument of it."""
    compute = jax.jit(lambda x: jax.lax.fori_loop(0, 60, lambda _, y: y @ y * 1e-3, x))
    array = jnp.ones((500, 500))
    compute(array).block_until_ready()
    return compute, array


@pytest.mark.parametrize("kept", ["in a closure", "nowhere", "in another thread"])
def test_jax_waits_for_work_wherever_its_results_are(kept):
    backend, done, (compute, array) = load_backend("jax"), [], heavy()
    backend.synchronize()
    note = jax.jit(lambda x: jax.debug.callback(lambda _: done.append(1), compute(x)[0, 0]))
    if kept == "in a closure":
        result = compute(array)
        backend.synchronize(jnp.ones(3))
        assert result.is_ready()
    elif kept == "in another thread":
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(compute, array).result()
        backend.synchronize()
        assert result.is_ready()
    else:
        note(array)  # all that is left of it is its effect
        backend.synchronize()
        assert done == [1]


def test_jax_waits_for_what_was_dropped():
    """A processor that has nothing left to do uses no more time."""
    backend, (compute, array) = load_backend("jax"), heavy()
    backend.synchronize()
    compute(array)
    backend.synchronize()
    before = time.process_time()
    time.sleep(0.1)
    assert time.process_time() - before < 0.03


def test_deleted_arrays_are_not_waited_for():
    backend, array = load_backend("jax"), jnp.ones(3) + 1
    array.delete()
    backend.synchronize()


def test_hooks_of_a_submission_do_not_change_what_is_evaluated():
    backend = load_backend("pytorch")
    model, batch = torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.ones(1, 2)
    expected, calls = model(batch), []
    model.register_forward_hook(lambda module, inputs, output: 0 * output)
    model[0].register_forward_pre_hook(lambda module, inputs: calls.append(1))
    assert backend.hooks(model) == ["forward_hooks on the module ''", "forward_pre_hooks on the module '0'"]
    with backend.evaluating(model):
        assert torch.equal(model(batch), expected)
    assert calls == []
    assert not model(batch).any()
    assert calls == [1]


def test_changed_values_are_told_from_equal_ones():
    model = torch.nn.BatchNorm1d(3)
    is_changed = load_backend("pytorch").remember(model)
    assert not is_changed()
    model.weight.data.mul_(1.0)
    assert not is_changed()
    model.running_mean += 1e-6
    assert is_changed()


def test_placed_state_looks_like_a_steps_output():
    backend = load_backend("jax")
    tree = {"weak": jnp.full(3, 1.0), "strong": jnp.zeros(2, jnp.int32), "function": len, "number": 3}
    assert tree["weak"].weak_type
    placed = backend.place(tree)
    assert not placed["weak"].weak_type
    assert placed["function"] is len
    assert placed["number"] == 3
    step = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree))
    arrays = {name: placed[name] for name in ("weak", "strong")}
    for _ in range(3):
        arrays = step(arrays)
    assert step._cache_size() == 1


def test_jax_state_comes_back(tmp_path):
    backend = load_backend("jax")
    params = {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b": jnp.arange(3, dtype=jnp.bfloat16)}
    state = (optax.adam(0.1).init(params), len, {"key": jax.random.key(5), "count": 4, "flag": True, "none": None})
    restored = backend.restore(state, through_a_file(tmp_path, backend.export(state)))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
        if isinstance(before, jax.Array):
            assert before.dtype == after.dtype
            assert (before == after).all()
        else:
            assert before == after


def test_jax_state_is_restored_over_a_donated_template(tmp_path):
    backend = load_backend("jax")
    template = backend.place({"a": jnp.ones(3)})
    exported = through_a_file(tmp_path, backend.export(template))
    jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)(template)
    assert template["a"].is_deleted()
    assert backend.restore(template, exported)["a"].tolist() == [1, 1, 1]


def test_a_snapshot_is_what_an_array_was(backend):
    if type(backend).__name__ == "JaxBackend":
        array = jnp.ones(())
        taken = backend.snapshot(array)
        jax.jit(lambda x: x + 1, donate_argnums=0)(array)
        assert array.is_deleted()
    else:
        array = torch.ones(())
        taken = backend.snapshot(array)
        array += 1
    assert float(taken) == 1
    assert backend.snapshot(1.0) is backend.snapshot(np.ones(())) is None


def steps(model, optimizer, scheduler, count):
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()


def pytorch_state(optimizer_class):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4, momentum=None), torch.nn.Linear(4, 1))
    model.eval()
    optimizer = optimizer_class(model.parameters())
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [2])
    extra = {
        "ema": torch.ones(2, dtype=torch.bfloat16),
        "count": 3,
        "names": ["a", ("b", 1)],
        "hook": len,
        "none": None,
    }
    return model, {"optimizer": optimizer, "scheduler": scheduler, "pair": [optimizer], **extra}


@pytest.mark.parametrize(
    "optimizer_class",
    [
        torch.optim.AdamW,
        lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
        lambda params: NAdamW(params, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    ],
    ids=["adamw", "sgd", "nadamw"],
)
def test_pytorch_state_comes_back_and_training_goes_on_bit_by_bit(tmp_path, optimizer_class):
    backend = load_backend("pytorch")
    model, state = pytorch_state(optimizer_class)
    steps(model, state["optimizer"], state["scheduler"], 5)
    state["count"] = 17
    exported = through_a_file(tmp_path, {"params": backend.export(model), "state": backend.export(state)})
    steps(model, state["optimizer"], state["scheduler"], 5)
    other_model, other_state = pytorch_state(optimizer_class)
    steps(other_model, other_state["optimizer"], other_state["scheduler"], 1)
    assert backend.restore(other_model, exported["params"]) is other_model
    other_state = backend.restore(other_state, exported["state"])
    assert other_state["count"] == 17
    assert other_state["names"] == ["a", ("b", 1)]
    assert other_state["hook"] is len
    assert other_state["ema"].dtype == torch.bfloat16
    steps(other_model, other_state["optimizer"], other_state["scheduler"], 5)
    for before, after in zip(model.parameters(), other_model.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_random_states_that_have_no_owner_come_back(backend, tmp_path):
    def draw():
        return [random.random(), *np.random.rand(2).tolist(), *torch.rand(2).tolist()]

    backend.seed(7)
    exported = through_a_file(tmp_path, backend.export_random_state())
    drawn = draw()
    backend.restore_random_state(exported)
    number = 5 if type(backend).__name__ == "PytorchBackend" else 3
    assert draw()[:number] == drawn[:number]
    backend.seed(7)
    assert draw()[:number] == drawn[:number]


def test_images_have_channels_second_in_pytorch_and_last_in_jax(backend):
    batch = {"inputs": np.zeros((4, 8, 8, 3), np.float32), "targets": np.arange(4)}
    shape = tuple(backend.place_batch(batch)["inputs"].shape)
    assert shape in {(4, 8, 8, 3), (4, 3, 8, 8)}
    assert (shape == (4, 3, 8, 8)) == (type(backend).__name__ == "PytorchBackend")
