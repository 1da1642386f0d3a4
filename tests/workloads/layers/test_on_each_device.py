"""A call that XLA cannot divide: each device makes it for its share of the batch, wherever that lies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf import jax_sharding_utils as sharding
from tests.support.several_processes import run
from workloads.layers.jax import on_each_device
from workloads.layers.speech_jax import log_mel_features

SIZE, DEVICES = 8, 4


def shares():
    """How many examples each call sees, where the batch lies on all devices, on some, or is divided already."""
    seen, mesh = {}, sharding.get_mesh()
    x = np.arange(2.0 * SIZE, dtype=np.float32).reshape(SIZE, 2)
    weights = np.ones((2, 3), np.float32)

    def loss(where):
        def call(x, weights):
            seen[where] = len(x)
            return jnp.tanh(x @ weights)

        return lambda weights, x: (on_each_device(call, (x,), (weights,)) ** 2).sum()

    batch, everywhere = sharding.get_batch_dim_sharding(), sharding.get_replicate_sharding()
    results = {}
    gradient = jax.jit(jax.grad(loss("all")), out_shardings=everywhere)
    arguments = jax.device_put(weights, everywhere), jax.device_put(x, batch)
    results["all"] = gradient(*arguments)
    text = gradient.lower(*arguments).compile().as_text()
    assert "all-gather" not in text
    assert "all-reduce" in text
    features = jax.jit(log_mel_features)
    audio = jax.device_put(np.zeros((SIZE, 2_000), np.float32), batch)
    assert "all-gather" not in features.lower(audio, audio).compile().as_text()
    some = Mesh(mesh.devices[:2], mesh.axis_names)
    with jax.set_mesh(some):  # as an evaluation, which each process makes for itself
        on_some = jax.device_put(x, NamedSharding(some, PartitionSpec("batch")))
        results["some"] = jax.jit(jax.grad(loss("some")))(
            jax.device_put(weights, NamedSharding(some, PartitionSpec())), on_some
        )
    own = jax.shard_map(
        lambda weights, x: jax.lax.psum(
            jax.grad(loss("own"))(jax.lax.pcast(weights, "batch", to="varying"), x), "batch"
        ),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("batch")),
        out_specs=PartitionSpec(),
    )
    results["own"] = jax.jit(own)(*arguments)
    results["undivided"] = jax.grad(loss("undivided"))(weights, x[:3])
    expected = jax.grad(lambda weights, x: (jnp.tanh(x @ weights) ** 2).sum())
    for where, found in results.items():
        rows = x[:3] if where == "undivided" else x
        np.testing.assert_allclose(found, expected(weights, rows), rtol=1e-5, err_msg=where)
    return seen


@pytest.mark.parametrize(
    ("where", "share"), [("all", SIZE // DEVICES), ("some", SIZE // 2), ("own", SIZE // DEVICES), ("undivided", 3)]
)
def test_each_device_has_its_share(found, where, share):
    assert found[where] == share


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    (here,) = run(shares, [], 1, tmp_path_factory.mktemp("devices"), DEVICES)
    return here
