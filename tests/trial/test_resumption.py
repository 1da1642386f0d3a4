"""A trial that goes on from its checkpoint is the one that never stopped, or it says in a sentence that it is not."""

import errno
import functools
import re
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from algoperf.benchmark.facts import FRAMEWORKS, InfrastructureError
from algoperf.machine.interruption import InterruptionError
from algoperf.machine.lock import LOCK
from tests.support.little_trials import evaluations, little_data, logged, made, run, write


@pytest.fixture(scope="module")
def data(data_dir, tmp_path_factory):
    return data_dir, little_data(data_dir, tmp_path_factory.mktemp("little"))


MOVES = {
    "pytorch": "for parameter in params.parameters(): parameter.data.add_(1e-3 * value)",
    "jax": "params = jax.tree.map(lambda leaf: leaf + 1e-3 * value, params)",
}
IMPORTS = "import collections, dataclasses, enum, random\nimport numpy as np\n"
FRAMEWORK = {"pytorch": "import torch\n", "jax": "import functools, jax, jax.numpy as jnp\n"}

# What a submission may keep: how it begins, and what a step does with it. All of it goes into `value`, by which the
# parameters move: nothing can be lost without a trace in the evaluations.
STATES = {
    "a list that grows": (
        "state['list'] = []",
        "state['list'].append(float(global_step)); value += sum(state['list'])",
    ),
    "a key made late": (
        "pass",
        "if global_step == 3: state['late'] = {('a', 1): [1.5, {2}], ('b',): (1, [2])}\n"
        "if global_step > 3: state['late'][('a', 1)][0] += 1; state['late'][('b',)][1].append(1)\n"
        "value += sum(state['late'][('a', 1)][:1] + state['late'][('b',)][1]) if global_step > 3 else 0",
    ),
    "a key taken away": (
        "state['warm'] = 1.0",
        "value += state.get('warm', 5.0)\nif global_step == 3: del state['warm']",
    ),
    "a string": (
        "state['phase'] = 'warmup'",
        "if global_step == 3: state['phase'] = 'main'\nvalue += len(state['phase'])",
    ),
    "an int that becomes a float": (
        "state['ema'] = 0",
        "state['ema'] = 0.5 * state['ema'] + 0.5; value += state['ema']",
    ),
    "None that becomes an array": (
        "state['best'] = None",
        "if global_step == 3: state['best'] = np.full(2, 0.5, np.float32)\n"
        "value += 0 if state['best'] is None else float(state['best'].sum())",
    ),
    "sets, deques and counters": (
        "state['window'] = collections.deque(maxlen=3); state['seen'] = set(); state['count'] = collections.Counter()",
        "state['window'].append(global_step); state['seen'].add(global_step % 4); state['count']['x'] += 1\n"
        "value += sum(state['window']) + len(state['seen']) + state['count']['x']",
    ),
    "objects of its own": (
        "state['ema'] = Average(0.0, Mode.SLOW); state['pair'] = Pair(1, [2])",
        "state['ema'].total += 1; state['pair'].second.append(1)\n"
        "if global_step == 3: state['ema'].mode = Mode.FAST; state['late'] = Average(2.0, Mode.SLOW)\n"
        "value += state['ema'].total * state['ema'].mode.value + sum(state['pair'].second)\n"
        "value += state['late'].total if 'late' in state else 0",
    ),
    "one object in two places": (
        "state['a'] = [1.0]; state['b'] = state['a']; state['c'] = {'own': state['a']}",
        "if global_step == 2: state['b'] = list(state['a'])\n"
        "state['a'][0] += 1; state['b'].append(0.5); value += sum(state['a']) + sum(state['b']) + state['c']['own'][0]",
    ),
    "random numbers": (
        "state['rng'] = np.random.default_rng(3)",
        "value += np.random.rand() + random.random() + state['rng'].random()\n"
        "if global_step == 3: state['late_rng'] = random.Random(5)\n"
        "value += state['late_rng'].random() if 'late_rng' in state else 0",
    ),
    "what has been evaluated": (
        "pass",
        "assert global_step == 0 or eval_results[-1][0] <= global_step\n"
        "value += eval_results[-1][1].pop('validation/loss') if global_step else 0",
    ),
}
OWN = {
    "pytorch": {
        "metrics that change": (
            "state['sum'] = torch.zeros(()); state['lr'] = torch.full((2,), 0.5, dtype=torch.bfloat16)",
            "state['sum'] += 1; workload.metrics_logger.append_scalar_metrics({'sum': state['sum']}, global_step)\n"
            "state['lr'] *= 0.5; value += state['sum'].item() + state['lr'].sum().item()",
        ),
        "an optimizer with something of its own": (
            "state['optimizer'] = Own(model_params.parameters(), lr=1e-2)",
            "state['optimizer'].zero_grad()\nsum(p.square().sum() for p in params.parameters()).backward()\n"
            "state['optimizer'].step(); value += state['optimizer'].taken",
        ),
        "a model that is frozen late": (
            "state['other'] = torch.nn.Linear(2, 2)",
            "if global_step == 3: state['other'].bias.requires_grad_(False)\n"
            "value += 1.0 if state['other'].bias.requires_grad else 2.0",
        ),
    },
    "jax": {
        "metrics that are donated, by a compiled step": (
            "state['sum'] = jnp.zeros(())",
            "workload.metrics_logger.append_scalar_metrics({'sum': state['sum'], 'note': 'text'}, global_step)\n"
            "state['step'] = state.get('step') or jax.jit(lambda total: total + 1, donate_argnums=0)\n"
            "state['sum'] = state['step'](state['sum']); value += float(state['sum'])",
        ),
        "keys, weak types and an array that grows": (
            "state['key'] = jax.random.key(1); state['weak'] = jnp.asarray(0.5); state['grown'] = jnp.zeros(1)",
            "state['key'], key = jax.random.split(state['key']); value += float(jax.random.uniform(key))\n"
            "state['weak'] = state['weak'] * 0.5; state['grown'] = jnp.append(state['grown'], float(global_step))\n"
            "if global_step == 3: state['late'] = jax.tree_util.Partial(jnp.add, 2.0) if False else jnp.ones(2)\n"
            "value += float((state['weak'] * jnp.ones((), jnp.bfloat16)).sum() + state['grown'].sum())\n"
            "value += float(state['late'].sum()) if 'late' in state else 0\n"
            "value += 0 if (state['weak'] * jnp.ones((), jnp.bfloat16)).dtype == jnp.bfloat16 else 1",
        ),
    },
}
CLASSES = """
class Mode(enum.Enum):
    SLOW, FAST = 1, 2

@dataclasses.dataclass
class Average:
    total: float
    mode: Mode

Pair = collections.namedtuple("Pair", "first second")
"""
OWN_OPTIMIZER = """
class Own(torch.optim.Adam):
    def __init__(self, parameters, lr):
        super().__init__(parameters, lr=lr)
        self.taken = 0

    def step(self):
        super().step()
        self.taken += 1
"""


def submission(folder, framework, names):
    states = STATES | OWN[framework]
    # Each has a dictionary of its own.
    init = [f"state = whole[{number}] = {{}}\n{states[name][0]}" for number, name in enumerate(names)]
    steps = [f"state = whole[{number}]\n{states[name][1]}" for number, name in enumerate(names)]
    return write(
        folder,
        step="\n".join(["whole, value = state, 1.0", *steps, MOVES[framework], "state = whole"]),
        init="\n".join(["whole = {}", *init, "return whole"]),
        imported=IMPORTS + FRAMEWORK[framework] + CLASSES + (OWN_OPTIMIZER if framework == "pytorch" else ""),
    )


class Killed(BaseException):
    """The end of the process, as far as the trial can tell."""


class _Disk:
    """What happens at the writes of a trial's folder, as Python's audit events tell of them."""

    def __init__(self):
        self.folder, self.left, self.error = None, None, None
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if self.folder is None or event not in ("open", "os.rename", "os.remove"):
            return
        is_written = event != "open" or (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
        if is_written and str(arguments[0]).startswith(str(self.folder)):
            self.left -= 1
            if self.left <= 0 and not (event == "os.remove" and isinstance(self.error, OSError)):
                if event == "open" and "a" in arguments[1] and isinstance(self.error, Killed):
                    self.folder, folder = None, self.folder
                    with open(arguments[0], "a") as file:
                        file.write("0.5,1")  # half of a row
                    self.folder = folder
                raise self.error


@functools.cache
def disk():
    return _Disk()  # a hook stays for as long as the process


def interrupted(setup, kind, when):
    """One session of a trial that ends early, if it does not end before. Returns whether it left a result."""
    if kind == "USR2":
        try:
            run(setup, stops_after=when)
        except InterruptionError:
            return False
        return True
    error = Killed() if kind == "kill" else OSError(errno.ENOSPC, "No space left on device")
    disk().folder, disk().left, disk().error = setup.out, when, error
    try:
        run(setup)
    except (Killed, InfrastructureError):
        return False
    finally:
        disk().folder = None
        (setup.out / LOCK).unlink(missing_ok=True)  # the process that held it is gone
    return True


PLANS = st.lists(st.tuples(st.sampled_from(["kill", "full disk", "USR2"]), st.integers(1, 14)), min_size=1, max_size=3)


MANY = pytest.mark.nightly("many interruptions of many states")


@pytest.mark.parametrize(
    ("framework", "examples"),
    [("pytorch", 3), ("jax", 1), pytest.param("pytorch", 12, marks=MANY), pytest.param("jax", 4, marks=MANY)],
)
def test_whatever_interrupts_a_trial_it_is_the_one_that_never_stopped(framework, examples, data):
    names = st.lists(st.sampled_from(sorted(STATES | OWN[framework])), min_size=4, max_size=9, unique=True)

    # Each example is minutes of a machine, and says itself what it was: none is made smaller.
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(names=names, plan=PLANS)
    def holds(names, plan):
        with tempfile.TemporaryDirectory() as folder:
            path = submission(Path(folder) / "one", framework, names)
            whole, out = Path(folder) / "whole", Path(folder) / "interrupted"
            expected = run(made(path, whole, data, framework))
            assert expected["status"] == "budget_exhausted", (whole / "error.log").read_text()
            rows = []
            for kind, when in plan:
                if interrupted(made(path, out, data, framework), kind, when):
                    break
                found = evaluations(out) if (out / "eval_measurements.csv").exists() else []
                assert found[: len(rows)] == rows  # what is on the disk is never changed
                rows = found
            result = run(made(path, out, data, framework))
            assert evaluations(out) == evaluations(whole)
            for name in ("status", "global_step", "charged_time", "time_to_target"):
                assert result[name] == expected[name], name
            assert [flag for flag in result["flags"] if flag["rule"] != "metrics"] == []
            assert logged(out) == logged(whole)

    holds()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_state_comes_back_after_a_stop_at_a_step_that_is_not_evaluated(framework, data, tmp_path):
    path = submission(tmp_path / "one", framework, sorted(STATES | OWN[framework]))
    expected = run(made(path, tmp_path / "whole", data, framework))
    assert expected["status"] == "budget_exhausted", (tmp_path / "whole" / "error.log").read_text()
    with pytest.raises(InterruptionError, match="saved at step 5"):
        run(made(path, tmp_path / "stopped", data, framework), stops_after=5)
    result = run(made(path, tmp_path / "stopped", data, framework))
    assert result["charged_time"] == expected["charged_time"] == 7.0
    assert evaluations(tmp_path / "stopped") == evaluations(tmp_path / "whole")
    assert logged(tmp_path / "stopped") == logged(tmp_path / "whole")


# The kinds of state that cannot come back, and what is said of them.
LOST = {
    "an iterator": (
        "state['i'] = iter(range(99))",
        "next(state['i'])",
        r"does not keep optimizer_state\['i'\]",
    ),
    "a state_dict that raises": ("state['o'] = Broken()", "pass", "the state cannot be saved, so .* begins anew"),
    "a state_dict that ends the process": ("state['o'] = Leaving()", "pass", "the state cannot be saved"),
}
BROKEN = """
import sys
class Broken:
    def state_dict(self): raise NotImplementedError("no")
    def load_state_dict(self, state): pass
class Leaving(Broken):
    def state_dict(self): sys.exit(0)
"""


@pytest.mark.parametrize("name", LOST)
def test_what_does_not_come_back_is_said(name, data, tmp_path):
    init, step, sentence = LOST[name]
    path = write(tmp_path / "one", step, f"state = {{}}\n{init}\nreturn state", BROKEN)
    with pytest.raises(InterruptionError) as stopped:
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=3)
    is_saved = name == "an iterator"
    assert stopped.value.may_requeue is is_saved
    assert ("saved at step 3" in str(stopped.value)) is is_saved
    assert is_saved or "begins anew" in str(stopped.value)
    assert is_saved or "cannot be saved" in (tmp_path / "out" / "error.log").read_text()
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert result["status"] == "budget_exhausted"
    (flag,) = result["flags"]
    assert re.search(sentence, flag["what"])


@pytest.mark.parametrize(
    "late",
    ["torch.optim.SGD(params.parameters(), lr=0.1)", "collections.defaultdict(list)", "len", "torch.nn.Linear(1, 1)"],
)
def test_a_trial_that_cannot_go_on_says_so_and_that_is_no_result(late, data, tmp_path):
    step = f"if global_step == 3: state['late'] = {late}"
    path = write(tmp_path / "one", step, imported="import collections, torch")
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=5)
    for _ in range(2):
        with pytest.raises(InfrastructureError, match=r"\['late'\], .* made later than the first steps"):
            run(made(path, tmp_path / "out", data, "pytorch"))
    assert not (tmp_path / "out" / "result.json").exists()


FAILS = {
    "an exception": "1 / 0",
    "the end of the process": "sys.exit(0)",
    "no memory": "raise MemoryError",
    "something else": "raise GeneratorExit",
}


@pytest.mark.parametrize("name", FAILS)
def test_whatever_the_first_steps_raise_when_they_are_taken_again_is_no_result(name, data, tmp_path):
    """The submission finds a file that its first session has left: no warm-up can see all that the step saw."""
    step = f"if global_step == 1 and MARKER.exists(): {FAILS[name]}\nif global_step == 2: MARKER.touch()"
    path = write(
        tmp_path / "one", step, imported=f"import pathlib, sys\nMARKER = pathlib.Path({str(tmp_path / 'm')!r})"
    )
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=4)
    before = evaluations(tmp_path / "out")
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert (result["status"], result["charged_time"]) == ("budget_exhausted", 7.0)
    (flag,) = [flag for flag in result["flags"] if flag["rule"] == "checkpoint"]  # beside the file that it leaves
    assert flag["what"].startswith("the first steps, taken again to compile, failed: ")
    assert evaluations(tmp_path / "out")[: len(before)] == before


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_generators_of_python_and_numpy_are_seeded_by_the_trial(framework, data, tmp_path):
    step = (
        "import numpy as np, random\nworkload.metrics_logger.append_scalar_metrics("
        "{'numpy': np.random.rand(), 'python': random.random()}, global_step)"
    )
    path = write(tmp_path / "one", step)
    for out in ("first", "second"):
        run(made(path, tmp_path / out, data, framework, max_steps=1))
    assert logged(tmp_path / "first") == logged(tmp_path / "second")


def test_the_record_is_handed_out_as_a_copy(data, tmp_path):
    step = "if eval_results: eval_results[0][1]['validation/loss'] = 0.0; eval_results.clear()"
    path = write(tmp_path / "one", step)
    run(made(write(tmp_path / "idle" / "one"), tmp_path / "whole", data, "pytorch"))
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=3)
    before = (tmp_path / "out" / "eval_measurements.csv").read_bytes()
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert result["time_to_target"] is None
    assert (tmp_path / "out" / "eval_measurements.csv").read_bytes().startswith(before)
    assert evaluations(tmp_path / "out") == evaluations(tmp_path / "whole")
