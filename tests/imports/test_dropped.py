"""Names that JAX has dropped: there in submissions' files, and nowhere else."""

import importlib
import json

import jax
import jax.numpy as jnp
import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.imports import dropped
from tests.conftest import REPOSITORY
from tests.imports.test_homes import load  # noqa: F401


def test_every_name_that_stands_again_is_gone_and_its_successor_there():
    for name, (_, now) in dropped._RENAMED.items():
        module, _, attribute = name.rpartition(".")
        assert not hasattr(importlib.import_module(module), attribute)
        module, _, attribute = now.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_the_table_of_the_documentation_has_them_all():
    page = (REPOSITORY / "docs" / "submission.md").read_text()
    for name, (gone, now) in dropped._RENAMED.items():
        assert f"| `{name}` | {gone} | `{now}` |" in page


USES = """
import jax
import jax.numpy as jnp
from jax import numpy, random, tree_map
from jax.config import config
from jax.numpy import clip

def key(rng: random.KeyArray) -> jax.random.KeyArray:
    return rng
doubled = tree_map(lambda x: 2 * x, {"a": jnp.ones(2)})
leaves, structure = jax.tree_flatten(doubled)
clipped = jnp.clip(a=jnp.arange(4), a_min=1, a_max=2), clip(jnp.arange(4), 1, 2), numpy.clip(jnp.arange(4), max=2)
added = jax.jit(lambda x: jnp.clip(x, a_min=0.0).sum())(jnp.array([-1.0, 2.0]))
"""


def test_they_stand_again_in_a_submission_and_are_recorded(load):  # noqa: F811
    module = load(USES)
    assert module.config is jax.config
    assert [array.tolist() for array in module.leaves] == [[2, 2]]
    assert [array.tolist() for array in module.clipped] == [[1, 1, 2, 2], [1, 1, 2, 2], [0, 1, 2, 2]]
    assert module.added == 2
    assert module.key.__annotations__["rng"] is jax.Array
    home = module.__builtins__["__import__"].__self__
    assert json.loads(json.dumps(home.stand_ins)) == {
        "jax.config": "jax.config",
        "jax.numpy.clip(a, a_min, a_max)": "jax.numpy.clip(arr, min, max)",
        "jax.random.KeyArray": "jax.Array",
        "jax.tree_flatten": "jax.tree_util.tree_flatten",
        "jax.tree_map": "jax.tree_util.tree_map",
    }


def test_jax_itself_is_left_as_it_is(load):  # noqa: F811
    load(USES)
    assert not hasattr(jax, "tree_map")
    with pytest.raises(TypeError, match="a_min"):
        jnp.clip(jnp.ones(2), a_min=0)


def test_what_jax_has_is_jaxs_own(load):  # noqa: F811
    source = (
        "import jax, jax.numpy as jnp, jax.experimental.shard_map\nfrom jax import lax\nfrom jax.sharding import Mesh"
    )
    module = load(source)
    assert module.jax.jit is jax.jit
    assert module.lax.psum is jax.lax.psum
    assert module.Mesh is jax.sharding.Mesh
    assert module.jnp.ndarray is jnp.ndarray
    assert module.jax.experimental.shard_map.shard_map
    assert module.jax.__version__ == jax.__version__
    assert {"jit", "numpy"} <= set(dir(module.jax))
    with pytest.raises(AttributeError, match="module 'jax' has no attribute 'no_such_name'"):
        module.jax.no_such_name  # noqa: B018
    home = module.__builtins__["__import__"].__self__
    assert home.stand_ins == {}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import jax\njax.xla_computation", "jax.xla_computation, which JAX has dropped in 0.4.34: jax.jit"),
        ("from jax import xla_computation", "jax.xla_computation, which JAX has dropped in 0.4.34"),
        ("from jax.experimental import maps", "jax.experimental.maps, which JAX has dropped in 0.4.31"),
        ("import jax.experimental.host_callback as hcb", "which JAX has dropped in 0.4.35: jax.pure_callback"),
        ("from jax.experimental.maps import xmap", "which JAX has dropped in 0.4.31: jax.shard_map"),
        ("import jax\njax.lax.tie_in(1, 2)", "jax.lax.tie_in, which JAX has dropped in 0.4.29: it did nothing"),
    ],
)
def test_what_does_not_stand_again_is_told_with_its_version(load, source, says):  # noqa: F811
    with pytest.raises(UsageError, match=says):
        load(source)


MAPPED = """
import functools, jax
import jax.numpy as jnp
@functools.partial(jax.pmap, axis_name="batch", in_axes=(None, 0, 0), static_broadcasted_argnums=(0,))
def step(scale, params, batch):
    if batch.shape == (1,):
        raise ValueError("its own")
    return jax.lax.psum(scale * params["w"] * batch.sum(), axis_name="batch")
"""


def test_a_step_that_is_mapped_over_devices_is_told(load):  # noqa: F811
    step = load(MAPPED).step
    assert step(2, {"w": jnp.ones((1, 3))}, jnp.ones((1, 4))).tolist() == [[8, 8, 8]]
    with pytest.raises(AttributeError, match=r"jax\.pmap, as submissions to AlgoPerf v0\.5 did: since v0\.6"):
        step(2, {"w": jnp.ones((5, 3))}, jnp.ones((8, 4)))
    with pytest.raises(ValueError, match="its own"):
        step(2, {"w": jnp.ones((1, 3))}, jnp.ones((1, 1)))
