"""State through a file and back: whatever a submission makes, whenever it makes it, and into what is there."""

import collections
import dataclasses
import enum

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.records.checkpoint import CheckpointError
from tests.backends.test_backends import through_a_file


@pytest.fixture(params=FRAMEWORKS)
def backend(request):
    return load_backend(request.param)


@dataclasses.dataclass
class Slots:
    __slots__ = ("a", "b")
    a: int
    b: list


Pair = collections.namedtuple("Pair", "first second")


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


def same(one, other):
    """Also by type, in all of it."""
    assert type(one) is type(other)
    match one:
        case dict():
            assert list(one) == list(other)
            return all(same(one[key], other[key]) for key in one)
        case list() | tuple() | collections.deque():
            return len(one) == len(other) and all(map(same, one, other))
        case np.ndarray() | np.generic():
            return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


# What the template does not have.
LATE = {
    "constants": [1, 2.5, True, None, 3j, 10**30, b"ab", range(3), Level.LOW, Level.LOW | Level.HIGH],
    "keys": {("a", 1): 1, 2.5: 2, None: 3, "__same__": 4, True: 5, Level.LOW: 6},
    "containers": (1, [2, (3,)], {"set": {1, 2}, "frozen": frozenset({("x",)}), "empty": [{}, (), [], set()]}),
    "deque": collections.deque([1, [2]], maxlen=4),
    "kinds of dictionaries": [collections.OrderedDict(b=1, a=2), collections.Counter("aab")],
    "numbers of NumPy": [np.arange(3, dtype=np.int8), np.float32(0.5), np.array(2.0), np.ones(2, "bfloat16")],
    "other arrays of NumPy": [np.array(["a", "bc"]), np.array(["2026-01-01"], "datetime64[D]"), np.zeros((0, 2))],
    "bytes that change": bytearray(b"cd"),
    "an object with slots": Slots(1, [2]),
    "a named tuple": Pair(1, [2]),
}


@pytest.mark.parametrize("name", LATE)
def test_state_that_came_late_comes_back_and_what_is_gone_stays_so(backend, tmp_path, name):
    exported = through_a_file(tmp_path, backend.export({"early": 1, "late": LATE[name]}))
    restored = backend.restore({"early": 0, "gone": 5}, exported)
    assert list(restored) == ["early", "late"]
    assert same(LATE[name], restored["late"])
    assert backend.not_exported(LATE[name], "state") == []


def test_state_comes_back_into_what_is_there(backend, tmp_path):
    def make(number):
        shared = [number]
        parts = {"list": [shared], "shared": shared, "set": {number}, "array": np.full(2, number)}
        return parts | {"deque": collections.deque([number])}

    saved, template = make(1), make(2)
    saved["again"] = saved["list"]
    saved["list"].append(saved)
    parts = dict(template)
    restored = backend.restore(template, through_a_file(tmp_path, backend.export(saved)))
    assert restored is template
    assert all(restored[name] is part for name, part in parts.items())
    assert restored["list"][0] is restored["shared"]
    assert restored["again"] is restored["list"]
    assert restored["list"][1] is restored
    assert restored["shared"] == [1]
    assert restored["array"].tolist() == [1, 1]
    assert restored["deque"] == collections.deque([1])


def test_what_was_one_object_at_the_beginning_may_be_two_later(backend, tmp_path):
    template = [[0]] * 2
    restored = backend.restore(template, through_a_file(tmp_path, backend.export([[1], [2]])))
    assert restored == [[1], [2]]


@pytest.mark.parametrize("late", [len, type, collections.defaultdict(list), np.array([object()]), object()])
def test_what_has_nothing_to_come_back_to_is_an_error_that_names_it(backend, tmp_path, late):
    exported = through_a_file(tmp_path, backend.export({"late": late}))
    with pytest.raises(CheckpointError, match=r"state\['late'\], .* was made later than the first steps"):
        backend.restore({}, exported)


def test_arrays_of_jax_come_back_late_larger_and_weak(tmp_path):
    backend = load_backend("jax")
    state = {
        **{"late": jnp.arange(3), "grown": jnp.ones(4), "weak": jnp.asarray(0.5), "bits": jnp.ones(2, jnp.bfloat16)},
        **{"weak vector": jnp.full(2, 0.5), "placed": backend.place(jnp.ones(2))},
    }
    keys = {"key": jax.random.key(7, impl="rbg"), "partial": jax.tree_util.Partial(len, jnp.ones(2))}
    template = {"grown": jnp.zeros(2), "partial": jax.tree_util.Partial(len, jnp.zeros(2)), "bits": 3}
    restored = backend.restore(template, through_a_file(tmp_path, backend.export(state | keys)))
    for name, before in state.items():
        after = restored[name]
        assert (before == after).all()
        assert before.dtype == after.dtype, name
        assert (before.weak_type, before.committed) == (after.weak_type, after.committed), name
    assert (jax.random.key_data(restored["key"]) == jax.random.key_data(keys["key"])).all()
    assert restored["partial"].args[0].tolist() == [1, 1]


def test_tensors_come_back_late_with_their_type(tmp_path):
    backend = load_backend("pytorch")
    state = {"bits": torch.ones(2, dtype=torch.float8_e4m3fn), "grad": torch.ones(2, requires_grad=True)}
    state["scalar"] = torch.tensor(2)
    restored = backend.restore({}, through_a_file(tmp_path, backend.export(state)))
    for name, tensor in state.items():
        assert (restored[name].dtype, restored[name].requires_grad) == (tensor.dtype, tensor.requires_grad)
        assert torch.equal(restored[name].float(), tensor.float())


def test_optimizers_and_models_of_pytorch_come_back_into_the_memory_that_they_have(tmp_path):
    """Never all of it twice: neither a model nor an optimizer's state has room once more beside a large table."""
    backend = load_backend("pytorch")

    def make(seed):
        torch.manual_seed(seed)
        model = torch.nn.Linear(300, 300)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1 * seed)
        for _ in range(2):
            model(torch.randn(4, 300)).sum().backward()
            optimizer.step()
        return {"model": model, "optimizer": optimizer}

    def tensors(tree):
        state = [value for of_one in tree["optimizer"].state.values() for value in of_one.values()]
        return [*tree["model"].state_dict().values(), *state]

    saved, template = make(1), make(2)
    exported = through_a_file(tmp_path, backend.export(saved))
    places = [tensor.data_ptr() for tensor in tensors(template)]
    restored = backend.restore(template, exported)
    assert [tensor.data_ptr() for tensor in tensors(restored)] == places
    for found, expected in zip(tensors(restored), tensors(saved), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert restored["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1)
    for found, expected in zip(restored["model"].parameters(), saved["model"].parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=0)
