"""A device that is not there: what is asked of it as of one that is, and what is counted. In processes of their own."""

import json

import numpy as np
import pytest

from tests.support import several_processes

BEGIN = """
import torch
from torch import distributed
from algoperf.shapes import device
from algoperf.shapes.meter import Meter

meter = Meter()
with device.pretended(8, meter.waited), meter:
    x = torch.empty(1024, 1024, device="cuda", requires_grad=True)
    meter.begin_step()
"""
MEBIBYTE = 2**20


def found_by(code):
    """Runs the code as a program whose device is one of eight."""
    names = {}
    exec(BEGIN + "".join(f"    {line}\n" for line in code.strip().splitlines()), names)
    return {"found": np.array(json.dumps(names["found"]))}


@pytest.fixture
def run(tmp_path):
    """What `code`, which puts it into `found`, finds out on a device of eight."""

    def run(code):
        (here,) = several_processes.run(found_by, [code], 1, tmp_path)
        return json.loads(str(here["found"]))

    return run


def test_it_is_where_it_says(run):
    found = run("""
class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        found["forward"] = [x.is_cuda, str(x.device)]
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        found["backward"] = [gradient.is_cuda, str(torch.full((3,), 1.0, device=gradient.device).device)]
        return 2 * gradient

found = {}
Doubled.apply(x).sum().backward()
found["gradient"] = x.grad.is_cuda
""")
    assert found["forward"] == found["backward"] == [True, "cuda:0"]
    assert found["gradient"]


def test_memory_is_counted_as_long_as_it_is_held(run):
    found = run("""
before = meter.now
y = x.detach() + 1
held = meter.now - before
z = y.view(-1)[:10]  # of the same memory
del y
still = meter.now - before
del z
found = {"held": held, "still": still, "after": meter.now - before, "peak": meter.peak - before}
(x.detach() @ x.detach())
found["flops"] = meter.flops["float32"]
found["moved"] = meter.moved
""")
    assert found["held"] == found["still"] == found["peak"] == 4 * MEBIBYTE
    assert found["after"] == 0
    assert found["flops"] == 2 * 1024**3
    assert found["moved"] == (2 + 3) * 4 * MEBIBYTE


WAITS = {
    "float(x.sum())": 1,
    "x.sum().item(); bool((x > 0).all())": 2,
    "x.cpu()": 1,
    "x.new_tensor(5.0)": 1,
    "torch.zeros(3).to(x.device)": 1,
    "torch.zeros(3).to(x.device, non_blocking=True)": 0,
    "x.new_full((), 5.0)": 0,
    "(x * 2).relu().mean().backward()": 0,
}


def test_waits_for_it_are_heard(run):
    found = run(f"""
found = {{}}
for code in {list(WAITS)!r}:
    meter.begin_step()
    exec(code)
    found[code] = sum(meter.waits.values())
""")
    assert {code: found[code] for code in WAITS} == WAITS


def test_gradients_are_summed_over_all_without_a_second_copy(run):
    found = run("""
linear = torch.nn.Linear(1024, 1024, bias=False, device="cuda")
device.share_gradients(linear)
before = meter.now
linear(x.detach()).sum().backward()
found = {"more": meter.now - before, "sums": meter.collectives["allreduce"], "bytes": meter.collective_bytes}
""")
    assert found["more"] == 0  # the gradient is where it is summed
    assert found["sums"] == 1
    assert found["bytes"] == 4 * MEBIBYTE
