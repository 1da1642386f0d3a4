"""Every model is one graph to PyTorch's compiler, with the same gradients; a second step finds it compiled."""

import collections

import numpy as np
import pytest
import torch

from algoperf.backends.pytorch import PytorchBackend
from algoperf.benchmark.facts import ForwardPassMode, replace
from algoperf.benchmark.workload import make_workload
from tests.support.nightly import some_first
from tests.support.small_models import BASES, small_batch, small_spec
from workloads.layers.pytorch import constant

# The steps in time of each recurrent layer are laid out one by one.
FEWER_LAYERS = {"librispeech_deepspeech": {"recurrent_depth": 1}}


def another(value):
    return np.full(3, float(value))


@pytest.mark.parametrize("name", some_first(BASES, ["criteo1tb"], "models that are one graph"))
def test_a_model_is_one_graph(name):
    workload = make_workload(replace(small_spec(name), {"model": FEWER_LAYERS.get(name, {})}), "pytorch")
    model, _ = workload.init_model_fn([1, 2])
    batch = PytorchBackend().place_batch(small_batch(name))

    def step(called):
        torch.manual_seed(0)
        model.zero_grad()
        train = ForwardPassMode.TRAIN
        logits, _ = workload.model_fn(called, batch, None, train, None, update_batch_norm=False)
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))["summed"]
        loss.backward()
        return {"loss": loss.detach(), **{of: parameter.grad for of, parameter in model.named_parameters()}}

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model, backend="aot_eager")  # without the code that a compiler makes of the graphs
    expected = step(model)
    for number in range(2):
        torch.testing.assert_close(step(compiled), expected)
        constant(another, number, dtype=torch.float32, device=torch.device("cpu"))  # as another model's
    counted = torch._dynamo.utils.counters
    torch._dynamo.reset()
    assert counted["graph_break"] == collections.Counter()
    assert counted["stats"]["unique_graphs"] == 1
