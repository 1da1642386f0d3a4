"""What `torch.compile` makes of a model is the model: the same names, the same numbers, evaluated as it was written."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import ForwardPassMode, FrameworkSettings
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import make_workload

SETTINGS = FrameworkSettings(torch_compile=True, cudnn_benchmark=False)


def made(spec):
    workload = make_workload(spec, "pytorch", "no data are read")
    model, _ = workload.init_model_fn(load_backend("pytorch").prng_key(0))
    return workload, model


@pytest.mark.nightly("what PyTorch's compiler makes of a model")
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles for CPUs with g++, which is not here")
def test_a_compiled_model_computes_what_it_did():
    spec = load_spec("criteo1tb", "mini")
    random = np.random.default_rng(0)
    batch = {"inputs": torch.tensor(random.random((8, 39), np.float32) * 9), "targets": torch.ones(8)}
    results = []
    for of in (spec, SETTINGS.applied(spec)):
        workload, model = made(of)
        logits, _ = workload.model_fn(model, batch, None, ForwardPassMode.TRAIN, None, True, dropout_rate=0.0)
        workload.loss_fn(batch["targets"], logits)["summed"].backward()
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        evaluated, _ = workload.model_fn(model, batch, None, ForwardPassMode.EVAL, None, False)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
        assert workload.framework_settings() == {"torch_compile": of is not spec}
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append((logits.detach(), evaluated, gradients))
    assert before == 1
    (logits, evaluated, gradients), found = results
    torch.testing.assert_close(found[0], logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], evaluated)
    assert list(found[2]) == list(gradients)
    for name, expected in gradients.items():
        torch.testing.assert_close(found[2][name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_a_workload_says_how_the_framework_computes():
    backend, before = load_backend("pytorch"), torch.backends.cudnn.benchmark
    try:
        backend.configure(SETTINGS.applied(load_spec("wmt", "mini")))
        assert torch.backends.cudnn.benchmark is False
        backend.configure(dataclasses.replace(load_spec("wmt", "mini"), tf32=True))
        assert torch.backends.cudnn.benchmark is True
        assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "tf32"
        backend.configure(FrameworkSettings(tf32=False).applied(load_spec("wmt", "mini")))
        assert "tf32" not in (torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision)
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = before, True
    assert not backend.is_compiled(load_spec("wmt", "full"))  # on a CPU
    assert backend.is_compiled(SETTINGS.applied(load_spec("ogbg", "full")))
