"""Distributed Shampoo against the published equations in plain NumPy, and both frameworks against each other."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algoperf.backends import load_backend
from algoperf.jax_sharding_utils import get_replicate_sharding
from algoperf.kit.blocks import blocks, merged, shared
from algoperf.kit.shampoo_jax import scale_by_shampoo
from algoperf.kit.shampoo_pytorch import Shampoo
from algoperf.records import checkpoint
from tests.support.several_processes import run

STEPS = 10
LR, B1, B2, WEIGHT_DECAY = 0.1, 0.9, 0.95, 0.3
SIZES = {"block_size": 9, "largest": 20, "interval": 3, "start": 4}

# Shape in JAX, shape in which it is read (none: its steps are RMSProp's), and where each dimension of that is cut.
PARAMETERS = {
    "matrix": ((12, 5), (12, 5), [[0, 9, 12], [0, 5]]),
    "cut twice": ((12, 13), (12, 13), [[0, 9, 12], [0, 9, 13]]),
    "kernel": ((3, 3, 4, 5), (9, 4, 5), [[0, 9], [0, 4], [0, 5]]),
    "merged kernel": ((2, 2, 2, 7), (8, 7), [[0, 8], [0, 7]]),
    "vector": ((7,), None, None),
    "table": ((21, 3), None, None),
}
RANDOM = np.random.default_rng(0)
START = {name: RANDOM.normal(size=shape) for name, (shape, *_) in PARAMETERS.items()}
GRADIENTS = [{name: 0.01 * RANDOM.normal(size=value.shape) for name, value in START.items()} for _ in range(STEPS)]


class Published:
    """Anil et al. 2020 with steps as long as those of RMSProp on the normalised gradient, for one parameter."""

    def __init__(self, start, read_as, cuts):
        self.p, self.read_as = start, read_as
        self.v = self.m = 0.0
        edges = [list(itertools.pairwise(cut)) for cut in cuts or []]
        self.places = [tuple(slice(*edge) for edge in corner) for corner in itertools.product(*edges)] if cuts else []
        sizes = [[s.stop - s.start for s in place] for place in self.places]
        self.statistics = [[np.zeros((size, size)) for size in block] for block in sizes]
        self.roots = [[np.eye(size) for size in block] for block in sizes]

    def step(self, t, g):
        scaled = g / np.linalg.norm(g)
        self.v = B2 * self.v + (1 - B2) * scaled**2
        graft = scaled / (np.sqrt(self.v) + 1e-8)
        u = graft
        if self.read_as is not None:
            direction = self.precondition(t, g.reshape(self.read_as)).reshape(g.shape)
            if t >= SIZES["start"]:
                u = direction * np.linalg.norm(graft) / np.linalg.norm(direction)
        self.m = B1 * self.m + (1 - B1) * u
        self.p = self.p - LR * ((1 - B1) * u + B1 * self.m + WEIGHT_DECAY * self.p)

    def precondition(self, t, g):
        result = np.empty_like(g)
        for place, statistics, roots in zip(self.places, self.statistics, self.roots, strict=True):
            block = g[place]
            result[place] = block
            for k in range(g.ndim):
                others = [axis for axis in range(g.ndim) if axis != k]
                statistics[k] = B2 * statistics[k] + (1 - B2) * np.tensordot(block, block, (others, others))
                if t % SIZES["interval"] == 0:
                    values, vectors = np.linalg.eigh(
                        statistics[k] + 1e-6 * max(np.linalg.eigvalsh(statistics[k])) * np.eye(len(statistics[k]))
                    )
                    roots[k] = vectors @ np.diag(values ** (-1 / (2 * g.ndim))) @ vectors.T
                result[place] = np.moveaxis(np.tensordot(roots[k], result[place], (1, k)), 0, k)
        return result


def published():
    parameters = {name: Published(START[name], *rest) for name, (_, *rest) in PARAMETERS.items()}
    for t, gradients in enumerate(GRADIENTS):
        for name, gradient in gradients.items():
            parameters[name].step(t, gradient)
    return {name: parameter.p for name, parameter in parameters.items()}


class Jax:
    """The optimizer in JAX, as in the kit's compiled step."""

    def __init__(self):
        self.backend = load_backend("jax")
        self.transformation = optax.chain(
            scale_by_shampoo(B1, B2, **SIZES), optax.add_decayed_weights(WEIGHT_DECAY), optax.scale_by_learning_rate(LR)
        )
        self.params = self.backend.place({name: jnp.asarray(value, jnp.float32) for name, value in START.items()})
        self.state = self.backend.place(self.transformation.init(self.params))

        def update(gradients, state, params):
            updates, state = self.transformation.update(gradients, state, params)
            return optax.apply_updates(params, updates), state

        self.update = jax.jit(update, donate_argnums=(1, 2), out_shardings=get_replicate_sharding())

    def step(self, gradients):
        gradients = self.backend.place({name: jnp.asarray(value, jnp.float32) for name, value in gradients.items()})
        self.params, self.state = self.update(gradients, self.state, self.params)

    def arrays(self):
        return {name: np.asarray(value) for name, value in self.params.items()}

    def export(self):
        return [self.backend.export(tree) for tree in (self.params, self.state)]

    def restore(self, exported):
        self.params, self.state = map(self.backend.restore, (self.params, self.state), exported)


class Pytorch:
    """The optimizer in PyTorch, whose kernels have the dimensions of JAX's in another order."""

    def __init__(self):
        self.backend = load_backend("pytorch")
        self.params = torch.nn.ParameterDict({name: torch.nn.Parameter(self.of_jax(v)) for name, v in START.items()})
        self.optimizer = Shampoo(self.params.values(), LR, (B1, B2), WEIGHT_DECAY, **SIZES)

    @staticmethod
    def of_jax(value):
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
        return torch.tensor(value.copy(), dtype=torch.float32)

    def step(self, gradients):
        for name, value in gradients.items():
            self.params[name].grad = self.of_jax(value)
        self.optimizer.step()

    def arrays(self):
        values = {name: value.detach().numpy() for name, value in self.params.items()}
        return {name: v.transpose(2, 3, 1, 0) if v.ndim == 4 else v.T for name, v in values.items()}

    def export(self):
        return [self.backend.export(part) for part in (self.params, self.optimizer)]

    def restore(self, exported):
        for part, state in zip((self.params, self.optimizer), exported, strict=True):
            self.backend.restore(part, state)


OPTIMIZERS = {"jax": Jax, "pytorch": Pytorch}


def after_all_steps(optimizer):
    for gradients in GRADIENTS:
        optimizer.step(gradients)
    return optimizer


@pytest.fixture(scope="module")
def trained():
    """The optimizer of a framework after all steps."""
    return functools.cache(lambda framework: after_all_steps(OPTIMIZERS[framework]()))


LANDING = pytest.mark.landing("Shampoo in JAX")
EITHER = ["pytorch", pytest.param("jax", marks=LANDING)]


@pytest.mark.parametrize("framework", EITHER)
def test_ten_steps_follow_the_published_equations(trained, framework):
    found = trained(framework).arrays()
    for name, expected in published().items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=5e-6, err_msg=name)


@LANDING
def test_the_trajectory_is_the_same_in_both_frameworks(trained):
    in_pytorch = trained("pytorch").arrays()
    for name, value in trained("jax").arrays().items():
        np.testing.assert_allclose(value, in_pytorch[name], rtol=1e-5, atol=5e-6, err_msg=name)


@LANDING
def test_the_step_is_compiled_once(trained):
    assert trained("jax").update._cache_size() == 1


@pytest.mark.parametrize("framework", EITHER)
def test_a_restored_optimizer_goes_on_bit_for_bit(trained, framework, tmp_path):
    first, second = (OPTIMIZERS[framework]() for _ in range(2))
    for gradients in GRADIENTS[:6]:
        first.step(gradients)
    checkpoint.save(tmp_path, 6, {"parts": first.export()})
    second.restore(checkpoint.restore_latest(tmp_path)[0]["parts"])
    for gradients in GRADIENTS[6:]:
        second.step(gradients)
    for name, value in trained(framework).arrays().items():
        np.testing.assert_array_equal(second.arrays()[name], value, err_msg=name)


@pytest.mark.parametrize("framework", EITHER)
def test_where_a_root_fails_the_preconditioner_stays(framework):
    """The squares of one parameter's gradient are infinite, another's are zero; the others' steps are as ever."""
    optimizer, other = (OPTIMIZERS[framework]() for _ in range(2))
    for number, gradients in enumerate(GRADIENTS):
        other.step(gradients)
        optimizer.step(
            {**gradients, "kernel": 0 * gradients["kernel"], "matrix": 1e25 ** (number == 2) * gradients["matrix"]}
        )
    found, expected = optimizer.arrays(), other.arrays()
    for name, value in found.items():
        assert np.isfinite(value).all(), name
        if name not in ("kernel", "matrix"):
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=5e-6, err_msg=name)
    np.testing.assert_allclose(found["kernel"], (1 - LR * WEIGHT_DECAY) ** STEPS * START["kernel"], rtol=1e-5)


def several(framework):
    """The parameters and all preconditioners in the end; how many matrices this process decomposed, and of how many."""
    eigh, decomposed = torch.linalg.eigh, []
    torch.linalg.eigh = lambda matrices: decomposed.append(len(matrices)) or eigh(matrices)
    load_backend(framework)
    optimizer = after_all_steps(OPTIMIZERS[framework]())
    if framework == "jax":
        leaves = jax.tree_util.tree_leaves_with_path(optimizer.state)
        preconditioners = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
        preconditioners = {
            name: np.asarray(leaf) for name, leaf in preconditioners.items() if ".preconditioners" in name
        }
        assert (
            "all-gather" in optimizer.update.lower(GRADIENTS[0], optimizer.state, optimizer.params).compile().as_text()
        )
    else:
        groups = optimizer.optimizer.state["group_0"]["preconditioners"].items()
        preconditioners = {f"{name}/{axis}": value for name, values in groups for axis, value in enumerate(values)}
    return {**optimizer.arrays(), **preconditioners, "decomposed": sum(decomposed)}


@pytest.mark.parametrize(
    ("framework", "processes", "devices"), [pytest.param("jax", 1, 3, marks=LANDING), ("pytorch", 2, 1)]
)
def test_several_devices_share_the_roots_and_have_the_numbers_of_one(trained, tmp_path, framework, processes, devices):
    everywhere = run(several, [framework], processes, tmp_path, devices)
    roots = 3 * sum(len(b.shape) for g in blocks([s for s, *_ in PARAMETERS.values()], 9, 20).values() for b in g)
    decomposed = [int(here.pop("decomposed")) for here in everywhere]
    assert framework == "jax" or (sum(decomposed) == roots and min(decomposed) > roots // 3)
    for here in everywhere:
        for name, value in here.items():
            np.testing.assert_array_equal(value, everywhere[0][name], err_msg=name)
    for name, value in trained(framework).arrays().items():
        np.testing.assert_allclose(everywhere[0][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


shapes = st.lists(st.integers(1, 12), max_size=4).map(tuple)


@given(shapes, st.integers(1, 20))
def test_merging_keeps_the_elements_and_their_order(shape, limit):
    sizes = merged(shape, limit)
    assert np.prod(sizes, dtype=int) == np.prod(shape, dtype=int)
    assert 1 not in sizes
    large = [size for size in shape if size > 1]
    assert len(sizes) == len(large) if len(large) <= 2 else len(sizes) >= 2
    assert max(sizes, default=1) <= max(limit, *shape, 1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 3, 64, 128), (576, 128)),
        ((3, 3, 256, 512), (9, 256, 512)),
        ((1024, 16, 64), (1024, 1024)),
        ((1, 1, 64, 32), (64, 32)),
        ((5, 1, 32), (5, 32)),
        ((512,), (512,)),
        ((), ()),
    ],
)
def test_kernels_are_read_as_published(shape, expected):
    assert merged(shape, 1024) == expected


@given(st.lists(shapes, max_size=4), st.integers(1, 8), st.integers(1, 12))
def test_every_element_is_in_one_block_and_blocks_join_to_the_whole(all_shapes, block_size, largest):
    arrays = [np.arange(np.prod(shape, dtype=int)).reshape(shape) for shape in all_shapes]
    joined = {}
    counts = {}
    for name, group in blocks(all_shapes, block_size, largest).items():
        for block in group:
            part = arrays[block.parameter].reshape(block.merged)[block.slices]
            assert name == "x".join(map(str, part.shape))
            assert max(part.shape) <= block_size
            whole = joined.setdefault(block.parameter, np.full(block.merged, -1))
            whole[block.slices] = part
            counts.setdefault(block.parameter, np.zeros(block.merged, int))[block.slices] += 1
    for index, (shape, array) in enumerate(zip(all_shapes, arrays, strict=True)):
        sizes = merged(shape, block_size)
        assert (index in joined) == (len(sizes) >= 2 and max(sizes) <= largest)
        if index in joined:
            np.testing.assert_array_equal(joined[index].reshape(shape), array)
            assert (counts[index] == 1).all()


@given(st.lists(st.integers(1, 1000), max_size=30), st.integers(1, 9))
def test_shares_hold_every_task_once_and_are_nearly_even(costs, count):
    shares = shared(costs, count)
    assert sorted(itertools.chain(*shares)) == list(range(len(costs)))
    loads = [sum(costs[task] for task in share) for share in shares]
    assert max(loads) - min(loads) <= max(costs, default=0)
