"""Each workload's training step in JAX over several devices: what is between them is sums, and never examples."""

import re

import jax
import numpy as np
import pytest

from algoperf import jax_sharding_utils as sharding
from algoperf.benchmark.facts import ForwardPassMode
from algoperf.benchmark.workload import make_workload
from tests.support.several_processes import run
from tests.support.small_models import BASES, small_batch, small_spec

DEVICES = 2
# Its batch is one graph, whose edges may go from any node to any other.
GATHERS = ("ogbg",)
GATHERED = re.compile(r"(all-gather|all-to-all|collective-permute)(?:-start)?\(")


def gathered():
    """How often a step of each workload gathers what is divided."""
    return {name: len(GATHERED.findall(compiled(name))) for name in BASES}


def compiled(name):
    workload = make_workload(small_spec(name), "jax")
    params, model_state = workload.init_model_fn(jax.random.PRNGKey(0))
    batch = jax.tree.map(lambda leaf: np.concatenate([leaf] * DEVICES), small_batch(name))

    def loss(params, model_state, batch, key):
        logits, state = workload.model_fn(params, batch, model_state, ForwardPassMode.TRAIN, key, True)
        return workload.loss_fn(batch["targets"], logits, batch.get("weights"))["summed"], state

    step = jax.jit(jax.grad(loss, has_aux=True), out_shardings=sharding.get_replicate_sharding())
    divided = jax.device_put(batch, sharding.get_batch_dim_sharding())
    return step.lower(params, model_state, divided, jax.random.PRNGKey(1)).compile().as_text()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    (here,) = run(gathered, [], 1, tmp_path_factory.mktemp("devices"), DEVICES)
    return here


@pytest.mark.nightly("the training step of every workload over two devices")
@pytest.mark.parametrize("name", BASES)
def test_no_device_gathers_examples(found, name):
    assert (found[name] > 0) == (name in GATHERS)
